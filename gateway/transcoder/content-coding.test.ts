// Compressed requests and answers, over HTTP.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  brotliCompressSync,
  brotliDecompressSync,
  deflateRawSync,
  deflateSync,
  gunzipSync,
  gzipSync,
} from "node:zlib";
import { create } from "@bufbuild/protobuf";
import { buildService, fakeStreamTransport, fakeTransport } from "./fixture.ts";
import { serveHttp } from "./fixture-server.ts";
import type { TranscoderOptions } from "./transcoder.ts";

const post = { method: "POST", template: "/v1/books", body: "*" };

/** A service that answers with what it gets, and a GET whose answer has a name of so many bytes. */
async function serve(t: TestContext, options: Partial<TranscoderOptions> = {}) {
  const upstream = fakeTransport((input, method) => {
    const { pageCount } = input as unknown as { pageCount: number };
    return pageCount > 0 ? create(method.output, { name: "n".repeat(pageCount) } as never) : input;
  });
  const services = [buildService([post, { template: "/v1/books/{page_count}" }])];
  const call = await serveHttp(t, { services, transportFor: () => upstream.transport, ...options });
  return { call, calls: upstream.calls };
}

test("a body may be gzip, deflate (in either form) or Brotli", async (t) => {
  const { call, calls } = await serve(t);
  const json = Buffer.from('{"name":"Bumi Manusia"}');
  for (const [coding, body] of [
    ["gzip", gzipSync(json)],
    ["GZIP", gzipSync(json)],
    ["x-gzip", gzipSync(json)],
    ["deflate", deflateSync(json)],
    ["deflate", deflateRawSync(json)],
    ["br", brotliCompressSync(json)],
    ["identity", json],
  ] as const) {
    const answer = await call("POST /v1/books", { headers: { "content-encoding": coding }, body });
    assert.equal(answer.status, 200, coding);
    assert.equal(calls.at(-1)!.input.name, "Bumi Manusia");
  }
});

test("a body that unpacks to more than the limit is 413, and the connection serves on", async (t) => {
  const { call, calls } = await serve(t, { body: { maxBytes: 100_000, timeoutMs: 1000 } });
  const bomb = Buffer.alloc(50_000_000, " ");
  for (const [coding, body] of [
    ["gzip", gzipSync(bomb)],
    ["deflate", deflateSync(bomb)],
    ["br", brotliCompressSync(bomb)],
  ] as const) {
    assert.ok(body.length < 100_000);
    const startedAtMs = performance.now();
    const answer = await call("POST /v1/books", { headers: { "content-encoding": coding }, body });
    assert.deepEqual([answer.status, answer.json.code], [413, 8], coding);
    // Nothing is left to read: the answer does not linger.
    assert.ok(performance.now() - startedAtMs < 1_500);
  }
  assert.equal(calls.length, 0);
});

test("the limit is of what is unpacked, to the byte", async (t) => {
  const { call } = await serve(t, { body: { maxBytes: 1_000, timeoutMs: 1000 } });
  const body = (bytes: number) => gzipSync(JSON.stringify({ name: "n".repeat(bytes - 11) }));
  const headers = { "content-encoding": "gzip" };
  assert.equal((await call("POST /v1/books", { headers, body: body(1_000) })).status, 200);
  assert.equal((await call("POST /v1/books", { headers, body: body(1_001) })).status, 413);
});

test("broken or cut off data is 400, an unknown coding 415 with those that are known", async (t) => {
  const { call, calls } = await serve(t);
  const whole = gzipSync(Buffer.from('{"name":"Bumi"}'));
  for (const [coding, body] of [
    ["gzip", "{}"],
    ["gzip", whole.subarray(0, -9)],
    ["deflate", Buffer.from([0xff, 0xff])],
    ["br", whole],
    ["br", brotliCompressSync(Buffer.alloc(100)).subarray(0, 4)],
  ] as const) {
    const answer = await call("POST /v1/books", { headers: { "content-encoding": coding }, body });
    assert.equal(answer.status, 400, coding);
    assert.equal(answer.json.details[0].fieldViolations[0].reason, "INVALID_ENCODING");
  }
  for (const coding of ["zstd", "gzip, br", "constructor"]) {
    const answer = await call("POST /v1/books", { headers: { "content-encoding": coding }, body: "{}" });
    assert.equal(answer.status, 415, coding);
    assert.equal(answer.headers["accept-encoding"], "gzip, deflate, br");
  }
  assert.equal(calls.length, 0);
});

test("an answer from 1 KiB on is compressed as its caller wants it", async (t) => {
  const { call } = await serve(t);
  const plain = await call("GET /v1/books/5000");
  assert.equal(plain.headers["content-encoding"], undefined);
  assert.equal(plain.headers.vary, "accept-encoding");
  for (const [accepted, coding, decode] of [
    ["gzip, deflate, br", "br", brotliDecompressSync],
    ["gzip", "gzip", gunzipSync],
    ["br;q=0.1, gzip;q=0.5", "gzip", gunzipSync],
    ["*", "br", brotliDecompressSync],
  ] as const) {
    const answer = await call("GET /v1/books/5000", { headers: { "accept-encoding": accepted } });
    assert.equal(answer.headers["content-encoding"], coding, accepted);
    assert.equal(answer.headers["content-type"], "application/json");
    assert.equal(answer.headers.vary, "accept-encoding");
    assert.equal(answer.headers["content-length"], String(answer.bytes.length));
    assert.equal(decode(answer.bytes).toString(), plain.text);
    assert.ok(answer.bytes.length < 200);
  }
  for (const accepted of ["deflate", "identity", "identity;q=1, gzip;q=0.5", ""]) {
    const answer = await call("GET /v1/books/5000", { headers: { "accept-encoding": accepted } });
    assert.deepEqual([answer.text, answer.headers["content-encoding"]], [plain.text, undefined], accepted);
  }
});

test("a smaller answer is sent as it is, unless its caller refuses that", async (t) => {
  const { call } = await serve(t);
  const of = async (bytes: number, accepted: string) =>
    (await call(`GET /v1/books/${bytes - 11}`, { headers: { "accept-encoding": accepted } })).headers;
  const small = await of(1023, "gzip");
  assert.deepEqual([small["content-encoding"], small.vary], [undefined, undefined]);
  assert.equal((await of(1024, "gzip"))["content-encoding"], "gzip");
  assert.equal((await of(20, "gzip, identity;q=0"))["content-encoding"], "gzip");
});

test("a caller that takes no coding at all is refused with 406 before the call", async (t) => {
  const { call, calls } = await serve(t);
  for (const accepted of ["identity;q=0", "*;q=0", "zstd, identity;q=0"]) {
    const answer = await call("POST /v1/books", { headers: { "accept-encoding": accepted }, body: "{}" });
    assert.equal(answer.status, 406, accepted);
  }
  assert.equal(calls.length, 0);
});

test("Vary keeps what others put there", async (t) => {
  const { call } = await serve(t, { fixedHeaders: { vary: "origin" } });
  assert.equal((await call("GET /v1/books/5000")).headers.vary, "origin, accept-encoding");
  assert.equal((await call("GET /v1/books/5")).headers.vary, "origin");
});

test("HEAD says the coding that GET would have", async (t) => {
  const { call } = await serve(t);
  const answer = await call("HEAD /v1/books/5000", { headers: { "accept-encoding": "gzip" } });
  assert.deepEqual([answer.status, answer.headers["content-encoding"], answer.text], [200, "gzip", ""]);
});

test("a large answer is compressed without holding the event loop", async (t) => {
  const random = Buffer.from(crypto.getRandomValues(new Uint8Array(60_000))).toString("base64");
  const name = random.repeat(100);
  const services = [buildService([{ template: "/v1/books" }])];
  const upstream = fakeTransport((_, method) => create(method.output, { name } as never));
  const call = await serveHttp(t, { services, transportFor: () => upstream.transport });
  await call("GET /v1/books"); // warm
  let ticks = 0;
  const timer = setInterval(() => ticks++, 2);
  const startedAtMs = performance.now();
  const answer = await call("GET /v1/books", { headers: { "accept-encoding": "gzip" } });
  const tookMs = performance.now() - startedAtMs;
  clearInterval(timer);
  assert.equal(gunzipSync(answer.bytes).length, name.length + 11);
  assert.ok(ticks >= 5, `${ticks} ticks in ${tookMs} ms`);
});

test("a stream is Brotli where gzip is not wanted, and every message can be read at once", async (t) => {
  const upstream = fakeStreamTransport(async function* () {
    yield { name: "first" };
    yield { name: "second" };
  });
  const services = [buildService([{ template: "/v1/books" }], { serverStreaming: true })];
  const call = await serveHttp(t, { services, transportFor: () => upstream.transport });
  const lines = '{"name":"first"}\n{"name":"second"}\n';
  for (const [accepted, coding, decode] of [
    ["br", "br", brotliDecompressSync],
    ["gzip;q=0.5, br", "br", brotliDecompressSync],
    ["gzip, br", "gzip", gunzipSync],
  ] as const) {
    const answer = await call("GET /v1/books", { headers: { "accept-encoding": accepted } });
    assert.equal(answer.headers["content-encoding"], coding);
    assert.equal(decode(answer.bytes).toString(), lines);
    assert.equal(answer.isWhole, true);
  }
  const refused = { accept: "text/event-stream", "accept-encoding": "gzip, identity;q=0" };
  assert.equal((await call("GET /v1/books", { headers: refused })).status, 406);
});
