// SinkronisasiService: starts, watches and steers runs, and hands out what they put aside.
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { actorOf, callerOf } from "#chassis/caller.ts";
import { idempotencyKeyOf } from "#chassis/idempotency.ts";
import { methodName } from "#chassis/interceptors.ts";
import { pageSizeOf, readPageToken, UUID_PART, writePageToken } from "#chassis/page-token.ts";
import { refuse } from "#chassis/refusal.ts";
import {
  type SinkronisasiService,
  StartSinkronisasiRequestSchema,
} from "#gen/lampid/integrasi/v1/sinkronisasi_service_pb.ts";
import type { By, Commands } from "./commands.ts";
import type { KarantinaCommands } from "./karantina.ts";
import { idOf, karantinaKeadaanOf, karantinaToMessage, keadaanOf, runToMessage } from "./messages.ts";
import type { KarantinaStore, RunRecord, RunStore } from "./store.ts";
import type { Watches } from "./watch.ts";

export type Deps = {
  store: RunStore;
  karantinaStore: KarantinaStore;
  commands: Commands;
  karantina: KarantinaCommands;
  watches: Watches;
};

export function sinkronisasiService(deps: Deps): ServiceImpl<typeof SinkronisasiService> {
  const { store, karantinaStore, commands, karantina, watches } = deps;

  return {
    startSinkronisasi(request, ctx) {
      const { subject } = callerOf(ctx);
      return commands.start(
        request,
        idempotencyKeyOf(subject, StartSinkronisasiRequestSchema, request),
        by(ctx),
      );
    },

    async getSinkronisasi({ name }) {
      return { sinkronisasi: runToMessage(await found(store, name)) };
    },

    async listSinkronisasi({ keadaan, pageSize, pageToken }) {
      const filter = [keadaan];
      const before = readPageToken(pageToken, filter, [UUID_PART])?.[0];
      const limit = pageSizeOf(pageSize);
      const runs = await store.list({ keadaan: keadaanOf(keadaan), limit: limit + 1, before });
      const { page, nextPageToken } = pageOf(runs, limit, filter);
      return { sinkronisasi: page.map(runToMessage), nextPageToken };
    },

    async *watchSinkronisasi({ name }, ctx) {
      const started = await found(store, name);
      for await (const { message } of watches.watch(started, ctx.signal)) yield { sinkronisasi: message };
    },

    async pauseSinkronisasi({ name }, ctx) {
      return { sinkronisasi: runToMessage(await commands.pause(idOf(name), by(ctx))) };
    },

    async resumeSinkronisasi({ name, batasKarantinaPersen }, ctx) {
      return { sinkronisasi: runToMessage(await commands.resume(idOf(name), batasKarantinaPersen, by(ctx))) };
    },

    async cancelSinkronisasi({ name }, ctx) {
      return { sinkronisasi: runToMessage(await commands.cancel(idOf(name), by(ctx))) };
    },

    async listKarantina({ sinkronisasi, keadaan, pageSize, pageToken }) {
      const filter = [sinkronisasi, keadaan];
      const before = readPageToken(pageToken, filter, [UUID_PART])?.[0];
      const limit = pageSizeOf(pageSize);
      const rows = await karantinaStore.list({
        sinkronisasi: sinkronisasi ? idOf(sinkronisasi) : undefined,
        keadaan: karantinaKeadaanOf(keadaan) ?? "terbuka",
        limit: limit + 1,
        before,
      });
      const { page, nextPageToken } = pageOf(rows, limit, filter);
      return { karantina: page.map(karantinaToMessage), nextPageToken };
    },

    async getKarantina({ name }, ctx) {
      return { karantina: await karantina.read(idOf(name), by(ctx)) };
    },

    async retryKarantina({ name, koreksi }, ctx) {
      return { karantina: await karantina.retry(idOf(name), koreksi, by(ctx)) };
    },

    async dismissKarantina({ name }, ctx) {
      return { karantina: await karantina.dismiss(idOf(name), by(ctx)) };
    },
  };
}

/** @throws Refused NOT_FOUND. */
export async function found(store: Pick<RunStore, "find">, name: string): Promise<RunRecord> {
  const run = await store.find(idOf(name));
  if (!run) throw refuse("notFound", "NOT_FOUND", "there is no such run");
  return run;
}

export function by(ctx: HandlerContext): By {
  return { actor: actorOf(ctx), action: methodName(ctx) };
}

/** @param rows one more than the page holds, where there are more. */
export function pageOf<Row extends { id: string }>(
  rows: readonly Row[],
  limit: number,
  filter: readonly unknown[],
): { page: Row[]; nextPageToken: string } {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { page, nextPageToken: rows.length > limit && last ? writePageToken([last.id], filter) : "" };
}
