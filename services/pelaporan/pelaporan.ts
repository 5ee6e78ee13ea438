// Composition of the reports: the same for production and for component tests.
import type { ProcessContext } from "#chassis/process.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { PelaporanInternalService } from "#gen/lampid/pelaporan/v1/pelaporan_internal_service_pb.ts";
import { PelaporanService } from "#gen/lampid/pelaporan/v1/pelaporan_service_pb.ts";
import { pelaporanInternalService } from "./internal.ts";
import { postgresLaporanStore } from "./postgres-store.ts";
import { pelaporanService } from "./service.ts";

export function composePelaporan(context: ProcessContext): void {
  const store = postgresLaporanStore(context.database());
  const clock = () => new Date();
  context.serve(PelaporanService, pelaporanService({ store, wilayah: loadWilayah(), clock }));
  context.serve(PelaporanInternalService, pelaporanInternalService({ store, clock }));
  context.relayOutbox();
}
