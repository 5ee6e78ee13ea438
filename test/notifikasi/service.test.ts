import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { RuteDialihkan_Arah as Arah, RuteDialihkanSchema } from "#gen/lampid/gateway/v1/gateway_events_pb.ts";
import {
  type ListPesanRequestSchema,
  NotifikasiService,
  Pesan_Status as Status,
} from "#gen/lampid/notifikasi/v1/notifikasi_service_pb.ts";
import { PendudukTerdaftarSchema } from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import { announceRegistrations, announceRoutes } from "../../services/notifikasi/consumer.ts";
import { postgresPreferensiStore } from "../../services/notifikasi/postgres-preferensi-store.ts";
import { postgresPesanStore } from "../../services/notifikasi/postgres-store.ts";
import { notifikasiService } from "../../services/notifikasi/service.ts";
import type { PesanStore } from "../../services/notifikasi/store.ts";
import { as, assertRefused, assertViolations, componentClient } from "../harness/component.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";

const NOW = new Date("2026-11-20T03:00:00Z");
const kota = as("admin_kota", "32.01");
const pusat = as("admin_pusat", "ID");
const supervisor = as("supervisor", "32.01.01");

let database: TestDatabase;
let db: Database;
let store: PesanStore;
let client: Client<typeof NotifikasiService>;
let handle: (events: readonly BusEvent[]) => Promise<void>;
let handleRoutes: (events: readonly BusEvent[]) => Promise<void>;
let queued = 0;

before(async () => {
  database = await createTestDatabase("notifikasi");
  db = openDatabase({ url: database.url, name: "test", log: createLogger("test", "silent") });
  store = postgresPesanStore(db);
  const preferensi = postgresPreferensiStore(db);
  const shared = { store, preferensi, clock: () => NOW, onQueued: () => void queued++ };
  handle = announceRegistrations({ ...shared, wilayah: loadWilayah(), kanal: "email" });
  handleRoutes = announceRoutes({ ...shared, kanal: "email" });
  client = await componentClient(
    NotifikasiService,
    notifikasiService({ ...shared, hasKanal: (kanal) => kanal !== "sms" }),
  );
});

beforeEach(async () => {
  await db.query("truncate pesan, preferensi, inbox");
  queued = 0;
});

after(async () => {
  await db.close();
  await database.drop();
});

function registered(
  over: MessageInitShape<typeof PendudukTerdaftarSchema> = {},
  event: Partial<BusEvent> = {},
): BusEvent {
  const data = create(PendudukTerdaftarSchema, {
    penduduk: `penduduk/${randomUUID()}`,
    nikTersamar: "320101********01",
    nama: "Ma'ruf Amin",
    provinsi: "Jawa Barat",
    kodeWilayah: "32.01.01.1006",
    ...over,
  });
  return {
    id: randomUUID(),
    source: "/lampid/penduduk",
    type: PendudukTerdaftarSchema.typeName,
    subject: data.penduduk,
    key: data.kodeWilayah,
    time: NOW.toISOString(),
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    data: toBinary(PendudukTerdaftarSchema, data),
    ...event,
  };
}

type Query = Omit<MessageInitShape<typeof ListPesanRequestSchema>, "$typeName">;
const list = (over: Query = {}, who = pusat) => client.listPesan({ kodeWilayah: "ID", ...over }, who);

/** A message that was given up. */
async function givenUp(): Promise<string> {
  await handle([registered()]);
  const { pesan } = await list({ pageSize: 1 });
  const { name } = pesan[0]!;
  const id = name.slice("pesan/".length);
  await store.record([{ id, status: "gagal", kesalahan: "Error EENVELOPE" }]);
  return name;
}

describe("the consumer", () => {
  test("makes one message of a registration, in Indonesian, for the wilayah, on the channel that is set", async () => {
    await handle([registered()]);
    const { pesan } = await list();
    assert.equal(pesan.length, 1);
    const [message] = pesan;
    assert.equal(message!.isi, "Pendaftaran baru: Ma'ruf Amin (320101********01), Cibinong, Jawa Barat.");
    assert.equal(message!.kanal, "email");
    assert.equal(message!.templat, "pendaftaran_baru");
    assert.equal(message!.kodeWilayah, "32.01.01.1006");
    assert.equal(message!.status, Status.ANTRE);
    assert.equal(message!.createTime!.seconds, BigInt(NOW.getTime() / 1000));
    assert.equal(message!.terkirimTime, undefined);
    assert.equal(queued, 1, "and wakes the sender");
  });

  test("makes no second message when the event comes again, in one batch or another", async () => {
    const event = registered();
    await handle([event, event]);
    await handle([event, registered()]);
    assert.equal((await list()).pesan.length, 2);
  });

  test("writes no full NIK into a message", async () => {
    await handle(Array.from({ length: 20 }, () => registered()));
    for (const { isi } of (await list()).pesan) assert.doesNotMatch(isi, /\d{7,}/);
  });

  test("passes over events of other types, and wakes nobody for them", async () => {
    await handle([registered({}, { type: "lampid.test.v1.Other", data: new Uint8Array([255]) })]);
    assert.equal((await list()).pesan.length, 0);
    assert.equal(queued, 0);
  });

  test("tells of a route that leaves the new system, and of its return, for the nation", async () => {
    const event = (arah: Arah): BusEvent => ({
      ...registered(),
      type: RuteDialihkanSchema.typeName,
      data: toBinary(
        RuteDialihkanSchema,
        create(RuteDialihkanSchema, {
          rpc: "lampid.penduduk.v1.PendudukService/GetPenduduk",
          arah,
          sistemLama: "https://siak.example.go.id",
          panggilan: 40,
          gagal: 3,
        }),
      ),
    });
    const left = event(Arah.LAMA);
    await handleRoutes([left, registered()]);
    await handleRoutes([left, event(Arah.BARU)]);
    const { pesan } = await list();
    assert.deepEqual(
      pesan.map(({ templat, kodeWilayah, isi }) => [templat, kodeWilayah, isi]),
      [
        [
          "rute_pulih",
          "ID",
          "Pulih: lampid.penduduk.v1.PendudukService/GetPenduduk kembali ke sistem baru dari sistem lama (https://siak.example.go.id).",
        ],
        [
          "rute_dialihkan",
          "ID",
          "Peringatan: lampid.penduduk.v1.PendudukService/GetPenduduk gagal 3 dari 40 panggilan dan dialihkan ke sistem lama (https://siak.example.go.id).",
        ],
      ],
    );
    assert.equal(queued, 2);
  });

  test("fails on an event that it cannot read, and makes no message of its batch", async () => {
    await assert.rejects(handle([registered(), registered({}, { data: new Uint8Array([255, 255]) })]));
    assert.equal((await list()).pesan.length, 0);
  });
});

describe("ListPesan", () => {
  test("is newest first, in pages that join without a gap", async () => {
    for (let n = 0; n < 23; n++) await handle([registered()]);
    const all = (await list()).pesan.map(({ name }) => name);
    assert.equal(all.length, 23);
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await list({ pageSize: 5, pageToken });
      seen.push(...page.pesan.map(({ name }) => name));
      pageToken = page.nextPageToken;
      // A new message comes before the first page, and moves none.
      await handle([registered()]);
    } while (pageToken !== "");
    assert.deepEqual(seen, all);
  });

  test("has 50 a page by default and 500 at most", async () => {
    await handle(Array.from({ length: 501 }, () => registered()));
    assert.equal((await list()).pesan.length, 50);
    const page = await list({ pageSize: 100_000 });
    assert.equal(page.pesan.length, 500);
    assert.equal((await list({ pageToken: page.nextPageToken })).pesan.length, 1);
    await assertViolations(list({ pageSize: -1 }), ["page_size"]);
  });

  test("filters by wilayah and by status", async () => {
    await handle([registered(), registered({ kodeWilayah: "32.01.02" }), registered()]);
    const { pesan } = await list({ kodeWilayah: "32.01.01" }, supervisor);
    assert.equal(pesan.length, 2);
    const id = pesan[0]!.name.slice("pesan/".length);
    await store.record([{ id, status: "terkirim", at: NOW, kanal: "email" }]);
    const sent = await list({ kodeWilayah: "32.01", status: Status.TERKIRIM }, kota);
    assert.deepEqual(
      sent.pesan.map(({ name, percobaan }) => [name, percobaan]),
      [[pesan[0]!.name, 1]],
    );
    assert.equal(sent.pesan[0]!.terkirimTime!.seconds, BigInt(NOW.getTime() / 1000));
    assert.equal((await list({ status: Status.ANTRE })).pesan.length, 2);
    assert.equal((await list({ status: Status.GAGAL })).pesan.length, 0);
    await assertViolations(list({ status: 9 as Status }), ["status"]);
  });

  test("has page tokens that are good for their own query only", async () => {
    await handle(Array.from({ length: 3 }, () => registered()));
    const { nextPageToken: pageToken } = await list({ pageSize: 1 });
    for (const over of [{ kodeWilayah: "32" }, { status: Status.ANTRE }]) {
      await assertViolations(list({ ...over, pageToken }), ["page_token"]);
    }
    const [digest] = JSON.parse(Buffer.from(pageToken, "base64url").toString());
    for (const part of ["1", "\0", 7]) {
      const forged = Buffer.from(JSON.stringify([digest, part])).toString("base64url");
      await assertViolations(list({ pageToken: forged }), ["page_token"]);
    }
  });

  test("is for supervisors and above, inside their wilayah", async () => {
    await assertRefused(list({ kodeWilayah: "32.01.02" }, supervisor), "PermissionDenied", "WILAYAH_DENIED");
    await assertRefused(list({}, kota), "PermissionDenied", "WILAYAH_DENIED");
    for (const who of [as("operator", "32.01.01.1006"), as("auditor", "ID"), as("mitra", "ID")]) {
      await assertRefused(list({ kodeWilayah: "32.01.01.1006" }, who), "PermissionDenied", "METHOD_DENIED");
    }
    await assertViolations(list({ kodeWilayah: "" }), ["kode_wilayah"]);
  });
});

describe("the audit", () => {
  const rowsOf = async (name: string) => {
    const { rows } = await db.query(
      "select action, wilayah, keperluan, kolom from audit where resource = $1 order by id",
      [name],
    );
    return rows.map(({ action, ...row }) => ({ action: action.replace(/.*\//, ""), ...row }));
  };

  test("has who was shown each message, what for, and which fields of it", async () => {
    await handle([registered(), registered()]);
    const { pesan } = await list({}, { headers: { ...pusat.headers, "x-purpose": "keluhan" } });
    assert.equal(pesan.length, 2);
    for (const { name } of pesan) {
      const [row, ...others] = await rowsOf(name);
      assert.deepEqual(others, []);
      assert.deepEqual(
        [row!.action, row!.wilayah, row!.keperluan],
        ["ListPesan", "32.01.01.1006", "keluhan"],
      );
      assert.ok(row!.kolom.includes("isi") && row!.kolom.every((each: string) => /^[a-z_]+$/.test(each)));
    }
  });

  test("has who put a message back, and nothing of who was refused", async () => {
    const name = await givenUp();
    const before = (await rowsOf(name)).length;
    await client.resendPesan({ name }, kota);
    await assertRefused(client.resendPesan({ name }, kota), "FailedPrecondition");
    const rows = (await rowsOf(name)).slice(before);
    assert.deepEqual(
      rows.map(({ action }) => action),
      ["ResendPesan"],
    );
  });
});

describe("ResendPesan", () => {
  test("puts a message that was given up back in the queue, and wakes the sender", async () => {
    const name = await givenUp();
    queued = 0;
    const { pesan } = await client.resendPesan({ name }, kota);
    assert.equal(pesan!.status, Status.ANTRE);
    assert.equal(pesan!.percobaan, 0);
    assert.equal(pesan!.kesalahan, "");
    assert.equal(queued, 1);
    assert.equal((await store.due(NOW, 10)).length, 1);
  });

  test("refuses a message that is queued or delivered", async () => {
    const name = await givenUp();
    await client.resendPesan({ name }, kota);
    await assertRefused(client.resendPesan({ name }, kota), "FailedPrecondition", "NOT_DEAD_LETTERED");
    await store.record([{ id: name.slice("pesan/".length), status: "terkirim", at: NOW, kanal: "email" }]);
    await assertRefused(client.resendPesan({ name }, kota), "FailedPrecondition", "NOT_DEAD_LETTERED");
  });

  test("of ten at once puts it back once", async () => {
    const name = await givenUp();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, () => client.resendPesan({ name }, kota)),
    );
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  });

  test("refuses what is not there, not named, or not the caller's", async () => {
    const name = await givenUp();
    await assertRefused(client.resendPesan({ name: `pesan/${randomUUID()}` }, pusat), "NotFound");
    await assertViolations(client.resendPesan({ name: "pesan/1" }, pusat), ["name"]);
    await assertRefused(client.resendPesan({ name }, as("admin_kota", "32.02")), "PermissionDenied");
    await assertRefused(client.resendPesan({ name }, supervisor), "PermissionDenied", "METHOD_DENIED");
    assert.equal((await list({ status: Status.GAGAL })).pesan.length, 1);
  });
});
