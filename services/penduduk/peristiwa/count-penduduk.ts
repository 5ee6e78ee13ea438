// Counts the residents in one snapshot, by the wilayah they live in.
import { create } from "@bufbuild/protobuf";
import type { Database } from "#chassis/database.ts";
import { Penduduk_Status as Status } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import {
  type CountPendudukResponse,
  CountPendudukResponseSchema,
} from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";

/** A million rows take a second, and more on a machine that is busy with a run of the hub. */
const COUNT_TIMEOUT_MS = 120_000;

/** One statement, so one snapshot: who is on the way is counted neither twice nor not at all. */
const COUNT = `
  select kode_wilayah as "kodeWilayah", status, count(*)::int as jumlah
  from penduduk where status in (${Status.AKTIF}, ${Status.DALAM_PERPINDAHAN})
  group by kode_wilayah, status order by kode_wilayah`;

export async function countPenduduk(db: Database): Promise<CountPendudukResponse> {
  return await db.transaction(async (sql) => {
    await sql.query(`set local statement_timeout = ${COUNT_TIMEOUT_MS}`);
    const { rows } = await sql.query({ text: COUNT, query_timeout: COUNT_TIMEOUT_MS } as object as {
      text: string;
    });
    const answer = create(CountPendudukResponseSchema, {
      wilayah: rows.filter(({ status }) => status === Status.AKTIF),
    });
    for (const { status, jumlah } of rows) {
      if (status === Status.DALAM_PERPINDAHAN) answer.dalamPerpindahan += jumlah;
    }
    return answer;
  });
}
