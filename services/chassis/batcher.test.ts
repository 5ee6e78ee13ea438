import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { createBatcher, createLane } from "./batcher.ts";
import { Refused } from "./refusal.ts";

const limits = { maxBatch: 10, maxInFlight: 2, maxQueue: 100 };

/** A batcher whose batches wait until they are let go. */
function held(over: Partial<typeof limits> = {}) {
  const batches: { items: readonly number[]; finish: () => void; fail: (cause: Error) => void }[] = [];
  const call = createBatcher<number, number>({
    ...limits,
    ...over,
    run: (items) =>
      new Promise((resolve, reject) => {
        batches.push({ items, finish: () => resolve(items.map((item) => item * 2)), fail: reject });
      }),
  });
  return { call, batches };
}

describe("a batcher", () => {
  test("runs calls of one turn together, and gives each its own result", async () => {
    const { call, batches } = held();
    const results = Promise.all([1, 2, 3].map(call));
    await turn();
    assert.deepEqual(
      batches.map(({ items }) => items),
      [[1, 2, 3]],
    );
    batches[0]!.finish();
    assert.deepEqual(await results, [2, 4, 6]);
  });

  test("fails an item alone when its result is an error", async () => {
    const bad = new Error("bad item");
    const call = createBatcher<number, number>({
      ...limits,
      run: async (items) => items.map((item) => (item === 2 ? bad : item)),
    });
    const results = await Promise.allSettled([1, 2, 3].map(call));
    assert.deepEqual(
      results.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.equal(results[1]!.status === "rejected" && results[1]!.reason, bad);
  });

  test("fails every item of a batch that throws, and goes on with the next", async () => {
    const { call, batches } = held({ maxBatch: 2, maxInFlight: 1 });
    const results = Promise.allSettled([1, 2, 3].map(call));
    await turn();
    batches[0]!.fail(new Error("all of it"));
    await turn();
    await turn();
    batches[1]!.finish();
    assert.deepEqual(
      (await results).map(({ status }) => status),
      ["rejected", "rejected", "fulfilled"],
    );
  });

  test("keeps to its limits of items a batch and batches at a time, in the order of the calls", async () => {
    const { call, batches } = held({ maxBatch: 3 });
    const results = Promise.all(Array.from({ length: 8 }, (_, n) => call(n)));
    await turn();
    assert.deepEqual(
      batches.map(({ items }) => items),
      [
        [0, 1, 2],
        [3, 4, 5],
      ],
    );
    batches[0]!.finish();
    await turn();
    await turn();
    assert.deepEqual(batches[2]!.items, [6, 7]);
    for (const { finish } of batches) finish();
    assert.deepEqual(await results, [0, 2, 4, 6, 8, 10, 12, 14]);
  });

  test("refuses as unavailable, with a time to try again, when too many wait", async () => {
    const { call, batches } = held({ maxQueue: 2, maxInFlight: 1, maxBatch: 1 });
    const first = call(1);
    await turn();
    const waiting = [call(2), call(3)];
    await assert.rejects(call(4), (cause) => {
      assert.ok(cause instanceof Refused);
      assert.equal(cause.refusal.kind, "unavailable");
      assert.equal(cause.refusal.retryAfterSeconds, 1);
      return true;
    });
    for (let n = 0; n < 3; n++) {
      batches[n]!.finish();
      await turn();
      await turn();
    }
    assert.deepEqual(await Promise.all([first, ...waiting]), [2, 4, 6]);
  });

  test("that gets fewer results than items fails the items without one", async () => {
    const call = createBatcher<number, number>({ ...limits, run: async (items) => items.slice(1) });
    const [one, two] = await Promise.allSettled([call(1), call(2)]);
    assert.equal(one!.status, "fulfilled");
    assert.equal(two!.status, "rejected");
  });
});

describe("a lane", () => {
  test("lets so many works run at a time, each with its own result or error", async () => {
    const lane = createLane({ maxInFlight: 2, maxQueue: 100 });
    let running = 0;
    let most = 0;
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) =>
        lane(async () => {
          most = Math.max(most, ++running);
          await turn();
          running--;
          if (n === 5) throw new Error("made to fail");
          return n;
        }),
      ),
    );
    assert.equal(most, 2);
    assert.deepEqual(
      results.map((result) => (result.status === "fulfilled" ? result.value : "failed")),
      Array.from({ length: 20 }, (_, n) => (n === 5 ? "failed" : n)),
    );
  });

  test("hands an error through as a result when a work returns one", async () => {
    const lane = createLane({ maxInFlight: 2, maxQueue: 100 });
    const value = new Error("a value");
    assert.equal(await lane(async () => value), value);
  });
});
