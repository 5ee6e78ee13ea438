// PenggabunganService: batches of the hub in, acknowledgements out, one after the other, each after its commit; and residents
// as the hub is to have them.
import type { ServiceImpl } from "@connectrpc/connect";
import { actorOf } from "#chassis/caller.ts";
import { civilDate } from "#chassis/civil-date.ts";
import type { Database } from "#chassis/database.ts";
import type { WilayahIndex } from "#chassis/wilayah.ts";
import { observed } from "#chassis/wire/observed.ts";
import type {
  MergePendudukRequest,
  PenggabunganService,
} from "#gen/lampid/penggabungan/v1/penggabungan_service_pb.ts";
import type { Order } from "../domain/merge.ts";
import { idOf, pendudukName } from "../messages.ts";
import { type Batch, type CopyBuffers, type LastFamily, prepareBatch, readBatch } from "./batch.ts";
import { countRegistry } from "./count-registry.ts";
import type { Courtesy } from "./courtesy.ts";
import { daysOf, rowCheck } from "./hub-rules.ts";
import { mergeBatch, wasAllNew } from "./merge-batch.ts";
import { readResidents } from "./read-residents.ts";

export type Deps = {
  db: Database;
  wilayah: Pick<WilayahIndex, "has">;
  clock: () => Date;
  /** Whose turn it is. */
  courtesy: Courtesy;
};

export function penggabunganService({
  db,
  wilayah,
  clock,
  courtesy,
}: Deps): ServiceImpl<typeof PenggabunganService> {
  return {
    async *mergePenduduk(requests, ctx) {
      const actor = actorOf(ctx);
      const check = rowCheck({ hasWilayah: wilayah.has, todayDays: daysSince2000(civilDate(clock())) });
      // A guess that costs little when it is wrong: the first row that is there ends the insertion.
      let areNew = true;
      let family: LastFamily | undefined;
      let spare: CopyBuffers | undefined;

      async function prepare(request: MergePendudukRequest): Promise<Prepared> {
        const isPlain = orderOf(request) === "none" && !request.ujiCoba;
        const asNew = areNew && isPlain ? { family, buffers: spare } : undefined;
        spare = undefined;
        const prepared = await prepareBatch(readBatch(request.kelompok!), check, clock(), asNew);
        family = prepared.family;
        return { request, batch: prepared.batch };
      }

      // One batch ahead: while PostgreSQL works on a batch, the next one is checked and encoded.
      const iterator = requests[Symbol.asyncIterator]();
      const next = async () => {
        const { done, value } = await iterator.next();
        return done ? undefined : await prepare(value);
      };
      /** What was prepared before its forerunner went another way is prepared anew. */
      const again = async (prepared: Prepared | undefined) =>
        prepared && (areNew || prepared.batch.inserts) ? prepare(prepared.request) : prepared;

      let upcoming = next();
      for (;;) {
        const current = await upcoming;
        if (!current) return;
        upcoming = observed(next());
        const { request, batch } = current;
        const { sinkronisasi, bagian, ujiCoba } = request;
        const { dari, sampai, crc32 } = request.kelompok!;
        const key = { sinkronisasi, bagian, dari, sampai, crc32 };
        const options = { ujiCoba, order: orderOf(request), actor };
        const merged = await courtesy.merge(() => mergeBatch(db, key, batch, options));
        areNew = wasAllNew(merged.answer);
        spare = batch.inserts?.buffers;
        if (!merged.isBlind) {
          upcoming = observed(
            upcoming.then((prepared) => {
              family = merged.family;
              return again(prepared);
            }),
          );
        }
        yield merged.answer;
      }
    },

    async hitungPenduduk({ kodeWilayah }) {
      return { wilayah: await countRegistry(db, kodeWilayah) };
    },

    async readPenduduk({ penduduk }) {
      const residents = await readResidents(db, penduduk.map(idOf));
      return {
        penduduk: residents.map((each) => ({ name: pendudukName(each.id), penduduk: each.penduduk })),
      };
    },
  };
}

type Prepared = { request: MergePendudukRequest; batch: Batch };

function orderOf({ paksa, koreksi }: MergePendudukRequest): Order {
  if (koreksi) return "koreksi";
  return paksa ? "paksa" : "none";
}

/** @param date ISO 8601. */
function daysSince2000(date: string): number {
  const [year, month, day] = date.split("-").map(Number);
  return daysOf(year!, month!, day!)!;
}
