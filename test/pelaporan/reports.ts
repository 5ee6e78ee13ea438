// Reports as their tests use them: a database, the service over it, forms, and a look at what was committed.
import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import {
  Pindah_AlasanPindah as AlasanPindah,
  type IsiLaporanSchema,
  Pindah_Klasifikasi as Klasifikasi,
  Kelahiran_Penolong as Penolong,
  Kematian_Sebab as Sebab,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import { PelaporanService } from "#gen/lampid/pelaporan/v1/pelaporan_service_pb.ts";
import { Penduduk_JenisKelamin as JenisKelamin } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { openFeed } from "../../services/pelaporan/feed.ts";
import { postgresFeedStore } from "../../services/pelaporan/postgres-feed.ts";
import { postgresLayananStore } from "../../services/pelaporan/postgres-layanan-store.ts";
import { postgresLaporanStore } from "../../services/pelaporan/postgres-store.ts";
import { pelaporanService } from "../../services/pelaporan/service.ts";
import type { LaporanStore } from "../../services/pelaporan/store.ts";
import { as, type ComponentOptions, componentClient } from "../harness/component.ts";
import { createTestDatabase } from "../harness/database.ts";

/** What the clock says first: 20 November 2026, 10:00 in Jakarta. */
export const NOW = new Date("2026-11-20T03:00:00Z");

export const KELURAHAN = "32.01.01.1006";
export const operator = as("operator", KELURAHAN);
export const supervisor = as("supervisor", "32.01.01");
export const kota = as("admin_kota", "32.01");
export const pusat = as("admin_pusat", "ID");

export type Reports = Awaited<ReturnType<typeof openReports>>;

export type ReportsOptions = ComponentOptions & { onCommanded?: () => void };

export async function openReports({ onCommanded = () => {}, ...options }: ReportsOptions = {}) {
  const database = await createTestDatabase("pelaporan");
  const db = openDatabase({ url: database.url, name: "test", log: createLogger("test", "silent") });
  const wilayah = loadWilayah();
  let now = NOW.getTime();
  const end = new AbortController();
  const serviceOn = (
    sql: Database,
    change: (store: LaporanStore) => LaporanStore = (store) => store,
  ): ServiceImpl<typeof PelaporanService> =>
    pelaporanService({
      store: change(postgresLaporanStore(sql)),
      feed: openFeed({ store: postgresFeedStore(sql), end: end.signal, pollMs: 20, maxWatchers: 8 }),
      wilayah,
      clock: () => new Date(now),
      onCommanded,
      layanan: postgresLayananStore(sql),
    });
  const client = await componentClient(PelaporanService, serviceOn(db), options);

  return {
    db,
    client,
    /** A client of another process over the same database. */
    openReplica: (change?: (store: LaporanStore) => LaporanStore) =>
      componentClient(PelaporanService, serviceOn(db, change), options),
    /** Moves the clock on, and says what it says then. */
    pass(minutes: number): Date {
      now += minutes * 60_000;
      return new Date(now);
    },
    submit: (over: Partial<Submission> = {}, who = operator) => client.submitLaporan(submission(over), who),
    /** Rows of events, contents, states, outbox, audit and kept answers. */
    async counts() {
      const tables = ["peristiwa", "isi_laporan", "laporan", "outbox", "audit", "idempotency"];
      const { rows } = await db.query(
        `select ${tables.map((name) => `(select count(*)::int from ${name}) as ${name}`).join(", ")}`,
      );
      return rows[0] as Record<string, number>;
    },
    async close() {
      end.abort();
      await db.close();
      await database.drop();
    },
  };
}

export type Isi = MessageInitShape<typeof IsiLaporanSchema>;
type Submission = { requestId: string; kodeWilayah: string; isi: Isi };

export function submission(over: Partial<Submission> = {}): Submission {
  return { requestId: randomUUID(), kodeWilayah: KELURAHAN, isi: kelahiran(), ...over };
}

/** What a transition of this report needs, as it was last seen. */
export function on(laporan: { name: string; etag: string } | undefined) {
  return { requestId: randomUUID(), name: laporan!.name, etag: laporan!.etag };
}

export const pelapor = {
  nik: "3201010101800009",
  nama: "Budi Santoso",
  telepon: "+628111222333",
  email: "budi@contoh.example",
};

/** Births of another mother each, deaths of another person each: or the second would be like the first. */
let persons = 0;

export function kelahiran(over: object = {}): Isi {
  return {
    pelapor,
    formulir: {
      case: "kelahiran",
      value: {
        nama: "Dewi Lestari",
        jenisKelamin: JenisKelamin.PEREMPUAN,
        tempatLahir: "Bogor",
        tanggalLahir: "2026-11-15",
        beratGram: 3_100,
        panjangCm: 49,
        urutan: 1,
        nikIbu: `320101410190${String(++persons).padStart(4, "0")}`,
        namaIbu: "Siti Aminah",
        nikAyah: "3201010101880001",
        nomorKk: "3201010101200001",
        saksi: [
          { nik: "3201010101700001", nama: "Ali" },
          { nik: "3201010101700002", nama: "Umar" },
        ],
        penolong: Penolong.BIDAN_PERAWAT,
        ...over,
      },
    },
    lampiran: [
      {
        judul: "Surat keterangan lahir",
        rujukan: `lampiran/${"0".repeat(8)}-0000-0000-0000-${"0".repeat(12)}`,
        sha256: "ab".repeat(32),
      },
    ],
  };
}

export function datang(nomorSkpwni: string): Isi {
  return {
    pelapor,
    formulir: {
      case: "datang",
      value: {
        asal: { case: "nomorSkpwni", value: nomorSkpwni },
        tujuan: { case: "nomorKk", value: "3201010101200001" },
      },
    },
  };
}

export function kematian(over: object = {}): Isi {
  return {
    pelapor,
    formulir: {
      case: "kematian",
      value: {
        nik: `320101010150${String(++persons).padStart(4, "0")}`,
        tanggalKematian: "2026-11-18",
        tempatKematian: "Cibinong",
        sebab: Sebab.SAKIT_ATAU_TUA,
        saksi: { nik: "3201010101700001", nama: "Ali" },
        ...over,
      },
    },
  };
}

/** Into another kabupaten, so by way of transit. */
export function pindah(over: object = {}): Isi {
  return {
    pelapor,
    formulir: {
      case: "pindah",
      value: {
        nomorKk: `320101010120${String(++persons).padStart(4, "0")}`,
        kodeWilayahTujuan: "32.04.05.2001",
        alamatTujuan: "Jalan Melati 5",
        klasifikasi: Klasifikasi.ANTAR_KABUPATEN,
        alasan: AlasanPindah.PEKERJAAN,
        ...over,
      },
    },
  };
}
