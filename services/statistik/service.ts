// StatistikService: reads the counters, by name of the wilayah.

import type { EventEmitter } from "node:events";
import { once } from "node:events";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { pause } from "#chassis/backoff.ts";
import { requireWilayah } from "#chassis/caller.ts";
import type { WilayahIndex } from "#chassis/wilayah.ts";
import type { StatistikService } from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import type { StatistikStore } from "./store.ts";

export type Deps = {
  store: StatistikStore;
  wilayah: WilayahIndex;
  clock: () => Date;
  /** Emits "change" when this process has counted something. */
  changes: EventEmitter;
};

/** Least time between two snapshots of a stream. */
const MIN_INTERVAL_MS = 500;
/** Another replica may have counted: look at least this often. */
const MAX_INTERVAL_MS = 5_000;

export function statistikService({
  store,
  wilayah,
  clock,
  changes,
}: Deps): ServiceImpl<typeof StatistikService> {
  async function perProvinsi() {
    const counts = await store.countByProvinsi();
    return counts
      .map(({ kode, jumlah }) => ({ provinsi: wilayah.nama(kode) ?? kode, jumlah, kodeProvinsi: kode }))
      .sort((a, b) => a.provinsi.localeCompare(b.provinsi, "id"));
  }

  return {
    getStats: async () => ({ stats: await perProvinsi() }),

    async getKecamatanStats({ kodeWilayah }, ctx) {
      requireWilayah(ctx, kodeWilayah);
      const counts = await store.countByKecamatan(kodeWilayah);
      return {
        stats: counts.map(({ kode, jumlah }) => ({
          kodeKecamatan: kode,
          kecamatan: wilayah.nama(kode) ?? kode,
          jumlah,
        })),
      };
    },

    async *watchStats(_request, ctx) {
      for (let last = ""; !ctx.signal.aborted; ) {
        const next = waitForChange(ctx.signal);
        const stats = await perProvinsi();
        const text = JSON.stringify(stats);
        if (text !== last) yield { stats, waktu: timestampFromDate(clock()) };
        last = text;
        await next;
      }
    },
  };

  async function waitForChange(signal: AbortSignal): Promise<void> {
    const done = new AbortController();
    const either = AbortSignal.any([signal, done.signal]);
    const change = once(changes, "change", { signal: either }).catch(() => {});
    await Promise.race([change, pause(MAX_INTERVAL_MS, either)]);
    done.abort();
    await pause(MIN_INTERVAL_MS, signal);
  }
}
