import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger } from "./log.ts";

function lines(write: (log: ReturnType<typeof createLogger>) => void, level = "info") {
  const written: string[] = [];
  write(createLogger("test", level, { write: (line: string) => void written.push(line) }));
  return written.map((line) => JSON.parse(line));
}

const failure = (message: string, more: object) => Object.assign(new Error(message), more);

test("a line is JSON with a name, a level in words, an ISO time and the process id", () => {
  const [line] = lines((log) => log.info({ id: 7 }, "done"));
  assert.equal(line.name, "test");
  assert.equal(line.level, "info");
  assert.equal(line.pid, process.pid);
  assert.equal(line.id, 7);
  assert.equal(line.msg, "done");
  assert.equal(new Date(line.time).toISOString(), line.time);
});

test("what is below the level is not written", () => {
  assert.deepEqual(
    lines((log) => log.info("no"), "warn"),
    [],
  );
});

test("an error is written with its code and its cause, and without what drivers attach to it", () => {
  const cause = failure("connection refused", { code: "ECONNREFUSED" });
  const err = failure("could not store", {
    cause,
    detail: "Key (nik)=(3201010101900001) already exists.",
    parameters: ["3201010101900001"],
  });
  const [line] = lines((log) => log.error({ err }, "failed"));
  assert.equal(line.err.message, "could not store");
  assert.equal(line.err.cause.code, "ECONNREFUSED");
  assert.match(line.err.stack, /log\.test\.ts/);
  assert.ok(!JSON.stringify(line).includes("3201010101900001"));
});

test("the values that PostgreSQL quotes in a data exception are left out of message and stack", () => {
  for (const code of ["22P02", "22008", "P0001"]) {
    const err = failure('invalid input syntax for type integer: "Siti "Budi" $& Nurhaliza"', { code });
    const wrapped = new Error("batch failed", { cause: err });
    for (const each of [err, wrapped]) {
      const [line] = lines((log) => log.error({ err: each }, "failed"));
      const text = JSON.stringify(line);
      assert.ok(!text.includes("Siti") && !text.includes("Nurhaliza"), text);
      assert.match(text, /invalid input syntax for type integer/);
    }
  }
});

test("the names of constraints and tables stay, for an operator needs them", () => {
  const err = failure('duplicate key value violates unique constraint "penduduk_nik"', { code: "23505" });
  const [line] = lines((log) => log.error({ err }, "failed"));
  assert.match(line.err.message, /penduduk_nik/);
});

test("what is thrown but is no error is written as text", () => {
  const [line] = lines((log) => log.error({ err: "just a text" }, "failed"));
  assert.deepEqual(line.err, { message: "just a text" });
});
