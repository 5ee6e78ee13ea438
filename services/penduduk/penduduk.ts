// Composition of the registry: the same for production and for component tests.
import type { ProcessContext } from "#chassis/process.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { postgresPendudukStore } from "./postgres-store.ts";
import { pendudukService } from "./service.ts";

export function composePenduduk(context: ProcessContext): void {
  const db = context.database();
  const store = postgresPendudukStore(db);
  context.serve(PendudukService, pendudukService({ store, wilayah: loadWilayah(), clock: () => new Date() }));
  context.relayOutbox();
}
