import assert from "node:assert/strict";
import { test } from "node:test";
import { pendudukEventId } from "./peristiwa-id.ts";

const EVENT = "01890000-0000-7000-8000-0000000000e1";
const ONE = "01890000-0000-7000-8000-000000000001";
const OTHER = "01890000-0000-7000-8000-000000000002";

test("the id of an event for a resident is the same for whoever derives it, in capitals too", () => {
  assert.equal(pendudukEventId(EVENT, ONE), "2de9a8d0-2c32-51e0-9951-79088f303f7e");
  assert.equal(pendudukEventId(EVENT.toUpperCase(), ONE.toUpperCase()), pendudukEventId(EVENT, ONE));
});

test("it differs by resident and by event, and is never the event's own", () => {
  const ids = [pendudukEventId(EVENT, ONE), pendudukEventId(EVENT, OTHER), pendudukEventId(OTHER, ONE)];
  assert.equal(new Set([...ids, EVENT]).size, 4);
});

test("an event may have an id of any version", () => {
  assert.notEqual(pendudukEventId("00000000-0000-0000-0000-00000000000f", ONE), "");
});
