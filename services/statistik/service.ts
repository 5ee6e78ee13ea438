// StatistikService: reads the ledger, by name of the wilayah.

import type { EventEmitter } from "node:events";
import { once } from "node:events";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { pause } from "#chassis/backoff.ts";
import { callerOf, requireWilayah } from "#chassis/caller.ts";
import { refuse, refuseFields } from "#chassis/refusal.ts";
import { NATION, type WilayahIndex } from "#chassis/wilayah.ts";
import {
  type StatistikService,
  GetLampidStatsRequest_Tingkat as Tingkat,
} from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import { bulanAfter, bulanAt, residentsOf } from "./domain/ledger.ts";
import { ledgerAnswers, type Range } from "./ledger-answers.ts";
import type { StatistikStore } from "./store.ts";
import { KELURAHAN, LEVELS, levelOf } from "./wilayah-level.ts";

export type Deps = {
  store: StatistikStore;
  wilayah: WilayahIndex;
  clock: () => Date;
  tutupBukuHari: number;
  /** Emits "change" when this process has counted something. */
  changes: EventEmitter;
};

/** Least time between two snapshots of a stream. */
const MIN_INTERVAL_MS = 500;
/** Another replica may have counted: look at least this often. */
const MAX_INTERVAL_MS = 5_000;

const MAX_SERIES_MONTHS = 120;
const MAX_LAMPID_MONTHS = 12;
/** Two levels are some hundred parts; three would be some ten thousand. */
const MAX_LEVELS_BELOW = 2;

const PROVINSI = 1;
const KECAMATAN = 3;

/** Months up to which everything is added up. */
const EVER = { dari: "9999-12", sampai: "9999-12" } as const;

export function statistikService({
  store,
  wilayah,
  clock,
  tutupBukuHari,
  changes,
}: Deps): ServiceImpl<typeof StatistikService> {
  const answers = ledgerAnswers({ store, clock, tutupBukuHari, namaOf: wilayah.nama });

  async function residents(kodeWilayah: string, level: number) {
    return residentsOf(await store.cells({ kodeWilayah, panjang: LEVELS[level]!, ...EVER }));
  }

  async function perProvinsi() {
    const counts = await residents(NATION, PROVINSI);
    return counts
      .map(({ kode, jumlah }) => ({ provinsi: wilayah.nama(kode) ?? kode, jumlah, kodeProvinsi: kode }))
      .sort((a, b) => a.provinsi.localeCompare(b.provinsi, "id"));
  }

  return {
    getStats: async () => ({ stats: await perProvinsi() }),

    async getKecamatanStats({ kodeWilayah }, ctx) {
      requireWilayah(ctx, kodeWilayah);
      const counts = await residents(kodeWilayah, KECAMATAN);
      return {
        stats: counts.map(({ kode, jumlah }) => ({
          kodeKecamatan: kode,
          kecamatan: wilayah.nama(kode) ?? kode,
          jumlah,
        })),
      };
    },

    async getLedger({ kodeWilayah, bulan }, ctx) {
      requireKnown(ctx, kodeWilayah);
      const [baris] = await answers.lines({ kodeWilayah, dari: bulan, sampai: bulan }, isPartner(ctx));
      return { baris: baris! };
    },

    async getLedgerSeries(request, ctx) {
      requireKnown(ctx, request.kodeWilayah);
      return { baris: await answers.lines(rangeOf(request, MAX_SERIES_MONTHS), isPartner(ctx)) };
    },

    async getLampidStats(request, ctx) {
      requireKnown(ctx, request.kodeWilayah);
      const range = rangeOf(request, MAX_LAMPID_MONTHS);
      return await answers.lampid(range, partsLevel(request), isPartner(ctx));
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

  function requireKnown(ctx: HandlerContext, kodeWilayah: string): void {
    requireWilayah(ctx, kodeWilayah);
    if (kodeWilayah === NATION || wilayah.has(kodeWilayah)) return;
    throw refuse("notFound", "WILAYAH_UNKNOWN", "there is no such wilayah");
  }

  function rangeOf(
    { kodeWilayah, bulanDari, bulanSampai }: { kodeWilayah: string; bulanDari: string; bulanSampai: string },
    maxMonths: number,
  ): Range {
    const sampai = bulanSampai || bulanAt(clock().getTime());
    const dari = bulanDari || sampai;
    if (dari > sampai) {
      const description = `is after ${sampai}, the last month of the range`;
      throw refuseFields([{ field: "bulan_dari", description, reason: "RANGE_EMPTY" }]);
    }
    if (bulanAfter(dari, maxMonths) <= sampai) {
      const description = `is more than ${maxMonths} months before the end of the range`;
      throw refuseFields([{ field: "bulan_dari", description, reason: "RANGE_TOO_LONG" }]);
    }
    return { kodeWilayah, dari, sampai };
  }

  async function waitForChange(signal: AbortSignal): Promise<void> {
    const done = new AbortController();
    const either = AbortSignal.any([signal, done.signal]);
    const change = once(changes, "change", { signal: either }).catch(() => {});
    await Promise.race([change, pause(MAX_INTERVAL_MS, either)]);
    done.abort();
    await pause(MIN_INTERVAL_MS, signal);
  }
}

function isPartner(ctx: HandlerContext): boolean {
  return callerOf(ctx).role === "mitra";
}

function partsLevel({ kodeWilayah, tingkat }: { kodeWilayah: string; tingkat: Tingkat }): number {
  const own = levelOf(kodeWilayah);
  if (tingkat === Tingkat.UNSPECIFIED) return Math.min(own + 1, KELURAHAN);
  const isBelow = tingkat > own || tingkat === KELURAHAN;
  if (isBelow && tingkat - own <= MAX_LEVELS_BELOW) return tingkat;
  const description = `has to be one or two levels below that of ${kodeWilayah}`;
  throw refuseFields([{ field: "tingkat", description, reason: "LEVEL_OUT_OF_RANGE" }]);
}
