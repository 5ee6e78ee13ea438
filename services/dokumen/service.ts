// DokumenService: documents to read, to verify and to revoke. They are issued by consumer.ts.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { actorOf, callerOf, requireWilayah } from "#chassis/caller.ts";
import { idempotencyKeyOf } from "#chassis/idempotency.ts";
import { methodName } from "#chassis/interceptors.ts";
import { pageSizeOf, readPageToken, UUID_PART, writePageToken } from "#chassis/page-token.ts";
import { type Refused, refuse } from "#chassis/refusal.ts";
import {
  DokumenSchema,
  Dokumen_Jenis as Jenis,
  Dokumen_Status as Status,
} from "#gen/lampid/dokumen/v1/dokumen_pb.ts";
import {
  type DokumenService,
  VerifyDokumenResponse_Hasil as Hasil,
  RevokeDokumenRequestSchema,
} from "#gen/lampid/dokumen/v1/dokumen_service_pb.ts";
import { type JenisDokumen, labelOf } from "./domain/fakta.ts";
import type { KunciPublik } from "./kunci.ts";
import type { Pernyataan } from "./pernyataan.ts";
import type { Printed } from "./render.ts";
import type { DokumenRecord, DokumenStore } from "./store.ts";

export type Deps = {
  store: DokumenStore;
  keys: readonly KunciPublik[];
  verify: (jws: string) => Promise<Pernyataan | undefined>;
  render: (dokumen: Printed) => Promise<Uint8Array>;
  clock: () => Date;
};

const JENIS: Readonly<Record<JenisDokumen, Jenis>> = {
  skpwni: Jenis.SKPWNI,
  skpln: Jenis.SKPLN,
  kutipan_akta_kelahiran: Jenis.KUTIPAN_AKTA_KELAHIRAN,
  kutipan_akta_kematian: Jenis.KUTIPAN_AKTA_KEMATIAN,
};

export function dokumenService({
  store,
  keys,
  verify,
  render,
  clock,
}: Deps): ServiceImpl<typeof DokumenService> {
  async function visible(ctx: HandlerContext, name: string): Promise<DokumenRecord> {
    const found = await store.find(idOf(name));
    if (!found) throw notFound();
    requireWilayah(ctx, found.kodeWilayah);
    return found;
  }

  const auditOf = (
    ctx: HandlerContext,
    { id, kodeWilayah }: DokumenRecord,
    at: Date,
    kolom: readonly string[],
  ) => ({
    ...actorOf(ctx),
    action: methodName(ctx),
    resource: `dokumen/${id}`,
    wilayah: kodeWilayah,
    at,
    kolom,
  });

  return {
    async getDokumen({ name }, ctx) {
      return { dokumen: create(DokumenSchema, messageInit(await visible(ctx, name))) };
    },

    async listDokumen({ laporan, pageSize, pageToken }, ctx) {
      const filter = [laporan];
      const after = readPageToken(pageToken, filter, [UUID_PART])?.[0];
      const limit = pageSizeOf(pageSize);
      const found = await store.list(laporan, after, limit + 1);
      // All of one report are of one kelurahan; of a report without documents nothing is told.
      requireWilayah(ctx, found[0]?.kodeWilayah ?? callerOf(ctx).wilayah);
      const page = found.slice(0, limit);
      const last = found.length > limit ? page.at(-1) : undefined;
      return {
        dokumen: page.map(messageInit),
        nextPageToken: last ? writePageToken([last.id], filter) : "",
      };
    },

    async downloadDokumen({ name }, ctx) {
      const found = await visible(ctx, name);
      if (found.status === "dicabut") throw revoked();
      // On record before the answer: who was given data, also if the answer never arrives.
      await store.audit([auditOf(ctx, found, clock(), labelOf(found.fakta))]);
      return { berkas: { contentType: "application/pdf", data: await render(found) } };
    },

    async verifyDokumen({ pernyataan, name }) {
      const stated = await verify(pernyataan);
      if (!stated || (name !== "" && name !== `dokumen/${stated.id}`)) {
        return { hasil: Hasil.TIDAK_DIKENAL };
      }
      const found = await store.find(stated.id);
      // Signed by us, and yet not what we have issued: a key that fell into other hands signs such statements.
      if (found?.pernyataan !== pernyataan) return { hasil: Hasil.TIDAK_DIKENAL };
      return {
        hasil: found.status === "berlaku" ? Hasil.BERLAKU : Hasil.DICABUT,
        jenis: JENIS[found.jenis],
        nomor: found.nomor,
        nomorLaporan: found.nomorLaporan,
        terbitTime: timestampFromDate(found.createdAt),
        ...(found.revokedAt && { dicabutTime: timestampFromDate(found.revokedAt) }),
      };
    },

    async revokeDokumen(request, ctx) {
      const { id } = await visible(ctx, request.name);
      const key = idempotencyKeyOf(callerOf(ctx).subject, RevokeDokumenRequestSchema, request);
      const dokumen = await store.idempotently(key, DokumenSchema, async (tx) => {
        const before = await tx.find(id);
        if (!before) throw notFound();
        if (request.etag !== String(before.versi)) {
          throw refuse("conflict", "ETAG_MISMATCH", "the document has changed; read it again");
        }
        if (before.status === "dicabut") throw revoked();
        const at = clock();
        const after = await tx.revoke(id, request.alasan.trim(), at, auditOf(ctx, before, at, ["alasan"]));
        return create(DokumenSchema, messageInit(after));
      });
      return { dokumen };
    },

    getKunci: () => ({ keys: [...keys] }),
  };
}

function messageInit(record: DokumenRecord): MessageInitShape<typeof DokumenSchema> {
  const { id, jenis, status, versi, createdAt, revokedAt } = record;
  const { nomor, laporan, nomorLaporan, kodeWilayah, alasan, pernyataan } = record;
  return {
    nomor,
    laporan,
    nomorLaporan,
    kodeWilayah,
    alasan,
    pernyataan,
    name: `dokumen/${id}`,
    jenis: JENIS[jenis],
    status: { berlaku: Status.BERLAKU, dicabut: Status.DICABUT }[status],
    etag: String(versi),
    createTime: timestampFromDate(createdAt),
    ...(revokedAt && { dicabutTime: timestampFromDate(revokedAt) }),
  };
}

function idOf(name: string): string {
  return name.slice("dokumen/".length);
}

function notFound(): Refused {
  return refuse("notFound", "NOT_FOUND", "there is no such document");
}

function revoked(): Refused {
  return refuse("precondition", "DOKUMEN_REVOKED", "the document is revoked");
}
