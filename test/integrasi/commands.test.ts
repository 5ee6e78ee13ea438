// Starting, pausing, resuming, cancelling and watching runs, and the same as operations.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import type { Database } from "#chassis/database.ts";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import {
  RekonsiliasiSchema,
  type Sinkronisasi,
  SinkronisasiSchema,
} from "#gen/lampid/integrasi/v1/sinkronisasi_pb.ts";
import { keadaanOf } from "../../services/integrasi/messages.ts";
import { as, assertRefused, assertViolations, refused } from "../harness/component.ts";
import type { TestDatabase } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import { hubRows } from "./fake-hub.ts";
import { type Component, openSyncDatabase, pusat, startComponent } from "./sync-component.ts";

const ROWS = 3_000;
const NOBODY = "sinkronisasi/00000000-0000-7000-8000-000000000000";

let database: { test: TestDatabase; db: Database };
let sync: Component;

before(async () => {
  database = await openSyncDatabase();
});
afterEach(() => sync.close());
after(async () => {
  await database.db.close();
  await database.test.drop();
});

async function begin(over: Partial<Parameters<typeof startComponent>[1]> = {}): Promise<void> {
  sync = await startComponent(database, { rows: hubRows(ROWS), ...over });
}

/** A run that stands still in the middle, until the gate opens. */
async function halfWay(over: Parameters<Component["start"]>[0] = {}) {
  const gate = Promise.withResolvers<void>();
  let merged = 0;
  sync.registry.fault = () => {
    if (++merged === 8) sync.registry.gate = gate.promise;
    return "none";
  };
  sync.startRunner();
  const name = await sync.start(over);
  await eventually(() => sync.registry.gate !== undefined);
  return {
    name,
    open() {
      sync.registry.gate = undefined;
      gate.resolve();
    },
  };
}

const keadaan = (run: Sinkronisasi) => keadaanOf(run.keadaan);

describe("a start", () => {
  test("is refused, with the other run's name, while a run over the wilayah or a part of it is not over", async () => {
    await begin();
    const name = await sync.start({ kodeWilayah: "32.01", ujiCoba: true });
    for (const kodeWilayah of ["32.01", "32", "", "ID", "32.01.01", "32.01.01.1006"]) {
      const error = await assertRefused(
        sync.client.startSinkronisasi({ kodeWilayah }, pusat),
        "FailedPrecondition",
        "SINKRONISASI_BERJALAN",
      );
      assert.equal(error.findDetails(ErrorInfoSchema)[0]!.metadata.sinkronisasi, name);
      assert.ok(error.message.includes(name));
    }
    await sync.start({ kodeWilayah: "32.02" });
    await sync.start({ kodeWilayah: "33" });
  });

  test("wins once when ten come at the same time", async () => {
    await begin();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, () => sync.start({ kodeWilayah: "32" })),
    );
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  });

  test("with the same request id gives the first answer again, with another body it is refused", async () => {
    await begin();
    const requestId = randomUUID();
    const [one, two] = await Promise.all([sync.start({ requestId }), sync.start({ requestId })]);
    assert.equal(one, two);
    await assertRefused(
      sync.client.startSinkronisasi({ requestId, kodeWilayah: "32" }, pusat),
      "Aborted",
      "REQUEST_ID_REUSED",
    );
  });

  test("names the fields that are wrong", async () => {
    await begin();
    const start = (over: Parameters<Component["start"]>[0]) =>
      sync.client.startSinkronisasi(over ?? {}, pusat);
    await assertViolations(start({ kodeWilayah: "99" }), ["kode_wilayah"]);
    await assertViolations(start({ kodeWilayah: "Jawa Barat" }), ["kode_wilayah"]);
    await assertViolations(start({ sinceVersi: -1n }), ["since_versi"]);
    await assertViolations(start({ sinceVersi: 5n, sejakTerakhir: true }), ["since_versi"]);
    await assertViolations(start({ batasKarantinaPersen: 101 }), ["batas_karantina_persen"]);
  });

  test("is for admin_pusat alone", async () => {
    await begin();
    await assertRefused(sync.client.startSinkronisasi({}, as("admin_kota", "32.01")), "PermissionDenied");
  });

  test("builds on the newest run in agreement that covered the wilayah, and on no trial", async () => {
    await begin();
    sync.startRunner();
    await sync.ended(await sync.start({ kodeWilayah: "32" }));
    sync.hub.versi += 100n;
    await sync.ended(await sync.start({ ujiCoba: true }));
    const since = async (kodeWilayah: string) => {
      const name = await sync.start({ kodeWilayah, sejakTerakhir: true });
      return (await sync.ended(name)).sinceVersi;
    };
    assert.equal(await since("ID"), 0n);
    assert.equal(await since("32.01"), BigInt(ROWS) + 100n);
  });

  test("over disjoint wilayah runs beside the others, two at a time", async () => {
    await begin();
    const { name, open } = await halfWay({ kodeWilayah: "32" });
    const second = await sync.start({ kodeWilayah: "11" });
    const third = await sync.start({ kodeWilayah: "33" });
    await eventually(() => sync.logged().split("run goes on").length === 3);
    assert.equal((await sync.get(third)).asOfVersi, 0n, "the third waits for its turn");
    open();
    for (const each of [name, second, third])
      assert.equal((await sync.ended(each)).rekonsiliasi!.cocok, true);
  });
});

describe("a run that is paused", () => {
  test("stops when what is under way is acknowledged, and goes on from there", async () => {
    await begin();
    const { name, open } = await halfWay();
    const paused = await sync.client.pauseSinkronisasi({ name }, pusat);
    assert.equal(keadaan(paused.sinkronisasi!), "dijeda");
    open();
    // What is on its way when the runner notices still arrives: twice the time it takes to notice, nothing more comes.
    const received = () => sync.registry.requests.reduce((sum, { kelompok }) => sum + kelompok!.jumlah, 0);
    await eventually(async () => {
      const before = received();
      if ((await sync.get(name)).jumlah !== before) return false;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      return received() === before && (await sync.get(name)).jumlah === before;
    });
    assert.ok(received() < ROWS, "it stopped half-way");
    assert.equal(keadaan((await sync.client.pauseSinkronisasi({ name }, pusat)).sinkronisasi!), "dijeda");
    await assertRefused(
      sync.client.startSinkronisasi({}, pusat),
      "FailedPrecondition",
      "SINKRONISASI_BERJALAN",
    );
    await sync.client.resumeSinkronisasi({ name }, pusat);
    const run = await sync.ended(name);
    assert.deepEqual([run.jumlah, run.hasil!.baru, run.rekonsiliasi!.cocok], [ROWS, ROWS, true]);
  });

  test("and resumed before the runner has noticed goes on as if nothing had been", async () => {
    await begin();
    const { name, open } = await halfWay();
    await sync.client.pauseSinkronisasi({ name }, pusat);
    await sync.client.resumeSinkronisasi({ name }, pusat);
    open();
    assert.equal((await sync.ended(name)).hasil!.baru, ROWS);
  });

  test("cannot be resumed twice into an overlap: a failed run waits for the one that was begun instead", async () => {
    await begin();
    sync.registry.refuses = 7;
    sync.startRunner();
    const failed = await sync.start({ kodeWilayah: "32" });
    await sync.ended(failed);
    sync.registry.refuses = undefined;
    sync.registry.isDown = true;
    const other = await sync.start();
    const error = await assertRefused(
      sync.client.resumeSinkronisasi({ name: failed }, pusat),
      "FailedPrecondition",
      "SINKRONISASI_BERJALAN",
    );
    assert.ok(error.message.includes(other));
  });
});

describe("a run that is cancelled", () => {
  test("ends, keeps what was merged, and lets another one begin", async () => {
    await begin();
    const { name, open } = await halfWay();
    const { sinkronisasi } = await sync.client.cancelSinkronisasi({ name }, pusat);
    assert.equal(keadaan(sinkronisasi!), "dibatalkan");
    open();
    const next = await sync.ended(await sync.start());
    assert.equal(next.rekonsiliasi!.cocok, true);
    const cancelled = await sync.get(name);
    assert.equal(cancelled.jumlah, next.hasil!.takBerubah, "what the first had merged");
    assert.ok(cancelled.endTime);
    await sync.client.cancelSinkronisasi({ name }, pusat);
    await assertRefused(sync.client.resumeSinkronisasi({ name }, pusat), "FailedPrecondition", "RUN_IS_OVER");
    await assertRefused(sync.client.pauseSinkronisasi({ name }, pusat), "FailedPrecondition", "NOT_RUNNING");
  });

  test("that is over is refused, and one that does not exist is not found", async () => {
    await begin();
    sync.startRunner();
    const name = await sync.start();
    await sync.ended(name);
    await assertRefused(sync.client.cancelSinkronisasi({ name }, pusat), "FailedPrecondition", "RUN_IS_OVER");
    for (const call of [
      "getSinkronisasi",
      "pauseSinkronisasi",
      "resumeSinkronisasi",
      "cancelSinkronisasi",
    ] as const) {
      await assertRefused(sync.client[call]({ name: NOBODY }, pusat), "NotFound");
    }
  });

  test("every command leaves an audit row", async () => {
    await begin();
    const name = await sync.start({ kodeWilayah: "32" });
    await sync.client.pauseSinkronisasi({ name }, pusat);
    await sync.client.resumeSinkronisasi({ name }, pusat);
    await sync.client.cancelSinkronisasi({ name }, pusat);
    const { rows } = await sync.db.query("select action, resource, wilayah, subject from audit order by id");
    assert.deepEqual(
      rows.map(({ action }) => action.split("/")[1]),
      ["StartSinkronisasi", "PauseSinkronisasi", "ResumeSinkronisasi", "CancelSinkronisasi"],
    );
    for (const row of rows) {
      assert.deepEqual([row.resource, row.wilayah, row.subject], [name, "32", "admin_pusat-ID"]);
    }
  });
});

describe("a run with bad rows", () => {
  test("stops when there are more than its limit, says what to do, and goes on with a higher one", async () => {
    await begin({ rows: hubRows(ROWS, { badEvery: 10 }) });
    sync.startRunner();
    const name = await sync.start();
    const failed = await sync.ended(name);
    assert.equal(keadaan(failed), "gagal");
    assert.match(failed.galat, /rows \(\d+\.\d %\) are bad, more than the limit of 5 %: .*resume/);
    assert.ok(failed.jumlah >= 1_000 && failed.jumlah < ROWS);
    await sync.client.resumeSinkronisasi({ name, batasKarantinaPersen: 20 }, pusat);
    const run = await sync.ended(name);
    assert.deepEqual([run.batasKarantinaPersen, run.hasil!.dikarantina, run.galat], [20, ROWS / 10, ""]);
    assert.equal(run.rekonsiliasi!.cocok, true);
  });

  test("and few rows at all is judged at its end", async () => {
    await begin({ rows: hubRows(40, { badEvery: 10 }) });
    sync.startRunner();
    const failed = await sync.ended(await sync.start({ batasKarantinaPersen: 9 }));
    assert.match(failed.galat, /^4 of 40 rows \(10.0 %\) are bad/);
    const run = await sync.ended(await sync.start({ batasKarantinaPersen: 10 }));
    assert.equal(keadaan(run), "selesai");
  });
});

describe("a trial run", () => {
  test("tells what would be, changes nothing, puts nothing aside and compares counts alone", async () => {
    await begin({ rows: hubRows(ROWS, { badEvery: 100 }) });
    sync.startRunner();
    const run = await sync.ended(await sync.start({ ujiCoba: true }));
    const { cocok, jumlahCocok, sidikCocok, selisih } = run.rekonsiliasi!;
    assert.deepEqual([cocok, jumlahCocok, sidikCocok, selisih.length], [false, true, false, 0]);
    assert.deepEqual([run.hasil!.baru, run.hasil!.dikarantina], [ROWS - 30, 30]);
    assert.equal(sync.registry.rows.size, 0);
    assert.equal(sync.hub.calls.hash, 0);
    assert.equal((await sync.client.listKarantina({}, pusat)).karantina.length, 0);
  });
});

describe("a watcher", () => {
  test("gets the run at once, then its changes, to the end, and leaves nothing behind", async () => {
    await begin();
    const { name, open } = await halfWay();
    const seen: Sinkronisasi[] = [];
    for await (const { sinkronisasi } of sync.client.watchSinkronisasi({ name }, pusat)) {
      if (seen.push(sinkronisasi!) === 1) open();
    }
    assert.equal(keadaan(seen[0]!), "berjalan");
    assert.equal(keadaan(seen.at(-1)!), "selesai");
    assert.ok(seen.at(-1)!.rekonsiliasi);
    const counts = seen.map(({ jumlah }) => jumlah);
    assert.deepEqual(
      counts,
      counts.toSorted((a, b) => a - b),
    );
    assert.equal(sync.watches.size(), 0);
  });

  test("shares one look at the store with others, and ends when the run is paused or it goes away", async () => {
    await begin();
    const { name, open } = await halfWay();
    const leaving = new AbortController();
    const first = sync.client.watchSinkronisasi({ name }, { ...pusat, signal: leaving.signal });
    const left = (async () => {
      for await (const _ of first) leaving.abort();
    })().catch(() => "left");
    const second = sync.ended(name);
    await eventually(() => sync.watches.size() === 1);
    assert.equal(await left, "left");
    await sync.client.pauseSinkronisasi({ name }, pusat);
    assert.equal(keadaan(await second), "dijeda");
    await eventually(() => sync.watches.size() === 0);
    open();
  });

  test("of no run is told so, one of a run that is over gets it and the end", async () => {
    await begin();
    await assertRefused(
      (async () => {
        for await (const _ of sync.client.watchSinkronisasi({ name: NOBODY }, pusat))
          assert.fail("nothing to see");
      })(),
      "NotFound",
    );
    const name = await sync.start();
    await sync.client.cancelSinkronisasi({ name }, pusat);
    assert.equal(keadaan(await sync.ended(name)), "dibatalkan");
  });
});

describe("the list of runs", () => {
  test("is newest first, in pages, by state", async () => {
    await begin();
    const names: string[] = [];
    for (const kodeWilayah of ["31", "32", "33", "34", "35"])
      names.unshift(await sync.start({ kodeWilayah }));
    await sync.client.cancelSinkronisasi({ name: names[1]! }, pusat);
    const pages: string[] = [];
    for (let pageToken = ""; ; ) {
      const page = await sync.client.listSinkronisasi({ pageSize: 2, pageToken }, pusat);
      pages.push(...page.sinkronisasi.map(({ name }) => name));
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    assert.deepEqual(pages, names);
    const cancelled = await sync.client.listSinkronisasi({ keadaan: 6 }, pusat);
    assert.deepEqual(
      cancelled.sinkronisasi.map(({ name }) => name),
      [names[1]],
    );
    await assertViolations(sync.client.listSinkronisasi({ pageToken: "x" }, pusat), ["page_token"]);
  });
});

describe("an operation", () => {
  const nameOf = (run: string) => run.replace("sinkronisasi", "operations");

  test("is the run: not done while it runs, then with the report as its response", async () => {
    await begin();
    const { name: run, open } = await halfWay();
    const name = nameOf(run);
    const running = await sync.operations.getOperation({ name }, pusat);
    assert.equal(running.done, false);
    assert.equal(anyUnpack(running.metadata!, SinkronisasiSchema)!.name, run);
    const short = await sync.operations.waitOperation({ name, timeout: { nanos: 30_000_000 } }, pusat);
    assert.equal(short.done, false);
    open();
    const done = await sync.operations.waitOperation({ name }, pusat);
    assert.equal(done.done, true);
    assert.equal(done.result.case, "response");
    assert.equal(anyUnpack(done.result.value as never, RekonsiliasiSchema)!.cocok, true);
    await assertRefused(
      sync.operations.deleteOperation({ name }, pusat),
      "FailedPrecondition",
      "RUN_IS_KEPT",
    );
  });

  test("that is cancelled or has failed is done, with an error", async () => {
    await begin();
    const name = nameOf(await sync.start());
    await assertRefused(
      sync.operations.deleteOperation({ name }, pusat),
      "FailedPrecondition",
      "RUN_IS_NOT_OVER",
    );
    await sync.operations.cancelOperation({ name }, pusat);
    const cancelled = await sync.operations.getOperation({ name }, pusat);
    assert.deepEqual([cancelled.done, (cancelled.result.value as { code: number }).code], [true, 1]);
    sync.registry.refuses = 7;
    sync.startRunner();
    const run = await sync.start();
    await sync.ended(run);
    const failed = await sync.operations.getOperation({ name: nameOf(run) }, pusat);
    assert.equal(failed.done, true);
    assert.match((failed.result.value as { message: string }).message, /PERMISSION_DENIED/);
    const { operations } = await sync.operations.listOperations({}, pusat);
    assert.deepEqual(
      operations.map((each) => each.name),
      [nameOf(run), name],
    );
  });

  test("that does not exist, or has no such name, is refused", async () => {
    await begin();
    await assertRefused(sync.operations.getOperation({ name: nameOf(NOBODY) }, pusat), "NotFound");
    for (const name of ["", "operations/1", NOBODY]) {
      assert.equal((await refused(sync.operations.getOperation({ name }, pusat))).code, 3);
    }
    await assertViolations(sync.operations.listOperations({ filter: "x" }, pusat), ["filter"]);
  });
});
