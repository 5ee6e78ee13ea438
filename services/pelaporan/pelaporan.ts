// Composition of the reports: the same for production and for component tests.
import type { ProcessContext } from "#chassis/process.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { PelaporanService } from "#gen/lampid/pelaporan/v1/pelaporan_service_pb.ts";
import { PemeliharaanService } from "#gen/lampid/pelaporan/v1/pemeliharaan_service_pb.ts";
import { openFeed } from "./feed.ts";
import { pemeliharaanService } from "./pemeliharaan.ts";
import { postgresFeedStore } from "./postgres-feed.ts";
import { postgresLaporanStore } from "./postgres-store.ts";
import { pelaporanService } from "./service.ts";

export function composePelaporan(context: ProcessContext): void {
  const db = context.database();
  const clock = () => new Date();
  const store = postgresLaporanStore(db);
  const feed = openFeed({ store: postgresFeedStore(db), end: context.signal });
  context.serve(PelaporanService, pelaporanService({ store, feed, wilayah: loadWilayah(), clock }));
  context.serve(PemeliharaanService, pemeliharaanService({ db, clock }));
  context.relayOutbox();
}
