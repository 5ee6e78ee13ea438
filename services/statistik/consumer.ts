// Counts residents as the bus tells of them: one by one when they are registered, by the batch when they are synchronised.
import { fromBinary } from "@bufbuild/protobuf";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { kecamatanOf } from "#chassis/wilayah.ts";
import {
  PendudukDisinkronkanSchema,
  PendudukTerdaftarSchema,
} from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import type { Count, StatistikStore } from "./store.ts";

export function countResidents(store: StatistikStore, onChange: () => void) {
  return async (events: readonly BusEvent[]): Promise<void> => {
    const counts = events.flatMap(countsOf);
    if (counts.length === 0) return;
    await store.apply(counts);
    onChange();
  };
}

/** Events of other types are not ours to count: the topic may carry more than we know. */
function countsOf({ id, type, time, data }: BusEvent): Count[] {
  const count = (kodeWilayah: string, delta: number): Count => {
    if (kodeWilayah === "") throw new Error(`event ${id} names no wilayah`);
    return { eventId: id, kodeKecamatan: kecamatanOf(kodeWilayah), delta, waktu: time };
  };
  switch (type) {
    case PendudukTerdaftarSchema.typeName:
      return [count(fromBinary(PendudukTerdaftarSchema, data).kodeWilayah, 1)];
    case PendudukDisinkronkanSchema.typeName:
      return fromBinary(PendudukDisinkronkanSchema, data).selisih.map(({ kodeWilayah, selisih }) =>
        count(kodeWilayah, selisih),
      );
    default:
      return [];
  }
}
