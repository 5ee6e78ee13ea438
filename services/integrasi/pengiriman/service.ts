// PengirimanService: what waits for the systems outside, and what they refused, for the people who look after it.
import type { ServiceImpl } from "@connectrpc/connect";
import { appendToAudit } from "#chassis/audit.ts";
import type { Database } from "#chassis/database.ts";
import { pageSizeOf, readPageToken, UUID_PART } from "#chassis/page-token.ts";
import { refuse } from "#chassis/refusal.ts";
import { NATION } from "#chassis/wilayah.ts";
import type { PengirimanService } from "#gen/lampid/integrasi/v1/pengiriman_service_pb.ts";
import { idOf, keyOf } from "../messages.ts";
import { by, pageOf } from "../service.ts";
import { pengirimanToMessage, SISTEM, STATUS } from "./messages.ts";
import type { PengirimanRecord, PengirimanStore } from "./store.ts";

export type Deps = {
  db: Database;
  store: PengirimanStore;
  clock: () => Date;
  /** Something is due. */
  onQueued: () => void;
};

export function pengirimanService({
  db,
  store,
  clock,
  onQueued,
}: Deps): ServiceImpl<typeof PengirimanService> {
  return {
    async listPengiriman({ sistem, status, laporan, pageSize, pageToken }) {
      const filter = [sistem, status, laporan];
      const before = readPageToken(pageToken, filter, [UUID_PART])?.[0];
      const limit = pageSizeOf(pageSize);
      const rows = await store.list({
        sistem: keyOf(SISTEM, sistem),
        status: keyOf(STATUS, status),
        laporan,
        limit: limit + 1,
        before,
      });
      const { page, nextPageToken } = pageOf(rows, limit, filter);
      return { pengiriman: page.map(pengirimanToMessage), nextPageToken };
    },

    async getPengiriman({ name }) {
      return { pengiriman: pengirimanToMessage(found(await store.find(idOf(name)))) };
    },

    async retryPengiriman({ name }, ctx) {
      const { actor, action } = by(ctx);
      const at = clock();
      const row = await db.transaction(async (sql) => {
        const before = found(await store.find(idOf(name), sql));
        if (!(await store.retry(sql, before, at))) {
          throw refuse("precondition", "PENGIRIMAN_ACCEPTED", "the system has accepted it");
        }
        await appendToAudit(sql, { ...actor, action, resource: name, wilayah: NATION, at });
        return found(await store.find(before.id, sql));
      });
      onQueued();
      return { pengiriman: pengirimanToMessage(row) };
    },
  };
}

/** @throws Refused NOT_FOUND. */
function found(row: PengirimanRecord | undefined): PengirimanRecord {
  if (!row) throw refuse("notFound", "NOT_FOUND", "there is no such change on its way");
  return row;
}
