import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Part, type Status, wholeOf } from "./pengiriman.ts";

const part = (status: Status, percobaan = 0, alasan = ""): Part => ({ status, percobaan, alasan });

test("a report that has just been queued is nothing to tell of", () => {
  assert.equal(wholeOf([part("menunggu"), part("menunggu")]), undefined);
  assert.equal(wholeOf([]), undefined);
  assert.equal(wholeOf([part("diterima"), part("menunggu")]), undefined);
});

test("it waits when one of its residents was tried in vain, and says why", () => {
  const whole = wholeOf([part("diterima"), part("menunggu"), part("menunggu", 2, "UNAVAILABLE")]);
  assert.deepEqual(whole, { status: "menunggu", alasan: "UNAVAILABLE" });
});

test("it is accepted when all of its residents are, however often they were tried", () => {
  assert.deepEqual(wholeOf([part("diterima", 7), part("diterima")]), { status: "diterima", alasan: "" });
});

test("it is refused when one of its residents is, whatever became of the others", () => {
  const parts = fc.array(
    fc.record({
      status: fc.constantFrom<Status>("menunggu", "diterima", "ditolak"),
      percobaan: fc.nat(5),
      alasan: fc.constantFrom("", "UNAVAILABLE"),
    }),
  );
  fc.assert(
    fc.property(parts, parts, (before, after) => {
      const whole = wholeOf([...before, part("ditolak", 1, "INVALID_ARGUMENT"), ...after]);
      assert.equal(whole?.status, "ditolak");
    }),
  );
});
