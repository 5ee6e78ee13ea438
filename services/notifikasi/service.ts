// NotifikasiService: the delivery log, and what offices want to be told of.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { type AuditEntry, kolomOf } from "#chassis/audit.ts";
import { actorOf, callerOf, requireWilayah } from "#chassis/caller.ts";
import { idempotencyKeyOf } from "#chassis/idempotency.ts";
import { methodName } from "#chassis/interceptors.ts";
import { pageSizeOf, readPageToken, UUID_PART, writePageToken } from "#chassis/page-token.ts";
import { type FieldViolation, refuse, refuseFields } from "#chassis/refusal.ts";
import {
  type NotifikasiService,
  Pesan_Penerima as Penerima,
  type Pesan,
  PesanSchema,
  type Preferensi,
  Preferensi_Kanal as PreferensiKanal,
  PreferensiSchema,
  Pesan_Status as Status,
  UpdatePreferensiRequestSchema,
} from "#gen/lampid/notifikasi/v1/notifikasi_service_pb.ts";
import { type Kanal, kanalNames, type PreferensiRecord, type PreferensiStore } from "./preferensi.ts";
import type { PesanRecord, PesanStatus, PesanStore } from "./store.ts";
import { officeTemplates } from "./templates.ts";

export type Deps = {
  store: PesanStore;
  preferensi: PreferensiStore;
  /** Whether messages can go out by it. */
  hasKanal: (kanal: Kanal) => boolean;
  clock: () => Date;
  onQueued: () => void;
};

export function notifikasiService({
  store,
  preferensi,
  hasKanal,
  clock,
  onQueued,
}: Deps): ServiceImpl<typeof NotifikasiService> {
  /** What is asked for that this mesh cannot do. */
  function violationsOf({ aturan }: Preferensi): FieldViolation[] {
    const seen = new Set<string>();
    return aturan.flatMap(({ templat, kanal }, index) => {
      const field = `preferensi.aturan[${index}]`;
      const found: FieldViolation[] = [];
      const violate = (part: string, reason: string, description: string) =>
        found.push({ field: `${field}.${part}`, reason, description });
      if (!officeTemplates.has(templat)) violate("templat", "TEMPLATE_UNKNOWN", "is no template");
      if (seen.has(templat)) violate("templat", "TEMPLATE_TWICE", "has a rule already");
      seen.add(templat);
      kanal.forEach((each, at) => {
        if (hasKanal(kanalOf(each))) return;
        violate(`kanal[${at}]`, "CHANNEL_NOT_CONFIGURED", "is not configured in this mesh");
      });
      return found;
    });
  }

  /** Of a message on the way to who asked: its text may have a name. */
  const auditOf = (ctx: HandlerContext, pesan: Pesan): AuditEntry => ({
    ...actorOf(ctx),
    action: methodName(ctx),
    resource: pesan.name,
    wilayah: pesan.kodeWilayah,
    at: clock(),
    kolom: kolomOf(PesanSchema, pesan),
  });

  return {
    async listPesan({ kodeWilayah, status, pageSize, pageToken }, ctx) {
      requireWilayah(ctx, kodeWilayah);
      const filter = [kodeWilayah, status];
      const before = readPageToken(pageToken, filter, [UUID_PART])?.[0];
      const limit = pageSizeOf(pageSize);
      const found = await store.list({ kodeWilayah, status: statusOf(status), limit: limit + 1, before });
      const page = found.slice(0, limit);
      const last = page.at(-1);
      const pesan = page.map(toMessage);
      await store.audit(pesan.map((each) => auditOf(ctx, each)));
      return {
        pesan,
        nextPageToken: found.length > limit && last ? writePageToken([last.id], filter) : "",
      };
    },

    async resendPesan({ name }, ctx) {
      const id = name.slice("pesan/".length);
      const before = await store.find(id);
      if (!before) throw refuse("notFound", "NOT_FOUND", "there is no such message");
      requireWilayah(ctx, before.kodeWilayah);
      if (!(await store.requeue(id, auditOf(ctx, toMessage(before))))) {
        throw refuse(
          "precondition",
          "NOT_DEAD_LETTERED",
          "only a message that was given up can be sent again",
        );
      }
      onQueued();
      return { pesan: toMessage((await store.find(id)) ?? before) };
    },

    async getPreferensi(_request, ctx) {
      const { wilayah } = callerOf(ctx);
      requireWilayah(ctx, wilayah);
      const [found] = await preferensi.find([wilayah]);
      return { preferensi: create(PreferensiSchema, preferensiInit(wilayah, found)) };
    },

    async updatePreferensi(request, ctx) {
      const { subject, wilayah } = callerOf(ctx);
      requireWilayah(ctx, wilayah);
      const given = request.preferensi!;
      if (given.etag === "") {
        throw refuseFields([{ field: "preferensi.etag", reason: "REQUIRED", description: "is required" }]);
      }
      const violations = violationsOf(given);
      if (violations.length > 0) throw refuseFields(violations);
      const key = idempotencyKeyOf(subject, UpdatePreferensiRequestSchema, request);
      const kept = await preferensi.idempotently(key, PreferensiSchema, async (tx) => {
        const record: PreferensiRecord = {
          kodeWilayah: wilayah,
          aturan: given.aturan.map(({ templat, kanal }) => ({ templat, kanal: kanal.map(kanalOf) })),
          versi: Number(given.etag) + 1,
          updatedAt: clock(),
        };
        const message = create(PreferensiSchema, preferensiInit(wilayah, record));
        const audit = { ...actorOf(ctx), action: methodName(ctx), resource: message.name, wilayah };
        if (!(await tx.save(record, { ...audit, at: record.updatedAt }))) {
          throw refuse("conflict", "ETAG_MISMATCH", "the preferences have changed; read them again");
        }
        return message;
      });
      return { preferensi: kept };
    },
  };
}

const KANAL: Readonly<Record<Kanal, PreferensiKanal>> = {
  log: PreferensiKanal.LOG,
  email: PreferensiKanal.EMAIL,
  sms: PreferensiKanal.SMS,
};

function kanalOf(kanal: PreferensiKanal): Kanal {
  const found = kanalNames.find((name) => KANAL[name] === kanal);
  if (!found) throw new Error("a rule has channels that are defined: the contract says so");
  return found;
}

/** Without a record: never set. */
function preferensiInit(
  kodeWilayah: string,
  record: PreferensiRecord | undefined,
): MessageInitShape<typeof PreferensiSchema> {
  return {
    name: `preferensi/${kodeWilayah}`,
    etag: String(record?.versi ?? 0),
    ...(record && {
      aturan: record.aturan.map(({ templat, kanal }) => ({
        templat,
        kanal: kanal.map((each) => KANAL[each]),
      })),
      updateTime: timestampFromDate(record.updatedAt),
    }),
  };
}

const STATUS: Readonly<Record<PesanStatus, Status>> = {
  antre: Status.ANTRE,
  terkirim: Status.TERKIRIM,
  gagal: Status.GAGAL,
  tidak_dikirim: Status.TIDAK_DIKIRIM,
};

/** undefined for UNSPECIFIED: any. */
function statusOf(status: Status): PesanStatus | undefined {
  return (Object.keys(STATUS) as PesanStatus[]).find((each) => STATUS[each] === status);
}

function toMessage(record: PesanRecord): Pesan {
  const { id, createdAt, deliveredAt, status, penerima, ...fields } = record;
  return create(PesanSchema, {
    ...fields,
    name: `pesan/${id}`,
    penerima: { petugas: Penerima.PETUGAS, pelapor: Penerima.PELAPOR }[penerima],
    status: STATUS[status],
    createTime: timestampFromDate(createdAt),
    ...(deliveredAt ? { terkirimTime: timestampFromDate(deliveredAt) } : {}),
  });
}
