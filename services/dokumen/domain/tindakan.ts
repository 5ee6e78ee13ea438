// What an event of a report means for its documents.
import type { JenisDokumen } from "./fakta.ts";

/** What took effect; undefined of an event that only announces. */
export type Perintah = "pengesahan" | "pembetulan" | "pencabutan" | "pengembalian";

export type Kabar =
  | { jenis: "berlaku"; perintah: Perintah; nomorAkta: string; nomorSuratPindah: string }
  | { jenis: "dicabut" };

export type Tindakan =
  /** A new document, in place of one that there may be. */
  { tindakan: "terbitkan"; alasanGanti: string } | { tindakan: "cabut"; alasan: string };

export function tindakanOf(kabar: Kabar): Tindakan {
  switch (kabar.jenis) {
    case "berlaku":
      if (kabar.perintah === "pencabutan") return { tindakan: "cabut", alasan: ALASAN.dicabut };
      // Not when a move is called off: they may have arrived by it, and then it stands.
      if (kabar.perintah === "pengembalian") return { tindakan: "cabut", alasan: ALASAN.kembali };
      // A move within one kota/kabupaten, and a move in, have no number: nothing is issued.
      return kabar.nomorAkta === "" && kabar.nomorSuratPindah === ""
        ? { tindakan: "cabut", alasan: ALASAN.dibetulkan }
        : { tindakan: "terbitkan", alasanGanti: ALASAN.dibetulkan };
    // At once, and not when the registry has followed: meanwhile the document must not be good.
    case "dicabut":
      return { tindakan: "cabut", alasan: ALASAN.dicabut };
    default:
      return kabar satisfies never;
  }
}

const ALASAN = {
  dicabut: "Laporan dicabut",
  dibetulkan: "Laporan dibetulkan",
  kembali: "Perpindahan dibatalkan atau kedaluwarsa",
} as const;

/** Which document a report gives rise to; undefined for one that gives rise to none. */
export function jenisDokumenOf(
  laporan: "kelahiran" | "kematian" | "pindah" | "datang",
  negaraTujuan: string,
): JenisDokumen | undefined {
  switch (laporan) {
    case "kelahiran":
      return "kutipan_akta_kelahiran";
    case "kematian":
      return "kutipan_akta_kematian";
    case "pindah":
      return negaraTujuan === "" ? "skpwni" : "skpln";
    case "datang":
      return undefined;
    default:
      return laporan satisfies never;
  }
}
