// PemeliharaanService: upkeep by who runs the mesh.
import type { ServiceImpl } from "@connectrpc/connect";
import { appendToAudit } from "#chassis/audit.ts";
import { actorOf } from "#chassis/caller.ts";
import type { Database } from "#chassis/database.ts";
import { methodName } from "#chassis/interceptors.ts";
import { NATION } from "#chassis/wilayah.ts";
import type { PemeliharaanService } from "#gen/lampid/pelaporan/v1/pemeliharaan_service_pb.ts";
import { type Kemajuan, rebuildLaporan } from "./rebuild.ts";

export type Deps = { db: Database; clock: () => Date };

export function pemeliharaanService({ db, clock }: Deps): ServiceImpl<typeof PemeliharaanService> {
  return {
    async *rebuildLaporan(_request, ctx) {
      const action = methodName(ctx);
      await appendToAudit(db, {
        ...actorOf(ctx),
        action,
        resource: "laporan/-",
        wilayah: NATION,
        at: clock(),
      });
      let done: Kemajuan | undefined;
      for await (done of rebuildLaporan(db)) {
        if (ctx.signal.aborted) return;
        yield done;
      }
      yield { ...done, selesai: true };
    },
  };
}
