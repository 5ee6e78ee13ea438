// How far a system outside was told of what a report did, and which of two things that are said of it holds.

export type Sistem = "dukcapil" | "siak";

export type StatusPengiriman = "menunggu" | "diterima" | "ditolak";

export type Pengiriman = { sistem: Sistem; status: StatusPengiriman; alasan: string; waktu: Date };

/** What a system has, it has: later is right, but for what comes late and says that it still waits. */
export function supersedes(next: Pengiriman, before: Pengiriman | undefined): boolean {
  if (!before) return true;
  if (before.status === "diterima") return false;
  return next.status === "diterima" || next.waktu >= before.waktu;
}
