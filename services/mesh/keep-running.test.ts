import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Exit, keepRunning } from "./keep-running.ts";

/** Ends as the list says, each after so many ms of its own clock; then lives on. */
function scenario(ends: { afterMs?: number; exit: Exit; lastLine?: string }[]) {
  const reports: string[] = [];
  const fatal: string[] = [];
  let clock = 0;
  let starts = 0;
  let lives: () => void = () => {};
  const living = new Promise<void>((done) => {
    lives = done;
  });
  const keeper = keepRunning({
    name: "penduduk",
    now: () => clock,
    random: () => 0,
    report: (line) => reports.push(line),
    onFatal: (line) => {
      fatal.push(line);
      lives();
    },
    start: () => {
      const end = ends[starts++];
      if (!end) {
        lives();
        return { pid: starts, exited: new Promise<Exit>(() => {}), lastLine: () => "" };
      }
      clock += end.afterMs ?? 0;
      return { pid: starts, exited: Promise.resolve(end.exit), lastLine: () => end.lastLine ?? "" };
    },
  });
  return { reports, fatal, living, keeper, starts: () => starts };
}

const killed: Exit = { code: null, signal: "SIGKILL" };

describe("a process that ends", () => {
  test("is started again, later each time, and the supervisor says so", async () => {
    const { reports, living, keeper } = scenario([{ exit: killed }, { exit: { code: 1, signal: null } }]);
    await living;
    assert.deepEqual(reports, [
      "penduduk exited (signal SIGKILL), restart 1 in 0.1 s",
      "penduduk exited (code 1), restart 2 in 0.2 s",
    ]);
    assert.equal(keeper.restarts(), 2);
  });

  test("after a minute of life is started again as fast as the first time", async () => {
    const { reports, living } = scenario([
      { exit: killed },
      { exit: killed },
      { afterMs: 60_000, exit: killed },
    ]);
    await living;
    assert.deepEqual(
      reports.map((line) => line.slice(-19)),
      ["restart 1 in 0.1 s", "restart 2 in 0.2 s", "restart 1 in 0.1 s"].map((text) => ` ${text}`),
    );
  });

  test("with code 78 is not started again, and its last line is the reason", async () => {
    const { fatal, living, keeper, starts } = scenario([
      { exit: { code: 78, signal: null }, lastLine: "LAMPID_PORT: expected an integer" },
    ]);
    await living;
    await keeper.done;
    assert.deepEqual(fatal, ["LAMPID_PORT: expected an integer"]);
    assert.equal(starts(), 1);
  });

  test("once released is not started again, not even out of its delay", async () => {
    const { keeper, starts } = scenario([{ exit: killed }]);
    await new Promise((done) => setTimeout(done, 20));
    keeper.release();
    await keeper.done;
    assert.equal(starts(), 1);
  });

  test("because a restart was asked for counts as no failure", async () => {
    const end = Promise.withResolvers<Exit>();
    const reports: string[] = [];
    const second = Promise.withResolvers<void>();
    let starts = 0;
    const keeper = keepRunning({
      name: "penduduk",
      report: (line) => reports.push(line),
      onFatal: () => {},
      start: () => {
        if (++starts === 2) second.resolve();
        const exited = starts === 1 ? end.promise : new Promise<Exit>(() => {});
        return { pid: starts, exited, lastLine: () => "" };
      },
    });
    keeper.expectRestart();
    end.resolve({ code: 0, signal: null });
    await second.promise;
    assert.deepEqual(reports, []);
    assert.equal(keeper.restarts(), 1);
  });

  test("that never starts is tried again", async () => {
    const reports: string[] = [];
    const tried = Promise.withResolvers<void>();
    const keeper = keepRunning({
      name: "postgres",
      random: () => 0,
      report: (line) => {
        reports.push(line);
        tried.resolve();
      },
      onFatal: () => {},
      start: () => Promise.reject(new Error("the port is in use")),
    });
    await tried.promise;
    keeper.release();
    await keeper.done;
    assert.deepEqual(reports, ["postgres exited (the port is in use), restart 1 in 0.1 s"]);
  });
});
