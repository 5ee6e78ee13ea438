// Reports that may tell of the same: what a report is found by, what of that counts, and how much.

import { KLASIFIKASI } from "./isi.ts";
import type { JenisLaporan } from "./laporan.ts";
import { bakukanNama } from "./nama.ts";

/** Which rule found it. */
export type Dasar = "kelahiran_ibu" | "kelahiran_temuan" | "kematian" | "pindah" | "datang";

/** Another report that may tell of the same. */
export type Temuan = {
  /** Its id. */
  laporan: string;
  nomor: string;
  jenis: JenisLaporan;
  /** 0 to 1; 1 is the same in all that is compared. */
  skor: number;
  dasar: Dasar;
};

/** A finding, and who has looked into it and found that it is another case. */
export type Kemiripan = Temuan & { disisihkan?: { oleh: string; alasan: string; waktu: Date } };

/** What a report can be found by; kept beside it, and nothing else of what it says. */
export type Jejak = {
  /** Rule and number, "ibu 3201014101900001": kept as a digest. */
  kunci: string;
  /** Of a birth. */
  lahir?: { tanggal: string; urutan: number; nama: string };
  /** Of a move: those who move are in transit between approval and arrival. */
  dalamPerjalanan?: boolean;
};

/** The part of a report that is compared; the contract's message has all of it. */
export type IsiDibandingkan = {
  formulir:
    | { case: "kelahiran"; value: { nikIbu: string; tanggalLahir: string; urutan: number; nama: string } }
    | { case: "kematian"; value: { nik: string } }
    | { case: "pindah"; value: { nomorKk: string; nik: readonly string[]; klasifikasi: number } }
    | {
        case: "datang";
        value: {
          asal:
            | { case: "nomorSkpwni"; value: string }
            | { case: "luarNegeri"; value: { nik: string } }
            | { case: undefined };
        };
      }
    | { case: undefined };
};

/** What a report is kept under. */
export function jejakOf({ formulir }: IsiDibandingkan, kodeWilayah: string): Jejak[] {
  switch (formulir.case) {
    case "kelahiran": {
      const { nikIbu, tanggalLahir: tanggal, urutan, nama } = formulir.value;
      const kunci = nikIbu === "" ? `temuan ${kodeWilayah}` : `ibu ${nikIbu}`;
      return [{ kunci, lahir: { tanggal, urutan, nama: bakukanNama(nama) } }];
    }
    case "kematian":
      return [{ kunci: `mati ${formulir.value.nik}` }];
    case "pindah": {
      const { nomorKk, nik, klasifikasi } = formulir.value;
      const dalamPerjalanan =
        klasifikasi === KLASIFIKASI.antarKabupaten || klasifikasi === KLASIFIKASI.antarProvinsi;
      const kunci =
        nik.length === 0
          ? [`pindah-kk ${nomorKk}`]
          : [...nik.map((one) => `pindah ${one}`), `pindah-dari ${nomorKk}`];
      return kunci.map((one) => ({ kunci: one, dalamPerjalanan }));
    }
    case "datang":
      return kunciDatang(formulir.value.asal).map((kunci) => ({ kunci }));
    case undefined:
      return [];
    default:
      return formulir satisfies never;
  }
}

/** What others are looked for under: for a move, those of the whole card besides, or of any of its members. */
export function kunciDicari(isi: IsiDibandingkan, kodeWilayah: string): string[] {
  const { formulir } = isi;
  const own = jejakOf(isi, kodeWilayah).map(({ kunci }) => kunci);
  if (formulir.case !== "pindah") return own;
  const { nomorKk, nik } = formulir.value;
  // Two who leave one card one by one are no double: only the card as a whole has both.
  return nik.length === 0
    ? [...own, `pindah-dari ${nomorKk}`]
    : [...nik.map((one) => `pindah ${one}`), `pindah-kk ${nomorKk}`];
}

/** Another report under one of the keys. */
export type Kandidat = {
  laporan: string;
  nomor: string;
  jenis: JenisLaporan;
  kunci: string;
  lahir?: { tanggal: string; urutan: number };
  /** Similarity of the children's names by their trigrams, 0 to 1. */
  miripNama: number;
};

/** From here on two names are taken for one: see the pairs in test/pelaporan/kemiripan.test.ts. */
export const AMBANG_NAMA = 0.5;

/** Findings at most: what is beyond is not more informative. */
const MAX_TEMUAN = 20;

/** What counts of the candidates, the most similar first. */
export function temuanOf({ formulir }: IsiDibandingkan, kandidat: readonly Kandidat[]): Temuan[] {
  const best = new Map<string, Temuan>();
  for (const other of kandidat) {
    const found =
      formulir.case === "kelahiran"
        ? kelahiranMirip(formulir.value, other)
        : { skor: 1, dasar: DASAR[other.jenis] };
    if (!found || (best.get(other.laporan)?.skor ?? 0) >= found.skor) continue;
    const { laporan, nomor, jenis } = other;
    best.set(laporan, { laporan, nomor, jenis, ...found });
  }
  return [...best.values()]
    .sort((one, another) => another.skor - one.skor || (one.laporan < another.laporan ? -1 : 1))
    .slice(0, MAX_TEMUAN);
}

const DASAR: Readonly<Record<JenisLaporan, Dasar>> = {
  kelahiran: "kelahiran_ibu",
  kematian: "kematian",
  pindah: "pindah",
  datang: "datang",
};

const DAY_MS = 86_400_000;

function kelahiranMirip(
  { nikIbu, tanggalLahir, urutan }: { nikIbu: string; tanggalLahir: string; urutan: number },
  { lahir, miripNama }: Kandidat,
): Pick<Temuan, "skor" | "dasar"> | undefined {
  if (!lahir) return undefined;
  const days = Math.abs(Date.parse(lahir.tanggal) - Date.parse(tanggalLahir)) / DAY_MS;
  if (days > 1) return undefined;
  const isNamed = miripNama >= AMBANG_NAMA;
  const sameDay = days === 0 ? 0.2 : 0;
  if (nikIbu === "") {
    return isNamed ? { skor: rounded(0.8 * miripNama + sameDay), dasar: "kelahiran_temuan" } : undefined;
  }
  // Twins are born to one mother on one day, the one after the other.
  const isSameChild = lahir.urutan === urutan;
  if (!isSameChild && !isNamed) return undefined;
  return { skor: rounded(0.5 * miripNama + (isSameChild ? 0.3 : 0) + sameDay), dasar: "kelahiran_ibu" };
}

function kunciDatang(
  asal: Extract<IsiDibandingkan["formulir"], { case: "datang" }>["value"]["asal"],
): string[] {
  if (asal.case === "nomorSkpwni") return [`datang ${asal.value}`];
  return asal.case === "luarNegeri" ? [`datang ${asal.value.nik}`] : [];
}

/** Two decimals: what lies beyond says nothing, and reads badly. */
function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
