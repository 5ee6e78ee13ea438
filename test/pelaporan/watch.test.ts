import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { CallOptions } from "@connectrpc/connect";
import { type Laporan, Laporan_Status as Status } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import {
  WatchLaporanResponse_Perubahan as Perubahan,
  type WatchLaporanResponse,
} from "#gen/lampid/pelaporan/v1/pelaporan_service_pb.ts";
import { as, assertRefused, assertViolations, collect } from "../harness/component.ts";
import { kota, on, openReports, operator, type Reports, supervisor } from "./reports.ts";

let reports: Reports;
let client: Reports["client"];
before(async () => {
  reports = await openReports();
  client = reports.client;
});
after(() => reports.close());

const alasan = "x";
const inbox = { kotakMasuk: true };
type Request = Parameters<Reports["client"]["watchLaporan"]>[0];

/** A watcher that keeps what it was told. */
function watch(request: Request, who: CallOptions, through = client) {
  const stop = new AbortController();
  const told: WatchLaporanResponse[] = [];
  let wake = Promise.withResolvers<void>();
  const ended = (async () => {
    for await (const answer of through.watchLaporan(request, { ...who, signal: stop.signal })) {
      told.push(answer);
      wake.resolve();
      wake = Promise.withResolvers();
    }
  })().catch((cause) => {
    if (!stop.signal.aborted) throw cause;
  });
  return {
    told,
    /** The next `count` answers from the `from`-th on, as words. */
    async says(from: number, count: number): Promise<string[]> {
      const timer = setTimeout(() => wake.reject(new Error(`only ${told.length} answers`)), 10_000);
      while (told.length < from + count) await wake.promise;
      clearTimeout(timer);
      return told.slice(from, from + count).map(word);
    },
    /** Resolves when all that was there has been told. */
    async ready(): Promise<void> {
      while (!told.some(({ perubahan }) => perubahan === Perubahan.TERKINI)) await wake.promise;
    },
    cursor: () => told.findLast(({ cursor }) => cursor !== "")!.cursor,
    async stop() {
      stop.abort();
      await ended;
    },
  };
}

const WORD = Object.fromEntries(Object.entries(Perubahan).map(([name, number]) => [number, name]));
const word = ({ perubahan, laporan }: WatchLaporanResponse) =>
  `${WORD[perubahan]} ${laporan ? `${laporan.nomor.slice(-4)}@${laporan.etag}` : ""}`.trim();
const no = (laporan: Laporan, etag: number) => `${laporan.nomor.slice(-4)}@${etag}`;
const submitted = async () => (await reports.submit()).laporan!;

describe("who watches an inbox", () => {
  test("is told what is there, then what comes, changes and leaves, through whichever process", async () => {
    const there = await submitted();
    const replica = await reports.openReplica();
    const supervisors = watch(inbox, supervisor);
    const operators = watch(inbox, operator, replica);
    const all = watch({ kodeWilayah: "32.01.01" }, kota);
    assert.deepEqual(await supervisors.says(0, 2), [`ADA ${no(there, 1)}`, "TERKINI"]);
    assert.deepEqual(await operators.says(0, 1), ["TERKINI"]);
    await all.says(0, 2);

    const next = (await reports.submit()).laporan!;
    assert.deepEqual(await supervisors.says(2, 1), [`MASUK ${no(next, 1)}`]);
    const back = (await replica.returnLaporan({ ...on(next), alasan }, supervisor)).laporan!;
    assert.deepEqual(await supervisors.says(3, 1), [`KELUAR ${no(next, 2)}`]);
    assert.deepEqual(await operators.says(1, 1), [`MASUK ${no(next, 2)}`]);
    await client.resubmitLaporan({ ...on(back), isi: next.isi! }, operator);
    assert.deepEqual(await operators.says(2, 1), [`KELUAR ${no(next, 3)}`]);
    await client.verifyLaporan(on(there), supervisor);
    assert.deepEqual(await supervisors.says(4, 2), [`MASUK ${no(next, 3)}`, `KELUAR ${no(there, 2)}`]);
    assert.deepEqual(await all.says(2, 4), [
      `MASUK ${no(next, 1)}`,
      `BERUBAH ${no(next, 2)}`,
      `BERUBAH ${no(next, 3)}`,
      `BERUBAH ${no(there, 2)}`,
    ]);
    const { laporan } = supervisors.told[4]!;
    assert.deepEqual([laporan!.status, laporan!.isi, laporan!.alasan], [Status.DIAJUKAN, undefined, ""]);
    await Promise.all([supervisors.stop(), operators.stop(), all.stop()]);
  });

  test("goes on from a cursor after a break: nothing is missed, repeated or told that was there", async () => {
    const one = watch(inbox, supervisor);
    await one.ready();
    const first = await submitted();
    while (!one.told.some((each) => each.laporan?.name === first.name)) await one.says(one.told.length, 1);
    await one.stop();
    const missed = await submitted();
    await client.verifyLaporan(on(missed), supervisor);
    const two = watch({ ...inbox, cursor: one.cursor() }, supervisor, await reports.openReplica());
    assert.deepEqual(await two.says(0, 2), [`MASUK ${no(missed, 1)}`, `KELUAR ${no(missed, 2)}`]);
    const later = await submitted();
    assert.deepEqual(await two.says(2, 1), [`MASUK ${no(later, 1)}`]);
    await two.stop();
    const rest = watch({ ...inbox, cursor: two.told[0]!.cursor }, supervisor);
    assert.deepEqual(await rest.says(0, 2), [`KELUAR ${no(missed, 2)}`, `MASUK ${no(later, 1)}`]);
    await rest.stop();
  });

  test("is told each change once while many move, and what remains is what a list says", async () => {
    const watchers = [watch(inbox, supervisor), watch(inbox, supervisor, await reports.openReplica())];
    await Promise.all(watchers.map((each) => each.ready()));
    await Promise.all(
      Array.from({ length: 30 }, async (_, n) => {
        const laporan = await submitted();
        if (n % 3 > 0) await client.verifyLaporan(on(laporan), supervisor);
      }),
    );
    const last = await submitted();
    const { laporan: listed } = await client.listLaporan({ ...inbox, pageSize: 500 }, supervisor);
    for (const { told, says, stop } of watchers) {
      while (!told.some(({ laporan }) => laporan?.name === last.name)) await says(told.length, 1);
      const present = new Set<string>();
      const events = new Set<string>();
      for (const { perubahan, laporan } of told) {
        if (!laporan) continue;
        const event = `${laporan.name} ${laporan.etag}`;
        assert.ok(!events.has(event), event);
        events.add(event);
        if (perubahan === Perubahan.KELUAR) present.delete(laporan.name);
        else present.add(laporan.name);
      }
      assert.deepEqual([...present].sort(), listed.map(({ name }) => name).sort());
      await stop();
    }
  });

  test("misses nothing that commits late", async () => {
    const one = watch({}, as("operator", "32.01.01.1007"));
    await one.ready();
    const kodeWilayah = "32.01.01.1007";
    const who = as("operator", kodeWilayah);
    // An older transaction is still open while a newer one commits: neither is told before both are settled.
    const older = await reports.db.pool.connect();
    await older.query("begin");
    await older.query("select pg_current_xact_id()");
    const { laporan } = await reports.submit({ kodeWilayah }, who);
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.equal(one.told.length, 1);
    await older.query("commit");
    older.release();
    assert.deepEqual(await one.says(1, 1), [`MASUK ${no(laporan!, 1)}`]);
    await one.stop();
  });

  test("sees no other wilayah, and brings a cursor of the same filter", async () => {
    for (const [request, who] of [
      [{ kodeWilayah: "32.02" }, kota],
      [{ kodeWilayah: "32.01.01" }, operator],
    ] as const) {
      await assertRefused(collect(client.watchLaporan(request, who)), "PermissionDenied", "WILAYAH_DENIED");
    }
    await assertRefused(collect(client.watchLaporan({}, as("auditor", "ID"))), "PermissionDenied");
    const both = { kotakMasuk: true, status: Status.DIAJUKAN };
    await assertViolations(collect(client.watchLaporan(both, supervisor)), ["status"]);
    const one = watch(inbox, supervisor);
    await one.ready();
    await one.stop();
    for (const request of [{ cursor: one.cursor() }, { ...inbox, cursor: "x" }]) {
      await assertViolations(collect(client.watchLaporan(request, supervisor)), ["cursor"]);
    }
  });

  test("is one of a bounded number, and leaves room when it goes", async () => {
    const watchers = Array.from({ length: 8 }, () => watch({}, kota));
    await Promise.all(watchers.map((each) => each.ready()));
    await assertRefused(collect(client.watchLaporan({}, kota)), "Unavailable", "OVERLOADED");
    await watchers.pop()!.stop();
    const again = watch({}, kota);
    await again.ready();
    await Promise.all([...watchers, again].map((each) => each.stop()));
  });
});
