// PeristiwaService: approved reports in, what they did out; and the residents in numbers.
import type { ServiceImpl } from "@connectrpc/connect";
import { createLane } from "#chassis/batcher.ts";
import { actorOf } from "#chassis/caller.ts";
import type { Database } from "#chassis/database.ts";
import { methodName } from "#chassis/interceptors.ts";
import { refuseFields } from "#chassis/refusal.ts";
import type { WilayahIndex } from "#chassis/wilayah.ts";
import type { PeristiwaService } from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";
import { applyPeristiwa } from "./apply.ts";
import { countPenduduk } from "./count-penduduk.ts";

export type Deps = {
  db: Database;
  wilayah: Pick<WilayahIndex, "has">;
  clock: () => Date;
};

/** They wait for families and serials: people who register get the rest of the pool. */
const LANE = { maxInFlight: 3, maxQueue: 1_000 };

export function peristiwaService({ db, wilayah, clock }: Deps): ServiceImpl<typeof PeristiwaService> {
  const takeTurn = createLane(LANE);
  return {
    async applyPeristiwa(request, ctx) {
      if (!wilayah.has(request.kodeWilayah)) {
        const description = "is in no list of wilayah";
        throw refuseFields([{ field: "kode_wilayah", reason: "WILAYAH_UNKNOWN", description }]);
      }
      const deps = { db, wilayah, actor: actorOf(ctx), action: methodName(ctx), at: clock() };
      return await takeTurn(() => applyPeristiwa(request, deps));
    },

    countPenduduk: () => countPenduduk(db),
  };
}
