// The port to a system outside that is told what took effect in the registry. One adapter a system.
import type { PendudukHub } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import type { Jenis, Sistem } from "../domain/pengiriman.ts";

/** One change of one resident. */
export type Perubahan = {
  /** UUID, the same each time it is sent. */
  id: string;
  jenis: Jenis;
  /** "laporan/{uuid}", or "". */
  laporan: string;
  /** When it happened in the registry. */
  waktu: Date;
  /** "penduduk/{uuid}". */
  name: string;
  /** As they are now; peristiwa is the id under which the registry waits for the hub, "" where it does not. */
  penduduk: PendudukHub;
};

/**
 * What the system says. A refusal is final until a person sends it again; a failure passes. `alasan` is for a developer and
 * quotes nothing of the other side but codes.
 */
export type Jawaban =
  | { kind: "diterima" }
  | { kind: "ditolak"; alasan: string }
  | { kind: "gagal"; alasan: string };

export type SistemPort = {
  sistem: Sistem;
  /** Never rejects; a repetition is harmless. Bounded in time by the adapter. */
  send: (perubahan: Perubahan, signal: AbortSignal) => Promise<Jawaban>;
};
