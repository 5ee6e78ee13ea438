// PeristiwaService: approved reports in, what they did out; and the residents in numbers.
import type { ServiceImpl } from "@connectrpc/connect";
import type { Database } from "#chassis/database.ts";
import type { PeristiwaService } from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";
import { countPenduduk } from "./count-penduduk.ts";

export type Deps = { db: Database };

export function peristiwaService({ db }: Deps): Partial<ServiceImpl<typeof PeristiwaService>> {
  return {
    countPenduduk: () => countPenduduk(db),
  };
}
