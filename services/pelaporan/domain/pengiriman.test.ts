import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Pengiriman, type StatusPengiriman, supersedes } from "./pengiriman.ts";

const said = (status: StatusPengiriman, second: number): Pengiriman => ({
  sistem: "dukcapil",
  status,
  alasan: "",
  waktu: new Date(Date.UTC(2026, 10, 20, 3, 0, second)),
});

test("what is said later holds, and what comes late does not", () => {
  assert.ok(supersedes(said("menunggu", 1), undefined));
  assert.ok(supersedes(said("ditolak", 2), said("menunggu", 1)));
  assert.ok(!supersedes(said("menunggu", 1), said("ditolak", 2)));
  assert.ok(supersedes(said("menunggu", 3), said("ditolak", 2)), "a person has had it sent again");
});

test("in whatever order and however often it is said, what a system has accepted it has", () => {
  const anything = fc.record({
    status: fc.constantFrom<StatusPengiriman>("menunggu", "diterima", "ditolak"),
    second: fc.integer({ min: 0, max: 59 }),
  });
  fc.assert(
    fc.property(fc.array(anything, { minLength: 1 }), (all) => {
      let held: Pengiriman | undefined;
      for (const { status, second } of all) {
        const next = said(status, second);
        if (supersedes(next, held)) held = next;
      }
      const wasAccepted = all.some(({ status }) => status === "diterima");
      assert.equal(held!.status === "diterima", wasAccepted);
      const latest = Math.max(...all.map(({ second }) => second));
      if (!wasAccepted) assert.equal(held!.waktu.getTime(), said("menunggu", latest).waktu.getTime());
    }),
  );
});
