// Measures what each of the gateway's protections costs a call, one after the other, in microseconds.
//
//   node test/bench/protections.ts     prints a table and one JSON line; the store's rows need Debian's redis-server
import { create, type Message } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { GetStatsResponseSchema, StatistikService } from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import { cacheableOf, cacheReads, createAnswerStore } from "../../gateway/answer-cache.ts";
import { createBalancer } from "../../gateway/balancer.ts";
import { insuredCounter } from "../../gateway/call-counter.ts";
import { createRateLimiter } from "../../gateway/rate-limit.ts";
import { connectRedisCounter } from "../../gateway/redis-counter.ts";
import { retryReads } from "../../gateway/retry.ts";
import { redisMissing, startRedis } from "../engines/redis.ts";

const CALLS = 50_000;
const MANY = 1_000_000_000;
const rows: Record<string, number> = {};

const answer = create(GetStatsResponseSchema, {
  stats: Array.from({ length: 38 }, (_, n) => ({
    provinsi: `Provinsi ${n}`,
    jumlah: n,
    kodeProvinsi: `${n}`,
  })),
});
const upstream = {
  unary: async () => ({ stream: false, message: answer, header: new Headers(), trailer: new Headers() }),
} as unknown as Transport;
const { getStats } = StatistikService.method;
const { registerPenduduk } = PendudukService.method;

/** Time of a call, less that of the bare upstream: a wrapper's own. */
async function costOf(
  transport: Transport,
  method: typeof getStats | typeof registerPenduduk,
): Promise<number> {
  const header = { authorization: "Bearer t" };
  const call = (through: Transport) => () =>
    through.unary(method as typeof getStats, undefined, 15_000, header, {} as Message as never);
  return Math.max(0, (await timeOf(call(transport))) - (await timeOf(call(upstream))));
}

async function timeOf(call: () => Promise<unknown>, calls = CALLS): Promise<number> {
  for (let n = 0; n < calls / 5; n++) await call();
  const startedAt = performance.now();
  for (let n = 0; n < calls; n++) await call();
  return ((performance.now() - startedAt) / calls) * 1_000;
}

const route = "lampid.statistik.v1.StatistikService/GetStats";
const byRoute = new Map([[route, MANY]]);
const memory = createRateLimiter({ perMinute: MANY, byRoute });
rows["rate limit, in memory"] = await timeOf(() => memory.consume("s:1"));
rows["rate limit, in memory, and of a route"] = await timeOf(() => memory.consume("s:1", undefined, route));
rows["retries, of a write"] = await costOf(retryReads(upstream), registerPenduduk);
rows["retries, of a read"] = await costOf(retryReads(upstream), getStats);
const balancer = createBalancer({ name: "bench", connect: () => ({ ...upstream, close() {} }) });
balancer.update(["a", "b", "c"]);
rows["balancer of three addresses"] = await costOf(balancer, getStats);
const cached = (freshMs: number) =>
  cacheReads(upstream, {
    staleMs: cacheableOf([StatistikService]),
    callerOf: () => ({ subject: "1", role: "admin_pusat", wilayah: "ID", scopes: [] }),
    store: createAnswerStore(1024 * 1024),
    freshMs,
    callMs: 15_000,
  });
rows["cache, asked (38 provinces)"] = await costOf(cached(0), getStats);
rows["cache, hit (38 provinces)"] = await costOf(cached(60_000), getStats);

if (redisMissing()) {
  console.log(`without a store: ${redisMissing()}`);
} else {
  const redis = await startRedis();
  const store = await connectRedisCounter({ url: redis.url });
  const shared = createRateLimiter({ perMinute: MANY }, insuredCounter(store));
  const consume = () => shared.consume("s:1");
  rows["rate limit, in Redis, one at a time"] = await timeOf(consume, 5_000);
  const batch = 64;
  const many = () => Promise.all(Array.from({ length: batch }, consume));
  rows[`rate limit, in Redis, ${batch} at a time`] = (await timeOf(many, 500)) / batch;
  store.close();
  await redis.stop();
}

const rounded = Object.fromEntries(
  Object.entries(rows).map(([name, us]) => [name, Math.round(us * 100) / 100]),
);
console.table(Object.fromEntries(Object.entries(rounded).map(([name, us]) => [name, { "us a call": us }])));
console.log(JSON.stringify(rounded));
