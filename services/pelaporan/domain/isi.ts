// What a report says: what must agree with what, and whether it comes late.
import { checkKontak, type Kontak } from "./kanal.ts";
import type { JenisLaporan } from "./laporan.ts";
import type { Violation } from "./penolakan.ts";

type Orang = { nik: string };

export type Kelahiran = {
  tanggalLahir: string;
  ibuTidakDiketahui: boolean;
  nikIbu: string;
  namaIbu: string;
  nikAyah: string;
  saksi: readonly Orang[];
};

export type Kematian = { nik: string; tanggalKematian: string; saksi?: Orang };

export type Pindah = {
  kodeWilayahTujuan: string;
  negaraTujuan: string;
  /** Number of the contract's enum; see {@link KLASIFIKASI}. */
  klasifikasi: number;
};

/** The part of a report that is judged here; the contract's message has all of it. */
export type Isi = {
  formulir:
    | { case: "kelahiran"; value: Kelahiran }
    | { case: "kematian"; value: Kematian }
    | { case: "pindah"; value: Pindah }
    | { case: "datang"; value: object }
    | { case: undefined };
  pelapor?: Orang & Kontak;
};

/** Numbers of the contract's enum Pindah.Klasifikasi. */
export const KLASIFIKASI = {
  dalamDesa: 1,
  antarDesa: 2,
  antarKecamatan: 3,
  antarKabupaten: 4,
  antarProvinsi: 5,
  luarNegeri: 6,
} as const;

/** The part of the wilayah list that the domain asks. */
export type Wilayah = { has: (kode: string) => boolean };

/** Days after the event within which it is to be reported (UU 23/2006 art. 27 and 44). Moves have no such deadline. */
const TENGGAT_HARI: Partial<Record<JenisLaporan, number>> = { kelahiran: 60, kematian: 30 };

export function jenisOf(isi: Isi): JenisLaporan {
  if (isi.formulir.case === undefined) throw new Error("a report has a form: the contract says so");
  return isi.formulir.case;
}

/** @param today civil date, ISO 8601. */
export function checkIsi(isi: Isi, kodeWilayah: string, wilayah: Wilayah, today: string): Violation[] {
  const { formulir, pelapor } = isi;
  const found = pelapor ? checkKontak(pelapor) : [];
  const violate = (field: string, reason: string, description: string) =>
    found.push({ field: `isi.${formulir.case}.${field}`, reason, description });
  const checkDate = (field: string, date: string) => {
    if (!isRealDate(date)) violate(field, "DATE", "is not a date of the calendar");
    else if (date > today) violate(field, "DATE_FUTURE", "lies in the future");
  };

  switch (formulir.case) {
    case "kelahiran": {
      const { tanggalLahir, ibuTidakDiketahui, nikIbu, namaIbu, nikAyah, saksi } = formulir.value;
      checkDate("tanggal_lahir", tanggalLahir);
      const mother = [
        ["nik_ibu", nikIbu],
        ["nama_ibu", namaIbu.trim()],
      ] as const;
      for (const [field, value] of mother) {
        if (ibuTidakDiketahui && value !== "") violate(field, "FOUNDLING", "must be empty of a foundling");
        if (!ibuTidakDiketahui && value === "") violate(field, "REQUIRED", "is required unless a foundling");
      }
      if (nikAyah !== "" && nikAyah === nikIbu) violate("nik_ayah", "SAME_PERSON", "is the mother's");
      if (saksi.length === 2 && saksi[0]?.nik === saksi[1]?.nik) {
        violate("saksi[1].nik", "SAME_PERSON", "is the other witness's");
      }
      return found;
    }
    case "kematian": {
      const { nik, tanggalKematian, saksi } = formulir.value;
      checkDate("tanggal_kematian", tanggalKematian);
      if (pelapor?.nik === nik) violate("nik", "SAME_PERSON", "is the reporter's");
      if (saksi?.nik === nik) violate("saksi.nik", "SAME_PERSON", "is the deceased's");
      return found;
    }
    case "pindah": {
      const { klasifikasi, kodeWilayahTujuan: tujuan, negaraTujuan } = formulir.value;
      const isAbroad = klasifikasi === KLASIFIKASI.luarNegeri;
      if (isAbroad) {
        if (tujuan !== "") violate("kode_wilayah_tujuan", "ABROAD", "must be empty of a move abroad");
        if (negaraTujuan === "") violate("negara_tujuan", "REQUIRED", "is required of a move abroad");
        return found;
      }
      if (negaraTujuan !== "") violate("negara_tujuan", "ABROAD", "is for a move abroad only");
      if (!wilayah.has(tujuan)) {
        violate("kode_wilayah_tujuan", "WILAYAH_UNKNOWN", "is in no list of wilayah");
      } else if (klasifikasi !== klasifikasiOf(kodeWilayah, tujuan)) {
        violate("klasifikasi", "KLASIFIKASI", "does not agree with origin and destination");
      }
      return found;
    }
    case "datang":
    case undefined:
      return found;
    default:
      return formulir satisfies never;
  }
}

/** How far a move between two kelurahan goes. */
export function klasifikasiOf(asal: string, tujuan: string): number {
  if (asal === tujuan) return KLASIFIKASI.dalamDesa;
  if (asal.slice(0, 8) === tujuan.slice(0, 8)) return KLASIFIKASI.antarDesa;
  if (asal.slice(0, 5) === tujuan.slice(0, 5)) return KLASIFIKASI.antarKecamatan;
  if (asal.slice(0, 2) === tujuan.slice(0, 2)) return KLASIFIKASI.antarKabupaten;
  return KLASIFIKASI.antarProvinsi;
}

/** Whether what was reported on `tanggal` (civil date) comes after its deadline. The last day is in time. */
export function isTerlambat(isi: Isi, tanggal: string): boolean {
  const { formulir } = isi;
  const happened =
    formulir.case === "kelahiran"
      ? formulir.value.tanggalLahir
      : formulir.case === "kematian"
        ? formulir.value.tanggalKematian
        : undefined;
  const deadline = TENGGAT_HARI[jenisOf(isi)];
  return happened !== undefined && deadline !== undefined && daysBetween(happened, tanggal) > deadline;
}

const DAY_MS = 86_400_000;

function daysBetween(from: string, to: string): number {
  return (Date.parse(to) - Date.parse(from)) / DAY_MS;
}

/** Whether an ISO 8601 date exists in the calendar. */
function isRealDate(date: string): boolean {
  const time = Date.parse(date);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(date);
}
