import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Refused } from "#chassis/refusal.ts";
import type { PendudukHub } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { kelurahan, livedHub, newRow, openTestHub, rowsFrom, said } from "./fixture.ts";
import { openJournal } from "./journal.ts";

describe("looking up", () => {
  test("finds the present row of every good NIK: movers, new children and reported rows too", async () => {
    const { hub } = await livedHub();
    const rows = await rowsFrom(hub);
    const newest = new Map<string, PendudukHub>();
    for (const row of rows) {
      if (!newest.has(row.nik) || newest.get(row.nik)!.versi < row.versi) newest.set(row.nik, row);
    }
    for (const [nik, row] of newest) {
      if (/^\d{12}(?!0000)\d{4}$/.test(nik)) assert.deepEqual(hub.lookupPenduduk(nik), row);
    }
    assert.equal(hub.lookupPenduduk("1101010101800001"), undefined);
    assert.equal(hub.lookupPenduduk("9999990101800001"), undefined);
  });
});

describe("a reported event", () => {
  test("gives a known row its next state, and an unknown NIK a new row, each where it says", async () => {
    const hub = await openTestHub({ penduduk: 1_000 });
    const before = hub.versi();
    const [known, unknown] = [randomUUID(), randomUUID()];
    const target = kelurahan[5_000]!;
    const versi = await hub.reportPeristiwa(
      known,
      said(hub, 10, { kodeWilayah: target, id: 99n, peristiwa: "x" }),
    );
    const later = await hub.reportPeristiwa(unknown, newRow());
    assert.ok(versi > before && later > versi && hub.versi() === later);
    const [moved] = await rowsFrom(hub, { kodeWilayah: target, since: before });
    assert.deepEqual([moved!.id, moved!.versi, moved!.peristiwa], [11n, BigInt(versi), known]);
    const added = hub.lookupPenduduk("1101011711260001")!;
    assert.deepEqual([added.id, added.versi, added.peristiwa], [1_001n, BigInt(later), unknown]);
    assert.equal((await rowsFrom(hub)).length, 1_001);
    assert.equal((await rowsFrom(hub, { asOf: before })).length, 1_000);
    assert.equal((await rowsFrom(hub, { asOf: versi })).length, 1_000);
  });

  test("counts once, and the same event gets the first answer, also when it comes twice at once", async () => {
    const hub = await openTestHub({ penduduk: 100 });
    const id = randomUUID();
    const [first, second] = await Promise.all([
      hub.reportPeristiwa(id, newRow()),
      hub.reportPeristiwa(id, newRow({ nama: "Lain" })),
    ]);
    assert.equal(first, second);
    assert.equal(hub.jumlah(), 101);
    assert.equal(hub.lookupPenduduk("1101011711260001")!.nama, "Cut Meutia");
    assert.equal(hub.entries.length, 1);
  });

  test("takes a row out of the simulator's hands", async () => {
    const { hub } = await livedHub();
    const row = hub.rowAt(77, hub.versi())!;
    await hub.changePenduduk(1_000);
    assert.deepEqual(hub.rowAt(77, hub.versi()), row);
  });

  test("must name a place and a number that can be, and be no book", async () => {
    const hub = await openTestHub({ penduduk: 10 });
    for (const over of [{ kodeWilayah: "99.01.01" }, { nik: "12" }, { nama: "a".repeat(3_000) }]) {
      await assert.rejects(hub.reportPeristiwa(randomUUID(), newRow(over)), Refused);
    }
    assert.equal(hub.entries.length, 0);
  });
});

describe("a hub that was killed", () => {
  test("comes back with its rounds, children and events, byte for byte, without half a line", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hub-"));
    try {
      const { hub } = await livedHub();
      const written = await openJournal(folder, "hub");
      for (const entry of hub.entries) await written.append(entry);
      await written.close();
      appendFileSync(join(folder, readdirSync(folder)[0]!), '{"putaran":3,"per');
      const journal = await openJournal(folder, "hub");
      await journal.close();
      assert.deepEqual(journal.entries, hub.entries);
      const options = { penduduk: 8_000, codes: kelurahan.slice(0, 300), entries: journal.entries };
      // The round of the configuration passes once in the life of a hub.
      const again = await openTestHub({ ...options, churn: 10 });
      assert.equal(again.versi(), hub.versi());
      assert.deepEqual(await rowsFrom(again), await rowsFrom(hub));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("goes on writing after the line that was cut", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hub-"));
    try {
      appendFileSync(join(folder, "hub.jsonl"), '{"putaran":1,"permil":5}\n{"puta');
      const journal = await openJournal(folder, "hub");
      await journal.append({ putaran: 2, permil: 7 });
      await journal.close();
      const reopened = await openJournal(folder, "hub");
      await reopened.close();
      assert.deepEqual(reopened.entries, [
        { putaran: 1, permil: 5 },
        { putaran: 2, permil: 7 },
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("has one round behind it from the start where the configuration says so", async () => {
    const hub = await openTestHub({ penduduk: 1_000, churn: 200 });
    assert.deepEqual(hub.entries, [{ putaran: 1, permil: 200 }]);
    assert.ok((await rowsFrom(hub, { since: 1_000 })).length > 150);
  });
});
