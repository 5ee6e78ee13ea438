import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { HealthCheckResponse_ServingStatus } from "#gen/grpc/health/v1/health_pb.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { type BalancerOptions, createBalancer } from "./balancer.ts";

beforeEach((context) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  if ("after" in context) context.after(() => mock.timers.reset());
});

/** Upstreams that count their calls, answer when they are told to, and can be unreachable. */
function scene(options: Partial<BalancerOptions> = {}) {
  const calls: Record<string, number> = {};
  const closed: string[] = [];
  const changes: string[] = [];
  const gone = new Set<string>();
  const slow = new Map<string, Promise<void>>();
  const refusing = new Set<string>();
  let probes = 0;
  function connect(address: string) {
    calls[address] = 0;
    const reach = async () => {
      calls[address]!++;
      await slow.get(address);
      if (gone.has(address)) throw new ConnectError("No connection established", Code.Unavailable);
      if (refusing.has(address)) {
        const detail = { reason: "STORE_UNAVAILABLE", domain: "lampid.go.id", metadata: {} };
        throw new ConnectError("no database", Code.Unavailable, undefined, [
          { desc: ErrorInfoSchema, value: detail },
        ]);
      }
    };
    const transport = createRouterTransport((router) =>
      router.service(PendudukService, {
        async getPenduduk() {
          await reach();
          return { penduduk: { name: address } };
        },
        async *exportPenduduk() {
          yield { cursor: address };
          await reach();
          yield { cursor: "2" };
        },
      }),
    );
    return { ...transport, close: () => void closed.push(address) };
  }
  const balancer = createBalancer({
    name: "penduduk",
    connect,
    ejection: { baseMs: 1_000, maxMs: 8_000 },
    async probe(transport) {
      probes++;
      await createClient(PendudukService, transport).getPenduduk({});
    },
    onChange: (address, state) => changes.push(`${address} ${state}`),
    ...options,
  });
  const client = createClient(PendudukService, balancer);
  const get = async () => (await client.getPenduduk({ name: "penduduk/1" })).penduduk!.name;
  return { balancer, client, get, calls, closed, changes, gone, slow, refusing, probes: () => probes };
}

const isUnavailable = (error: unknown) => error instanceof ConnectError && error.code === Code.Unavailable;

test("calls go to all addresses", async () => {
  const { balancer, get, calls } = scene();
  balancer.update(["a", "b", "c"]);
  for (let n = 0; n < 300; n++) await get();
  for (const address of ["a", "b", "c"]) assert.ok(calls[address]! > 50, `${address}: ${calls[address]}`);
});

test("of two addresses a call goes to the one with fewer calls pending", async () => {
  const { balancer, get, calls, slow } = scene();
  const answered = Promise.withResolvers<void>();
  slow.set("a", answered.promise);
  balancer.update(["a", "b"]);
  const pending: Promise<string>[] = [];
  while (calls.a === 0) {
    pending.push(get());
    await turn();
  }
  for (let n = 0; n < 50; n++) assert.equal(await get(), "b");
  answered.resolve();
  await Promise.all(pending);
  assert.ok(balancer.addresses().every((each) => each.pending === 0));
});

test("an address that cannot be reached is left out, probed later and later, and taken back when it answers", async () => {
  const { balancer, get, calls, changes, gone, probes } = scene({ random: () => 0 });
  balancer.update(["a", "b"]);
  gone.add("a");
  await assert.rejects(get(), isUnavailable);
  for (let n = 0; n < 20; n++) assert.equal(await get(), "b");
  assert.deepEqual(changes, ["a out"]);
  assert.equal(calls.a, 1);
  // Without jitter the waits are half of 1 s, 2 s, 4 s.
  for (const [waitMs, probed] of [
    [499, 0],
    [1, 1],
    [999, 1],
    [1, 2],
  ] as const) {
    mock.timers.tick(waitMs);
    await turn();
    assert.equal(probes(), probed);
  }
  gone.delete("a");
  mock.timers.tick(2_000);
  await turn();
  assert.deepEqual(changes, ["a out", "a back"]);
  assert.equal(await get(), "a");
  balancer.close();
});

test("what a service refuses by itself says nothing against its address", async () => {
  const { balancer, get, changes, refusing } = scene();
  balancer.update(["a", "b"]);
  refusing.add("a").add("b");
  for (let n = 0; n < 10; n++) await assert.rejects(get(), isUnavailable);
  assert.deepEqual(changes, []);
});

test("when no address can be reached calls are made all the same, and one that succeeds brings its address back", async () => {
  const { balancer, get, changes, gone, calls } = scene({ random: () => 0 });
  balancer.update(["a", "b"]);
  gone.add("a").add("b");
  for (let n = 0; n < 4; n++) await assert.rejects(get(), isUnavailable);
  assert.equal(calls.a! + calls.b!, 4);
  gone.clear();
  await get();
  assert.deepEqual(changes, ["a out", "b out", "a back"]);
  balancer.close();
});

test("an address that is no longer named gets no new call and is closed when its last one has ended", async () => {
  const { balancer, client, get, closed, slow } = scene({ random: () => 0 });
  const answered = Promise.withResolvers<void>();
  slow.set("a", answered.promise);
  balancer.update(["a"]);
  const call = get();
  const stream = client.exportPenduduk({})[Symbol.asyncIterator]();
  assert.equal((await stream.next()).value?.cursor, "a");
  balancer.update(["b"]);
  assert.equal(await get(), "b");
  assert.deepEqual(closed, []);
  answered.resolve();
  assert.equal(await call, "a");
  assert.deepEqual(closed, [], "its stream is open");
  assert.equal((await stream.next()).value?.cursor, "2");
  assert.equal((await stream.next()).done, true);
  assert.deepEqual(closed, ["a"]);
  balancer.close();
  assert.deepEqual(closed, ["a", "b"]);
});

test("a stream that breaks puts its address out, and one that its caller leaves does not", async () => {
  const { balancer, client, changes, gone } = scene();
  balancer.update(["a"]);
  const left = new AbortController();
  const leaving = client.exportPenduduk({}, { signal: left.signal })[Symbol.asyncIterator]();
  await leaving.next();
  left.abort();
  await leaving.next().catch(() => {});
  assert.equal(balancer.addresses()[0]!.pending, 0);
  gone.add("a");
  await assert.rejects(async () => {
    for await (const _ of client.exportPenduduk({}));
  }, isUnavailable);
  assert.deepEqual(changes, ["a out"]);
  balancer.close();
});

test("without an address a call is UNAVAILABLE", async () => {
  const { get } = scene();
  await assert.rejects(get(), /\[unavailable\] no address of penduduk is known/);
});

test("by default an address is probed by its health: a server that is going is not back, one without health is", async () => {
  const { Health } = await import("#gen/grpc/health/v1/health_pb.ts");
  for (const [status, isBack] of [
    [HealthCheckResponse_ServingStatus.SERVING, true],
    [HealthCheckResponse_ServingStatus.NOT_SERVING, false],
    [undefined, true],
  ] as const) {
    const changes: string[] = [];
    const transport = createRouterTransport((router) => {
      router.service(PendudukService, {
        getPenduduk() {
          throw new ConnectError("gone", Code.Unavailable);
        },
      });
      if (status !== undefined) router.service(Health, { check: () => ({ status }) });
    });
    const balancer = createBalancer({
      name: "penduduk",
      connect: () => ({ ...transport, close() {} }),
      onChange: (_, state) => changes.push(state),
    });
    balancer.update(["a"]);
    await assert.rejects(createClient(PendudukService, balancer).getPenduduk({}), isUnavailable);
    mock.timers.tick(500);
    await turn();
    await turn();
    assert.equal(changes.includes("back"), isBack, `${status}`);
    balancer.close();
  }
});
