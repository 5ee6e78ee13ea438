// Families and reports for tests of what approved reports do to the registry.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type {
  DatangSchema,
  IsiLaporanSchema,
  KelahiranSchema,
  PindahSchema,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import type { KartuKeluarga } from "#gen/lampid/penduduk/v1/kartu_keluarga_pb.ts";
import {
  Penduduk_JenisKelamin as JenisKelamin,
  type Penduduk,
  Penduduk_Shdk as Shdk,
  Penduduk_StatusPerkawinan as StatusPerkawinan,
} from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { type Hasil, Mutasi_Komponen as Komponen } from "#gen/lampid/peristiwa/v1/peristiwa_pb.ts";
import type { ApplyPeristiwaRequestSchema } from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";
import { as } from "../harness/component.ts";
import { freshNik, NOW, pusat, type Registry } from "./registry.ts";

export const pelaporan = as("service", "ID");
export const KELURAHAN = "32.01.01.1006";
/** Another kelurahan of the kecamatan, another kecamatan of the kabupaten, another kabupaten, another province. */
export const SEBELAH = "32.01.01.1007";
export const KECAMATAN_LAIN = "32.01.02.2001";
export const KABUPATEN_LAIN = "32.02.01.2002";
export const PROVINSI_LAIN = "33.01.01.2001";

export type Anggota = { shdk: Shdk; lahir?: string; sex?: "L" | "P"; kawin?: StatusPerkawinan };
export const ayah: Anggota = {
  shdk: Shdk.KEPALA_KELUARGA,
  lahir: "1985-03-02",
  kawin: StatusPerkawinan.KAWIN,
};
export const ibu: Anggota = {
  shdk: Shdk.ISTRI,
  lahir: "1988-07-09",
  sex: "P",
  kawin: StatusPerkawinan.KAWIN,
};
export const anak: Anggota = { shdk: Shdk.ANAK, lahir: "2015-01-20", sex: "P" };

export type Family = { card: KartuKeluarga; nomorKk: string; members: Penduduk[] };

export async function openFamily(
  { client }: Registry,
  members: readonly Anggota[],
  kodeWilayah = KELURAHAN,
): Promise<Family> {
  const people: Penduduk[] = [];
  for (const { lahir = "1990-01-01", sex = "L", kawin = StatusPerkawinan.BELUM_KAWIN } of members) {
    const [year, month, day] = lahir.split("-") as [string, string, string];
    const dd = String(Number(day) + (sex === "P" ? 40 : 0)).padStart(2, "0");
    const { penduduk } = await client.registerPenduduk(
      {
        nik: freshNik(`320101${dd}${month}${year.slice(2)}`),
        nama: sex === "P" ? "Siti Aminah" : "Budi Santoso",
        alamat: "Jl. Merdeka No. 1",
        rt: "001",
        rw: "002",
        kodeWilayah,
        tanggalLahir: lahir,
        statusPerkawinan: kawin,
        agama: 1,
      },
      pusat,
    );
    people.push(penduduk!);
  }
  const { kartuKeluarga: card } = await client.createKartuKeluarga(
    {
      kodeWilayah,
      alamat: "Jl. Merdeka No. 1",
      anggota: people.map(({ nik }, n) => ({ nik, shdk: members[n]!.shdk })),
    },
    pusat,
  );
  return { card: card!, nomorKk: card!.nomorKk, members: people };
}

type Request = MessageInitShape<typeof ApplyPeristiwaRequestSchema>;
type Perintah = NonNullable<Request["perintah"]>;
/** A request as its fields: what a test changes in it is another request. */
type Fields = {
  peristiwa: string;
  laporan: string;
  kodeWilayah: string;
  pelaku: string;
  waktu: Timestamp;
  perintah: Perintah;
  validateOnly?: boolean;
  terlambat?: boolean;
};
export type Isi = MessageInitShape<typeof IsiLaporanSchema>;

export const pelapor = { nik: "3201010101800099", nama: "Pak RT" };
const saksi = { nik: "3201010101800098", nama: "Pak Lurah" };

export function kelahiran(nomorKk: string, over: MessageInitShape<typeof KelahiranSchema> = {}): Isi {
  return {
    pelapor,
    formulir: {
      case: "kelahiran",
      value: {
        nama: "Putri Ayu",
        jenisKelamin: JenisKelamin.PEREMPUAN,
        tempatLahir: "Bogor",
        tanggalLahir: "2026-11-10",
        beratGram: 3_100,
        panjangCm: 49,
        urutan: 1,
        nikIbu: "",
        nikAyah: "",
        ibuTidakDiketahui: true,
        nomorKk,
        saksi: [saksi, pelapor],
        penolong: 2,
        ...over,
      },
    },
  };
}

export function kematian(nik: string, tanggalKematian = "2026-11-18"): Isi {
  return {
    pelapor,
    formulir: { case: "kematian", value: { nik, tanggalKematian, tempatKematian: "Bogor", sebab: 1, saksi } },
  };
}

export function pindah(
  nomorKk: string,
  kodeWilayahTujuan: string,
  over: MessageInitShape<typeof PindahSchema> = {},
): Isi {
  const luarNegeri = kodeWilayahTujuan === "";
  return {
    pelapor,
    formulir: {
      case: "pindah",
      value: {
        nomorKk,
        kodeWilayahTujuan,
        negaraTujuan: luarNegeri ? "MY" : "",
        alamatTujuan: "Jl. Baru No. 7",
        klasifikasi: luarNegeri ? 6 : 4,
        alasan: 1,
        ...over,
      },
    },
  };
}

export function datang(
  asal: MessageInitShape<typeof DatangSchema>["asal"],
  tujuan: MessageInitShape<typeof DatangSchema>["tujuan"],
): Isi {
  return {
    pelapor,
    formulir: { case: "datang", value: { ...(asal && { asal }), ...(tujuan && { tujuan }) } },
  };
}

export function requestOf(perintah: Perintah, over: Partial<Fields> = {}): Fields {
  const fields = {
    peristiwa: randomUUID(),
    laporan: `laporan/${randomUUID()}`,
    kodeWilayah: KELURAHAN,
    pelaku: "admin-bogor",
    waktu: timestampFromDate(NOW),
    perintah,
  };
  return { ...fields, ...over };
}

/** What took effect, and the report it is of. */
export type Applied = Hasil & { laporan: string };

export async function apply(
  { peristiwa }: Registry,
  perintah: Perintah,
  over: Partial<Fields> = {},
): Promise<Applied> {
  const request = requestOf(perintah, over);
  const { hasil } = await peristiwa.applyPeristiwa(request, pelaporan);
  return { ...hasil!, laporan: request.laporan };
}

export function sahkan(registry: Registry, isi: Isi, over: Partial<Fields> = {}): Promise<Applied> {
  return apply(registry, { case: "pengesahan", value: isi }, over);
}

const NAMES = Object.fromEntries(Object.entries(Komponen).map(([name, number]) => [number, name]));

/** Lines of the ledger as short texts: "32.01.01.1006 LAHIR 1". */
export function ledger({ mutasi }: Pick<Hasil, "mutasi">): string[] {
  return mutasi.map(({ kodeWilayah, komponen, jumlah }) => `${kodeWilayah} ${NAMES[komponen]} ${jumlah}`);
}

export async function read({ client }: Registry, { name }: { name: string }): Promise<Penduduk> {
  return (await client.getPenduduk({ name }, pusat)).penduduk!;
}

export async function readCard({ client }: Registry, nomorKk: string): Promise<KartuKeluarga> {
  const { kartuKeluarga } = await client.getKartuKeluarga(
    { kunci: { case: "nomorKk", value: nomorKk } },
    pusat,
  );
  return kartuKeluarga!;
}

/** Relations of the members of a card, by resource name. */
export async function relations(registry: Registry, nomorKk: string): Promise<Record<string, Shdk>> {
  const { anggota } = await readCard(registry, nomorKk);
  return Object.fromEntries(anggota.map(({ penduduk, shdk }) => [penduduk, shdk]));
}

export async function counted({ peristiwa }: Registry) {
  const { wilayah, dalamPerpindahan } = await peristiwa.countPenduduk({}, pelaporan);
  return {
    wilayah: new Map(wilayah.map(({ kodeWilayah, jumlah }) => [kodeWilayah, jumlah])),
    dalamPerpindahan,
  };
}

/** Fails unless what the effect says it did to the ledger is what it did to the residents. */
export async function assertLedger(registry: Registry, work: () => Promise<Hasil>): Promise<Hasil> {
  const before = await counted(registry);
  const hasil = await work();
  const after = await counted(registry);
  const expected = new Map(before.wilayah);
  for (const { kodeWilayah, komponen, jumlah } of hasil.mutasi) {
    const isTakenAway = komponen === Komponen.MATI || komponen === Komponen.PINDAH;
    expected.set(kodeWilayah, (expected.get(kodeWilayah) ?? 0) + (isTakenAway ? -jumlah : jumlah));
  }
  const positive = [...expected].filter(([, jumlah]) => jumlah !== 0).sort();
  assert.deepEqual([...after.wilayah].sort(), positive);
  assert.equal(after.dalamPerpindahan, before.dalamPerpindahan + hasil.dalamPerpindahan);
  return hasil;
}
