// What an approved report does to the registry: the commands, how far the last one is, and what is decided upon its answer.
import type { Laporan, Peran, Peristiwa } from "./laporan.ts";
import type { Sebab } from "./penolakan.ts";

/** What the registry is told to do: to let a report take effect, to correct that, to undo it, to bring back who is in transit. */
export type JenisPerintah =
  | "pengesahan"
  | "pembetulan"
  | "pencabutan"
  | "pembatalan_pindah"
  | "kedaluwarsa_pindah";

export type StatusEfek = "menunggu" | "berlaku" | "gagal";

/** What took effect: names of resources, numbers of documents, and nothing else of a person. */
export type Hasil = {
  penduduk: readonly string[];
  kartuKeluarga: readonly string[];
  nikTersamar: string;
  nomorAkta: string;
  nomorSuratPindah: string;
  kepalaBaru: readonly { kartuKeluarga: string; penduduk: string }[];
  /** Residents more (or fewer) in transit. */
  dalamPerpindahan: number;
};

export type Efek<Isi> = {
  status: StatusEfek;
  /** The last command, and who gave it when. */
  perintah: JenisPerintah;
  pelaku: string;
  peran: Peran;
  diperintah: Date;
  /** Reason of the registry's refusal, and the same in words; "" unless it has failed. */
  sebab: string;
  keterangan: string;
  /** When the command was given or, once answered, when the answer was noted. */
  waktu: Date;
  /** All that took effect so far; a later command that waits or fails leaves it as it is. */
  hasil: Hasil;
  /** What the report says as far as the registry knows; undefined as long as, or since, nothing of it is in effect. */
  isiBerlaku: Isi | undefined;
};

/** What the registry says to a command, when it says anything. */
export type Jawaban = { ok: true; hasil: Hasil } | { ok: false; sebab: string; keterangan: string };

/** The acting account of what time alone does. */
export const JADWAL = "jadwal";

/** The registry's reason when those who were in transit are no more: they have arrived. */
export const TELAH_TIBA = "SURAT_PINDAH_CLOSED";

export const hasilKosong: Hasil = {
  penduduk: [],
  kartuKeluarga: [],
  nikTersamar: "",
  nomorAkta: "",
  nomorSuratPindah: "",
  kepalaBaru: [],
  dalamPerpindahan: 0,
};

/** The effect after one more command to the registry. */
export function commanded<Isi>(
  before: Efek<Isi> | undefined,
  perintah: JenisPerintah,
  { pelaku, tingkat, waktu }: Pick<Peristiwa<Isi>, "pelaku" | "tingkat" | "waktu">,
): Efek<Isi> {
  return {
    hasil: before?.hasil ?? hasilKosong,
    isiBerlaku: before?.isiBerlaku,
    status: "menunggu",
    perintah,
    pelaku,
    peran: tingkat,
    diperintah: waktu,
    sebab: "",
    keterangan: "",
    waktu,
  };
}

/** The effect after the registry has changed. `isi` is what the report says. */
export function succeeded<Isi>(before: Efek<Isi>, hasil: Hasil, isi: Isi, waktu: Date): Efek<Isi> {
  const isInEffect = before.perintah === "pengesahan" || before.perintah === "pembetulan";
  // Whoever has left the family meanwhile, nobody is in transit by a report that is undone.
  const dalamPerpindahan = isInEffect ? before.hasil.dalamPerpindahan + hasil.dalamPerpindahan : 0;
  return {
    ...before,
    status: "berlaku",
    waktu,
    isiBerlaku: isInEffect ? isi : undefined,
    hasil: {
      ...hasil,
      // Numbers that were given once are the report's for good.
      nikTersamar: hasil.nikTersamar || before.hasil.nikTersamar,
      nomorAkta: hasil.nomorAkta || before.hasil.nomorAkta,
      nomorSuratPindah: hasil.nomorSuratPindah || before.hasil.nomorSuratPindah,
      dalamPerpindahan,
    },
  };
}

/** The effect after the registry has refused: it has not changed, but for those whom it knows to have arrived. */
export function failed<Isi>(before: Efek<Isi>, sebab: string, keterangan: string, waktu: Date): Efek<Isi> {
  const hasArrived = isPengembalian(before.perintah) && sebab === TELAH_TIBA;
  const hasil = hasArrived ? { ...before.hasil, dalamPerpindahan: 0 } : before.hasil;
  return { ...before, status: "gagal", sebab, keterangan, waktu, hasil };
}

export function isPengembalian(perintah: JenisPerintah): boolean {
  return perintah === "pembatalan_pindah" || perintah === "kedaluwarsa_pindah";
}

/** Whether members are in transit by this report, and nothing is on its way that may change that. */
export function isInTransit({ efek }: Pick<Laporan<unknown>, "efek">): boolean {
  return efek !== undefined && efek.status !== "menunggu" && efek.hasil.dalamPerpindahan > 0;
}

/** What stands against a decision after approval, as far as the effect goes: one command at a time, and each from its place. */
export function efekRefuses(
  jenis: "correct" | "revoke" | "cancelPerpindahan" | "reapply",
  { status, efek }: Pick<Laporan<unknown>, "status" | "efek">,
): Sebab | undefined {
  if (!efek || efek.status === "menunggu") return "EFEK_STATE";
  switch (jenis) {
    case "correct":
      return efek.isiBerlaku === undefined ? "EFEK_STATE" : undefined;
    case "revoke":
      return undefined;
    case "cancelPerpindahan":
      return isInTransit({ efek }) ? undefined : "NOT_IN_TRANSIT";
    case "reapply": {
      // A report that was revoked because it never took effect is not to take effect after all.
      const isGivenUp = status === "dicabut" && efek.perintah !== "pencabutan";
      return efek.status !== "gagal" || isGivenUp ? "EFEK_STATE" : undefined;
    }
    default:
      return jenis satisfies never;
  }
}

/** The event that an answer of the registry is; undefined when nobody waits for one, for it is an answer of before. */
export function decideJawaban<Isi>(
  { efek }: Laporan<Isi>,
  jawaban: Jawaban,
  waktu: Date,
): Peristiwa<Isi> | undefined {
  if (efek?.status !== "menunggu") return undefined;
  const catatan = { pelaku: efek.pelaku, tingkat: efek.peran, waktu, perintah: efek.perintah };
  if (jawaban.ok) return { ...catatan, jenis: "berlaku", hasil: jawaban.hasil };
  return {
    ...catatan,
    jenis: "gagal_berlaku",
    alasan: jawaban.sebab,
    keterangan: jawaban.keterangan,
  };
}

/**
 * The event that time alone is for a report whose members did not arrive; undefined where nobody is in transit any more, and
 * where a return has failed, for that is a person's by then.
 */
export function decideKedaluwarsa<Isi>(laporan: Laporan<Isi>, now: Date): Peristiwa<Isi> | undefined {
  const { status, efek, diubah } = laporan;
  if (!efek || status !== "disahkan" || !isInTransit(laporan)) return undefined;
  if (efek.status === "gagal" && isPengembalian(efek.perintah)) return undefined;
  // The clock of who acted last may have been ahead.
  const waktu = new Date(Math.max(now.getTime(), diubah.getTime()));
  return { jenis: "perpindahan_kedaluwarsa", pelaku: JADWAL, tingkat: "service", waktu };
}
