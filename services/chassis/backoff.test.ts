import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs, forever, pause } from "./backoff.ts";

const backoff = { baseMs: 100, maxMs: 1_000 };

test("a delay doubles with each try up to the maximum, and jitters over its upper half", () => {
  const least = [0, 1, 2, 3, 4, 1_000_000].map((attempt) => backoffMs(attempt, backoff, () => 0));
  const most = [0, 1, 2, 3, 4, 1_000_000].map((attempt) => backoffMs(attempt, backoff, () => 1));
  assert.deepEqual(least, [50, 100, 200, 400, 500, 500]);
  assert.deepEqual(most, [100, 200, 400, 800, 1_000, 1_000]);
});

test("a pause ends when the signal aborts, also one that had aborted before, and never rejects", async () => {
  const stop = new AbortController();
  const paused = pause(60_000, stop.signal);
  stop.abort();
  await paused;
  await pause(60_000, stop.signal);
});

test("a step that fails is reported and tried again with growing delays, which a success resets", async () => {
  const stop = new AbortController();
  const delays: number[] = [];
  let step = 0;
  await forever(
    stop.signal,
    { baseMs: 2, maxMs: 64 },
    async () => {
      step++;
      if (step === 6) stop.abort();
      else if (step !== 4) throw new Error(`step ${step}`);
    },
    (_cause, delayMs) => delays.push(delayMs),
  );
  const [first, second, third, afterSuccess] = delays as [number, number, number, number];
  assert.equal(delays.length, 4);
  assert.ok(first <= 2 && second >= 2 && second <= 4 && third >= 4 && third <= 8);
  assert.ok(afterSuccess <= 2, "the success between has reset it");
});

test("a failure that comes from the abort itself is not reported", async () => {
  const stop = new AbortController();
  const step = async () => {
    stop.abort();
    throw new Error("aborted");
  };
  await forever(stop.signal, backoff, step, () => assert.fail("reported"));
});
