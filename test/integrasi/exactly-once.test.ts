// Whatever breaks on the way, each row of the hub counts once and the registry ends as the hub is.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import type { Database } from "#chassis/database.ts";
import {
  Sinkronisasi_Keadaan as Keadaan,
  type Sinkronisasi,
} from "#gen/lampid/integrasi/v1/sinkronisasi_pb.ts";
import { keadaanOf } from "../../services/integrasi/messages.ts";
import type { TestDatabase } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import { type Fault, hubRows } from "./fake-hub.ts";
import type { MergeFault } from "./fake-registry.ts";
import { type Component, openSyncDatabase, pusat, seeded, startComponent } from "./sync-component.ts";

const ROWS = 3_000;
/** To run one again: LAMPID_TEST_SEED=... */
const SEED = Number(process.env.LAMPID_TEST_SEED || Date.now() % 1_000_000);

let database: { test: TestDatabase; db: Database };
let sync: Component;

before(async () => {
  database = await openSyncDatabase();
  console.log(`seed: ${SEED}`);
});
afterEach(() => sync.close());
after(async () => {
  await database.db.close();
  await database.test.drop();
});

async function begin(over: Partial<Parameters<typeof startComponent>[1]> = {}): Promise<void> {
  sync = await startComponent(database, { rows: hubRows(ROWS, { badEvery: 100 }), ...over });
}

function assertAllOnce(run: Sinkronisasi, rows = ROWS): void {
  assert.equal(keadaanOf(run.keadaan), "selesai", run.galat);
  const { baru, dikarantina, takBerubah, diperbarui, kedaluwarsa } = run.hasil!;
  assert.deepEqual(
    { baru, dikarantina, takBerubah, diperbarui, kedaluwarsa },
    { baru: rows - rows / 100, dikarantina: rows / 100, takBerubah: 0, diperbarui: 0, kedaluwarsa: 0 },
  );
  assert.equal(run.jumlah, rows);
  assert.equal(run.rekonsiliasi!.cocok, true);
  assert.equal(sync.registry.rows.size, rows - rows / 100);
  assert.ok(sync.registry.maxUnacknowledged <= 4, `${sync.registry.maxUnacknowledged} were unacknowledged`);
}

describe("a run", () => {
  test("brings every row, counts it once, and ends in agreement", async () => {
    await begin();
    sync.startRunner();
    const run = await sync.ended(await sync.start());
    assertAllOnce(run);
    assert.equal(run.jumlahHub, ROWS);
    assert.equal(run.asOfVersi, BigInt(ROWS));
    assert.equal(run.galat, "");
    assert.equal(run.laju, 0);
    assert.ok(run.endTime);
    const { provinsi, jumlahWilayah, jumlahSelisih } = run.rekonsiliasi!;
    assert.deepEqual(
      provinsi.map(({ kodeProvinsi, jumlahHub }) => [kodeProvinsi, jumlahHub]),
      [
        ["11", ROWS / 4],
        ["32", (ROWS * 3) / 4],
      ],
    );
    assert.deepEqual([jumlahWilayah, jumlahSelisih], [4, 0]);
    assert.equal(sync.hub.calls.hash, 2, "the hub hashes the rows of each province once");
    assert.equal(sync.registry.commits, sync.hub.batchesSent, "no batch was merged twice");
  });

  test("over again changes nothing, and one since the last brings only what is newer", async () => {
    await begin();
    sync.startRunner();
    await sync.ended(await sync.start());
    const again = await sync.ended(await sync.start());
    assert.equal(again.hasil!.takBerubah, ROWS - ROWS / 100);
    assert.equal(again.rekonsiliasi!.cocok, true);
    for (const row of sync.hub.rows.slice(0, 50)) row.versi = ++sync.hub.versi;
    const since = await sync.ended(await sync.start({ sejakTerakhir: true }));
    assert.equal(since.sinceVersi, again.asOfVersi);
    assert.deepEqual([since.jumlahHub, since.hasil!.diperbarui], [50, 50]);
    assert.equal(since.rekonsiliasi!.cocok, true);
  });

  test("keeps its target while the hub goes on", async () => {
    await begin();
    let batches = 0;
    sync.hub.fault = () => {
      if (batches++ === 3) {
        const [late] = hubRows(1);
        sync.hub.rows.push({ ...late!, id: 99_999n, versi: ++sync.hub.versi });
      }
      return "none";
    };
    sync.startRunner();
    const run = await sync.ended(await sync.start());
    assertAllOnce(run);
    assert.equal(run.asOfVersi, BigInt(ROWS));
  });

  test("over an empty wilayah is over at once, in agreement", async () => {
    await begin();
    sync.startRunner();
    const run = await sync.ended(await sync.start({ kodeWilayah: "33" }));
    assert.deepEqual([run.jumlahHub, run.rekonsiliasi!.cocok], [0, true]);
  });

  test("over a part of a province is one part, and leaves the rest alone", async () => {
    await begin();
    sync.startRunner();
    const run = await sync.ended(await sync.start({ kodeWilayah: "32.01.01" }));
    assert.equal(run.rekonsiliasi!.cocok, true);
    assert.equal(run.rekonsiliasi!.provinsi[0]!.kodeProvinsi, "32");
    assert.ok(run.jumlahHub > 0 && run.jumlahHub < ROWS);
    assert.equal(sync.registry.rows.size + sync.registry.putAside.size, run.jumlahHub);
  });
});

describe("the hub", () => {
  const faults: Fault[] = ["drop", "duplicate", "swap", "corrupt"];
  for (const kind of faults) {
    test(`that does this to batches now and then, ${kind}, changes nothing of the end`, async () => {
      await begin();
      const random = seeded(SEED);
      sync.hub.fault = () => (random() < 0.15 ? kind : "none");
      sync.startRunner();
      assertAllOnce(await sync.ended(await sync.start()));
    });
  }

  test("that does all of it changes nothing of the end, and what came twice is told apart", async () => {
    await begin();
    const random = seeded(SEED + 1);
    sync.hub.fault = () => (random() < 0.3 ? faults[Math.floor(random() * faults.length)]! : "none");
    sync.startRunner();
    const run = await sync.ended(await sync.start());
    assertAllOnce(run);
    assert.equal(run.hasil!.dikirimUlang % 50, 0, "whole batches");
  });

  test("that says there is no more before there is none is asked again", async () => {
    await begin();
    sync.hub.endAfter = 4;
    sync.startRunner();
    assertAllOnce(await sync.ended(await sync.start()));
    assert.ok(sync.hub.streams > 6);
  });

  test("that has fewer rows than it counted ends the run, which says that it does not agree", async () => {
    await begin();
    sync.hub.hidden.add(1n);
    sync.startRunner();
    const run = await sync.ended(await sync.start());
    assert.equal(keadaanOf(run.keadaan), "selesai");
    const { cocok, jumlahCocok } = run.rekonsiliasi!;
    assert.deepEqual([cocok, jumlahCocok, run.jumlah], [false, false, ROWS - 1]);
  });

  test("that is down is waited for: the run is there, says what it waits for, and its breaker opens", async () => {
    await begin();
    sync.hub.isDown = true;
    sync.startRunner();
    const name = await sync.start();
    await eventually(async () => (await sync.get(name)).pemutus === 3);
    const waiting = await sync.get(name);
    assert.equal(keadaanOf(waiting.keadaan), "berjalan");
    assert.equal(waiting.galat, "waits for the hub (UNAVAILABLE)");
    assert.equal(waiting.asOfVersi, 0n);
    sync.hub.isDown = false;
    assertAllOnce(await sync.ended(name));
    assert.equal(sync.states.at(-1), "closed");
  });

  test("that goes down in the middle of the run is waited for", async () => {
    await begin();
    sync.startRunner();
    let batches = 0;
    sync.hub.fault = () => {
      if (++batches === 10) sync.hub.isDown = true;
      return "none";
    };
    const name = await sync.start();
    await eventually(async () => (await sync.get(name)).galat === "waits for the hub (UNAVAILABLE)");
    assert.ok(sync.states.includes("open"));
    const before = await sync.get(name);
    sync.hub.isDown = false;
    assertAllOnce(await sync.ended(name));
    assert.ok(before.jumlah > 0 && before.jumlah < ROWS);
  });

  test("that says nothing any more is left, and asked again when it has come to itself", async () => {
    await begin({ stallMs: 100 });
    let batches = 0;
    sync.hub.fault = () => {
      if (++batches === 5) sync.hub.isMute = true;
      return "none";
    };
    sync.startRunner();
    const name = await sync.start();
    await eventually(async () => (await sync.get(name)).galat.includes("waits for the hub"));
    sync.hub.isMute = false;
    assertAllOnce(await sync.ended(name));
  });
});

describe("the registry", () => {
  for (const kind of ["before commit", "between commit and acknowledgement"] as MergeFault[]) {
    test(`that dies ${kind} merges nothing twice and loses nothing`, async () => {
      await begin();
      const random = seeded(SEED + 2);
      sync.registry.fault = () => (random() < 0.2 ? kind : "none");
      sync.startRunner();
      assertAllOnce(await sync.ended(await sync.start()));
      assert.equal(sync.registry.commits, 31, "every batch took effect once");
    });
  }

  test("that is down is waited for", async () => {
    await begin();
    sync.registry.isDown = true;
    sync.startRunner();
    const name = await sync.start();
    await eventually(
      async () => (await sync.get(name)).galat === "waits for the registry (penduduk) (UNAVAILABLE)",
    );
    sync.registry.isDown = false;
    assertAllOnce(await sync.ended(name));
  });

  test("that acknowledges nothing any more is left, and tried again", async () => {
    await begin({ stallMs: 100 });
    sync.registry.isMute = true;
    sync.startRunner();
    const name = await sync.start();
    await eventually(async () => (await sync.get(name)).galat.includes("DEADLINE_EXCEEDED"));
    sync.registry.isMute = false;
    assertAllOnce(await sync.ended(name));
  });

  test("that is slow slows the hub: four batches wait for it and no more", async () => {
    await begin({ streams: 1, rows: hubRows(ROWS, { badEvery: 100, padding: 4_000 }) });
    const gate = Promise.withResolvers<void>();
    sync.registry.gate = gate.promise;
    sync.startRunner();
    const name = await sync.start();
    await eventually(() => sync.registry.received === 4);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(sync.registry.received, 4);
    // Each is 400 kB: the wire holds a few on their way, and the hub makes no more.
    assert.ok(sync.hub.batchesSent < 10, `${sync.hub.batchesSent} batches were pulled from the hub`);
    gate.resolve();
    assertAllOnce(await sync.ended(name));
  });

  test("that refuses for good fails the run, which says so and can be resumed", async () => {
    await begin();
    sync.registry.refuses = 7;
    sync.startRunner();
    const name = await sync.start();
    const failed = await sync.ended(name);
    assert.equal(keadaanOf(failed.keadaan), "gagal");
    assert.match(failed.galat, /^the registry \(penduduk\) answers PERMISSION_DENIED: .* resume/);
    sync.registry.refuses = undefined;
    await sync.client.resumeSinkronisasi({ name }, pusat);
    assertAllOnce(await sync.ended(name));
  });
});

describe("the runner", () => {
  test("that is killed at random moments is followed by one that goes on, with nothing lost and nothing twice", async () => {
    await begin({ ukuran: 20 });
    const random = seeded(SEED + 3);
    const faults: MergeFault[] = ["none", "before commit", "between commit and acknowledgement"];
    sync.registry.fault = () => (random() < 0.03 ? faults[Math.floor(random() * 3)]! : "none");
    const name = await sync.start();
    let kills = 0;
    for (; (await sync.get(name)).keadaan !== Keadaan.SELESAI; kills++) {
      const { kill } = sync.startRunner();
      const before = sync.registry.received;
      const until = before + 5 + Math.floor(random() * 40);
      await eventually(
        async () => sync.registry.received >= until || (await sync.get(name)).keadaan === Keadaan.SELESAI,
      );
      await kill();
    }
    assertAllOnce(await sync.get(name));
    assert.ok(kills >= 4, `${kills} kills`);
    assert.equal(sync.registry.commits, 38 + 113, "every batch took effect once");
  });

  test("is one among two, and the other goes on when it ends", async () => {
    await begin({ ukuran: 20 });
    const first = sync.startRunner();
    await eventually(() => sync.logged().includes("runner is active"));
    sync.startRunner();
    const name = await sync.start();
    await eventually(() => sync.registry.received > 20);
    await first.kill();
    assertAllOnce(await sync.ended(name));
    assert.equal(sync.logged().split("run goes on").length - 1, 2);
  });
});
