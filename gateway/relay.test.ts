import assert from "node:assert/strict";
import { test } from "node:test";
import type { DescMethod } from "@bufbuild/protobuf";
import {
  type CallOptions,
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
} from "@connectrpc/connect";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { type RelayOptions, relayService } from "./relay.ts";
import { buildService } from "./transcoder/fixture.ts";

const kinds = {
  unary: {},
  server: { serverStreaming: true },
  client: { clientStreaming: true },
  bidi: { clientStreaming: true, serverStreaming: true },
};

type Book = { name: string };
type Impl = (
  request: never,
  context: {
    requestHeader: Headers;
    signal: AbortSignal;
    timeoutMs(): number | undefined;
    responseHeader: Headers;
    responseTrailer: Headers;
  },
) => unknown;

/** A client of a relay in front of a service with one method of the given kind, all in memory. */
function relayed(kind: keyof typeof kinds, impl: Impl, more: Partial<RelayOptions> = {}) {
  const service = buildService([{}], kinds[kind]);
  const method = service.methods[0] as DescMethod;
  const upstream = createRouterTransport((router) => router.rpc(method as never, impl as never));
  const ends: number[] = [];
  const options: RelayOptions = {
    forwardHeaders: ["authorization"],
    answerHeaders: ["x-request-id"],
    timeout: { defaultMs: 15_000, maxMs: 60_000 },
    streamMaxMs: 3_600_000,
    drainSignal: new AbortController().signal,
    onEnd: (_, code) => ends.push(code),
    ...more,
  };
  const front = createRouterTransport((router) => relayService(router, service, upstream, options));
  const client = createClient(service, front) as unknown as {
    m0(request: unknown, options?: CallOptions): Promise<Book> & AsyncIterable<Book>;
  };
  return { call: client.m0, ends };
}

async function* books(...names: string[]) {
  for (const name of names) {
    yield { name };
  }
}

async function namesOf(messages: AsyncIterable<Book>) {
  const names: string[] = [];
  for await (const { name } of messages) {
    names.push(name);
  }
  return names;
}

test("a unary call is relayed with allowed headers both ways", async () => {
  const { call, ends } = relayed("unary", (request: Book, context) => {
    assert.equal(context.requestHeader.get("authorization"), "Bearer x");
    assert.equal(context.requestHeader.get("cookie"), null);
    context.responseHeader.set("x-request-id", "r1");
    context.responseHeader.set("x-internal", "host-7");
    return { name: `${request.name}!` };
  });
  const seen: Headers[] = [];
  const answer = await call(
    { name: "Bumi" },
    { headers: { authorization: "Bearer x", cookie: "c" }, onHeader: (header) => seen.push(header) },
  );
  assert.equal(answer.name, "Bumi!");
  assert.equal(seen[0]!.get("x-request-id"), "r1");
  assert.equal(seen[0]!.get("x-internal"), null);
  assert.deepEqual(ends, [0]);
});

test("a server stream, a client stream and a bidi stream are relayed message by message", async () => {
  const server = relayed("server", async function* (request: Book) {
    yield* books(`${request.name}1`, `${request.name}2`);
  } as Impl);
  assert.deepEqual(await namesOf(server.call({ name: "a" })), ["a1", "a2"]);

  const client = relayed("client", (async (requests: AsyncIterable<Book>) => ({
    name: (await namesOf(requests)).join("+"),
  })) as unknown as Impl);
  assert.equal((await client.call(books("a", "b"))).name, "a+b");

  const bidi = relayed("bidi", async function* (requests: AsyncIterable<Book>) {
    for await (const { name } of requests) {
      yield { name: name.toUpperCase() };
    }
  } as unknown as Impl);
  assert.deepEqual(await namesOf(bidi.call(books("a", "b"))), ["A", "B"]);
  assert.deepEqual([...server.ends, ...client.ends, ...bidi.ends], [0, 0, 0]);
});

test("a refusal keeps code, message and details; its metadata passes the allow-list", async () => {
  const { call, ends } = relayed("unary", () => {
    throw new ConnectError(
      "no such resident",
      Code.NotFound,
      { "x-internal": "host-7", "x-request-id": "r1" },
      [{ desc: ErrorInfoSchema, value: { reason: "NOT_REGISTERED", domain: "lampid.go.id" } }],
    );
  });
  const error = await call({}).then(() => assert.fail("was not refused"), ConnectError.from);
  assert.equal(error.code, Code.NotFound);
  assert.equal(error.rawMessage, "no such resident");
  assert.equal(error.findDetails(ErrorInfoSchema)[0]!.reason, "NOT_REGISTERED");
  assert.equal(error.metadata.get("x-request-id"), "r1");
  assert.equal(error.metadata.get("x-internal"), null);
  assert.deepEqual(ends, [Code.NotFound]);
});

test("an error in mid-stream comes after the messages before it", async () => {
  const { call } = relayed("server", async function* () {
    yield* books("a");
    throw new ConnectError("enough", Code.ResourceExhausted);
  } as Impl);
  const names: string[] = [];
  await assert.rejects(
    async () => {
      for await (const { name } of call({})) {
        names.push(name);
      }
    },
    (error) => error instanceof ConnectError && error.code === Code.ResourceExhausted,
  );
  assert.deepEqual(names, ["a"]);
});

test("an unexpected failure is internal, with the trace id and nothing else", async () => {
  const causes: unknown[] = [];
  const { call } = relayed(
    "unary",
    () => {
      throw new TypeError("secret at store.ts:12");
    },
    { onInternalError: (error) => causes.push(error) },
  );
  const headers = { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" };
  const error = await call({}, { headers }).then(() => assert.fail("was not refused"), ConnectError.from);
  assert.equal(error.code, Code.Internal);
  assert.equal(error.rawMessage, "internal error (trace 4bf92f3577b34da6a3ce929d0e0e4736)");
  assert.equal(causes.length, 1);
});

test("the deadline travels as what is left, with a default and a maximum", async () => {
  const seen: number[] = [];
  const { call } = relayed("unary", (_, context) => {
    seen.push(context.timeoutMs()!);
    return {};
  });
  await call({}, { timeoutMs: 2_000 });
  await call({});
  await call({}, { timeoutMs: 600_000 });
  await call({}, { headers: { "x-server-timeout": "1.5" } });
  const within = (value: number, maxMs: number) => value <= maxMs && value > maxMs - 500;
  assert.ok(
    within(seen[0]!, 2_000) &&
      within(seen[1]!, 15_000) &&
      within(seen[2]!, 15_000) &&
      within(seen[3]!, 1_500),
    String(seen),
  );
});

test("a caller that cancels cancels upstream, and a passed deadline does, too", async () => {
  for (const options of [{ signal: AbortSignal.timeout(50) }, { timeoutMs: 50 }]) {
    let aborted = () => {};
    const upstreamAborted = new Promise<void>((resolve) => {
      aborted = resolve;
    });
    const { call } = relayed("unary", (_, context) => {
      return new Promise((_, reject) => {
        context.signal.addEventListener("abort", () => {
          aborted();
          reject(new ConnectError("canceled", Code.Canceled));
        });
      });
    });
    await assert.rejects(call({}, options));
    await upstreamAborted;
  }
});

test("draining ends streams with UNAVAILABLE", async () => {
  const drain = new AbortController();
  const { call } = relayed(
    "server",
    async function* (_: unknown, context: { signal: AbortSignal }) {
      yield { name: "first" };
      await new Promise((_, reject) => context.signal.addEventListener("abort", reject));
    } as unknown as Impl,
    { drainSignal: drain.signal, streamMaxMs: 500 }, // the in-memory upstream keeps its deadline timer
  );
  const names: string[] = [];
  await assert.rejects(
    async () => {
      for await (const { name } of call({})) {
        names.push(name);
        drain.abort(new ConnectError("shutting down", Code.Unavailable));
      }
    },
    (error) => error instanceof ConnectError && error.code === Code.Unavailable,
  );
  assert.deepEqual(names, ["first"]);
});
