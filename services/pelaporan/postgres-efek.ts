// What the state after an event means for the commands to the registry and for the moves under way; in the event's transaction.
import type { Sql } from "#chassis/database.ts";
import type { OutboxEvent } from "#chassis/outbox.ts";
import type { Laporan } from "./store.ts";

/** The command that this event gives, if it gives one. */
export async function enqueuePerintah(
  sql: Sql,
  laporan: string,
  { efek, versi }: Laporan,
  event: OutboxEvent,
): Promise<void> {
  // Nothing else happens to a report while a command waits: this event gave it.
  if (efek?.status !== "menunggu") return;
  await sql.query({
    name: "perintah-enqueue",
    text: "insert into perintah_efek (id, laporan, versi, traceparent) values ($1, $2, $3, $4)",
    values: [event.id, laporan, versi, event.traceparent],
  });
}

/** Begins and ends the watch over members in transit. */
export async function projectPerpindahan(
  sql: Sql,
  laporan: string,
  { jenis, efek, diubah }: Laporan,
): Promise<void> {
  if (jenis !== "pindah" || efek === undefined || efek.status === "menunggu") return;
  if (efek.hasil.dalamPerpindahan > 0) {
    await sql.query({
      name: "perpindahan-begin",
      text: `insert into perpindahan (laporan, sejak, periksa_at) values ($1, $2, $2)
             on conflict (laporan) do nothing`,
      values: [laporan, efek.diperintah],
    });
  } else {
    await sql.query({
      name: "perpindahan-end",
      text: "update perpindahan set selesai_at = $2 where laporan = $1 and selesai_at is null",
      values: [laporan, diubah],
    });
  }
}
