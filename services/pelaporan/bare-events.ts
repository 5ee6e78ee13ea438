// Events without what the reports say: enough for the state of lists.
import type { Laporan, Peristiwa } from "./domain/laporan.ts";

/** The state of a list; that a report says something is all that is known of what it says. */
export type BareLaporan = Laporan<true>;

export const BARE_EVENT = "laporan as id, jenis, pelaku, tingkat, waktu, alasan, data";

// biome-ignore lint/suspicious/noExplicitAny: rows of pg are untyped; this is where those of BARE_EVENT are read.
export function bareEvent({ jenis, pelaku, tingkat, waktu, alasan, data }: any): Peristiwa<true> {
  return { jenis, pelaku, tingkat, waktu, alasan, ...data, isi: true };
}
