// What every counter of calls must do, whatever it counts in.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import type { CallCounter } from "./call-counter.ts";

/** @param make gives the adapter under test; called in the tests, when their `before` has run. */
export function callCounterContract(name: string, make: () => CallCounter): void {
  test(`${name}: call 101 of a minute is refused with the time until the next, and others are not affected`, async () => {
    const counter = make();
    const key = randomUUID();
    for (let left = 99; left >= 0; left--) {
      const { isExceeded, limit, remaining } = await counter.count(key, 100);
      assert.deepEqual({ isExceeded, limit, remaining }, { isExceeded: false, limit: 100, remaining: left });
    }
    const refused = await counter.count(key, 100);
    assert.equal(refused.isExceeded, true);
    assert.equal(refused.limit, 100);
    assert.equal(refused.remaining, 0);
    assert.ok(refused.resetMs > 0 && refused.resetMs <= 60_000, `${refused.resetMs}`);
    assert.equal((await counter.count(randomUUID(), 100)).isExceeded, false);
  });

  test(`${name}: of calls at the same moment no more than the limit are let through`, async () => {
    const counter = make();
    const key = randomUUID();
    const quotas = await Promise.all(Array.from({ length: 50 }, () => counter.count(key, 20)));
    assert.equal(quotas.filter(({ isExceeded }) => !isExceeded).length, 20);
    assert.deepEqual(
      quotas.filter(({ isExceeded }) => !isExceeded).map(({ remaining }) => remaining),
      Array.from({ length: 20 }, (_, n) => 19 - n),
    );
  });

  test(`${name}: each limit of a key is counted apart`, async () => {
    const counter = make();
    const key = randomUUID();
    assert.equal((await counter.count(key, 1)).isExceeded, false);
    assert.equal((await counter.count(key, 1)).isExceeded, true);
    assert.equal((await counter.count(key, 2)).remaining, 1);
  });

  test(`${name}: a refused call does not make the minute longer`, async () => {
    const counter = make();
    const key = randomUUID();
    const first = await counter.count(key, 1);
    const refused = await counter.count(key, 1);
    assert.ok(refused.resetMs <= first.resetMs, `${refused.resetMs} after ${first.resetMs}`);
  });
}
