// Composition of the reports: the same for production and for component tests.
import type { ProcessContext } from "#chassis/process.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { PelaporanService } from "#gen/lampid/pelaporan/v1/pelaporan_service_pb.ts";
import { postgresLaporanStore } from "./postgres-store.ts";
import { pelaporanService } from "./service.ts";

export function composePelaporan(context: ProcessContext): void {
  const store = postgresLaporanStore(context.database());
  const service = pelaporanService({ store, wilayah: loadWilayah(), clock: () => new Date() });
  context.serve(PelaporanService, service);
  context.relayOutbox();
}
