// Composition of the documents: the same for production and for component tests.
import type { ProcessContext } from "#chassis/process.ts";
import { handledInbox } from "#chassis/retention.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { createWireClient } from "#chassis/wire/client.ts";
import { DokumenService } from "#gen/lampid/dokumen/v1/dokumen_service_pb.ts";
import { PelaporanInternalService } from "#gen/lampid/pelaporan/v1/pelaporan_internal_service_pb.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { isAway, issueDokumen } from "./consumer.ts";
import { readKunci } from "./kunci.ts";
import { signWith, verifyWith } from "./pernyataan.ts";
import { postgresDokumenStore } from "./postgres-store.ts";
import { renderPdf } from "./render.ts";
import { dokumenService } from "./service.ts";
import { bahanOf } from "./sumber.ts";

/** Of one question to pelaporan or penduduk; the event waits and asks again. */
const READ_TIMEOUT_MS = 5_000;

export async function composeDokumen(context: ProcessContext): Promise<void> {
  const kunci = readKunci(context.config.string("LAMPID_DOKUMEN_KEY_FILE"));
  const store = postgresDokumenStore(context.database());
  context.serve(
    DokumenService,
    dokumenService({
      store,
      keys: kunci.publik,
      verify: verifyWith(kunci.publik),
      render: renderPdf,
      clock: () => new Date(),
    }),
  );
  context.adminPage("/jwks.json", () => ({ keys: kunci.publik }));

  const limits = { defaultTimeoutMs: READ_TIMEOUT_MS };
  const bahan = bahanOf({
    pelaporan: createWireClient(PelaporanInternalService, context.upstream("pelaporan", limits)),
    penduduk: createWireClient(PendudukService, context.upstream("penduduk", limits)),
    wilayah: loadWilayah(),
  });
  const bus = await context.bus();
  bus.subscribe({
    topic: "laporan-events",
    group: "dokumen",
    handler: issueDokumen({ store, bahan, sign: await signWith(kunci) }),
    isTransient: isAway,
  });
  context.retain([handledInbox(context.config)]);
}
