// What is forwarded to a system outside: where a report stands as a whole, by where its residents stand.

/** As Pengiriman.Sistem says it. */
export type Sistem = "dukcapil" | "siak";

/** As Pengiriman.Status says it. */
export type Status = "menunggu" | "diterima" | "ditolak";

/** As Pengiriman.Jenis in pengiriman.proto says it. */
export type Jenis =
  | "pendaftaran"
  | "biodata"
  | "kartu_keluarga"
  | "kelahiran"
  | "kematian"
  | "pindah"
  | "datang"
  | "pengembalian"
  | "pembetulan"
  | "pencabutan";

/** One resident of the report. */
export type Part = { status: Status; percobaan: number; alasan: string };

export type Whole = { status: Status; alasan: string };

/**
 * Refused if one of its residents is: a person has to look at it. Accepted if all are. Undefined while there is nothing to
 * say: it has just been queued, and nothing has gone wrong.
 */
export function wholeOf(parts: readonly Part[]): Whole | undefined {
  const refused = parts.find(({ status }) => status === "ditolak");
  if (refused) return { status: "ditolak", alasan: refused.alasan };
  if (parts.length > 0 && parts.every(({ status }) => status === "diterima")) {
    return { status: "diterima", alasan: "" };
  }
  const tried = parts.find(({ status, percobaan }) => status === "menunggu" && percobaan > 0);
  return tried && { status: "menunggu", alasan: tried.alasan };
}
