import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { callCounterContract } from "./call-counter.contract.ts";
import { type CallCounter, insuredCounter, memoryCounter } from "./call-counter.ts";

describe("a counter in memory", () => callCounterContract("memory", memoryCounter));
describe("an insured counter", () => callCounterContract("insured", () => insuredCounter(memoryCounter())));

/** A shared counter that can be taken down, under a clock that is set by hand. */
function scene() {
  const store = memoryCounter();
  const state = { isDown: false, asked: 0, nowMs: 0, changes: [] as string[] };
  const shared: CallCounter = {
    async count(key, limit) {
      state.asked++;
      if (state.isDown) throw new Error("Connection is closed.");
      return await store.count(key, limit);
    },
  };
  const make = () =>
    insuredCounter(shared, {
      probeEveryMs: 1_000,
      now: () => state.nowMs,
      onChange: (change) => state.changes.push(change),
    });
  return { state, one: make(), two: make() };
}

/** Lets a probe that was sent on the side come back. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("two that share a store share the limit", async () => {
  const { one, two } = scene();
  assert.equal((await one.count("s:1", 2)).remaining, 1);
  assert.equal((await two.count("s:1", 2)).remaining, 0);
  assert.equal((await one.count("s:1", 2)).isExceeded, true);
});

test("when the store fails calls are limited locally, which is said once", async () => {
  const { state, one } = scene();
  state.isDown = true;
  assert.equal((await one.count("s:1", 2)).remaining, 1);
  assert.equal((await one.count("s:1", 2)).remaining, 0);
  assert.equal((await one.count("s:1", 2)).isExceeded, true);
  assert.deepEqual(state.changes, ["local"]);
  assert.equal(state.asked, 1, "while it is down nobody waits for it");
});

test("a store that is down is probed once an interval, and used again when it answers", async () => {
  const { state, one, two } = scene();
  state.isDown = true;
  await one.count("s:1", 5);
  state.nowMs = 1_000;
  await Promise.all([one.count("s:1", 5), one.count("s:1", 5)]);
  await turn();
  assert.equal(state.asked, 2);
  state.isDown = false;
  state.nowMs = 1_999;
  await one.count("s:1", 5);
  await turn();
  assert.deepEqual(state.changes, ["local"]);
  state.nowMs = 2_000;
  await one.count("s:1", 5);
  await turn();
  assert.deepEqual(state.changes, ["local", "shared"]);
  assert.equal((await one.count("s:1", 5)).remaining, 4);
  assert.equal((await two.count("s:1", 5)).remaining, 3);
});
