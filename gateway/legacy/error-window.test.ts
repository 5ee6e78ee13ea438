import assert from "node:assert/strict";
import { test } from "node:test";
import { type Change, createErrorWindow, type Outcome } from "./error-window.ts";
import { defaultFallback, type Fallback } from "./rules.ts";

function start(over: Partial<Fallback> = {}) {
  const clock = { ms: 1_000_000 };
  const changes: Change[] = [];
  const window = createErrorWindow(
    { ...defaultFallback, ...over },
    () => clock.ms,
    (change) => changes.push(change),
  );
  /** Calls one after another; gives how many went to the new system. */
  const call = (times: number, outcome: Outcome): number => {
    let admitted = 0;
    for (let n = 0; n < times; n++) {
      const settle = window.admit();
      if (settle === undefined) continue;
      admitted++;
      settle(outcome);
    }
    return admitted;
  };
  return { clock, changes, window, call };
}

test("the traffic leaves when more than 5 % of the calls of a minute failed, not at 5 %", () => {
  const { window, call, changes } = start();
  call(95, "good");
  call(5, "failed");
  assert.equal(window.state(), "new");
  call(1, "failed");
  assert.equal(window.state(), "legacy");
  assert.deepEqual(changes, [{ state: "legacy", calls: 101, failed: 6 }]);
  assert.equal(call(10, "good"), 0);
});

test("below twenty calls it stays, whatever they come to; the twentieth decides, even a good one", () => {
  const { window, call } = start();
  call(19, "failed");
  assert.equal(window.state(), "new");
  call(1, "good");
  assert.equal(window.state(), "legacy");
});

test("failures that are older than the window are forgotten", () => {
  const { window, call, clock } = start();
  call(19, "failed");
  clock.ms += 60_000;
  call(20, "good");
  assert.equal(window.state(), "new");
});

test("the window slides: failures of its first and its last part are added up", () => {
  const { window, call, clock } = start();
  call(10, "failed");
  clock.ms += 50_000;
  call(9, "good");
  assert.equal(window.state(), "new");
  call(1, "failed");
  assert.equal(window.state(), "legacy");
});

test("callers who left say nothing about the system", () => {
  const { window, call } = start();
  call(100, "gone");
  call(19, "failed");
  assert.equal(window.state(), "new");
});

test("after the cool-down every tenth call is a probe, then every second, then all go back", () => {
  const { window, call, clock, changes } = start();
  call(20, "failed");
  clock.ms += 29_999;
  assert.equal(window.state(), "legacy");
  clock.ms += 1;
  assert.equal(window.state(), "probing");
  assert.equal(call(41, "good"), 5);
  assert.equal(call(8, "good"), 4);
  assert.equal(window.state(), "probing");
  assert.equal(call(2, "good"), 1);
  assert.equal(window.state(), "new");
  assert.deepEqual(
    changes.map(({ state }) => state),
    ["legacy", "probing", "new"],
  );
  assert.equal(call(100, "good"), 100);
});

test("one probe that fails sends all away for another cool-down", () => {
  const { window, call, clock } = start();
  call(20, "failed");
  clock.ms += 30_000;
  call(1, "good");
  call(10, "failed");
  assert.equal(window.state(), "legacy");
  clock.ms += 29_999;
  assert.equal(call(10, "good"), 0);
  clock.ms += 1;
  assert.equal(call(10, "good"), 1, "and the good probe from before is forgotten");
});

test("no more than five probes wait for a system that does not answer", () => {
  const { window, call, clock } = start();
  call(20, "failed");
  clock.ms += 30_000;
  const pending = Array.from({ length: 200 }, () => window.admit()).filter((settle) => settle !== undefined);
  assert.equal(pending.length, 5);
  for (const settle of pending) settle("gone");
  assert.ok(Array.from({ length: 10 }, () => window.admit()).some((settle) => settle !== undefined));
});

test("an answer to what was asked before a change counts no more, and none counts twice", () => {
  const { window, call, clock } = start();
  const late = window.admit()!;
  call(20, "failed");
  clock.ms += 30_000;
  assert.equal(window.state(), "probing");
  late("failed");
  assert.equal(window.state(), "probing");
  const probe = window.admit()!;
  for (let n = 0; n < 10; n++) probe("good");
  assert.equal(window.state(), "probing");
});
