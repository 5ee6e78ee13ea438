// What the state after an event means for the commands to the registry and for the watch over moves, as JSON for PostgreSQL.
import type { Laporan } from "./domain/laporan.ts";

/** With their types, as json_to_recordset takes them. */
const COLUMNS = { commands: "boolean", transit_since: "timestamptz", transit_is_over: "boolean" } as const;

export const EFEK_RECORD = Object.entries(COLUMNS)
  .map(([name, type]) => `${name} ${type}`)
  .join(", ");

export function efekRow({ jenis, efek }: Laporan<unknown>): Partial<Record<keyof typeof COLUMNS, unknown>> {
  // Nothing else happens to a report while a command waits: the event of this state gave it.
  if (efek?.status === "menunggu") return { commands: true };
  if (jenis !== "pindah" || efek === undefined) return {};
  return efek.hasil.dalamPerpindahan > 0 ? { transit_since: efek.diperintah } : { transit_is_over: true };
}
