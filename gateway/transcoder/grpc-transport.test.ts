import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http2 from "node:http2";
import net, { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { create, createFileRegistry, toBinary } from "@bufbuild/protobuf";
import type { GenService } from "@bufbuild/protobuf/codegenv2";
import {
  BytesValueSchema as Bytes,
  type BytesValueSchema,
  FileDescriptorProtoSchema,
  file_google_protobuf_wrappers,
} from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { envelope } from "./envelope.ts";
import { createGrpcTransport, type GrpcTransportOptions } from "./grpc-transport.ts";

type Kind = "unary" | "server_streaming" | "client_streaming";
type Method<K extends Kind> = {
  methodKind: K;
  input: typeof BytesValueSchema;
  output: typeof BytesValueSchema;
};
const service = describeService();

describe("the gRPC transport", () => {
  const closers: (() => void)[] = [];
  after(() => {
    for (const close of closers) close();
  });

  it("keeps to the server's number of calls at a time, and lets the others wait", async () => {
    let open = 0;
    let most = 0;
    const { port } = await serve(
      (stream) => {
        most = Math.max(most, ++open);
        setImmediate(() => {
          open--;
          answer(stream, "ok");
        });
      },
      { settings: { maxConcurrentStreams: 3 } },
    );
    const client = clientOf(port);
    const answers = await Promise.all(Array.from({ length: 50 }, () => client.unary({})));
    assert.equal(answers.length, 50);
    assert.equal(most, 3);
  });

  it("refuses calls that would wait behind too many others, and forgets those that have given up", async () => {
    const held: http2.ServerHttp2Stream[] = [];
    const { port } = await serve((stream) => held.push(stream), { settings: { maxConcurrentStreams: 1 } });
    const client = clientOf(port, { waitingMax: 2 });
    const first = client.unary({});
    await eventually(() => held.length === 1);
    const late = [client.unary({}, { timeoutMs: 20 }), client.unary({}, { timeoutMs: 20 })];
    await rejects(client.unary({}), Code.Unavailable, /2 requests wait/);
    for (const call of late) await rejects(call, Code.DeadlineExceeded);
    const next = client.unary({});
    answer(held[0]!, "first");
    assert.equal(text(await first), "first");
    await eventually(() => held.length === 2);
    answer(held[1]!, "next");
    assert.equal(text(await next), "next");
  });

  it("ends a call at its deadline, tells the server how much time there was, and to stop", async () => {
    const seen: unknown[] = [];
    const { port } = await serve((stream, headers) => {
      seen.push(headers["grpc-timeout"]);
      stream.once("close", () => seen.push(stream.rstCode));
    });
    await rejects(clientOf(port).unary({}, { timeoutMs: 50 }), Code.DeadlineExceeded);
    await eventually(() => seen.length === 2);
    assert.match(String(seen[0]), /^\d{1,2}m$/);
    assert.equal(seen[1], http2.constants.NGHTTP2_CANCEL);
  });

  it("cancels a call whose signal is aborted, before and after it has begun", async () => {
    const codes: number[] = [];
    let begun = 0;
    const { port } = await serve((stream) => {
      begun++;
      stream.once("close", () => codes.push(stream.rstCode));
    });
    const client = clientOf(port);
    await rejects(client.unary({}, { signal: AbortSignal.abort() }), Code.Canceled);
    assert.equal(begun, 0);
    const abort = new AbortController();
    const call = client.unary({}, { signal: abort.signal });
    await eventually(() => begun === 1);
    abort.abort();
    await rejects(call, Code.Canceled);
    await eventually(() => codes[0] === http2.constants.NGHTTP2_CANCEL);
  });

  it("fails what is open when the connection is lost, and connects again for the next call", async () => {
    const sessions: http2.ServerHttp2Session[] = [];
    const { port } = await serve((stream) => {
      sessions.push(stream.session as http2.ServerHttp2Session);
      if (sessions.length === 1) stream.session!.destroy();
      else answer(stream, "again");
    });
    const client = clientOf(port);
    await rejects(client.unary({}), Code.Unavailable);
    assert.equal(text(await client.unary({})), "again");
    assert.notEqual(sessions[0], sessions[1]);
  });

  it("fails at once while the server cannot be reached, and serves again when it is back", async () => {
    const closed = await serve(() => {});
    closed.close();
    const client = clientOf(closed.port, { reconnect: { minMs: 20, maxMs: 40 } });
    await rejects(client.unary({}), Code.Unavailable, /ECONNREFUSED/);
    await rejects(client.unary({}), Code.Unavailable, /ECONNREFUSED/);
    await serve((stream) => answer(stream, "back"), {}, closed.port);
    await eventually(async () => {
      try {
        return text(await client.unary({})) === "back";
      } catch {
        return false;
      }
    });
  });

  it("lets calls finish on a connection that the server is closing, and makes the next on another", async () => {
    const streams: http2.ServerHttp2Stream[] = [];
    const { port } = await serve((stream) => {
      streams.push(stream);
      if (streams.length === 2) answer(stream, "second");
    });
    const client = clientOf(port);
    const first = client.unary({});
    await eventually(() => streams.length === 1);
    // GOAWAY that names the call which is open.
    streams[0]!.session!.goaway(http2.constants.NGHTTP2_NO_ERROR, streams[0]!.id);
    await eventually(async () => text(await client.unary({})) === "second");
    assert.notEqual(streams[1]!.session, streams[0]!.session);
    answer(streams[0]!, "first");
    assert.equal(text(await first), "first");
  });

  it("sends a unary call again that the server has refused unseen by REFUSED_STREAM, once", async () => {
    let calls = 0;
    const { port } = await serve((stream) => {
      calls++;
      if (calls === 2) answer(stream, "second try");
      else stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
    });
    const client = clientOf(port);
    assert.equal(text(await client.unary({})), "second try");
    assert.equal(calls, 2);
    await rejects(client.unary({}), Code.Unavailable, /refused/);
    assert.equal(calls, 4);
  });

  it("sends a unary call again, elsewhere, that came after the last of a server that is closing", async () => {
    const streams: http2.ServerHttp2Stream[] = [];
    const { port } = await serve((stream) => {
      streams.push(stream);
      // The first has id 1. Node takes 0 for "what I have seen", so this needs one that is seen.
      if (streams.length === 2) stream.session!.goaway(http2.constants.NGHTTP2_NO_ERROR, 1);
      if (streams.length === 3) answer(stream, "elsewhere");
    });
    const client = clientOf(port);
    const first = client.unary({});
    await eventually(() => streams.length === 1);
    assert.equal(text(await client.unary({})), "elsewhere");
    answer(streams[0]!, "first");
    assert.equal(text(await first), "first");
  });

  it("takes an answer that is larger than the window, in whatever pieces it comes", async () => {
    const large = Buffer.alloc(3_000_000, "x");
    const { port } = await serve((stream) => {
      stream.respond(head, { waitForTrailers: true });
      stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      const bytes = envelope(toBinary(Bytes, create(Bytes, { value: large })));
      stream.write(bytes.subarray(0, 3));
      stream.write(bytes.subarray(3, 50_000));
      stream.end(bytes.subarray(50_000));
    });
    const client = clientOf(port, { windowBytes: 65_535 });
    assert.ok(large.equals((await client.unary({})).value));
  });

  it("holds a stream back whose reader is slow, whatever other calls do meanwhile", async () => {
    const message = envelope(toBinary(Bytes, create(Bytes, { value: Buffer.alloc(10_000) })));
    let sent = 0;
    const { port } = await serve((stream, headers) => {
      if (headers[":path"]!.endsWith("/Unary")) {
        answer(stream, "meanwhile");
        return;
      }
      stream.respond(head, { waitForTrailers: true });
      stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      const more = () => {
        while (sent < 500) {
          sent++;
          if (!stream.write(message)) {
            stream.once("drain", more);
            return;
          }
        }
        stream.end();
      };
      more();
    });
    const client = clientOf(port, { windowBytes: 100_000 });
    const messages = client.download({})[Symbol.asyncIterator]();
    await messages.next();
    for (let n = 0; n < 20; n++) assert.equal(text(await client.unary({})), "meanwhile");
    // The window, what node:http2 buffers, and one message that is on its way.
    assert.ok(sent < 60, `${sent} messages of 10 kB were sent to a reader of one`);
    let count = 1;
    for (let next = await messages.next(); next.done !== true; next = await messages.next()) count++;
    assert.equal(count, 500);
  });

  it("asks the producer of a request no faster than the server reads", async () => {
    const streams: http2.ServerHttp2Stream[] = [];
    const { port } = await serve((stream) => {
      stream.pause();
      streams.push(stream);
    });
    let produced = 0;
    async function* produce() {
      for (; produced < 300; produced++) yield { value: Buffer.alloc(10_000) };
    }
    const call = clientOf(port).upload(produce());
    await eventually(() => streams.length === 1 && produced > 3);
    const before = await settled(() => produced);
    assert.ok(before < 100, `${before} messages of 10 kB were asked for by nobody`);
    let received = 0;
    streams[0]!.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    streams[0]!.on("end", () => answer(streams[0]!, "all"));
    streams[0]!.resume();
    assert.equal(text(await call), "all");
    assert.ok(received > 3_000_000);
  });

  it("cancels a stream that its reader leaves", async () => {
    const codes: number[] = [];
    const { port } = await serve((stream) => {
      stream.once("close", () => codes.push(stream.rstCode));
      stream.respond(head);
      for (let n = 0; n < 3; n++) stream.write(envelope(new Uint8Array()));
    });
    const transport = transportOf(port);
    const { message } = await transport.stream(
      service.method.download,
      undefined,
      undefined,
      undefined,
      one(),
    );
    for await (const _ of message) break;
    await eventually(() => codes[0] === http2.constants.NGHTTP2_CANCEL);
  });

  it("carries headers of more than a frame both ways", async () => {
    const long = "v".repeat(30_000);
    const { port } = await serve(
      (stream, headers) => {
        stream.respond({ ...head, "x-echo": headers["x-long"] }, { waitForTrailers: true });
        stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "x-more": long }));
        stream.end(envelope(new Uint8Array()));
      },
      { settings: { maxHeaderListSize: 65_536 }, maxSendHeaderBlockLength: 100_000 },
    );
    const { header, trailer } = await transportOf(port).unary(
      service.method.unary,
      undefined,
      undefined,
      { "x-long": long },
      {},
    );
    assert.equal(header.get("x-echo"), long);
    assert.equal(trailer.get("x-more"), long);
  });

  it("finds a server that has gone silent while a call is open", async () => {
    const port = await serveRaw((socket) => {
      socket.write(frame(4, 0, 0, Buffer.alloc(0)));
      socket.resume();
    });
    const client = clientOf(port, { keepalive: { timeMs: 50, timeoutMs: 50 } });
    await rejects(client.unary({}), Code.Unavailable, /no ping/);
  });

  describe("with a server that does not speak as it should", () => {
    const settings = frame(4, 0, 0, Buffer.alloc(0));
    const garbage: [string, RegExp, (socket: net.Socket) => void][] = [
      ["speaks HTTP/1.1", /HTTP\/2/, (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")],
      ["closes at once", /closed the connection/, (socket) => socket.end()],
      [
        "sends a huge frame",
        /larger than allowed/,
        (s) => s.write(Buffer.concat([settings, frame(0, 0, 1, big)])),
      ],
      [
        "sends data of no request",
        /not made/,
        (s) => s.write(Buffer.concat([settings, frame(0, 0, 9, one0)])),
      ],
      [
        "sends headers of no request",
        /cannot be/,
        (s) => s.write(Buffer.concat([settings, frame(1, 4, 9, one0)])),
      ],
      ["pushes", /pushed/, (s) => s.write(Buffer.concat([settings, frame(5, 4, 1, big.subarray(0, 9))]))],
      [
        "breaks a header block",
        /not go on/,
        (s) => s.write(Buffer.concat([settings, frame(1, 0, 1, one0), settings])),
      ],
      [
        "sends a broken block",
        /integer/,
        (s) =>
          s.write(Buffer.concat([settings, frame(1, 4, 1, Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff))])),
      ],
      [
        "pads more than there is",
        /padding/,
        (s) => s.write(Buffer.concat([settings, frame(0, 8, 1, Buffer.of(200, 0))])),
      ],
      [
        "opens no window",
        /window/,
        (s) => s.write(Buffer.concat([settings, frame(8, 0, 0, Buffer.alloc(4))])),
      ],
    ];
    for (const [what, reason, misbehave] of garbage) {
      it(`fails a call with UNAVAILABLE and the reason when it ${what}`, async () => {
        const port = await serveRaw((socket) => {
          socket.once("data", () => socket.write(settings));
          // With the call's headers, at the latest.
          let bytes = 0;
          socket.on("data", (chunk) => {
            bytes += chunk.length;
            if (bytes > 120) misbehave(socket);
          });
          if (/1\.1|at once/.test(what)) misbehave(socket);
        });
        await rejects(clientOf(port).unary({}, { timeoutMs: 5_000 }), Code.Unavailable, reason);
      });
    }

    it("fails a call with its own code, and keeps the connection, for what is wrong above HTTP/2", async () => {
      const answers: [(stream: http2.ServerHttp2Stream) => void, Code][] = [
        [(s) => s.respond({ ":status": 404 }, { endStream: true }), Code.Unimplemented],
        [(s) => s.respond({ ":status": 503 }, { endStream: true }), Code.Unavailable],
        [
          (s) => s.respond({ ":status": 200, "content-type": "text/html" }, { endStream: true }),
          Code.Unknown,
        ],
        [(s) => s.respond(head, { endStream: true }), Code.Internal],
        [body(0, 0, 0), Code.Internal],
        [body(1, 0, 0, 0, 0), Code.Internal],
        [body(0, 0x7f, 0, 0, 0), Code.ResourceExhausted],
        [body(0, 0, 0, 0, 1, 0xff), Code.Internal],
        [(s) => s.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM), Code.ResourceExhausted],
        [(s) => s.respond({ ...head, "grpc-status": "99" }, { endStream: true }), Code.Unknown],
        [
          (s) => s.respond({ ...head, "grpc-status": "5", "grpc-message": "%ff" }, { endStream: true }),
          Code.NotFound,
        ],
        [
          (s) =>
            s.respond(
              { ...head, "grpc-status": "5", "grpc-status-details-bin": "////" },
              { endStream: true },
            ),
          Code.NotFound,
        ],
      ];
      const sessions = new Set<unknown>();
      let at = 0;
      const { port } = await serve((stream) => {
        sessions.add(stream.session);
        answers[at]![0](stream);
      });
      const client = clientOf(port);
      for (; at < answers.length; at++) {
        await rejects(client.unary({}, { timeoutMs: 5_000 }), answers[at]![1], undefined, `answer ${at}`);
      }
      assert.equal(sessions.size, 1);
    });
  });

  it("reads frames in whatever pieces they come", async () => {
    const block = Buffer.from([0x88, 0x5f, 16, ...Buffer.from("application/grpc")]);
    const trailer = Buffer.from([0, 11, ...Buffer.from("grpc-status"), 1, 0x30]);
    const message = envelope(toBinary(Bytes, create(Bytes, { value: Buffer.from("piecemeal") })));
    const whole = Buffer.concat([
      frame(1, 4, 1, block),
      frame(0, 0, 1, message.subarray(0, 2)),
      frame(0, 8, 1, Buffer.concat([Buffer.of(3), message.subarray(2), Buffer.alloc(3)])),
      frame(0xfa, 0, 0, Buffer.from("of a later RFC")),
      frame(1, 1, 1, trailer.subarray(0, 4)),
      frame(9, 4, 1, trailer.subarray(4)),
    ]);
    for (const size of [1, 2, 7, 9, 10, 33]) {
      const port = await serveRaw(async (socket) => {
        await once(socket, "data");
        for (const bytes of [frame(4, 0, 0, Buffer.alloc(0)), whole]) {
          for (let at = 0; at < bytes.length; at += size) {
            await new Promise((resolve) => socket.write(bytes.subarray(at, at + size), resolve));
          }
          await new Promise(setImmediate);
        }
      });
      assert.equal(text(await clientOf(port).unary({}, { timeoutMs: 10_000 })), "piecemeal");
    }
  });

  const hasOpenssl = spawnSync("openssl", ["version"]).status === 0 || process.env.CI === "true";
  it("speaks TLS, to a server whose certificate it can trust", {
    skip: !hasOpenssl && "needs openssl",
  }, async () => {
    const { key, cert } = selfSigned();
    const server = http2.createSecureServer({ key, cert });
    server.on("stream", (stream) => answer(stream, "sealed"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const call = (ca?: string) => {
      const transport = createGrpcTransport({ baseUrl: `https://localhost:${port}`, ...(ca && { ca }) });
      closers.push(transport.close);
      return createClient(service, transport).unary({}, { timeoutMs: 10_000 });
    };
    assert.equal(text(await call(cert)), "sealed");
    await rejects(call(), Code.Unavailable, /self-signed/);
  });

  it("refuses an address that it cannot speak to, and headers that gRPC cannot carry", async () => {
    for (const baseUrl of ["127.0.0.1:9090", "ftp://host", "http://host/path"]) {
      assert.throws(() => createGrpcTransport({ baseUrl }), /http:\/\/host:port/);
    }
    const { port } = await serve((stream) => answer(stream, "ok"));
    await rejects(clientOf(port).unary({}, { headers: { "x-nama": "é" } }), Code.Internal, /x-nama/);
  });

  it("takes no call after close, and lets those that are open finish", async () => {
    const streams: http2.ServerHttp2Stream[] = [];
    const { port } = await serve((stream) => streams.push(stream));
    const transport = transportOf(port);
    const client = createClient(service, transport);
    const call = client.unary({});
    await eventually(() => streams.length === 1);
    transport.close();
    await rejects(client.unary({}), Code.Unavailable, /closed/);
    answer(streams[0]!, "finished");
    assert.equal(text(await call), "finished");
    await eventually(() => streams[0]!.session === undefined || streams[0]!.session.destroyed);
  });

  function transportOf(port: number, options: Partial<GrpcTransportOptions> = {}) {
    const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}`, ...options });
    closers.push(transport.close);
    return transport;
  }

  function clientOf(port: number, options: Partial<GrpcTransportOptions> = {}) {
    return createClient(service, transportOf(port, options));
  }

  async function serve(
    onStream: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => unknown,
    options: http2.ServerOptions = {},
    at = 0,
  ) {
    const server = http2.createServer(options);
    const sessions = new Set<http2.ServerHttp2Session>();
    server.on("session", (session) => {
      sessions.add(session);
      session.on("error", () => {});
    });
    server.on("stream", (stream, headers) => {
      stream.on("error", () => {});
      onStream(stream, headers);
    });
    server.listen(at, "127.0.0.1");
    await once(server, "listening");
    const close = () => {
      for (const session of sessions) session.destroy();
      server.close();
    };
    closers.push(close);
    return { port: (server.address() as AddressInfo).port, close };
  }

  async function serveRaw(onSocket: (socket: net.Socket) => unknown): Promise<number> {
    const sockets = new Set<net.Socket>();
    const server = net.createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      onSocket(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }
});

const head = { ":status": 200, "content-type": "application/grpc" };
const big = Buffer.alloc(20_000);
const one0 = Buffer.of(0);

async function* one() {
  yield {};
}

function answer(stream: http2.ServerHttp2Stream, value: string): void {
  stream.respond(head, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(envelope(toBinary(Bytes, create(Bytes, { value: Buffer.from(value) }))));
}

/** An answer with these bytes, and without trailers. */
function body(...bytes: number[]) {
  return (stream: http2.ServerHttp2Stream) => {
    stream.respond(head);
    stream.end(Buffer.from(bytes));
  };
}

function text({ value }: { value: Uint8Array }): string {
  return Buffer.from(value).toString();
}

function frame(type: number, flags: number, id: number, payload: Buffer): Buffer {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(id, 5);
  payload.copy(bytes, 9);
  return bytes;
}

/** A certificate for localhost that nobody has signed. */
function selfSigned(): { key: string; cert: string } {
  const folder = mkdtempSync(join(tmpdir(), "lampid-tls-"));
  try {
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")] as const;
    const options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    const name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    execFileSync("openssl", ["req", ...options, ...name, "-keyout", key, "-out", cert], { stdio: "ignore" });
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function rejects(
  call: Promise<unknown>,
  code: Code,
  reason: RegExp = /^/,
  what = "the call",
): Promise<void> {
  const error = await call.then(
    () => undefined,
    (rejected: unknown) => rejected,
  );
  assert.ok(error instanceof ConnectError, `${what} did not fail`);
  assert.equal(Code[error.code], Code[code], `${what}: ${error.message}`);
  assert.match(error.rawMessage, reason);
}

/** Waits for a condition, up to 10 s. */
async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + 10_000;
  while (!(await condition())) {
    assert.ok(performance.now() < untilMs, "it did not come to pass within 10 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A number once it has stopped to change. */
async function settled(value: () => number): Promise<number> {
  for (let before = -1; ; ) {
    if (value() === before) return before;
    before = value();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function describeService() {
  const bytesValue = ".google.protobuf.BytesValue";
  const file = create(FileDescriptorProtoSchema, {
    name: "transport.proto",
    package: "transport.v1",
    syntax: "proto3",
    dependency: [file_google_protobuf_wrappers.proto.name],
    service: [
      {
        name: "TransportService",
        method: [
          { name: "Unary", inputType: bytesValue, outputType: bytesValue },
          { name: "Download", inputType: bytesValue, outputType: bytesValue, serverStreaming: true },
          { name: "Upload", inputType: bytesValue, outputType: bytesValue, clientStreaming: true },
        ],
      },
    ],
  });
  const registry = createFileRegistry(file, () => file_google_protobuf_wrappers);
  return registry.getService("transport.v1.TransportService") as GenService<{
    unary: Method<"unary">;
    download: Method<"server_streaming">;
    upload: Method<"client_streaming">;
  }>;
}
