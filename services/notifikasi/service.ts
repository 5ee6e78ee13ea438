// NotifikasiService: the delivery log.
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireWilayah } from "#chassis/caller.ts";
import { pageSizeOf, readPageToken, UUID_PART, writePageToken } from "#chassis/page-token.ts";
import { refuse } from "#chassis/refusal.ts";
import {
  type NotifikasiService,
  Pesan_Status as Status,
} from "#gen/lampid/notifikasi/v1/notifikasi_service_pb.ts";
import type { PesanRecord, PesanStatus, PesanStore } from "./store.ts";

export type Deps = { store: PesanStore; clock: () => Date; onQueued: () => void };

export function notifikasiService({ store, clock, onQueued }: Deps): ServiceImpl<typeof NotifikasiService> {
  return {
    async listPesan({ kodeWilayah, status, pageSize, pageToken }, ctx) {
      requireWilayah(ctx, kodeWilayah);
      const filter = [kodeWilayah, status];
      const before = readPageToken(pageToken, filter, [UUID_PART])?.[0];
      const limit = pageSizeOf(pageSize);
      const found = await store.list({ kodeWilayah, status: statusOf(status), limit: limit + 1, before });
      const page = found.slice(0, limit);
      const last = page.at(-1);
      return {
        pesan: page.map(toMessage),
        nextPageToken: found.length > limit && last ? writePageToken([last.id], filter) : "",
      };
    },

    async resendPesan({ name }, ctx) {
      const id = name.slice("pesan/".length);
      const before = await store.find(id);
      if (!before) throw refuse("notFound", "NOT_FOUND", "there is no such message");
      requireWilayah(ctx, before.kodeWilayah);
      if (!(await store.requeue(id, clock()))) {
        throw refuse(
          "precondition",
          "NOT_DEAD_LETTERED",
          "only a message that was given up can be sent again",
        );
      }
      onQueued();
      return { pesan: toMessage((await store.find(id)) ?? before) };
    },
  };
}

function statusOf(status: Status): PesanStatus | undefined {
  switch (status) {
    case Status.ANTRE:
      return "antre";
    case Status.TERKIRIM:
      return "terkirim";
    case Status.GAGAL:
      return "gagal";
    default:
      return undefined;
  }
}

function toMessage(record: PesanRecord) {
  const { id, createdAt, deliveredAt, status, ...fields } = record;
  return {
    ...fields,
    name: `pesan/${id}`,
    status: { antre: Status.ANTRE, terkirim: Status.TERKIRIM, gagal: Status.GAGAL }[status],
    createTime: timestampFromDate(createdAt),
    ...(deliveredAt ? { terkirimTime: timestampFromDate(deliveredAt) } : {}),
  };
}
