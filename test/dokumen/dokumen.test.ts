// Documents over a real PostgreSQL: issued and revoked by events, once, and read, verified and revoked by calls.
import assert from "node:assert/strict";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { Dokumen_Jenis as Jenis, Dokumen_Status as Status } from "#gen/lampid/dokumen/v1/dokumen_pb.ts";
import {
  DokumenService,
  VerifyDokumenResponse_Hasil as Hasil,
} from "#gen/lampid/dokumen/v1/dokumen_service_pb.ts";
import {
  type EfekSchema,
  type IsiLaporan,
  IsiLaporanSchema,
  Laporan_Jenis as LaporanJenis,
  Efek_Perintah as Perintah,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import {
  LaporanBerlakuSchema,
  LaporanDicabutSchema,
  LaporanDisahkanSchema,
  PerpindahanDibatalkanSchema,
  PerpindahanKedaluwarsaSchema,
} from "#gen/lampid/pelaporan/v1/pelaporan_events_pb.ts";
import { GetIsiLaporanResponseSchema } from "#gen/lampid/pelaporan/v1/pelaporan_internal_service_pb.ts";
import { Penduduk_JenisKelamin as JenisKelamin } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { GetPendudukResponseSchema } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { isAway, issueDokumen } from "../../services/dokumen/consumer.ts";
import type { Kunci } from "../../services/dokumen/kunci.ts";
import { publicPart } from "../../services/dokumen/kunci.ts";
import { type Pernyataan, sidikOf, signWith, verifyWith } from "../../services/dokumen/pernyataan.ts";
import { postgresDokumenStore } from "../../services/dokumen/postgres-store.ts";
import { renderPdf } from "../../services/dokumen/render.ts";
import { dokumenService } from "../../services/dokumen/service.ts";
import type { DokumenStore } from "../../services/dokumen/store.ts";
import { bahanOf } from "../../services/dokumen/sumber.ts";
import { as, assertRefused, assertViolations, componentClient } from "../harness/component.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";

const NOW = new Date("2026-11-20T03:00:00Z");
const KELURAHAN = "32.01.01.1006";
const LAPORAN = "laporan/01a1f893-eb73-7441-9801-f5e243fe757a";
const NOMOR_AKTA = "3201-LU-20112026-0001";
const kota = as("admin_kota", "32.01");
const operator = as("operator", KELURAHAN);

const { x, d } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
const penanda: Kunci["penanda"] = {
  ...publicPart({ kty: "OKP", crv: "Ed25519", x, kid: "2026" }),
  d: d!,
};
const publik = [publicPart(penanda)];
const sign = await signWith({ penanda });
const verify = verifyWith(publik);

/** What the registry knows. */
const PENDUDUK: Readonly<Record<string, { nik: string; nama: string }>> = {
  "penduduk/umar": { nik: "3201010101500001", nama: "Umar Hadi" },
  "penduduk/siti": { nik: "3201014101520002", nama: "Siti Aminah" },
  "penduduk/ali": { nik: "3201010101800003", nama: "Ali Rahman" },
};

let database: TestDatabase;
let db: Database;
let store: DokumenStore;
let client: Client<typeof DokumenService>;
let handle: (events: readonly BusEvent[]) => Promise<void>;
/** What pelaporan says of the report; how often it was asked. */
let isi: IsiLaporan;
let asked = 0;
let isAwayNow = false;

const pelaporan = {
  async getIsiLaporan() {
    asked++;
    if (isAwayNow) throw new ConnectError("away", Code.Unavailable);
    return create(GetIsiLaporanResponseSchema, { isi });
  },
};
const penduduk = {
  getPenduduk: async ({ name = "" }) =>
    create(GetPendudukResponseSchema, { penduduk: { name, ...PENDUDUK[name] } }),
};
const bahan = bahanOf({ pelaporan, penduduk, wilayah: loadWilayah() });

before(async () => {
  database = await createTestDatabase("dokumen");
  db = openDatabase({ url: database.url, name: "test", log: createLogger("test", "silent") });
  store = postgresDokumenStore(db);
  handle = issueDokumen({ store, bahan, sign });
  client = await componentClient(
    DokumenService,
    dokumenService({ store, keys: publik, verify, render: renderPdf, clock: () => NOW }),
  );
});
beforeEach(async () => {
  await db.query("truncate dokumen, jejak, inbox, idempotency");
  isi = kelahiran();
  asked = 0;
  isAwayNow = false;
});
after(async () => {
  await db.close();
  await database.drop();
});

const kelahiran = (over: object = {}) =>
  create(IsiLaporanSchema, {
    formulir: {
      case: "kelahiran",
      value: {
        nama: "Dewi Lestari",
        jenisKelamin: JenisKelamin.PEREMPUAN,
        tempatLahir: "Bogor",
        tanggalLahir: "2026-11-15",
        urutan: 1,
        nikIbu: "3201014101900001",
        namaIbu: "Siti Aminah",
        nomorKk: "3201010101200001",
        ...over,
      },
    },
  });
const kematian = () =>
  create(IsiLaporanSchema, {
    formulir: {
      case: "kematian",
      value: { nik: "3201010101500001", tanggalKematian: "2026-11-18", tempatKematian: "RSUD Cibinong" },
    },
  });
const pindah = (over: object = {}) =>
  create(IsiLaporanSchema, {
    formulir: { case: "pindah", value: { kodeWilayahTujuan: "32.04.05.2001", nik: [], ...over } },
  });

const perubahanAt = (versi: number, jenis = LaporanJenis.KELAHIRAN) => ({
  laporan: LAPORAN,
  nomor: "L-3201011006-20261120-0001",
  jenis,
  kodeWilayah: KELURAHAN,
  versi,
  pelaku: "kota-1",
  waktu: timestampFromDate(NOW),
});

function carried(type: string, data: Uint8Array): BusEvent {
  return {
    id: randomUUID(),
    source: "/lampid/pelaporan",
    type,
    subject: LAPORAN,
    key: LAPORAN,
    time: NOW.toISOString(),
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    data,
  };
}

type EfekInit = MessageInitShape<typeof EfekSchema>;

function berlaku(versi = 4, efek: Omit<EfekInit & object, "$typeName"> = {}): BusEvent {
  const message = create(LaporanBerlakuSchema, {
    perubahan: perubahanAt(versi),
    efek: {
      perintah: Perintah.PENGESAHAN,
      nomorAkta: NOMOR_AKTA,
      nikTersamar: "320101********01",
      penduduk: ["penduduk/baru"],
      ...efek,
    },
  });
  return carried(LaporanBerlakuSchema.typeName, toBinary(LaporanBerlakuSchema, message));
}

function announced(schema: { typeName: string }, versi: number): BusEvent {
  const message = create(LaporanDicabutSchema, { perubahan: perubahanAt(versi) });
  return carried(schema.typeName, toBinary(LaporanDicabutSchema, message));
}

const list = async () => (await client.listDokumen({ laporan: LAPORAN }, kota)).dokumen;
async function issued() {
  await handle([berlaku()]);
  return (await list())[0]!;
}

describe("a report that took effect", () => {
  test("has a document with a signed statement, for the hash of what is printed", async () => {
    const dokumen = await issued();
    assert.deepEqual(
      [dokumen.jenis, dokumen.status, dokumen.nomor, dokumen.laporan, dokumen.kodeWilayah, dokumen.etag],
      [Jenis.KUTIPAN_AKTA_KELAHIRAN, Status.BERLAKU, NOMOR_AKTA, LAPORAN, KELURAHAN, "1"],
    );
    const stated = await verify(dokumen.pernyataan);
    const record = (await store.find(dokumen.name.slice("dokumen/".length)))!;
    assert.equal(stated!.sidik, sidikOf(record.jenis, record.nomor, record.fakta));
    assert.deepEqual(Object.fromEntries(record.fakta.baris), {
      Nama: "Dewi Lestari",
      NIK: "320101********01",
      "Jenis kelamin": "Perempuan",
      "Tempat lahir": "Bogor",
      "Tanggal lahir": "15 November 2026",
      "Anak ke": "1",
      "Nama ibu": "Siti Aminah",
    });
    assert.match(record.fakta.instansi, /Bogor/);
  });

  test("has it once, however often the event comes, and nothing personal is read again", async () => {
    const event = berlaku();
    await handle([event, event]);
    await Promise.all([handle([event]), handle([event])]);
    assert.equal((await list()).length, 1);
    assert.equal(asked, 1);
  });

  test("of which two processes hear at once has it once", async () => {
    const event = berlaku();
    await Promise.all(Array.from({ length: 8 }, () => handle([event])));
    assert.equal((await list()).length, 1);
  });

  test("waits while nobody can say what it said, and is no poisoned event", async () => {
    isAwayNow = true;
    const event = berlaku();
    await assert.rejects(handle([event]), isAway);
    isAwayNow = false;
    await handle([event]);
    assert.equal((await list()).length, 1);
  });

  test("by a death names the deceased, and none of the others whom it changed", async () => {
    isi = kematian();
    await handle([berlaku(4, { penduduk: ["penduduk/siti", "penduduk/umar"] })]);
    const [dokumen] = await list();
    assert.equal(dokumen!.jenis, Jenis.KUTIPAN_AKTA_KEMATIAN);
    const text = JSON.stringify(await db.query("select fakta from dokumen").then(({ rows }) => rows));
    assert.ok(text.includes("Umar Hadi") && !text.includes("Siti"));
    assert.ok(!/\d{16}/.test(text), "no full NIK is kept");
  });

  test("by a move names who moves: those of the form, or the whole family", async () => {
    const efek = {
      nomorAkta: "",
      nomorSuratPindah: "SKPWNI/3201/20112026/0001",
      penduduk: ["penduduk/siti", "penduduk/ali"],
    };
    isi = pindah();
    await handle([berlaku(4, efek)]);
    await db.query("update jejak set laporan = 'another'; update dokumen set laporan = 'another'");
    isi = pindah({ nik: [PENDUDUK["penduduk/ali"]!.nik], kodeWilayahTujuan: "", negaraTujuan: "MY" });
    await handle([berlaku(4, efek)]);
    const { rows } = await db.query("select jenis, fakta from dokumen order by id");
    assert.deepEqual(
      rows.map(({ jenis }) => jenis),
      [Jenis.SKPWNI, Jenis.SKPLN],
    );
    const [family, one] = rows.map(({ fakta }) => fakta[1] as [string, string][]);
    assert.deepEqual(family!.slice(2), [
      ["Jumlah yang pindah", "2"],
      ["1.", "Siti Aminah (320101********02)"],
      ["2.", "Ali Rahman (320101********03)"],
    ]);
    assert.match(family![1]![1], /^32\.04\.05\.2001 \(.+, .*Bandung.*, Jawa Barat\)$/);
    assert.deepEqual(one!.slice(1), [
      ["Tujuan", "Malaysia"],
      ["Jumlah yang pindah", "1"],
      ["1.", "Ali Rahman (320101********03)"],
    ]);
  });

  test("without a number, as a move within one kota, has no document", async () => {
    isi = pindah();
    await handle([berlaku(4, { nomorAkta: "" })]);
    await handle([announced(LaporanDisahkanSchema, 3)]);
    assert.deepEqual(await list(), []);
    assert.equal(asked, 0);
  });

  test("that was corrected has a new document in place of the old", async () => {
    const first = await issued();
    isi = kelahiran({ nama: "Dewi Lestari Putri" });
    await handle([berlaku(6, { perintah: Perintah.PEMBETULAN })]);
    const [old, corrected] = await list();
    assert.deepEqual(
      [old!.name, old!.status, old!.alasan],
      [first.name, Status.DICABUT, "Laporan dibetulkan"],
    );
    assert.deepEqual([corrected!.status, corrected!.nomor], [Status.BERLAKU, NOMOR_AKTA]);
  });

  test("that was corrected is of the same persons, also where the registry changed nobody by it", async () => {
    isi = kematian();
    await handle([berlaku(4, { penduduk: ["penduduk/umar"] })]);
    if (isi.formulir.case === "kematian") isi.formulir.value.tempatKematian = "Rumah";
    await handle([berlaku(6, { perintah: Perintah.PEMBETULAN, penduduk: [] })]);
    const { rows } = await db.query("select fakta from dokumen where status = 1");
    assert.deepEqual(Object.fromEntries(rows[0].fakta[1]), {
      Nama: "Umar Hadi",
      NIK: "320101********01",
      "Tempat meninggal": "Rumah",
      "Tanggal meninggal": "18 November 2026",
    });
  });

  test("that is taken back has no good document, by whichever event", async () => {
    for (const back of [
      announced(LaporanDicabutSchema, 5),
      berlaku(5, { perintah: Perintah.PENCABUTAN }),
      berlaku(5, { perintah: Perintah.PENGEMBALIAN }),
    ]) {
      await db.query("truncate dokumen, jejak, inbox");
      await issued();
      await handle([back, back]);
      const [dokumen, ...others] = await list();
      assert.deepEqual([dokumen!.status, dokumen!.etag, others.length], [Status.DICABUT, "2", 0]);
    }
  });

  test("of a move that is called off stays good until the registry has followed: they may have arrived", async () => {
    for (const called of [PerpindahanDibatalkanSchema, PerpindahanKedaluwarsaSchema]) {
      await db.query("truncate dokumen, jejak, inbox");
      await issued();
      await handle([announced(called, 5)]);
      assert.equal((await list())[0]!.status, Status.BERLAKU);
      await handle([berlaku(6, { perintah: Perintah.PENGEMBALIAN })]);
      assert.equal((await list())[0]!.status, Status.DICABUT);
    }
  });

  test("and was revoked does not come to life again by an event that was late", async () => {
    const late = berlaku();
    await handle([announced(LaporanDicabutSchema, 5)]);
    await handle([late]);
    assert.deepEqual(await list(), []);
  });

  test("leaves an audit row of who approved it", async () => {
    const { name } = await issued();
    const { rows } = await db.query(
      "select subject, role, action, wilayah, kolom from audit where resource = $1",
      [name],
    );
    const action = "lampid.pelaporan.v1.LaporanBerlaku";
    const kolom = ["Nama", "NIK", "Jenis kelamin", "Tempat lahir", "Tanggal lahir", "Anak ke", "Nama ibu"];
    assert.deepEqual(rows, [{ subject: "kota-1", role: "service", action, wilayah: KELURAHAN, kolom }]);
  });

  test("in words that cannot be read goes nowhere", async () => {
    await assert.rejects(handle([carried(LaporanBerlakuSchema.typeName, new Uint8Array())]));
    await assert.rejects(handle([berlaku(4, { perintah: Perintah.UNSPECIFIED })]));
    isi = kematian();
    await assert.rejects(handle([berlaku(4, { penduduk: ["penduduk/siti"] })]), /not the deceased/);
    assert.deepEqual(await list(), []);
  });
});

describe("a document", () => {
  test("is read by officers of its wilayah, without what it says of persons", async () => {
    const { name } = await issued();
    const { dokumen } = await client.getDokumen({ name }, operator);
    assert.equal(dokumen!.name, name);
    assert.ok(!JSON.stringify(dokumen, (_, each) => String(each)).includes("Dewi"));
    const elsewhere = as("operator", "32.01.02.2001");
    await assertRefused(client.getDokumen({ name }, elsewhere), "PermissionDenied", "WILAYAH_DENIED");
    await assertRefused(client.listDokumen({ laporan: LAPORAN }, elsewhere), "PermissionDenied");
    await assertRefused(client.downloadDokumen({ name }, as("auditor", "ID")), "PermissionDenied");
    await assertRefused(client.getDokumen({ name: `dokumen/${randomUUID()}` }, kota), "NotFound");
    await assertViolations(client.getDokumen({ name: "dokumen/1" }, kota), ["name"]);
  });

  test("is listed in pages that join", async () => {
    await issued();
    for (const versi of [5, 6, 7]) await handle([berlaku(versi, { perintah: Perintah.PEMBETULAN })]);
    const all = (await list()).map(({ name }) => name);
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await client.listDokumen({ laporan: LAPORAN, pageSize: 3, pageToken }, kota);
      seen.push(...page.dokumen.map(({ name }) => name));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    assert.equal(all.length, 4);
    assert.deepEqual(seen, all);
    const none = await client.listDokumen({ laporan: `laporan/${randomUUID()}` }, operator);
    assert.deepEqual(none.dokumen, []);
  });

  test("is downloaded as the same PDF each time, on record", async () => {
    const { name } = await issued();
    const [first, again] = [
      (await client.downloadDokumen({ name }, operator)).berkas!,
      (await client.downloadDokumen({ name }, kota)).berkas!,
    ];
    assert.equal(first.contentType, "application/pdf");
    assert.deepEqual(first.data, again.data);
    const { rows } = await db.query(
      "select subject, kolom from audit where resource = $1 and action like '%/DownloadDokumen' order by id",
      [name],
    );
    for (const { kolom } of rows) {
      assert.deepEqual(kolom.slice(0, 2), ["Nama", "NIK"]);
      assert.ok(!String(kolom).includes("Dewi"), "names of what it says, and not what it says");
    }
    assert.deepEqual(
      rows.map(({ subject }) => subject),
      [`operator-${KELURAHAN}`, "admin_kota-32.01"],
    );
  });

  test("is revoked by an admin of its kota, once, with a reason", async () => {
    const { name, etag } = await issued();
    const request = { requestId: randomUUID(), name, etag, alasan: "Dicetak dengan nama yang salah" };
    await assertRefused(client.revokeDokumen(request, operator), "PermissionDenied", "METHOD_DENIED");
    await assertRefused(client.revokeDokumen(request, as("admin_kota", "32.02")), "PermissionDenied");
    await assertRefused(client.revokeDokumen({ ...request, etag: "9" }, kota), "Aborted", "ETAG_MISMATCH");
    const { dokumen } = await client.revokeDokumen(request, kota);
    assert.deepEqual(
      [dokumen!.status, dokumen!.alasan, dokumen!.etag],
      [Status.DICABUT, request.alasan, "2"],
    );
    assert.deepEqual((await client.revokeDokumen(request, kota)).dokumen, dokumen, "the first answer again");
    const anew = { ...request, requestId: randomUUID(), etag: "2" };
    await assertRefused(client.revokeDokumen(anew, kota), "FailedPrecondition", "DOKUMEN_REVOKED");
    await assertRefused(client.downloadDokumen({ name }, kota), "FailedPrecondition", "DOKUMEN_REVOKED");
    await assertViolations(client.revokeDokumen({ ...anew, alasan: " " }, kota), ["alasan"]);
    const audits =
      "select count(*)::int as rows from audit where resource = $1 and action like '%/RevokeDokumen'";
    assert.equal((await db.query(audits, [name])).rows[0].rows, 1);
  });
});

describe("whoever holds a document", () => {
  test("learns without a token that it is good, or revoked, and nothing of persons", async () => {
    const { pernyataan, name, etag } = await issued();
    const good = await client.verifyDokumen({ pernyataan });
    assert.deepEqual(
      [good.hasil, good.jenis, good.nomor, good.nomorLaporan],
      [Hasil.BERLAKU, Jenis.KUTIPAN_AKTA_KELAHIRAN, NOMOR_AKTA, "L-3201011006-20261120-0001"],
    );
    assert.ok(good.terbitTime && !good.dicabutTime);
    assert.equal((await client.verifyDokumen({ pernyataan, name })).hasil, Hasil.BERLAKU);
    await client.revokeDokumen({ requestId: randomUUID(), name, etag, alasan: "Salah cetak" }, kota);
    const revoked = await client.verifyDokumen({ pernyataan });
    assert.equal(revoked.hasil, Hasil.DICABUT);
    assert.ok(revoked.dicabutTime);
    assert.ok(!JSON.stringify(revoked, (_, each) => String(each)).includes("Salah cetak"), "nor why");
  });

  test("learns of anything else that it is not known", async () => {
    const { pernyataan } = await issued();
    const stated = (await verify(pernyataan)) as Pernyataan;
    const never = await sign({ ...stated, id: randomUUID() });
    const altered = await sign({ ...stated, nomor: "3201-LU-20112026-9999" });
    const [header, claims] = pernyataan.split(".");
    for (const other of [never, altered, `${header}.${claims}.AAAA`, "a.b.c"]) {
      const answer = await client.verifyDokumen({ pernyataan: other });
      assert.deepEqual([answer.hasil, answer.nomor, answer.terbitTime], [Hasil.TIDAK_DIKENAL, "", undefined]);
    }
    const another = await client.verifyDokumen({ pernyataan, name: `dokumen/${randomUUID()}` });
    assert.equal(another.hasil, Hasil.TIDAK_DIKENAL);
    await assertViolations(client.verifyDokumen({ pernyataan: "" }), ["pernyataan"]);
  });

  test("gets the public keys, and no secret", async () => {
    const { keys } = await client.getKunci({});
    assert.deepEqual(keys.map(publicPart), publik);
    assert.ok(!JSON.stringify(keys).includes(penanda.d));
  });
});
