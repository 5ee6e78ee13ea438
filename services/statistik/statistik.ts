// Composition of the statistics: the same for production and for component tests.
import { EventEmitter } from "node:events";
import { isDatabaseUnavailable } from "#chassis/database.ts";
import type { ProcessContext } from "#chassis/process.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { StatistikService } from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import { countRegistrations } from "./consumer.ts";
import { postgresStatistikStore } from "./postgres-store.ts";
import { statistikService } from "./service.ts";

export function composeStatistik(context: ProcessContext): void {
  const store = postgresStatistikStore(context.database());
  const changes = new EventEmitter().setMaxListeners(0);
  context.serve(
    StatistikService,
    statistikService({ store, wilayah: loadWilayah(), clock: () => new Date(), changes }),
  );
  context.bus().subscribe({
    topic: "pendaftaran-events",
    group: "statistik",
    lingerMs: 50,
    handler: countRegistrations(store, () => changes.emit("change")),
    isTransient: isDatabaseUnavailable,
  });
}
