// Composition of the registry: the same for production and for component tests.
import type { ProcessContext } from "#chassis/process.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { PenggabunganService } from "#gen/lampid/penggabungan/v1/penggabungan_service_pb.ts";
import { PeristiwaService } from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";
import { mergeAnswers } from "./penggabungan/count-registry.ts";
import { createCourtesy, noticing } from "./penggabungan/courtesy.ts";
import { penggabunganService } from "./penggabungan/service.ts";
import { peristiwaService } from "./peristiwa/service.ts";
import { postgresPendudukStore } from "./postgres-store.ts";
import { pendudukService } from "./service.ts";

export function composePenduduk(context: ProcessContext): void {
  const db = context.database();
  const clock = () => new Date();
  const store = postgresPendudukStore(db);
  const wilayah = loadWilayah();
  const courtesy = createCourtesy({
    rest: context.config.integer("LAMPID_MERGE_REST", { min: 0, max: 20, fallback: 4 }),
  });
  const service = pendudukService({ store, wilayah, clock });
  context.serve(PendudukService, noticing(PendudukService, service, courtesy));
  context.serve(PenggabunganService, penggabunganService({ db, wilayah, clock, courtesy }));
  context.serve(PeristiwaService, peristiwaService({ db, wilayah, clock }));
  context.relayOutbox();
  context.retain([mergeAnswers(context.config)]);
}
