// Forwarding to the systems outside: queued once, sent in order, tried for ever, refused for a person, told of as a whole.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import type { Database } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { pendudukEventId } from "#chassis/peristiwa-id.ts";
import { startTelemetry } from "#chassis/telemetry.ts";
import type { DukcapilHubService } from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { PendudukHubSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { PengirimanPeristiwaSchema } from "#gen/lampid/integrasi/v1/integrasi_events_pb.ts";
import {
  Pengiriman_Jenis as Jenis,
  Pengiriman_Sistem as Sistem,
  Pengiriman_Status as Status,
} from "#gen/lampid/integrasi/v1/pengiriman_pb.ts";
import { PengirimanService } from "#gen/lampid/integrasi/v1/pengiriman_service_pb.ts";
import {
  BiodataDiperbaruiSchema,
  KartuKeluargaDibuatSchema,
  NikDiterbitkanSchema,
  PendudukTerdaftarSchema,
} from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import {
  PeristiwaBerlaku_Jenis as Berlaku,
  PeristiwaBerlakuSchema,
} from "#gen/lampid/peristiwa/v1/peristiwa_events_pb.ts";
import { queueChanges } from "../../services/integrasi/pengiriman/consumer.ts";
import { pengirimanMetrics } from "../../services/integrasi/pengiriman/metrics.ts";
import { postgresPengirimanStore } from "../../services/integrasi/pengiriman/postgres-store.ts";
import { type SenderDeps, sendWhile } from "../../services/integrasi/pengiriman/sender.ts";
import { pengirimanService } from "../../services/integrasi/pengiriman/service.ts";
import type { PengirimanStore } from "../../services/integrasi/pengiriman/store.ts";
import { dukcapilSistem } from "../../services/integrasi/sistem/dukcapil.ts";
import type { Jawaban, Perubahan, SistemPort } from "../../services/integrasi/sistem/sistem.ts";
import { as, assertRefused, componentClient } from "../harness/component.ts";
import { emptyTables, type TestDatabase } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import { openSyncDatabase, pusat } from "./sync-component.ts";

const NIK = "3201013101900001";
const PENDING = "01890000-0000-7000-8000-0000000000e1";
const TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const WAKTU = "2026-11-20T03:00:00.000Z";
const accepted: Jawaban = { kind: "diterima" };
const refused: Jawaban = { kind: "ditolak", alasan: "INVALID_ARGUMENT" };
const down: Jawaban = { kind: "gagal", alasan: "UNAVAILABLE" };

let database: { test: TestDatabase; db: Database };
let db: Database;
let store: PengirimanStore;
let client: Client<typeof PengirimanService>;
let sent: (Perubahan & { sistem: string })[];
/** What a system answers; by default it accepts everything. */
let answer: (perubahan: Perubahan, sistem: string) => Jawaban | Promise<Jawaban>;
let isRegistryDown: boolean;
let unknown: Set<string>;
let ends: (() => Promise<void>)[];
let lines: string[];
const queue = new EventEmitter();

before(async () => {
  database = await openSyncDatabase();
  db = database.db;
});
beforeEach(async () => {
  await emptyTables(db, "pengiriman, pengiriman_laporan, inbox, outbox, audit");
  store = postgresPengirimanStore(db);
  sent = [];
  answer = () => accepted;
  isRegistryDown = false;
  unknown = new Set();
  ends = [];
  lines = [];
  const onQueued = () => void queue.emit("queued");
  client = await componentClient(
    PengirimanService,
    pengirimanService({ db, store, clock: () => new Date(), onQueued }),
  );
});
afterEach(() => Promise.all(ends.map((end) => end())));
after(async () => {
  await database.db.close();
  await database.test.drop();
});

function port(sistem: "dukcapil" | "siak"): SistemPort {
  return {
    sistem,
    async send(perubahan) {
      sent.push({ ...perubahan, sistem });
      return await answer(perubahan, sistem);
    },
  };
}

/** A process's sender; the end of it is as sudden as kill -9 when `over` keeps it from noting what it has done. */
function startSender(over: Partial<SenderDeps> = {}): () => Promise<void> {
  const stop = new AbortController();
  const telemetry = startTelemetry({ name: "test" });
  const deps: SenderDeps = {
    store,
    registry: {
      async readPenduduk({ penduduk = [] }) {
        if (isRegistryDown) throw new ConnectError("down", Code.Unavailable);
        const known = penduduk.filter((name) => !unknown.has(name));
        return {
          $typeName: "lampid.penggabungan.v1.ReadPendudukResponse",
          penduduk: known.map((name) => ({
            $typeName: "lampid.penggabungan.v1.PendudukLokal",
            name,
            penduduk: create(PendudukHubSchema, { nik: NIK, nama: "Budi", peristiwa: PENDING }),
          })),
        };
      },
    },
    sistem: [port("dukcapil")],
    clock: () => new Date(),
    log: createLogger("test", "debug", { write: (line: string) => void lines.push(line) }),
    metrics: pengirimanMetrics(telemetry.meter, () => new Date()),
    backoff: { baseMs: 5, maxMs: 40 },
    random: () => 1,
    woken: async (until) => void (await once(queue, "queued", { signal: until }).catch(() => {})),
    ...over,
  };
  const running = sendWhile(stop.signal, deps).catch(() => {});
  const end = async () => {
    stop.abort();
    await running;
    await telemetry.shutdown();
  };
  ends.push(end);
  return end;
}

function event<Desc extends DescMessage>(
  schema: Desc,
  init: MessageInitShape<Desc>,
  id: string = randomUUID(),
): BusEvent {
  return {
    id,
    source: "/lampid/penduduk",
    type: schema.typeName,
    subject: "subject",
    key: "key",
    time: WAKTU,
    traceparent: TRACE,
    data: toBinary(schema, create(schema, init)),
  };
}

const resident = () => `penduduk/${randomUUID()}`;

function birth(penduduk: readonly string[], laporan = `laporan/${randomUUID()}`) {
  return event(PeristiwaBerlakuSchema, {
    laporan,
    jenis: Berlaku.KELAHIRAN,
    hasil: { penduduk: [...penduduk] },
  });
}

async function consume(events: readonly BusEvent[], sistem: ("dukcapil" | "siak")[] = ["dukcapil"]) {
  const onQueued = () => void queue.emit("queued");
  await queueChanges({ store, sistem, clock: () => new Date(), onQueued })(events);
}

async function list(over: Parameters<typeof client.listPengiriman>[0] = {}) {
  return (await client.listPengiriman(over, pusat)).pengiriman;
}

async function allAccepted() {
  await eventually(async () => {
    const rows = await list();
    return rows.length > 0 && rows.every(({ status }) => status === Status.DITERIMA);
  });
}

/** What the mesh was told, in order. */
async function told() {
  const { rows } = await db.query("select * from outbox order by position");
  return rows.map(({ payload, aggregatetype, aggregateid, traceparent }) => {
    assert.deepEqual([aggregatetype, traceparent], ["sinkronisasi-events", TRACE]);
    const { laporan, sistem, status, alasan, peristiwa } = fromBinary(PengirimanPeristiwaSchema, payload);
    assert.equal(aggregateid, laporan);
    return { laporan, peristiwa, sistem, status, alasan };
  });
}

describe("what took effect", () => {
  test("is queued for each resident it changed and each system, and for nobody else", async () => {
    const [a, b, c, d, e, head] = Array.from({ length: 6 }, resident) as [
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    const moved = event(PeristiwaBerlakuSchema, {
      laporan: `laporan/${randomUUID()}`,
      jenis: Berlaku.PINDAH,
      hasil: { penduduk: [e], kepalaBaru: [{ kartuKeluarga: "k", penduduk: head }, { kartuKeluarga: "l" }] },
    });
    await consume(
      [
        event(PendudukTerdaftarSchema, { penduduk: a, nama: "Budi" }),
        event(BiodataDiperbaruiSchema, { penduduk: b }),
        event(NikDiterbitkanSchema, { kodeWilayah: "32.01.01" }),
        event(KartuKeluargaDibuatSchema, { anggota: [c, d] }),
        moved,
      ],
      ["dukcapil", "siak"],
    );
    const queued = (await list({ sistem: Sistem.SIAK })).toReversed();
    assert.deepEqual(
      queued.map(({ penduduk, jenis, status }) => [penduduk, jenis, status]),
      [
        [a, Jenis.PENDAFTARAN, Status.MENUNGGU],
        [b, Jenis.BIODATA, Status.MENUNGGU],
        [c, Jenis.KARTU_KELUARGA, Status.MENUNGGU],
        [d, Jenis.KARTU_KELUARGA, Status.MENUNGGU],
        [e, Jenis.PINDAH, Status.MENUNGGU],
        [head, Jenis.PINDAH, Status.MENUNGGU],
      ],
    );
    assert.equal((await list({ sistem: Sistem.DUKCAPIL })).length, 6);
    assert.equal(queued.at(-1)!.laporan.startsWith("laporan/"), true);
  });

  test("is queued once, however often it comes, in one batch or in two", async () => {
    const born = birth([resident(), resident()]);
    await consume([born, born]);
    await consume([born]);
    assert.equal((await list()).length, 2);
  });

  test("of a kind that this integrasi does not know is a poisoned event, not a forgotten one", async () => {
    await assert.rejects(consume([event(PeristiwaBerlakuSchema, { jenis: 99 as Berlaku })]), /jenis 99/);
  });
});

describe("the sender", () => {
  test("sends each change with the resident as they are now, under an id of event and resident", async () => {
    const [a, b] = [resident(), resident()];
    const born = birth([a, b]);
    await consume([born], ["dukcapil", "siak"]);
    startSender({ sistem: [port("dukcapil"), port("siak")] });
    await allAccepted();
    assert.equal(sent.length, 4);
    for (const { id, name, penduduk, jenis, waktu } of sent) {
      assert.equal(id, pendudukEventId(born.id, name.slice("penduduk/".length)));
      assert.deepEqual([penduduk.nik, jenis, waktu.toISOString()], [NIK, "kelahiran", WAKTU]);
    }
  });

  test("keeps the order of one resident's changes, also when one of them is tried again", async () => {
    const one = resident();
    const changes = Array.from({ length: 5 }, () => event(BiodataDiperbaruiSchema, { penduduk: one }));
    const others = Array.from({ length: 20 }, () => event(BiodataDiperbaruiSchema, { penduduk: resident() }));
    await consume([...changes, ...others]);
    let failures = 3;
    answer = ({ name }) => (name === one && failures-- > 0 ? down : accepted);
    startSender();
    await allAccepted();
    const ofOne = sent.filter(({ name }) => name === one).map(({ id }) => id);
    const expected = changes.map(({ id }) => pendudukEventId(id, one.slice("penduduk/".length)));
    assert.deepEqual([...new Set(ofOne)], expected);
    assert.deepEqual(
      ofOne.slice(0, 4),
      Array(4).fill(expected[0]),
      "the first is tried until it is accepted",
    );
  });

  test("tries for ever while a system is down, without a storm, and without holding up another system", async () => {
    await consume(
      Array.from({ length: 150 }, () => event(BiodataDiperbaruiSchema, { penduduk: resident() })),
      ["dukcapil", "siak"],
    );
    let isDown = true;
    answer = (_, sistem) => (isDown && sistem === "dukcapil" ? down : accepted);
    startSender({ sistem: [port("dukcapil"), port("siak")] });
    await eventually(
      async () =>
        (await list({ sistem: Sistem.SIAK, status: Status.DITERIMA, pageSize: 500 })).length === 150,
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
    const tries = sent.filter(({ sistem }) => sistem === "dukcapil").length;
    assert.ok(tries >= 4 && tries < 100, `${tries} tries of 150 changes that wait`);
    isDown = false;
    await eventually(async () => (await list({ status: Status.DITERIMA, pageSize: 500 })).length === 300);
    assert.equal(lines.filter((line) => line.includes("changes wait")).length, 1, "an outage is said once");
  });

  test("waits for the registry, and counts that against no system", async () => {
    await consume([birth([resident()])]);
    isRegistryDown = true;
    startSender();
    await eventually(() => lines.some((line) => line.includes("waits for the registry")));
    assert.deepEqual([sent, await told()], [[], []]);
    assert.equal((await list())[0]!.percobaan, 0);
    isRegistryDown = false;
    await allAccepted();
  });

  test("sends again what it could not note before its end: the system knows it by its id", async () => {
    const born = birth([resident()]);
    await consume([born]);
    const kill = startSender({ store: { ...store, record: () => Promise.reject(new Error("killed")) } });
    await eventually(() => sent.length === 1);
    await kill();
    assert.equal((await list())[0]!.status, Status.MENUNGGU);
    startSender();
    await allAccepted();
    assert.deepEqual(
      sent.map(({ id }) => id),
      [sent[0]!.id, sent[0]!.id],
    );
    assert.deepEqual(
      (await told()).map(({ status }) => status),
      [Status.DITERIMA],
    );
  });

  test("logs neither a NIK nor a name, whatever the system says of them", async () => {
    await consume([birth([resident()])]);
    const hub: Pick<Client<typeof DukcapilHubService>, "reportPeristiwa"> = {
      reportPeristiwa({ penduduk }) {
        sent.push({} as never);
        throw new ConnectError(`${penduduk?.nik} Budi`, Code.Internal);
      },
    };
    startSender({ sistem: [dukcapilSistem(hub)] });
    await eventually(() => sent.length > 3);
    assert.match(lines.join(""), /changes wait/);
    const { rows } = await db.query("select json_agg(p)::text as text from pengiriman p");
    assert.doesNotMatch(lines.join("") + rows[0].text, new RegExp(`${NIK}|Budi`));
  });
});

describe("the mesh", () => {
  test("is told of a report once when it is accepted as a whole", async () => {
    const laporan = `laporan/${randomUUID()}`;
    const born = birth([resident(), resident(), resident()], laporan);
    await consume([born]);
    startSender();
    await allAccepted();
    assert.deepEqual(await told(), [
      { laporan, peristiwa: born.id, sistem: Sistem.DUKCAPIL, status: Status.DITERIMA, alasan: "" },
    ]);
  });

  test("is told that a report waits, once, then that it is accepted; of each report, tried or not", async () => {
    const reports = Array.from({ length: 12 }, () => birth([resident()]));
    await consume(reports);
    let isDown = true;
    answer = () => (isDown ? down : accepted);
    startSender();
    await eventually(async () => (await told()).length === 12);
    await new Promise((resolve) => setTimeout(resolve, 100));
    isDown = false;
    await allAccepted();
    const byReport = Map.groupBy(await told(), ({ laporan }) => laporan);
    assert.equal(byReport.size, 12);
    for (const statuses of byReport.values()) {
      assert.deepEqual(
        statuses.map(({ status, alasan }) => [status, alasan]),
        [
          [Status.MENUNGGU, "UNAVAILABLE"],
          [Status.DITERIMA, ""],
        ],
      );
    }
  });

  test("is told nothing of what no report brought about", async () => {
    await consume([event(PendudukTerdaftarSchema, { penduduk: resident() })]);
    answer = () => refused;
    startSender();
    await eventually(async () => (await list({ status: Status.DITOLAK })).length === 1);
    assert.deepEqual(await told(), []);
  });
});

describe("what was refused", () => {
  test("is final, listed with its reason, and sent again by a person, audited", async () => {
    const laporan = `laporan/${randomUUID()}`;
    const [good, bad] = [resident(), resident()];
    await consume([birth([good, bad], laporan), birth([resident()])]);
    let isMended = false;
    answer = ({ name }) => (name === bad && !isMended ? refused : accepted);
    startSender();
    await eventually(async () => (await list({ status: Status.MENUNGGU })).length === 0);
    const [row, ...more] = await list({ status: Status.DITOLAK });
    assert.deepEqual(
      [row!.penduduk, row!.alasan, row!.percobaan, row!.laporan, more.length],
      [bad, "INVALID_ARGUMENT", 1, laporan, 0],
    );
    assert.equal((await list({ laporan })).length, 2);
    const { name } = row!;
    assert.deepEqual((await client.getPengiriman({ name }, pusat)).pengiriman, row);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(sent.filter((change) => change.name === bad).length, 1, "nothing tries it again by itself");

    isMended = true;
    const { pengiriman } = await client.retryPengiriman({ name }, pusat);
    assert.equal(pengiriman!.status, Status.MENUNGGU);
    await eventually(async () => (await list({ laporan, status: Status.DITERIMA })).length === 2);
    assert.deepEqual(
      (await told()).filter((each) => each.laporan === laporan).map(({ status }) => status),
      [Status.DITOLAK, Status.MENUNGGU, Status.DITERIMA],
    );
    const { rows } = await db.query("select action, resource from audit");
    assert.deepEqual(rows, [
      { action: "lampid.integrasi.v1.PengirimanService/RetryPengiriman", resource: name },
    ]);
    await assertRefused(client.retryPengiriman({ name }, pusat), "FailedPrecondition", "PENGIRIMAN_ACCEPTED");
  });

  test("holds up no later change of the same resident", async () => {
    const one = resident();
    const [first, second] = [birth([one]), birth([one])];
    await consume([first, second]);
    answer = ({ id }) =>
      id === pendudukEventId(first.id, one.slice("penduduk/".length)) ? refused : accepted;
    startSender();
    await eventually(async () => (await list({ status: Status.DITERIMA })).length === 1);
    assert.equal((await list({ status: Status.DITOLAK })).length, 1);
  });

  test("is whoever the registry does not know", async () => {
    const one = resident();
    unknown.add(one);
    await consume([birth([one])]);
    startSender();
    await eventually(async () => (await list({ status: Status.DITOLAK })).length === 1);
    assert.equal((await list())[0]!.alasan, "PENDUDUK_NOT_FOUND");
  });
});

describe("people", () => {
  test("page through it by what they filter, and a token is good for its filter alone", async () => {
    await consume(Array.from({ length: 5 }, () => birth([resident()])));
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await client.listPengiriman({ pageSize: 2, pageToken }, pusat);
      seen.push(...page.pengiriman.map(({ name }) => name));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    assert.deepEqual(
      seen,
      (await list()).map(({ name }) => name),
    );
    const { nextPageToken } = await client.listPengiriman({ pageSize: 2 }, pusat);
    await assertRefused(
      client.listPengiriman({ pageToken: nextPageToken, status: Status.DITOLAK }, pusat),
      "InvalidArgument",
    );
  });

  test("other than admin_pusat are turned away, and what is not there is not found", async () => {
    await assertRefused(client.listPengiriman({}, as("admin_kota", "32.01")), "PermissionDenied");
    const name = `pengiriman/${randomUUID()}`;
    await assertRefused(client.getPengiriman({ name }, pusat), "NotFound");
    await assertRefused(client.retryPengiriman({ name }, pusat), "NotFound");
  });
});

describe("the queue", () => {
  test("is measured by system: what waits and since when, and what was refused", async () => {
    await consume([birth([resident()]), birth([resident()])], ["dukcapil", "siak"]);
    const [one] = await store.due("siak", new Date(), 1);
    await store.record([{ id: one!.id, kind: "ditolak", alasan: "HTTP 422" }], new Date());
    const figures = await store.measure();
    assert.deepEqual(
      figures.map(({ sistem, menunggu, ditolak }) => [sistem, menunggu, ditolak]),
      [
        ["dukcapil", 2, 0],
        ["siak", 1, 1],
      ],
    );
    for (const { tertua } of figures) assert.ok(tertua && Date.now() - tertua.getTime() < 60_000);
  });

  test("forgets what was accepted long ago, but for reports", async () => {
    await consume([event(PendudukTerdaftarSchema, { penduduk: resident() }), birth([resident()])]);
    for (const { id } of await store.due("dukcapil", new Date(), 10)) {
      await store.record([{ id, kind: "diterima" }], new Date());
    }
    await store.forget(new Date(Date.now() - 60_000));
    assert.equal((await list()).length, 2);
    await store.forget(new Date(Date.now() + 60_000));
    assert.deepEqual(
      (await list()).map(({ jenis }) => jenis),
      [Jenis.KELAHIRAN],
    );
  });

  test("finds what is due by its index, though it has just grown and nobody has analyzed it", async () => {
    const penduduk = Array.from({ length: 20_000 }, () => randomUUID());
    const card = { jenis: "kartu_keluarga", laporan: "", waktu: new Date(), traceparent: TRACE } as const;
    await store.enqueue([{ ...card, peristiwa: randomUUID(), penduduk }], ["dukcapil"], new Date());
    const startedAt = performance.now();
    for (let n = 0; n < 20; n++) assert.equal((await store.due("dukcapil", new Date(), 100)).length, 100);
    const ms = (performance.now() - startedAt) / 20;
    assert.ok(ms < 20, `${ms.toFixed(1)} ms a look`);
  });
});
