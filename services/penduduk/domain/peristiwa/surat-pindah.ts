// A transfer: who left under which surat keterangan pindah, and what they were in the card that they left.
import type { JenisSurat } from "./nomor.ts";

/** Numbers of the column perpindahan.status. */
export const SURAT = { terbuka: 1, datang: 2, kembali: 3, dicabut: 4 } as const;

export type SuratPindah = {
  id: string;
  status: number;
  kartuAsal: string;
  /** Of the card, when they left. */
  kodeWilayahAsal: string;
  /** "" abroad. */
  kodeWilayahTujuan: string;
  alamatTujuan: string;
  /** `shdk` is that in the card of origin. */
  anggota: readonly { penduduk: string; shdk: number }[];
};

export function jenisSurat({ kodeWilayahTujuan }: Pick<SuratPindah, "kodeWilayahTujuan">): JenisSurat {
  return kodeWilayahTujuan === "" ? "SKPLN" : "SKPWNI";
}
