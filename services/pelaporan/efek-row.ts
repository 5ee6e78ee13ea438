// What the state after an event means for the commands to the registry and for the watch over moves, as JSON for PostgreSQL.
import type { Laporan } from "./store.ts";

/** With their types, as json_to_recordset takes them. */
const COLUMNS = {
  commands: "boolean",
  transit_since: "timestamptz",
  transit_number: "text",
  transit_is_over: "boolean",
  // Number of a surat keterangan pindah whose arrival is being revoked.
  transit_again: "text",
} as const;

export const EFEK_RECORD = Object.entries(COLUMNS)
  .map(([name, type]) => `${name} ${type}`)
  .join(", ");

export function efekRow({ jenis, efek }: Laporan): Partial<Record<keyof typeof COLUMNS, unknown>> {
  // Nothing else happens to a report while a command waits: the event of this state gave it.
  if (efek?.status === "menunggu") return { commands: true, transit_again: revokedArrival(efek) };
  if (jenis !== "pindah" || efek === undefined) return {};
  const { dalamPerpindahan, nomorSuratPindah } = efek.hasil;
  return dalamPerpindahan > 0
    ? { transit_since: efek.diperintah, transit_number: nomorSuratPindah }
    : { transit_is_over: true };
}

/** Should the registry not follow, it says of the move that they have arrived, as before. */
function revokedArrival({ perintah, isiBerlaku }: NonNullable<Laporan["efek"]>): string | undefined {
  const formulir = isiBerlaku?.formulir;
  if (perintah !== "pencabutan" || formulir?.case !== "datang") return undefined;
  const { asal } = formulir.value;
  return asal.case === "nomorSkpwni" ? asal.value : undefined;
}
