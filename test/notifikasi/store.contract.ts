// What every PesanStore adapter must do; each adapter's test runs this suite over the real engine.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, beforeEach, describe, test } from "node:test";
import { v7 as uuidv7 } from "uuid";
import type { NewPesan, PesanStore } from "../../services/notifikasi/store.ts";

export type PesanStoreUnderTest = {
  store: PesanStore;
  /** The store of another process over the same data. */
  replica: PesanStore;
  /** Forgets every message and event. */
  clear: () => Promise<void>;
};

const NOW = new Date("2026-11-20T03:00:00Z");
const later = (ms: number) => new Date(NOW.getTime() + ms);
const auditAt = (at: Date) => ({
  subject: "kota-1",
  role: "admin_kota",
  action: "ResendPesan",
  resource: "pesan/-",
  wilayah: "32.01",
  traceparent: "",
  at,
});

export function pesanStoreContract(name: string, underTest: () => PesanStoreUnderTest): void {
  describe(`PesanStore: ${name}`, () => {
    let store: PesanStore;
    let replica: PesanStore;
    let clear: () => Promise<void>;
    before(() => {
      ({ store, replica, clear } = underTest());
    });
    beforeEach(() => clear());

    const everything = () =>
      store.list({ kodeWilayah: "ID", status: undefined, limit: 1_000, before: undefined });
    const idsDue = async (now = NOW, limit = 100) => (await store.due(now, limit)).map(({ id }) => id);

    test("what is not delivered yet is counted, and since when the first of it waits", async () => {
      assert.deepEqual(await store.waiting(10), { jumlah: 0, tertua: undefined });
      const first = newPesan({});
      await store.enqueue([first, newPesan({}), newPesan({})]);
      assert.deepEqual(await store.waiting(10), { jumlah: 3, tertua: first.createdAt });
      assert.equal((await store.waiting(2)).jumlah, 2);
      await store.record([{ id: first.id, status: "terkirim", at: NOW, kanal: "log" }]);
      assert.equal((await store.waiting(10)).jumlah, 2);
    });

    test("a queued message is found as it was given, not tried yet", async () => {
      const pesan = newPesan({ isi: `Ma'ruf "quoted" \\ ñ` });
      await store.enqueue([pesan]);
      const { eventId: _, ...given } = pesan;
      assert.deepEqual(await store.find(pesan.id), {
        ...given,
        status: "antre",
        percobaan: 0,
        kesalahan: "",
        deliveredAt: undefined,
      });
      assert.equal(await store.find(randomUUID()), undefined);
    });

    test("an event makes one message, however often it comes, in one batch or in many", async () => {
      const eventId = randomUUID();
      const again = () => newPesan({ eventId });
      await store.enqueue([again(), again(), newPesan()]);
      await store.enqueue([again()]);
      assert.equal((await everything()).length, 2);
    });

    test("an event makes one message for each receiver and channel, however often it comes", async () => {
      const eventId = randomUUID();
      const laporan = `laporan/${randomUUID()}`;
      const made = () => [
        newPesan({ eventId, laporan, kanal: "email" }),
        newPesan({ eventId, laporan, kanal: "sms" }),
        newPesan({ eventId, laporan, kanal: "", penerima: "pelapor" }),
      ];
      await store.enqueue([...made(), ...made()]);
      await replica.enqueue(made());
      const found = await everything();
      assert.deepEqual(found.map(({ penerima, kanal, laporan }) => [penerima, kanal, laporan]).sort(), [
        ["pelapor", "", laporan],
        ["petugas", "email", laporan],
        ["petugas", "sms", laporan],
      ]);
    });

    test("a message to a reporter has the channel that it went by, or none when it was not sent", async () => {
      const pesan = [1, 2].map(() => newPesan({ kanal: "", penerima: "pelapor" }));
      await store.enqueue(pesan);
      const [a, b] = pesan.map(({ id }) => id) as [string, string];
      await store.record([
        { id: a, status: "terkirim", at: NOW, kanal: "sms" },
        { id: b, status: "tidak_dikirim" },
      ]);
      const found = await Promise.all([a, b].map((id) => store.find(id)));
      assert.deepEqual(
        found.map((each) => [each!.status, each!.kanal, each!.percobaan]),
        [
          ["terkirim", "sms", 1],
          ["tidak_dikirim", "", 0],
        ],
      );
      assert.deepEqual(await idsDue(later(60_000)), []);
      assert.equal(await store.requeue(b, auditAt(NOW)), false);
    });

    test("batches at once, in two processes, in another order, make one message an event", async () => {
      const events = Array.from({ length: 200 }, () => randomUUID());
      await Promise.all(
        Array.from({ length: 8 }, (_, n) =>
          (n % 2 ? store : replica).enqueue(
            (n % 4 < 2 ? events : events.toReversed()).map((eventId) => newPesan({ eventId })),
          ),
        ),
      );
      assert.equal((await everything()).length, 200);
    });

    test("due are the messages whose time has come, the oldest first, up to the limit", async () => {
      const pesan = [300, 100, 200, 60_000].map((ms) => newPesan({ createdAt: later(ms) }));
      await store.enqueue(pesan);
      assert.deepEqual(await idsDue(later(1_000)), [pesan[1]!.id, pesan[2]!.id, pesan[0]!.id]);
      assert.deepEqual(await idsDue(later(1_000), 2), [pesan[1]!.id, pesan[2]!.id]);
      assert.deepEqual(await idsDue(NOW), []);
    });

    test("a delivered message is due no more, and keeps when and after how many tries", async () => {
      const pesan = newPesan();
      await store.enqueue([pesan]);
      await store.record([{ id: pesan.id, status: "antre", kesalahan: "Error X", nextTryAt: later(5_000) }]);
      assert.deepEqual(await idsDue(later(4_999)), []);
      const waiting = await store.find(pesan.id);
      assert.equal(waiting!.percobaan, 1);
      assert.equal(waiting!.kesalahan, "Error X");
      assert.deepEqual(await idsDue(later(5_000)), [pesan.id]);
      await store.record([{ id: pesan.id, status: "terkirim", at: later(5_001), kanal: "log" }]);
      const sent = await store.find(pesan.id);
      assert.equal(sent!.status, "terkirim");
      assert.equal(sent!.percobaan, 2);
      assert.equal(sent!.kesalahan, "");
      assert.deepEqual(sent!.deliveredAt, later(5_001));
      assert.deepEqual(await idsDue(later(60_000)), []);
    });

    test("a postponed message waits without a try counted, and keeps its last error", async () => {
      const pesan = newPesan();
      await store.enqueue([pesan]);
      await store.record([{ id: pesan.id, status: "antre", kesalahan: "Error X", nextTryAt: NOW }]);
      await store.record([{ id: pesan.id, status: "tertunda", nextTryAt: later(30_000) }]);
      const waiting = await store.find(pesan.id);
      assert.equal(waiting!.status, "antre");
      assert.equal(waiting!.percobaan, 1);
      assert.equal(waiting!.kesalahan, "Error X");
      assert.deepEqual(await idsDue(later(29_999)), []);
      assert.deepEqual(await idsDue(later(30_000)), [pesan.id]);
    });

    test("a message that was given up is due no more until it is put back, then starts anew", async () => {
      const pesan = newPesan();
      await store.enqueue([pesan]);
      assert.equal(await store.requeue(pesan.id, auditAt(NOW)), false, "a queued one is not put back");
      await store.record([{ id: pesan.id, status: "gagal", kesalahan: "Error 21211" }]);
      assert.deepEqual(await idsDue(later(60_000)), []);
      assert.equal((await store.find(pesan.id))!.status, "gagal");
      const put = await Promise.all([
        store.requeue(pesan.id, auditAt(later(9))),
        replica.requeue(pesan.id, auditAt(later(9))),
        store.requeue(randomUUID(), auditAt(NOW)),
      ]);
      assert.equal(put.filter(Boolean).length, 1, "once, also when two ask at the same time");
      const again = await store.find(pesan.id);
      assert.deepEqual([again!.status, again!.percobaan, again!.kesalahan], ["antre", 0, ""]);
      assert.deepEqual(await idsDue(later(9)), [pesan.id]);
    });

    test("outcomes of many messages are recorded at once, each its own", async () => {
      const pesan = [newPesan(), newPesan(), newPesan(), newPesan()];
      await store.enqueue(pesan);
      const [a, b, c, d] = pesan.map(({ id }) => id) as [string, string, string, string];
      await store.record([
        { id: a, status: "terkirim", at: NOW, kanal: "log" },
        { id: b, status: "gagal", kesalahan: "Error" },
        { id: c, status: "antre", kesalahan: "Error", nextTryAt: later(1) },
        { id: d, status: "tertunda", nextTryAt: later(1) },
      ]);
      const found = await Promise.all([a, b, c, d].map((id) => store.find(id)));
      assert.deepEqual(
        found.map((each) => [each!.status, each!.percobaan]),
        [
          ["terkirim", 1],
          ["gagal", 1],
          ["antre", 1],
          ["antre", 0],
        ],
      );
      await store.record([]);
    });

    test("the list is newest first, in pages, by wilayah and status", async () => {
      const pesan: NewPesan[] = [];
      for (let n = 0; n < 10; n++) {
        const kodeWilayah = n % 2 ? "32.01.01.1006" : "32.01.02";
        pesan.push(newPesan({ kodeWilayah }));
      }
      await store.enqueue(pesan);
      await store.record([{ id: pesan[0]!.id, status: "terkirim", at: NOW, kanal: "log" }]);
      const list = async (over: Partial<Parameters<PesanStore["list"]>[0]>) =>
        (
          await store.list({
            kodeWilayah: "ID",
            status: undefined,
            limit: 100,
            before: undefined,
            ...over,
          })
        ).map(({ id }) => id);
      const newestFirst = pesan.map(({ id }) => id).toReversed();
      assert.deepEqual(await list({}), newestFirst);
      assert.deepEqual(await list({ limit: 3 }), newestFirst.slice(0, 3));
      assert.deepEqual(await list({ limit: 3, before: newestFirst[2]! }), newestFirst.slice(3, 6));
      assert.deepEqual(await list({ status: "terkirim" }), [pesan[0]!.id]);
      assert.deepEqual(await list({ status: "gagal" }), []);
      for (const [kodeWilayah, length] of [
        ["32", 10],
        ["32.01.01", 5],
        ["32.01.01.1006", 5],
        ["32.01.02", 5],
        ["32.01.0", 0],
        ["3", 0],
      ] as const) {
        assert.equal((await list({ kodeWilayah })).length, length, kodeWilayah);
      }
    });
  });
}

function newPesan(over: Partial<NewPesan> = {}): NewPesan {
  return {
    id: uuidv7(),
    eventId: randomUUID(),
    penerima: "petugas",
    kanal: "log",
    templat: "pendaftaran_baru",
    kodeWilayah: "32.01.01.1006",
    laporan: "",
    isi: "Pendaftaran baru",
    createdAt: NOW,
    ...over,
  };
}
