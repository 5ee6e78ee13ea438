// The service target: from first submission to the end within hours, and who hears when that fails.
import { JADWAL } from "./efek.ts";
import type { Laporan, Peristiwa, Status, Tingkat } from "./laporan.ts";
import { menungguDi } from "./laporan.ts";

/** Level above each, which an overdue report escalates to; above the kota there is the nation's. */
export const ATASAN = {
  operator: "supervisor",
  supervisor: "admin_kota",
  admin_kota: "admin_pusat",
} as const satisfies Record<Tingkat, string>;

/** Level that a report waits for; undefined where it waits for nobody. */
export function tingkatMenunggu(status: Status): Tingkat | undefined {
  return (Object.keys(menungguDi) as Tingkat[]).find((tingkat) => menungguDi[tingkat] === status);
}

/** What time alone does to a report: once at each level, while it waits there past its target. */
export function decideEskalasi<I>(laporan: Laporan<I>, now: Date): Peristiwa<I> | undefined {
  const dari = tingkatMenunggu(laporan.status);
  if (!dari || now < laporan.jatuhTempo || laporan.eskalasi.includes(dari)) return undefined;
  // The clock of who acted last may have been ahead.
  const waktu = new Date(Math.max(now.getTime(), laporan.diubah.getTime()));
  return { jenis: "tereskalasi", dari, pelaku: JADWAL, tingkat: "service", waktu };
}
