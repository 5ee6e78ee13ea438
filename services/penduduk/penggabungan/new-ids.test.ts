import assert from "node:assert/strict";
import { test } from "node:test";
import { stringify, validate, version } from "uuid";
import { idSource } from "./new-ids.ts";

test("ids are UUIDs of version 7, in order, each another, and begin with their time", () => {
  const at = new Date("2026-11-20T03:00:00.123Z");
  const newId = idSource(at);
  const ids = Array.from({ length: 10_000 }, () => stringify(newId()));
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual(ids.toSorted(), ids);
  for (const id of ids.slice(0, 100)) assert.ok(validate(id) && version(id) === 7, id);
  const ms = (id: string) => Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);
  assert.equal(ms(ids[0]!), at.getTime());
  assert.equal(ms(ids.at(-1)!), at.getTime() + 2, "10,000 ids take three milliseconds of 4,096");
});

test("two sources of the same moment give different ids", () => {
  const at = new Date(0);
  assert.notDeepEqual(idSource(at)().slice(), idSource(at)().slice());
});
