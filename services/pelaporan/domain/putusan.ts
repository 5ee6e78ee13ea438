// Commands on a report, and what is decided upon each: an event, or a refusal.
import { efekRefuses } from "./efek.ts";
import { checkIsi, type Isi, isTerlambat, jenisOf, type Wilayah } from "./isi.ts";
import type { Laporan, Peristiwa, Status, Tingkat } from "./laporan.ts";
import type { Penolakan, Sebab, Violation } from "./penolakan.ts";

export type Pengajuan<I> = { jenis: "submit"; nomor: string; kodeWilayah: string; isi: I };

export type Transisi<I> =
  | { jenis: "verify" }
  | { jenis: "approve"; nomorKeputusan: string }
  | { jenis: "return"; alasan: string }
  | { jenis: "resubmit"; isi: I }
  | { jenis: "reject"; alasan: string }
  | { jenis: "cancel"; alasan: string }
  | { jenis: "dismissKemiripan"; kemiripan: string; alasan: string }
  | { jenis: "correct"; isi: I; alasan: string; nomorPutusan: string }
  | { jenis: "revoke"; alasan: string; nomorPutusan: string }
  | { jenis: "cancelPerpindahan"; alasan: string }
  | { jenis: "reapply" };

export type JenisTransisi = Transisi<unknown>["jenis"];

/** Who commands, when. */
export type Keadaan = {
  pelaku: { subject: string; role: string; wilayah: string };
  waktu: Date;
  /** Civil date of {@link waktu} in Asia/Jakarta, ISO 8601. */
  tanggal: string;
  wilayah: Wilayah;
};

export type Putusan<I> = { ok: true; peristiwa: Peristiwa<I> } | { ok: false; penolakan: Penolakan };

/**
 * From where each transition goes out, and who takes it there. This table is the approval by three levels, and what follows it;
 * what follows it hangs on the effect besides (efek.ts).
 */
export const transisi: Readonly<Record<JenisTransisi, Readonly<Partial<Record<Status, Tingkat>>>>> = {
  verify: { diajukan: "supervisor" },
  approve: { diverifikasi: "admin_kota" },
  return: { diajukan: "supervisor", diverifikasi: "admin_kota" },
  reject: { diajukan: "supervisor", diverifikasi: "admin_kota" },
  resubmit: { dikembalikan: "operator" },
  cancel: { diajukan: "operator", dikembalikan: "operator" },
  dismissKemiripan: { diajukan: "supervisor" },
  correct: { disahkan: "admin_kota" },
  revoke: { disahkan: "admin_kota" },
  cancelPerpindahan: { disahkan: "admin_kota" },
  reapply: { disahkan: "admin_kota", dicabut: "admin_kota" },
};

/** Length of the code of the wilayah that each level is good for: kelurahan, kecamatan, kota/kabupaten. */
const KODE_LENGTH: Readonly<Record<Tingkat, number>> = { operator: 13, supervisor: 8, admin_kota: 5 };

export function decideSubmit<I extends Isi>(
  { nomor, kodeWilayah, isi }: Pengajuan<I>,
  keadaan: Keadaan,
): Putusan<I> {
  const { pelaku, waktu, tanggal, wilayah } = keadaan;
  if (pelaku.role !== "operator") return refused("LEVEL_DENIED");
  if (!isAtLevel(pelaku.wilayah, "operator", kodeWilayah)) return refused("WILAYAH_DENIED");
  const violations = checkIsi(isi, kodeWilayah, wilayah, tanggal);
  if (!wilayah.has(kodeWilayah)) {
    const description = "is in no list of wilayah";
    violations.push({ field: "kode_wilayah", reason: "WILAYAH_UNKNOWN", description });
  }
  if (violations.length > 0) return refused("FIELD_VIOLATION", violations);
  return {
    ok: true,
    peristiwa: {
      jenis: "diajukan",
      nomor,
      laporan: jenisOf(isi),
      kodeWilayah,
      tanggal,
      terlambat: isTerlambat(isi, tanggal),
      isi,
      pelaku: pelaku.subject,
      tingkat: "operator",
      waktu,
    },
  };
}

/** Who may at all, then where, then whether now, then whether this person; then what it says. */
export function decideTransisi<I extends Isi>(
  perintah: Transisi<I>,
  laporan: Laporan<I>,
  keadaan: Keadaan,
): Putusan<I> {
  const { pelaku, waktu } = keadaan;
  const from = transisi[perintah.jenis];
  const tingkat = Object.values(from).find((level) => level === pelaku.role);
  if (!tingkat) return refused("LEVEL_DENIED");
  if (!isAtLevel(pelaku.wilayah, tingkat, laporan.kodeWilayah)) return refused("WILAYAH_DENIED");
  const due = from[laporan.status];
  if (!due) return refused("LAPORAN_STATE");
  if (due !== tingkat) return refused("LEVEL_DENIED");
  // Three persons: whoever has changed levels since has still acted at the old one.
  const acted = laporan.tingkat.get(pelaku.subject);
  if (acted !== undefined && acted !== tingkat) return refused("DUTIES_NOT_SEPARATE");

  if ("alasan" in perintah && perintah.alasan.trim() === "") {
    return refused("FIELD_VIOLATION", [{ field: "alasan", reason: "REQUIRED", description: "is required" }]);
  }

  const catatan = { pelaku: pelaku.subject, tingkat, waktu };
  switch (perintah.jenis) {
    case "verify":
      if (laporan.kemiripan.some(({ disisihkan }) => !disisihkan)) return refused("KEMIRIPAN_OPEN");
      return { ok: true, peristiwa: { ...catatan, jenis: "diverifikasi" } };
    case "approve":
      return approve(perintah.nomorKeputusan.trim(), laporan, catatan);
    case "return":
      return { ok: true, peristiwa: { ...catatan, jenis: "dikembalikan", alasan: perintah.alasan } };
    case "resubmit":
      return resubmit(perintah.isi, laporan, keadaan, catatan);
    case "reject":
      return { ok: true, peristiwa: { ...catatan, jenis: "ditolak", alasan: perintah.alasan } };
    case "cancel":
      return { ok: true, peristiwa: { ...catatan, jenis: "dibatalkan", alasan: perintah.alasan } };
    case "dismissKemiripan":
      return dismissKemiripan(perintah, laporan, catatan);
    case "correct":
    case "revoke":
    case "cancelPerpindahan":
    case "reapply":
      return decideAfterApproval(perintah, laporan, keadaan, catatan);
    default:
      return perintah satisfies never;
  }
}

type Catatan = { pelaku: string; tingkat: Tingkat; waktu: Date };

function approve<I>(nomorKeputusan: string, laporan: Laporan<I>, catatan: Catatan): Putusan<I> {
  const isNeeded = laporan.jenis === "kelahiran" && laporan.terlambat;
  if (isNeeded && nomorKeputusan === "") return refused("DECISION_NUMBER_REQUIRED");
  if (!isNeeded && nomorKeputusan !== "") {
    const description = "is for a late birth only";
    return refused("FIELD_VIOLATION", [{ field: "nomor_keputusan", reason: "NOT_LATE", description }]);
  }
  return { ok: true, peristiwa: { ...catatan, jenis: "disahkan", nomorKeputusan } };
}

function dismissKemiripan<I>(
  { kemiripan, alasan }: { kemiripan: string; alasan: string },
  laporan: Laporan<I>,
  catatan: Catatan,
): Putusan<I> {
  const found = laporan.kemiripan.find((each) => each.laporan === kemiripan);
  if (!found) {
    const description = "is none of those that this report was found similar to";
    return refused("FIELD_VIOLATION", [{ field: "kemiripan", reason: "KEMIRIPAN_UNKNOWN", description }]);
  }
  if (found.disisihkan) return refused("KEMIRIPAN_DISMISSED");
  return { ok: true, peristiwa: { ...catatan, jenis: "kemiripan_disisihkan", kemiripan, alasan } };
}

type AfterApproval<I> = Extract<
  Transisi<I>,
  { jenis: "correct" | "revoke" | "cancelPerpindahan" | "reapply" }
>;

function decideAfterApproval<I extends Isi>(
  perintah: AfterApproval<I>,
  laporan: Laporan<I>,
  { wilayah, tanggal }: Keadaan,
  catatan: Catatan,
): Putusan<I> {
  const sebab = efekRefuses(perintah.jenis, laporan);
  if (sebab) return refused(sebab);
  switch (perintah.jenis) {
    case "correct": {
      const { isi, alasan } = perintah;
      const violations = checkChanged(isi, laporan, wilayah, tanggal);
      if (violations.length > 0) return refused("FIELD_VIOLATION", violations);
      const nomorPutusan = perintah.nomorPutusan.trim();
      return { ok: true, peristiwa: { ...catatan, jenis: "dibetulkan", alasan, nomorPutusan, isi } };
    }
    case "revoke": {
      const { alasan } = perintah;
      const nomorPutusan = perintah.nomorPutusan.trim();
      // What is in effect is undone by a court alone (Permendagri 108/2019); what never was needs none.
      if (laporan.efek?.isiBerlaku !== undefined && nomorPutusan === "") {
        return refused("COURT_DECISION_REQUIRED");
      }
      return { ok: true, peristiwa: { ...catatan, jenis: "dicabut", alasan, nomorPutusan } };
    }
    case "cancelPerpindahan":
      return {
        ok: true,
        peristiwa: { ...catatan, jenis: "perpindahan_dibatalkan", alasan: perintah.alasan },
      };
    case "reapply":
      return {
        ok: true,
        peristiwa: { ...catatan, jenis: "diulang", perintah: laporan.efek!.perintah },
      };
    default:
      return perintah satisfies never;
  }
}

function resubmit<I extends Isi>(
  isi: I,
  laporan: Laporan<I>,
  { wilayah, tanggal }: Keadaan,
  catatan: Catatan,
): Putusan<I> {
  const violations = checkChanged(isi, laporan, wilayah, tanggal);
  if (violations.length > 0) return refused("FIELD_VIOLATION", violations);
  const terlambat = isTerlambat(isi, laporan.tanggal);
  return { ok: true, peristiwa: { ...catatan, jenis: "diajukan_kembali", terlambat, isi } };
}

/** What is wrong with what a report says now: jenis and wilayah stay as they are. */
function checkChanged<I extends Isi>(
  isi: I,
  { kodeWilayah, jenis }: Laporan<I>,
  wilayah: Wilayah,
  tanggal: string,
): Violation[] {
  const violations = checkIsi(isi, kodeWilayah, wilayah, tanggal);
  if (jenisOf(isi) !== jenis) {
    const description = `must stay a report of ${jenis}`;
    violations.push({ field: "isi", reason: "JENIS_FIXED", description });
  }
  return violations;
}

/** Whether an account of this wilayah is of the level, and the report's kelurahan is it or lies in it. */
function isAtLevel(own: string, tingkat: Tingkat, kelurahan: string): boolean {
  return own.length === KODE_LENGTH[tingkat] && (own === kelurahan || kelurahan.startsWith(`${own}.`));
}

function refused(sebab: Sebab, violations: readonly Violation[] = []): { ok: false; penolakan: Penolakan } {
  return { ok: false, penolakan: { sebab, violations } };
}
