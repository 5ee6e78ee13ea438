// Counts residents as the bus tells of them: registered one by one, synchronised by the batch, changed by a report.
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { countsOf } from "./counts.ts";
import type { StatistikStore } from "./store.ts";

export type CountResidentsDeps = {
  store: Pick<StatistikStore, "apply">;
  /** As the store's generation has it. */
  tutupBukuHari: number;
  /** Called when something has been counted. */
  onChange: () => void;
};

export function countResidents({ store, tutupBukuHari, onChange }: CountResidentsDeps) {
  return async (events: readonly BusEvent[]): Promise<void> => {
    const counts = events.flatMap((event) => countsOf(event, tutupBukuHari));
    if (counts.length === 0) return;
    await store.apply(counts);
    onChange();
  };
}
