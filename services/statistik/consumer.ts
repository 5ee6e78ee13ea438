// Counts registrations as they come from the bus.
import { fromBinary } from "@bufbuild/protobuf";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { kecamatanOf } from "#chassis/wilayah.ts";
import { PendudukTerdaftarSchema } from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import type { Count, StatistikStore } from "./store.ts";

export function countRegistrations(store: StatistikStore, onChange: () => void) {
  return async (events: readonly BusEvent[]): Promise<void> => {
    const counts = events.flatMap(countOf);
    if (counts.length === 0) return;
    await store.apply(counts);
    onChange();
  };
}

/** Events of other types are not ours to count: the topic may carry more than we know. */
function countOf(event: BusEvent): Count[] {
  if (event.type !== PendudukTerdaftarSchema.typeName) return [];
  const { kodeWilayah } = fromBinary(PendudukTerdaftarSchema, event.data);
  if (kodeWilayah === "") throw new Error(`event ${event.id} names no wilayah`);
  return [{ eventId: event.id, kodeKecamatan: kecamatanOf(kodeWilayah), delta: 1, waktu: event.time }];
}
