/** The contract of the wire: one suite, run over every implementation. */

import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create, createFileRegistry, toBinary } from "@bufbuild/protobuf";
import type { GenService } from "@bufbuild/protobuf/codegenv2";
import {
  type BytesValueSchema,
  DurationSchema,
  type EmptySchema,
  FileDescriptorProtoSchema,
  file_google_protobuf_empty,
  file_google_protobuf_wrappers,
  type Int32ValueSchema,
  StringValueSchema,
} from "@bufbuild/protobuf/wkt";
import {
  Code,
  ConnectError,
  createClient,
  decodeBinaryHeader,
  encodeBinaryHeader,
  type HandlerContext,
  type Interceptor,
  type ServiceImpl,
} from "@connectrpc/connect";
import { createWireClient } from "./client.ts";
import { rawBytes, rawMessage } from "./raw.ts";
import type { WireServer, WireServerOptions, WireTransportOptions } from "./types.ts";
import { createWireServer, createWireTransport, type WireName, wireNames } from "./wire.ts";

type Methods = {
  unary: { methodKind: "unary"; input: typeof StringValueSchema; output: typeof StringValueSchema };
  missing: { methodKind: "unary"; input: typeof EmptySchema; output: typeof EmptySchema };
  download: {
    methodKind: "server_streaming";
    input: typeof Int32ValueSchema;
    output: typeof BytesValueSchema;
  };
  upload: { methodKind: "client_streaming"; input: typeof BytesValueSchema; output: typeof Int32ValueSchema };
  chat: { methodKind: "bidi_streaming"; input: typeof StringValueSchema; output: typeof StringValueSchema };
};

/** Made here, so that the suite depends on no generated code. */
function testService(name: string): GenService<Methods> {
  const type = (message: string) => `.google.protobuf.${message}`;
  const file = create(FileDescriptorProtoSchema, {
    name: `${name}.proto`,
    package: "wire.test.v1",
    syntax: "proto3",
    dependency: ["google/protobuf/wrappers.proto", "google/protobuf/empty.proto"],
    service: [
      {
        name,
        method: [
          { name: "Unary", inputType: type("StringValue"), outputType: type("StringValue") },
          { name: "Missing", inputType: type("Empty"), outputType: type("Empty") },
          {
            name: "Download",
            inputType: type("Int32Value"),
            outputType: type("BytesValue"),
            serverStreaming: true,
          },
          {
            name: "Upload",
            inputType: type("BytesValue"),
            outputType: type("Int32Value"),
            clientStreaming: true,
          },
          {
            name: "Chat",
            inputType: type("StringValue"),
            outputType: type("StringValue"),
            clientStreaming: true,
            serverStreaming: true,
          },
        ],
      },
    ],
  });
  const known = [file_google_protobuf_wrappers, file_google_protobuf_empty];
  const registry = createFileRegistry(file, (path) => known.find(({ proto }) => proto.name === path));
  return registry.getService(`wire.test.v1.${name}`) as GenService<Methods>;
}

const TestService = testService("TestService");
const OtherService = testService("OtherService");

type Impl = Partial<ServiceImpl<typeof TestService>>;

const echo: Impl = {
  unary: (request) => request,
  async *download({ value }) {
    for (let i = 0; i < value; i++) {
      yield { value: Uint8Array.of(i) };
    }
  },
  async upload(requests) {
    let value = 0;
    for await (const request of requests) {
      value += request.value.byteLength;
    }
    return { value };
  },
  async *chat(requests) {
    for await (const { value } of requests) {
      yield { value: value.toUpperCase() };
    }
  },
};

interface Options {
  server?: WireServerOptions;
  client?: Partial<WireTransportOptions>;
  /** The wire of the client, when it is another. */
  clientWire?: WireName;
}

async function start(t: TestContext, wire: WireName, impl: Impl, options: Options = {}) {
  const server = createWireServer({ wire, ...options.server }).service(TestService, impl);
  const { port } = await server.listen({ port: 0 });
  t.after(() => server.close(0));
  const { transport, client } = dial(t, options.clientWire ?? wire, port, options.client);
  return { server, port, transport, client };
}

function dial(t: TestContext, wire: WireName, port: number, options: Options["client"] = {}) {
  const transport = createWireTransport({ wire, baseUrl: `http://127.0.0.1:${port}`, ...options });
  t.after(() => transport.close());
  return { transport, client: createWireClient(TestService, transport) };
}

/** Resolves with the reason of the abort of the first call's signal. */
function watchSignal() {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  return {
    aborted: promise,
    watch({ signal }: HandlerContext) {
      if (signal.aborted) {
        resolve(signal.reason);
      }
      signal.addEventListener("abort", () => resolve(signal.reason));
    },
  };
}

async function failure(promise: Promise<unknown>): Promise<ConnectError> {
  const error = await promise.then(
    () => assert.fail("the call should fail"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof ConnectError, String(error));
  return error;
}

async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const message of messages) {
    all.push(message);
  }
  return all;
}

/** A stream that is still open would hold up the drain. connect-node 2.2.0 leaves such streams to the grace period. */
async function closesSoon(wire: WireName, server: WireServer): Promise<void> {
  const startedMs = Date.now();
  await server.close(wire === "connect-node" ? 100 : 5000);
  assert.ok(Date.now() - startedMs < 2000);
}

/** Waits until `count` has not moved for a while. */
async function settled(count: () => number): Promise<number> {
  for (let last = -1; last !== count(); ) {
    last = count();
    await sleep(150);
  }
  return count();
}

/** A TCP proxy that counts bytes and can stop to forward, like a pulled cable. */
async function proxy(t: TestContext, port: number) {
  const sockets = new Set<Socket>();
  const state = { port: 0, up: 0, down: 0, frozen: false };
  const listener = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
    }
    near.on("data", (data) => {
      state.up += data.byteLength;
      if (!state.frozen) {
        far.write(data);
      }
    });
    far.on("data", (data) => {
      state.down += data.byteLength;
      if (!state.frozen) {
        near.write(data);
      }
    });
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  }).listen(0, "127.0.0.1");
  await once(listener, "listening");
  state.port = (listener.address() as AddressInfo).port;
  t.after(() => {
    listener.close();
    for (const socket of sockets) {
      socket.destroy();
    }
  });
  return state;
}

describe("the grpc-js server", () => {
  it("takes a deadline in 1,000 days for what it is", async (t) => {
    let remainingMs: number | undefined;
    const { port } = await start(t, "grpc-js", {
      unary(request, context) {
        remainingMs = context.timeoutMs();
        return request;
      },
    });
    assert.equal(await rawStatus(t, port, { "grpc-timeout": "24000H" }), "0");
    assert.ok(remainingMs !== undefined && remainingMs > 20 * 24 * 3600 * 1000, String(remainingMs));
  });

  it("refuses what is not plain gRPC with an HTTP status", async (t) => {
    const { port } = await start(t, "grpc-js", echo);
    assert.equal(await rawStatus(t, port, { "content-type": "application/grpc-web+proto" }), "HTTP 415");
    assert.equal(await rawStatus(t, port, { "content-type": "application/grpc+json" }), "HTTP 415");
    assert.equal(await rawStatus(t, port, { ":method": "PUT" }), "HTTP 415");
  });

  async function rawStatus(t: TestContext, port: number, headers: Record<string, string>): Promise<string> {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    t.after(() => session.destroy());
    const stream = session.request({
      ":method": "POST",
      ":path": "/wire.test.v1.TestService/Unary",
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    let status = "none";
    stream.on("response", (received) => {
      status =
        received[":status"] === 200
          ? String(received["grpc-status"] ?? status)
          : `HTTP ${received[":status"]}`;
    });
    stream.on("trailers", (received) => {
      status = String(received["grpc-status"]);
    });
    // One empty message.
    stream.end(Buffer.alloc(5));
    stream.resume();
    await once(stream, "close");
    return status;
  }
});

for (const wire of wireNames) {
  describe(`the ${wire} wire`, { timeout: 30_000 }, () => {
    it("carries a unary call", async (t) => {
      const { client } = await start(t, wire, echo);
      assert.equal((await client.unary({ value: "halo" })).value, "halo");
    });

    it("carries a stream of responses", async (t) => {
      const { client } = await start(t, wire, echo);
      const received = await collect(client.download({ value: 100 }));
      assert.deepEqual(
        received.map(({ value }) => value[0]),
        Array.from({ length: 100 }, (_, i) => i),
      );
    });

    it("carries a stream of requests", async (t) => {
      const { client } = await start(t, wire, echo);
      async function* requests() {
        for (let i = 0; i < 100; i++) {
          yield { value: new Uint8Array(i) };
        }
      }
      assert.equal((await client.upload(requests())).value, 4950);
    });

    it("carries a conversation in which each side waits for the other", async (t) => {
      const { client } = await start(t, wire, echo);
      let answered = Promise.withResolvers<void>();
      async function* requests() {
        for (const value of ["satu", "dua", "tiga"]) {
          yield { value };
          await answered.promise;
          answered = Promise.withResolvers();
        }
      }
      const received: string[] = [];
      for await (const { value } of client.chat(requests())) {
        received.push(value);
        answered.resolve();
      }
      assert.deepEqual(received, ["SATU", "DUA", "TIGA"]);
    });

    it("carries streams without any message", async (t) => {
      const { client } = await start(t, wire, echo);
      assert.deepEqual(await collect(client.download({ value: 0 })), []);
      assert.equal((await client.upload((async function* () {})())).value, 0);
      assert.deepEqual(await collect(client.chat((async function* () {})())), []);
    });

    it("carries headers, trailers and binary values both ways", async (t) => {
      const binary = Uint8Array.of(0, 255, 254, 1);
      let received: Headers | undefined;
      const answer = ({ requestHeader, responseHeader, responseTrailer }: HandlerContext) => {
        received = requestHeader;
        responseHeader.append("x-header", "one");
        responseHeader.append("x-header", "two");
        responseHeader.set("x-header-bin", encodeBinaryHeader(binary));
        responseTrailer.set("x-trailer", "after");
        responseTrailer.set("x-trailer-bin", encodeBinaryHeader(binary));
      };
      const { client } = await start(t, wire, {
        unary(request, context) {
          answer(context);
          return request;
        },
        async *download(_, context) {
          answer(context);
          yield { value: binary };
        },
      });
      let header = new Headers();
      let trailer = new Headers();
      const options = {
        headers: { "x-request": "satu", "x-request-bin": encodeBinaryHeader(binary) },
        onHeader: (headers: Headers) => {
          header = headers;
        },
        onTrailer: (headers: Headers) => {
          trailer = headers;
        },
      };
      for (const call of [
        () => client.unary({ value: "" }, options),
        () => collect(client.download({ value: 1 }, options)),
      ]) {
        await call();
        assert.equal(received?.get("x-request"), "satu");
        assert.deepEqual(Uint8Array.from(decodeBinaryHeader(received?.get("x-request-bin") ?? "")), binary);
        assert.equal(header.get("x-header"), "one, two");
        assert.deepEqual(Uint8Array.from(decodeBinaryHeader(header.get("x-header-bin") ?? "")), binary);
        assert.equal(trailer.get("x-trailer"), "after");
        assert.deepEqual(Uint8Array.from(decodeBinaryHeader(trailer.get("x-trailer-bin") ?? "")), binary);
      }
    });

    it("delivers an error with its code, message, details and metadata", async (t) => {
      const refuse = () =>
        new ConnectError("tidak ditemukan: 100% / é", Code.NotFound, { "x-why": "gone" }, [
          { desc: DurationSchema, value: { seconds: 7n } },
        ]);
      const { client } = await start(t, wire, {
        unary() {
          throw refuse();
        },
        // biome-ignore lint/correctness/useYield: it fails before it yields
        async *download() {
          throw refuse();
        },
      });
      for (const call of [client.unary({ value: "" }), collect(client.download({ value: 1 }))]) {
        const error = await failure(call);
        assert.equal(error.code, Code.NotFound);
        assert.equal(error.rawMessage, "tidak ditemukan: 100% / é");
        assert.equal(error.findDetails(DurationSchema)[0]?.seconds, 7n);
        assert.equal(error.metadata.get("x-why"), "gone");
      }
    });

    it("hides an error that is no ConnectError, and hands its cause to the server", async (t) => {
      const seen: string[] = [];
      const { client } = await start(
        t,
        wire,
        {
          unary() {
            throw new Error("password in the clear");
          },
          async *download() {
            yield { value: new Uint8Array(1) };
            throw new Error("password in the clear");
          },
        },
        { server: { onInternalError: (error, path) => seen.push(`${path}: ${(error as Error).message}`) } },
      );
      for (const call of [client.unary({ value: "" }), collect(client.download({ value: 1 }))]) {
        const error = await failure(call);
        assert.equal(error.code, Code.Internal);
        assert.equal(error.rawMessage, "internal error");
      }
      assert.deepEqual(seen, [
        "/wire.test.v1.TestService/Unary: password in the clear",
        "/wire.test.v1.TestService/Download: password in the clear",
      ]);
    });

    it("delivers what was sent before an error, then the error", async (t) => {
      const { client } = await start(t, wire, {
        async *download() {
          for (let i = 0; i < 20; i++) {
            yield { value: Uint8Array.of(i) };
          }
          throw new ConnectError("stop", Code.Aborted);
        },
      });
      const received: number[] = [];
      const error = await failure(
        (async () => {
          for await (const { value } of client.download({ value: 0 })) {
            received.push(value[0]!);
            await sleep(1);
          }
        })(),
      );
      assert.equal(error.code, Code.Aborted);
      assert.equal(received.length, 20);
    });

    it("ends a call at its deadline on both sides", async (t) => {
      const { aborted, watch } = watchSignal();
      let remainingMs: number | undefined;
      const { client } = await start(t, wire, {
        async unary(request, context) {
          watch(context);
          remainingMs = context.timeoutMs();
          await sleep(5000, undefined, { signal: context.signal, ref: false });
          return request;
        },
      });
      const error = await failure(client.unary({ value: "" }, { timeoutMs: 200 }));
      assert.equal(error.code, Code.DeadlineExceeded);
      assert.ok(remainingMs !== undefined && remainingMs > 0 && remainingMs <= 200, String(remainingMs));
      await aborted;
    });

    it("ends a stream at its deadline on both sides", async (t) => {
      const { aborted, watch } = watchSignal();
      const { client } = await start(t, wire, {
        async *download(_, context) {
          watch(context);
          yield { value: new Uint8Array(1) };
          await sleep(5000, undefined, { signal: context.signal, ref: false });
        },
      });
      const error = await failure(collect(client.download({ value: 0 }, { timeoutMs: 200 })));
      assert.equal(error.code, Code.DeadlineExceeded);
      await aborted;
    });

    it("takes the transport's default deadline for a call without one", async (t) => {
      const { client } = await start(
        t,
        wire,
        {
          unary: (_, context) => ({ value: context.timeoutMs() === undefined ? "none" : "some" }),
        },
        { client: { defaultTimeoutMs: 3000 } },
      );
      assert.equal((await client.unary({ value: "" })).value, "some");
      assert.equal((await client.unary({ value: "" }, { timeoutMs: 0 })).value, "none");
    });

    it("tells the handler that the client cancelled", async (t) => {
      for (const kind of ["unary", "download", "chat"] as const) {
        const { aborted, watch } = watchSignal();
        const called = Promise.withResolvers<void>();
        const wait = async (context: HandlerContext) => {
          watch(context);
          called.resolve();
          await sleep(5000, undefined, { signal: context.signal, ref: false });
        };
        const { client } = await start(t, wire, {
          async unary(request, context) {
            await wait(context);
            return request;
          },
          async *download(_, context) {
            yield { value: new Uint8Array(1) };
            await wait(context);
          },
          async *chat(_, context) {
            yield { value: "" };
            await wait(context);
          },
        });
        const controller = new AbortController();
        const { signal } = controller;
        const call =
          kind === "unary"
            ? client.unary({ value: "" }, { signal })
            : kind === "download"
              ? collect(client.download({ value: 1 }, { signal }))
              : collect(client.chat((async function* () {})(), { signal }));
        void called.promise.then(() => controller.abort());
        const error = await failure(call);
        assert.equal(error.code, Code.Canceled, kind);
        await aborted;
      }
    });

    it("cancels the call when the client leaves a response stream early", async (t) => {
      const { aborted, watch } = watchSignal();
      const cleaned = Promise.withResolvers<void>();
      const { client } = await start(t, wire, {
        async *download(_, context) {
          watch(context);
          try {
            for (;;) {
              yield { value: new Uint8Array(1024) };
            }
          } finally {
            cleaned.resolve();
          }
        },
      });
      for await (const _ of client.download({ value: 0 })) {
        break;
      }
      await aborted;
      await cleaned.promise;
    });

    it("fails the call with the error of the request stream", async (t) => {
      const { aborted, watch } = watchSignal();
      const { client } = await start(t, wire, {
        async upload(requests, context) {
          watch(context);
          for await (const _ of requests) {
            // Reads until the client gives up.
          }
          return { value: 0 };
        },
      });
      async function* requests() {
        yield { value: new Uint8Array(1) };
        await sleep(50);
        throw new ConnectError("source is gone", Code.DataLoss);
      }
      const error = await failure(client.upload(requests()));
      assert.equal(error.rawMessage, "source is gone");
      await aborted;
    });

    it("stops reading a request stream when the handler has answered", async (t) => {
      const { client } = await start(t, wire, {
        async upload(requests) {
          for await (const _ of requests) {
            break;
          }
          throw new ConnectError("enough", Code.ResourceExhausted);
        },
      });
      const cleaned = Promise.withResolvers<void>();
      async function* requests() {
        try {
          for (;;) {
            yield { value: new Uint8Array(1) };
            await sleep(5);
          }
        } finally {
          cleaned.resolve();
        }
      }
      const error = await failure(client.upload(requests()));
      assert.equal(error.code, Code.ResourceExhausted);
      await cleaned.promise;
    });

    it("stops a handler whose responses are not read", async (t) => {
      const bytes = 64 * 1024;
      let produced = 0;
      const { client } = await start(t, wire, {
        async *download() {
          for (; produced < 1000; produced++) {
            yield { value: new Uint8Array(bytes) };
          }
        },
      });
      const responses = client.download({ value: 0 })[Symbol.asyncIterator]();
      await responses.next();
      const stoppedAt = await settled(() => produced);
      assert.ok(stoppedAt * bytes < 2 * 1024 * 1024, `${stoppedAt} messages in flight`);
      let read = 1;
      while ((await responses.next()).done !== true) {
        read++;
      }
      assert.equal(read, 1000);
    });

    it("stops a client whose requests are not read", async (t) => {
      const bytes = 64 * 1024;
      const go = Promise.withResolvers<void>();
      const { client } = await start(t, wire, {
        async upload(requests) {
          let value = 0;
          for await (const _ of requests) {
            value++;
            await go.promise;
          }
          return { value };
        },
      });
      let produced = 0;
      async function* requests() {
        for (; produced < 1000; produced++) {
          yield { value: new Uint8Array(bytes) };
        }
      }
      const call = client.upload(requests());
      const stoppedAt = await settled(() => produced);
      assert.ok(stoppedAt * bytes < 2 * 1024 * 1024, `${stoppedAt} messages in flight`);
      go.resolve();
      assert.equal((await call).value, 1000);
    });

    it("runs interceptors on both sides, outermost first, for all kinds of calls", async (t) => {
      const log: string[] = [];
      const note =
        (name: string): Interceptor =>
        (next) =>
        async (req) => {
          log.push(`> ${name}`);
          req.header.set(`x-${name}`, "was here");
          const res = await next(req);
          log.push(`< ${name}`);
          res.trailer.set(`x-${name}`, "was here");
          return res;
        };
      let seen: string | null = null;
      const { client } = await start(
        t,
        wire,
        {
          ...echo,
          unary(request, { requestHeader }) {
            seen = requestHeader.get("x-inner-client");
            return request;
          },
        },
        {
          server: { interceptors: [note("outer-server"), note("inner-server")] },
          client: { interceptors: [note("outer-client"), note("inner-client")] },
        },
      );
      let trailer = new Headers();
      await client.unary(
        { value: "" },
        {
          onTrailer: (headers) => {
            trailer = headers;
          },
        },
      );
      const order = [
        "> outer-client",
        "> inner-client",
        "> outer-server",
        "> inner-server",
        "< inner-server",
        "< outer-server",
        "< inner-client",
        "< outer-client",
      ];
      assert.deepEqual(log.splice(0), order);
      assert.equal(seen, "was here");
      assert.equal(trailer.get("x-outer-server"), "was here");
      await client.upload((async function* () {})());
      assert.deepEqual(log.splice(0), order);
      await collect(client.download({ value: 1 }));
      assert.deepEqual(log.splice(0).sort(), [...order].sort());
      await collect(client.chat((async function* () {})()));
      assert.deepEqual(log.splice(0).sort(), [...order].sort());
    });

    it("lets interceptors replace messages and add headers", async (t) => {
      const shout: Interceptor = (next) => async (req) => {
        const res = await next(req);
        res.header.set("x-shout", "yes");
        return res.stream ? res : { ...res, message: create(StringValueSchema, { value: "HALO" }) };
      };
      const { client } = await start(t, wire, echo, { server: { interceptors: [shout] } });
      let header = new Headers();
      const { value } = await client.unary(
        { value: "halo" },
        {
          onHeader: (headers) => {
            header = headers;
          },
        },
      );
      assert.equal(value, "HALO");
      assert.equal(header.get("x-shout"), "yes");
    });

    it("refuses messages above the limits with RESOURCE_EXHAUSTED", async (t) => {
      const big = "x".repeat(10_000);
      const limits = { readMaxBytes: 5000 };
      const server = await start(t, wire, echo, { server: limits });
      assert.equal((await failure(server.client.unary({ value: big }))).code, Code.ResourceExhausted);
      const sender = await start(t, wire, echo, { client: { writeMaxBytes: 5000 } });
      assert.equal((await failure(sender.client.unary({ value: big }))).code, Code.ResourceExhausted);
      const reader = await start(t, wire, { unary: () => ({ value: big }) }, { client: limits });
      assert.equal((await failure(reader.client.unary({ value: "" }))).code, Code.ResourceExhausted);
      const answer = await start(
        t,
        wire,
        { unary: () => ({ value: big }) },
        { server: { writeMaxBytes: 5000 } },
      );
      assert.equal((await failure(answer.client.unary({ value: "" }))).code, Code.ResourceExhausted);
      assert.equal(
        (await answer.client.unary({ value: "" }).catch(() => ({ value: "alive" }))).value,
        "alive",
      );
    });

    it("holds the limit against a small message that decompresses to a big one", async (t) => {
      const big = "x".repeat(1_000_000);
      const { client } = await start(t, wire, echo, {
        server: { readMaxBytes: 100_000 },
        client: { sendCompression: "gzip" },
      });
      assert.equal((await failure(client.unary({ value: big }))).code, Code.ResourceExhausted);
    });

    it("refuses a message above the limit while the client is still sending it, and leaves no stream open", async (t) => {
      const { client, server } = await start(t, wire, echo, {
        server: { readMaxBytes: 5000 },
        client: { writeMaxBytes: 8_000_000 },
      });
      async function* requests() {
        yield { value: new Uint8Array(4_000_000) };
        yield { value: new Uint8Array(4_000_000) };
      }
      assert.equal((await failure(client.upload(requests()))).code, Code.ResourceExhausted);
      await closesSoon(wire, server);
    });

    it("leaves no stream open when the client leaves before an error that is on its way", async (t) => {
      const { client, server } = await start(t, wire, {
        async *download() {
          for (let i = 0; i < 20; i++) {
            yield { value: Uint8Array.of(i) };
          }
          throw new ConnectError("stop", Code.Aborted);
        },
      });
      for await (const _ of client.download({ value: 0 })) {
        await sleep(50);
        break;
      }
      await closesSoon(wire, server);
    });

    it("compresses both ways when told to, and not otherwise", async (t) => {
      const value = "lahir mati pindah datang ".repeat(10_000);
      for (const sendCompression of ["gzip", undefined] as const) {
        const { port } = await start(t, wire, echo, {
          server: { ...(sendCompression && { sendCompression }) },
        });
        const counted = await proxy(t, port);
        const { client } = dial(t, wire, counted.port, { ...(sendCompression && { sendCompression }) });
        assert.equal((await client.unary({ value })).value, value);
        const [chat] = await collect(
          client.chat(
            (async function* () {
              yield { value };
            })(),
          ),
        );
        assert.equal(chat?.value, value.toUpperCase());
        const size = 2 * value.length;
        if (sendCompression === undefined) {
          assert.ok(counted.up > size && counted.down > size, JSON.stringify(counted));
        } else {
          assert.ok(counted.up < size / 10 && counted.down < size / 10, JSON.stringify(counted));
        }
      }
    });

    it("answers an unknown method or service with UNIMPLEMENTED", async (t) => {
      const unknown: string[] = [];
      const { client, transport } = await start(t, wire, echo, {
        server: { onUnknown: (path) => unknown.push(path) },
      });
      assert.equal((await failure(client.missing({}))).code, Code.Unimplemented);
      const other = createClient(OtherService, transport);
      assert.equal((await failure(other.unary({ value: "" }))).code, Code.Unimplemented);
      assert.equal((await failure(collect(other.download({ value: 1 })))).code, Code.Unimplemented);
      assert.deepEqual(unknown, ["/wire.test.v1.OtherService/Unary", "/wire.test.v1.OtherService/Download"]);
      assert.equal((await client.unary({ value: "still here" })).value, "still here");
    });

    it("drains: a running call finishes, a new one is refused", async (t) => {
      const called = Promise.withResolvers<void>();
      const { client, server, port } = await start(t, wire, {
        async unary(request) {
          called.resolve();
          await sleep(300);
          return request;
        },
      });
      const running = client.unary({ value: "finished" });
      await called.promise;
      const closed = server.close(5000);
      await sleep(50);
      assert.equal(
        (await failure(client.unary({ value: "late" }, { timeoutMs: 2000 }))).code,
        Code.Unavailable,
      );
      const stranger = dial(t, wire, port);
      assert.equal((await failure(stranger.client.unary({ value: "late" }))).code, Code.Unavailable);
      assert.equal((await running).value, "finished");
      await closed;
    });

    it("cuts calls that outlive the grace period", async (t) => {
      const { aborted, watch } = watchSignal();
      const called = Promise.withResolvers<void>();
      const { client, server } = await start(t, wire, {
        async unary(request, context) {
          watch(context);
          called.resolve();
          await sleep(60_000, undefined, { signal: context.signal, ref: false });
          return request;
        },
      });
      const running = failure(client.unary({ value: "" }));
      await called.promise;
      const startedMs = Date.now();
      await server.close(200);
      assert.ok(Date.now() - startedMs < 2000);
      await running;
      await aborted;
    });

    it("fails with UNAVAILABLE while the server is gone and connects again when it is back", async (t) => {
      const { client, server, port } = await start(t, wire, echo);
      assert.equal((await client.unary({ value: "one" })).value, "one");
      await server.close(0);
      const gone = await failure(client.unary({ value: "two" }, { timeoutMs: 2000 }));
      assert.equal(gone.code, Code.Unavailable, `${gone} caused by ${gone.cause}`);
      const back = createWireServer({ wire }).service(TestService, echo);
      await back.listen({ port });
      t.after(() => back.close(0));
      let answer: string | undefined;
      for (let tries = 0; answer === undefined && tries < 50; tries++) {
        await sleep(50);
        answer = await client.unary({ value: "three" }, { timeoutMs: 2000 }).then(
          ({ value }) => value,
          () => undefined,
        );
      }
      assert.equal(answer, "three");
    });

    it("fails a running stream with UNAVAILABLE when the connection breaks", async (t) => {
      const { port } = await start(t, wire, {
        async *download(_, { signal }) {
          yield { value: new Uint8Array(1) };
          await sleep(5000, undefined, { signal, ref: false });
        },
      });
      const { promise: near, resolve } = Promise.withResolvers<Socket>();
      const breaking = createServer((socket) => {
        const far = connect(port, "127.0.0.1");
        socket.pipe(far).pipe(socket);
        for (const one of [socket, far]) {
          one.on("error", () => {});
        }
        resolve(socket);
      }).listen(0, "127.0.0.1");
      await once(breaking, "listening");
      t.after(() => breaking.close());
      const { client } = dial(t, wire, (breaking.address() as AddressInfo).port);
      const responses = client.download({ value: 0 })[Symbol.asyncIterator]();
      await responses.next();
      (await near).resetAndDestroy();
      assert.equal((await failure(responses.next())).code, Code.Unavailable);
    });

    it("notices by keepalive that the peer is gone without a word", async (t) => {
      const { port } = await start(t, wire, {
        async unary(request, { signal }) {
          await sleep(60_000, undefined, { signal, ref: false });
          return request;
        },
      });
      const cable = await proxy(t, port);
      const { client } = dial(t, wire, cable.port, { keepalive: { timeMs: 100, timeoutMs: 200 } });
      const call = client.unary({ value: "" });
      await sleep(50);
      cable.frozen = true;
      const error = await failure(call);
      assert.ok([Code.Unavailable, Code.Canceled].includes(error.code), error.message);
    });

    it("refuses calls on a closed transport", async (t) => {
      const { client, transport } = await start(t, wire, echo);
      await client.unary({ value: "" });
      transport.close();
      assert.equal((await failure(client.unary({ value: "" }))).code, Code.Unavailable);
      assert.equal((await failure(collect(client.download({ value: 1 })))).code, Code.Unavailable);
    });

    it("refuses to listen on a port that is taken", async (t) => {
      const { port } = await start(t, wire, echo);
      await assert.rejects(createWireServer({ wire }).listen({ port }), { code: "EADDRINUSE" });
    });

    it("passes encoded messages on without decoding them", async (t) => {
      const source = await start(t, wire, { unary: ({ value }) => ({ value: `from ${value}` }) });
      const upstream = dial(t, wire, source.port, { rawResponses: () => true });
      const relay = await start(
        t,
        wire,
        {
          async unary(request) {
            assert.ok(rawBytes(request) !== undefined);
            const response = await upstream.client.unary(request);
            assert.ok(rawBytes(response) !== undefined);
            return response;
          },
        },
        { server: { rawRequests: () => true } },
      );
      assert.equal((await relay.client.unary({ value: "hulu" })).value, "from hulu");
      const encoded = rawMessage(
        StringValueSchema,
        toBinary(StringValueSchema, create(StringValueSchema, { value: "x" })),
      );
      assert.equal((await relay.client.unary(encoded)).value, "from x");
    });

    it("survives an error message and headers that gRPC cannot carry", async (t) => {
      const { client } = await start(t, wire, {
        unary({ value }, { responseHeader }) {
          if (value === "header") {
            responseHeader.set("x-latin", "caf\u00e9");
            return { value };
          }
          throw new ConnectError("broken \ud800 text", Code.FailedPrecondition);
        },
      });
      assert.ok((await failure(client.unary({ value: "message" }))).code > 0);
      await client
        .unary({ value: "header" })
        .catch((error: unknown) => assert.ok(error instanceof ConnectError));
      assert.ok((await failure(client.unary({ value: "message" }))).code > 0);
    });

    it("does not end the process when a stream that nobody reads yet fails", async (t) => {
      const { client } = await start(t, wire, echo);
      const responses = client.chat(
        (async function* () {
          await sleep(60_000, undefined, { ref: false });
          yield { value: "" };
        })(),
        { timeoutMs: 20 },
      );
      await sleep(100);
      assert.equal((await failure(collect(responses))).code, Code.DeadlineExceeded);
    });

    const other = wireNames.find((name) => name !== wire);
    it(`serves a client on ${other}`, async (t) => {
      const { client } = await start(
        t,
        wire,
        {
          ...echo,
          unary() {
            throw new ConnectError("no/100%", Code.PermissionDenied, undefined, [
              { desc: DurationSchema, value: { seconds: 7n } },
            ]);
          },
        },
        { clientWire: other! },
      );
      const error = await failure(client.unary({ value: "" }));
      assert.equal(error.rawMessage, "no/100%");
      assert.equal(error.findDetails(DurationSchema)[0]?.seconds, 7n);
      assert.equal((await collect(client.download({ value: 3 }))).length, 3);
      assert.equal((await client.upload((async function* () {})())).value, 0);
    });
  });
}
