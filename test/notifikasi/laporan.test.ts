import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import {
  Preferensi_Kanal as Kanal,
  NotifikasiService,
  Pesan_Penerima as Penerima,
  type Preferensi,
} from "#gen/lampid/notifikasi/v1/notifikasi_service_pb.ts";
import { Laporan_Jenis as Jenis, Laporan_Status as Status } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import {
  file_lampid_pelaporan_v1_pelaporan_events,
  LaporanDiajukanSchema,
  LaporanDisahkanSchema,
  LaporanDiverifikasiSchema,
  LaporanTereskalasiSchema,
} from "#gen/lampid/pelaporan/v1/pelaporan_events_pb.ts";
import { announceLaporan } from "../../services/notifikasi/consumer.ts";
import { postgresPreferensiStore } from "../../services/notifikasi/postgres-preferensi-store.ts";
import { postgresPesanStore } from "../../services/notifikasi/postgres-store.ts";
import { notifikasiService } from "../../services/notifikasi/service.ts";
import { laporanTemplates } from "../../services/notifikasi/templates.ts";
import { as, assertRefused, assertViolations, componentClient } from "../harness/component.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";

const NOW = new Date("2026-11-20T03:00:00Z");
const KELURAHAN = "32.01.01.1006";
const LAPORAN = "laporan/01a1f893-eb73-7441-9801-f5e243fe757a";
const NOMOR = "L-3201011006-20261120-0001";
const pusat = as("admin_pusat", "ID");
const supervisor = as("supervisor", "32.01.01");

let database: TestDatabase;
let db: Database;
let client: Client<typeof NotifikasiService>;
let handle: (events: readonly BusEvent[]) => Promise<void>;
let queued = 0;

before(async () => {
  database = await createTestDatabase("notifikasi");
  db = openDatabase({ url: database.url, name: "test", log: createLogger("test", "silent") });
  const shared = {
    store: postgresPesanStore(db),
    preferensi: postgresPreferensiStore(db),
    clock: () => NOW,
    onQueued: () => void queued++,
  };
  handle = announceLaporan({ ...shared, kanal: "email" });
  client = await componentClient(
    NotifikasiService,
    notifikasiService({ ...shared, hasKanal: (kanal) => kanal !== "sms" }),
  );
});
beforeEach(async () => {
  await db.query("truncate pesan, preferensi, inbox, idempotency");
  queued = 0;
});
after(async () => {
  await db.close();
  await database.drop();
});

function event(type: DescMessage | string = LaporanDiajukanSchema, over: Partial<BusEvent> = {}): BusEvent {
  const data = create(LaporanDiajukanSchema, {
    perubahan: {
      laporan: LAPORAN,
      nomor: NOMOR,
      jenis: Jenis.KELAHIRAN,
      kodeWilayah: KELURAHAN,
      status: Status.DIAJUKAN,
      versi: 1,
      pelaku: "operator-1",
    },
  });
  return {
    id: randomUUID(),
    source: "/lampid/pelaporan",
    type: typeof type === "string" ? type : type.typeName,
    subject: LAPORAN,
    key: LAPORAN,
    time: NOW.toISOString(),
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    data: toBinary(LaporanDiajukanSchema, data),
    ...over,
  };
}

const messages = async () => (await client.listPesan({ kodeWilayah: "ID", pageSize: 500 }, pusat)).pesan;
const toOffices = async () =>
  (await messages())
    .filter(({ penerima }) => penerima === Penerima.PETUGAS)
    .map(({ kodeWilayah, kanal, templat }) => [kodeWilayah, kanal, templat]);

describe("a step of a report", () => {
  test("is told to the office whose turn it is, and to the reporter", async () => {
    await handle([event()]);
    const found = await messages();
    assert.deepEqual(
      found
        .map(({ penerima, kodeWilayah, kanal, templat, laporan, isi }) => [
          penerima === Penerima.PELAPOR ? "PELAPOR" : "PETUGAS",
          kodeWilayah,
          kanal,
          templat,
          laporan,
          isi,
        ])
        .sort(),
      [
        [
          "PELAPOR",
          KELURAHAN,
          "",
          "laporan_diajukan",
          LAPORAN,
          `e-LAMPID: laporan kelahiran ${NOMOR} telah diterima dan menunggu verifikasi kecamatan.`,
        ],
        [
          "PETUGAS",
          "32.01.01",
          "email",
          "laporan_diajukan",
          LAPORAN,
          `Menunggu verifikasi: laporan kelahiran ${NOMOR}.`,
        ],
      ],
    );
    assert.equal(queued, 1);
  });

  test("goes up with the report: to the kecamatan, the kabupaten, and back to the kelurahan", async () => {
    const steps = [LaporanDiajukanSchema, LaporanDiverifikasiSchema, LaporanDisahkanSchema];
    for (const step of steps) await handle([event(step)]);
    assert.deepEqual(
      (await toOffices()).map(([kodeWilayah]) => kodeWilayah),
      [KELURAHAN, "32.01", "32.01.01"],
      "newest first",
    );
  });

  test("is told once, however often its event comes, also when the process died before the bus noted it", async () => {
    const events = [event(), event(LaporanDiverifikasiSchema)];
    await handle([...events, events[0]!]);
    await handle(events);
    await handle([events[1]!]);
    assert.equal((await messages()).length, 4);
  });

  test("that went wrong is the office's to mend, and told to no reporter", async () => {
    await handle([event("lampid.pelaporan.v1.LaporanGagalBerlaku")]);
    assert.deepEqual(await toOffices(), [["32.01", "email", "laporan_gagal_berlaku"]]);
    assert.equal((await messages()).length, 1);
  });

  test("that is overdue is told to the office above the one that it waits for", async () => {
    for (const ke of ["supervisor", "admin_kota", "admin_pusat"]) {
      const { perubahan } = fromBinary(LaporanDiajukanSchema, event().data);
      const data = toBinary(
        LaporanTereskalasiSchema,
        create(LaporanTereskalasiSchema, { perubahan: perubahan!, ke }),
      );
      await handle([event(LaporanTereskalasiSchema, { data })]);
    }
    assert.deepEqual(
      (await toOffices()).map(([office]) => office),
      ["ID", "32.01", "32.01.01"],
    );
    assert.equal((await messages()).length, 3, "and no reporter");
    await assert.rejects(handle([event(LaporanTereskalasiSchema)]), /role/);
  });

  test("of a kind that nobody has written words for is told to nobody", async () => {
    await handle([event("lampid.pelaporan.v1.LaporanDilupakan"), event("toString")]);
    assert.deepEqual(await messages(), []);
    assert.equal(queued, 0);
  });

  test("that cannot be read fails, and makes no message of its batch", async () => {
    await assert.rejects(handle([event(), event(LaporanDiajukanSchema, { data: new Uint8Array() })]));
    assert.deepEqual(await messages(), []);
  });
});

describe("the words of each step", () => {
  /** Nobody need know: a person has just done it, and is told how the report goes on. */
  const UNTOLD = ["LaporanDiulang", "KemiripanDisisihkan"];

  test("are there for every event of a report that is to be told", () => {
    const events = file_lampid_pelaporan_v1_pelaporan_events.messages.filter(({ fields }) =>
      fields.some(({ name, number }) => name === "perubahan" && number === 1),
    );
    assert.ok(events.length >= 7);
    const missing = events.filter(
      ({ name, typeName }) => !UNTOLD.includes(name) && !Object.hasOwn(laporanTemplates, typeName),
    );
    assert.deepEqual(
      missing.map(({ name }) => name),
      [],
    );
  });

  test("fit into one SMS, in its alphabet, and name the report", () => {
    const longest = "laporan kelahiran L-3201011006-20261127-99999";
    for (const [type, { pelapor, petugas, templat }] of Object.entries(laporanTemplates)) {
      for (const isi of [pelapor?.(longest) ?? longest, petugas.isi(longest)]) {
        assert.match(isi, /^[A-Za-z0-9 .,:()/-]{1,160}$/, type);
        assert.ok(isi.includes(longest), type);
      }
      assert.match(templat, /^(laporan|perpindahan)_[a-z_]+$/, type);
    }
  });
});

describe("preferences of an office", () => {
  const aturan = (templat: string, ...kanal: Kanal[]) => ({ templat, kanal });
  const update = (rules: ReturnType<typeof aturan>[], over: object = {}, who = supervisor) =>
    client.updatePreferensi(
      { requestId: randomUUID(), preferensi: { etag: "0", aturan: rules }, ...over },
      who,
    );
  const read = async (who = supervisor): Promise<Preferensi> =>
    (await client.getPreferensi({}, who)).preferensi!;

  test("say nothing at first, and are what was last set", async () => {
    const first = await read();
    assert.deepEqual([first.name, first.etag, first.aturan.length], ["preferensi/32.01.01", "0", 0]);
    const set = await update([aturan("laporan_diajukan", Kanal.LOG, Kanal.EMAIL), aturan("laporan_ditolak")]);
    assert.deepEqual(await read(), set.preferensi);
    assert.equal(set.preferensi!.etag, "1");
    assert.equal((await read(as("supervisor", "32.01.02"))).aturan.length, 0, "and nobody else's");
    assert.deepEqual(
      await read(as("supervisor", "32.01.01", { subject: "another" })),
      set.preferensi,
      "but the whole office's",
    );
  });

  test("choose the channels of each kind of message, or none", async () => {
    await update([aturan("laporan_diajukan", Kanal.LOG, Kanal.EMAIL)]);
    await handle([event()]);
    assert.deepEqual((await toOffices()).sort(), [
      ["32.01.01", "email", "laporan_diajukan"],
      ["32.01.01", "log", "laporan_diajukan"],
    ]);
    await db.query("truncate pesan, inbox");
    await update([aturan("laporan_diajukan")], {
      preferensi: { etag: "1", aturan: [aturan("laporan_diajukan")] },
    });
    await handle([event(), event(LaporanDiverifikasiSchema)]);
    assert.deepEqual(await toOffices(), [["32.01", "email", "laporan_diverifikasi"]]);
    assert.equal((await messages()).length, 3, "reporters have their own say");
  });

  test("that are set twice with one id are set once, and from what was not read are refused", async () => {
    const again = { requestId: randomUUID() };
    const first = await update([aturan("laporan_diajukan")], again);
    assert.deepEqual((await update([aturan("laporan_diajukan")], again)).preferensi, first.preferensi);
    await assertRefused(update([]), "Aborted", "ETAG_MISMATCH");
    await assertRefused(update([], { preferensi: { etag: "7", aturan: [] } }), "Aborted", "ETAG_MISMATCH");
    await assertRefused(update([], again), "Aborted", "REQUEST_ID_REUSED");
    const { rows } = await db.query("select subject, resource, wilayah from audit");
    assert.deepEqual(rows.at(-1), {
      subject: "supervisor-32.01.01",
      resource: "preferensi/32.01.01",
      wilayah: "32.01.01",
    });
  });

  test("of a version that never was, where there is none, are refused", async () => {
    await assertRefused(update([], { preferensi: { etag: "5", aturan: [] } }), "Aborted", "ETAG_MISMATCH");
  });

  test("are set by one of ten at once", async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => update([])));
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  });

  test("name what there is: templates and channels of this mesh, each once", async () => {
    await assertViolations(
      update([aturan("laporan_diajukan", Kanal.SMS), aturan("merpati"), aturan("laporan_diajukan")]),
      ["preferensi.aturan[0].kanal[0]", "preferensi.aturan[1].templat", "preferensi.aturan[2].templat"],
    );
    await assertViolations(update([aturan("laporan_diajukan", Kanal.LOG, Kanal.LOG)]), [
      "preferensi.aturan[0].kanal",
    ]);
    await assertViolations(update([], { preferensi: { etag: "", aturan: [] } }), ["preferensi.etag"]);
  });

  test("are the officers' business", async () => {
    for (const who of [as("auditor", "ID"), as("mitra", "ID"), as("service", "ID")]) {
      await assertRefused(update([], {}, who), "PermissionDenied", "METHOD_DENIED");
      await assertRefused(client.getPreferensi({}, who), "PermissionDenied", "METHOD_DENIED");
    }
  });
});
