// What an event adds to the ledger: the one place where events become figures, for who counts and for who counts again.
import { fromBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import {
  PendudukDisinkronkanSchema,
  PendudukTerdaftarSchema,
} from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import { PeristiwaBerlakuSchema } from "#gen/lampid/peristiwa/v1/peristiwa_events_pb.ts";
import { Mutasi_Komponen } from "#gen/lampid/peristiwa/v1/peristiwa_pb.ts";
import { bookedIn, type Komponen } from "./domain/ledger.ts";
import type { Count } from "./store.ts";

/** The topics whose events are figures; all of them together are the log. */
export const LOG_TOPICS = ["pendaftaran-events", "sinkronisasi-events", "penduduk-events"] as const;

const WILAYAH = /^\d{2}(\.\d{2}(\.\d{2}(\.\d{4})?)?)?$/;

const KOMPONEN_OF: Readonly<Partial<Record<Mutasi_Komponen, Komponen>>> = {
  [Mutasi_Komponen.LAHIR]: "lahir",
  [Mutasi_Komponen.MATI]: "mati",
  [Mutasi_Komponen.PINDAH]: "pindah",
  [Mutasi_Komponen.DATANG]: "datang",
  [Mutasi_Komponen.PEMBETULAN]: "pembetulan",
  [Mutasi_Komponen.PINDAH_BATAL]: "pindah_batal",
};

const NEVER_NEGATIVE: ReadonlySet<Komponen> = new Set(["lahir", "mati", "pindah", "datang"]);

/**
 * One count a cell. Events of other types are not ours to count: a topic may carry more than we know. Throws for an event
 * of a type that we count and whose figures we cannot place.
 */
export function countsOf(event: BusEvent, tutupBukuHari: number): Count[] {
  const { id, type, time, data } = event;
  const berlaku = Date.parse(time);
  switch (type) {
    case PendudukTerdaftarSchema.typeName: {
      const { kodeWilayah } = fromBinary(PendudukTerdaftarSchema, data);
      return sum(id, bookedIn(berlaku, berlaku, tutupBukuHari), [[kodeWilayah, "registrasi", 1]]);
    }
    case PendudukDisinkronkanSchema.typeName: {
      const { selisih } = fromBinary(PendudukDisinkronkanSchema, data);
      const lines = selisih.map((each): Line => [each.kodeWilayah, "sinkronisasi", each.selisih]);
      return sum(id, bookedIn(berlaku, berlaku, tutupBukuHari), lines);
    }
    case PeristiwaBerlakuSchema.typeName: {
      const { kodeWilayah: reporter, hasil, waktu } = fromBinary(PeristiwaBerlakuSchema, data);
      if (!waktu) throw new Error(`event ${id} does not say when it was approved`);
      const lines = (hasil?.mutasi ?? []).map(({ kodeWilayah, komponen, jumlah }): Line => {
        const known = KOMPONEN_OF[komponen];
        if (!known) throw new Error(`event ${id} has a component that is not its own: ${komponen}`);
        if (jumlah < 0 && NEVER_NEGATIVE.has(known)) throw new Error(`event ${id} takes from ${known}`);
        return [kodeWilayah, known, jumlah];
      });
      // Whose wilayah it is does not matter: only the sum over the nation is ever read.
      if (hasil?.dalamPerpindahan) lines.push([reporter, "dalam_perpindahan", hasil.dalamPerpindahan]);
      return sum(id, bookedIn(timestampMs(waktu), berlaku, tutupBukuHari), lines);
    }
    default:
      return [];
  }
}

type Line = readonly [kode: string, komponen: Komponen, jumlah: number];

/** Lines of the same cell are one count; a cell to which nothing is added is none. */
function sum(eventId: string, bulan: string, lines: readonly Line[]): Count[] {
  const counts = new Map<string, Count>();
  for (const [kode, komponen, jumlah] of lines) {
    if (!WILAYAH.test(kode)) throw new Error(`event ${eventId} names no wilayah`);
    const key = `${kode}/${komponen}`;
    const known = counts.get(key)?.jumlah ?? 0;
    counts.set(key, { eventId, kode, bulan, komponen, jumlah: known + jumlah });
  }
  return [...counts.values()].filter(({ jumlah }) => jumlah !== 0);
}
