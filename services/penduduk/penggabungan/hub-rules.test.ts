import assert from "node:assert/strict";
import { test } from "node:test";
import { daysOf } from "./hub-rules.ts";

test("days since 2000-01-01 are those of the calendar, from 1850 to 2100", () => {
  const start = Date.UTC(2000, 0, 1);
  for (let days = -54_786; days <= 36_889; days += 1) {
    const date = new Date(start + days * 86_400_000);
    assert.equal(
      daysOf(date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()),
      days,
      date.toISOString(),
    );
  }
});

test("a date that is not in the calendar has none", () => {
  for (const [year, month, day] of [
    [1990, 2, 29],
    [1900, 2, 29],
    [2000, 2, 30],
    [1990, 4, 31],
    [1990, 13, 1],
    [1990, 0, 1],
    [1990, 1, 0],
    [1990, 1, 32],
  ] as const) {
    assert.equal(daysOf(year, month, day), undefined, `${year}-${month}-${day}`);
  }
  assert.notEqual(daysOf(2000, 2, 29), undefined);
});
