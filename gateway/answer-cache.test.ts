import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { StatistikService } from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import {
  type CacheCaller,
  type CacheOptions,
  cacheableOf,
  cacheReads,
  createAnswerStore,
} from "./answer-cache.ts";

const callers: Record<string, CacheCaller> = {
  pusat: { subject: "1", role: "admin_pusat", wilayah: "ID", scopes: [] },
  pusat2: { subject: "2", role: "admin_pusat", wilayah: "ID", scopes: [] },
  jabar: { subject: "3", role: "admin_kota", wilayah: "32.01", scopes: [] },
  bogor: { subject: "4", role: "admin_kota", wilayah: "32.71", scopes: [] },
  mitra: { subject: "5", role: "mitra", wilayah: "", scopes: ["b", "a"] },
  mitra2: { subject: "6", role: "mitra", wilayah: "", scopes: ["a", "b"] },
  mitra3: { subject: "7", role: "mitra", wilayah: "", scopes: ["a"] },
  bare: { subject: "8" },
  bare2: { subject: "9" },
};

/** A cache in front of a service whose answers say how many times, and by whom, it was asked. */
function scene(options: Partial<CacheOptions> = {}) {
  const state = {
    nowMs: 0,
    asked: [] as string[],
    failure: undefined as Error | undefined,
    held: undefined as Promise<void> | undefined,
    outcomes: [] as string[],
  };
  const answer = async (token: string) => {
    state.asked.push(token);
    await state.held;
    if (state.failure) throw state.failure;
    return { stats: [{ provinsi: `${state.asked.length}`, jumlah: 1 }] };
  };
  const tokenOf = (header: Headers) => header.get("authorization") ?? "nobody";
  const inner = createRouterTransport((router) =>
    router.service(StatistikService, {
      getStats: (_, { requestHeader }) => answer(tokenOf(requestHeader)),
      getKecamatanStats: async ({ kodeWilayah }, { requestHeader }) => {
        await answer(tokenOf(requestHeader));
        return { stats: [{ kecamatan: kodeWilayah, jumlah: state.asked.length }] };
      },
    }),
  );
  const client = createClient(
    StatistikService,
    cacheReads(inner, {
      staleMs: cacheableOf([StatistikService]),
      callerOf(authorization) {
        if (authorization === "expired") throw new Error("expired");
        return callers[authorization];
      },
      store: createAnswerStore(1024 * 1024),
      freshMs: 2_000,
      callMs: 15_000,
      now: () => state.nowMs,
      onOutcome: (_, outcome) => state.outcomes.push(outcome),
      ...options,
    }),
  );
  const get = async (token?: string, more: Record<string, string> = {}, timeoutMs?: number) => {
    let header = new Headers();
    const { stats } = await client.getStats(
      {},
      {
        headers: { ...(token === undefined ? {} : { authorization: token }), ...more },
        onHeader: (received) => {
          header = received;
        },
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      },
    );
    return { said: stats[0]!.provinsi, header };
  };
  return { state, client, get };
}

const gone = new ConnectError("No connection established", Code.Unavailable);

test("a fresh answer is given without asking, with its age and entity tag, and is for its reader alone to keep", async () => {
  const { state, get } = scene();
  const first = await get("pusat");
  assert.equal(first.header.get("age"), null);
  assert.equal(first.header.get("cache-control"), "private, no-cache");
  state.nowMs = 1_999;
  const second = await get("pusat");
  assert.equal(second.said, "1");
  assert.equal(second.header.get("age"), "1");
  assert.equal(second.header.get("etag"), first.header.get("etag"));
  assert.match(second.header.get("etag")!, /^"[\w-]{22}"$/);
  assert.equal(second.header.get("warning"), null);
  state.nowMs = 2_000;
  const third = await get("pusat");
  assert.equal(third.said, "2");
  assert.notEqual(third.header.get("etag"), first.header.get("etag"));
  assert.deepEqual(state.outcomes, ["asked", "hit", "asked"]);
});

test("callers share an answer only if role, wilayah and scopes are the same, else each has its own", async () => {
  const { state, get } = scene();
  const said = async (token: string) => (await get(token)).said;
  assert.equal(await said("pusat"), "1");
  assert.equal(await said("pusat2"), "1", "another admin pusat");
  assert.equal(await said("jabar"), "2", "another role");
  assert.equal(await said("bogor"), "3", "another wilayah");
  assert.equal(await said("mitra"), "4");
  assert.equal(await said("mitra2"), "4", "the same scopes in another order");
  assert.equal(await said("mitra3"), "5", "fewer scopes");
  assert.equal(await said("bare"), "6");
  assert.equal(await said("bare2"), "7", "what is not known of two callers is not the same");
  assert.equal(await said("bare"), "6");
  assert.equal(state.asked.length, 7);
});

test("whoever has no valid token goes past the cache, even when an answer is there", async () => {
  const { state, get } = scene();
  await get("pusat");
  assert.equal((await get()).said, "2");
  assert.equal((await get("expired")).said, "3");
  assert.equal((await get("unknown")).header.get("etag"), null);
  assert.deepEqual(state.asked, ["pusat", "nobody", "expired", "unknown"]);
  assert.equal((await get("pusat")).said, "1", "and what they were told is not kept");
});

test("another input or language is another answer", async () => {
  const { state, client, get } = scene();
  await get("pusat");
  await get("pusat", { "accept-language": "en" });
  const headers = { authorization: "pusat" };
  const kecamatan = async (kodeWilayah: string) =>
    (await client.getKecamatanStats({ kodeWilayah }, { headers })).stats[0]!.kecamatan;
  assert.equal(await kecamatan("32"), "32");
  assert.equal(await kecamatan("31"), "31");
  assert.equal(await kecamatan("32"), "32");
  assert.equal(state.asked.length, 4);
});

test("those who ask at once are one call, whose caller may leave, and whose refusal of a token is nobody else's", async () => {
  const { state, client, get } = scene({ freshMs: 0 });
  const answered = Promise.withResolvers<void>();
  state.held = answered.promise;
  const left = new AbortController();
  const leaving = client.getStats({}, { headers: { authorization: "pusat" }, signal: left.signal });
  const others = [get("pusat2"), get("pusat2")];
  left.abort();
  await assert.rejects(leaving, /canceled/);
  answered.resolve();
  for (const other of others) assert.equal((await other).said, "1");
  assert.deepEqual(state.asked, ["pusat"]);
  assert.deepEqual(state.outcomes, ["asked", "joined", "joined"]);

  const refused = Promise.withResolvers<void>();
  state.held = refused.promise;
  state.failure = new ConnectError("expired", Code.Unauthenticated);
  const one = get("pusat");
  const other = get("pusat2");
  await new Promise((resolve) => setImmediate(resolve));
  state.held = undefined;
  const first = assert.rejects(one, /unauthenticated/);
  refused.resolve();
  await first;
  await assert.rejects(other, /unauthenticated/);
  assert.deepEqual(state.asked.slice(1), ["pusat", "pusat2"], "it asked for itself");
});

test("when the upstream is down the last answer is given for as long as the contract says, marked as old", async () => {
  const { state, get } = scene({ freshMs: 0 });
  const { header } = await get("pusat");
  state.failure = gone;
  state.nowMs = 599_999;
  const stale = await get("pusat2");
  assert.equal(stale.said, "1");
  assert.equal(stale.header.get("age"), "599");
  assert.match(stale.header.get("warning")!, /^110 .*111 /);
  assert.equal(stale.header.get("etag"), header.get("etag"));
  await assert.rejects(get("jabar"), /unavailable/, "nothing is known for this one");
  state.nowMs = 600_000;
  await assert.rejects(get("pusat"), /unavailable/);
  state.failure = undefined;
  assert.equal((await get("pusat")).header.get("warning"), null);
});

test("an upstream that hangs is waited for only so long when there is an old answer, which its own then replaces", async () => {
  const { state, get } = scene({ freshMs: 0, patienceMs: 10 });
  await get("pusat");
  const answered = Promise.withResolvers<void>();
  state.held = answered.promise;
  state.nowMs = 5_000;
  const stale = await get("pusat");
  assert.equal(stale.said, "1");
  assert.equal(stale.header.get("age"), "5");
  state.failure = undefined;
  answered.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  state.held = undefined;
  state.failure = gone;
  assert.equal((await get("pusat")).said, "2");
});

test("without an old answer a call waits until its own deadline, and no longer", async () => {
  const { state, get } = scene({ callMs: 100 });
  state.held = new Promise(() => {});
  await assert.rejects(get("pusat", {}, 20), /deadline_exceeded/);
});

test("what a service refuses is neither kept nor replaced by an old answer", async () => {
  const { state, get } = scene({ freshMs: 0 });
  await get("pusat");
  for (const code of [Code.PermissionDenied, Code.NotFound, Code.Internal]) {
    state.failure = new ConnectError("no", code);
    await assert.rejects(get("pusat"), ConnectError);
  }
  state.failure = undefined;
  assert.equal((await get("pusat")).said, "5");
});

test("what is kept never takes more than its bytes; what was not asked for longest goes first", () => {
  const store = createAnswerStore(10_000);
  const answer = (length: number) => ({ bytes: new Uint8Array(length), etag: '"1"', atMs: 0 });
  for (let n = 0; n < 8; n++) store.set(`${n}`, answer(600));
  assert.equal(store.bytes(), 8 * (600 + 512));
  assert.ok(store.get("0"));
  store.set("8", answer(1_000));
  store.set("9", answer(1_000));
  assert.ok(store.bytes() <= 10_000);
  assert.ok(store.get("0"), "it was asked for");
  assert.equal(store.get("1"), undefined);
  store.set("large", answer(5_000));
  assert.equal(store.get("large"), undefined, "one answer does not drive out the others");
  store.set("0", answer(10));
  assert.ok(store.bytes() <= 10_000);
});

test("of this mesh the counters are kept, and no stream is", () => {
  assert.deepEqual(
    [...cacheableOf([StatistikService]).keys()].map(({ name }) => name),
    ["GetStats", "GetKecamatanStats", "GetLedger", "GetLedgerSeries", "GetLampidStats"],
  );
});
