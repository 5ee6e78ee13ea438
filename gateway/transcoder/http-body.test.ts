// google.api.HttpBody as a request, as an answer, as a field of either, and as a stream.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { create, type DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  buildService,
  fakeStreamTransport,
  fakeTransport,
  type MethodSpec,
  type RuleSpec,
} from "./fixture.ts";
import { serveHttp } from "./fixture-server.ts";
import type { TranscoderOptions } from "./transcoder.ts";

/** What an Upload is upstream. */
interface Uploaded {
  name: string;
  file: { contentType: string; data: Uint8Array };
  content: { case: string; value: unknown };
}

const png = Uint8Array.from({ length: 300 }, (_, index) => index % 256);

async function unary(
  t: TestContext,
  rule: RuleSpec,
  types: MethodSpec,
  answer: object = {},
  options: Partial<TranscoderOptions> = {},
) {
  const upstream = fakeTransport((_, method: DescMethod) => create(method.output, answer as never));
  const services = [buildService([rule], types)];
  const call = await serveHttp(t, { services, transportFor: () => upstream.transport, ...options });
  return { call, calls: upstream.calls };
}

async function stream(t: TestContext, source: () => AsyncIterable<unknown>, types: MethodSpec = {}) {
  const upstream = fakeStreamTransport(source);
  const rule = { template: "/v1/file", responseBody: types.output === undefined ? "" : "file" };
  const services = [buildService([rule], { serverStreaming: true, output: "HttpBody", ...types })];
  return {
    call: await serveHttp(t, {
      services,
      transportFor: () => upstream.transport,
      stream: { headWaitMs: 1 },
    }),
    calls: upstream.calls,
  };
}

test("an answer that is an HttpBody has its content type and its bytes", async (t) => {
  const { call } = await unary(
    t,
    { template: "/v1/file" },
    { output: "HttpBody" },
    { contentType: "image/png", data: png },
  );
  const answer = await call("GET /v1/file");
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-type"], "image/png");
  assert.equal(answer.headers["content-length"], "300");
  assert.deepEqual([...answer.bytes], [...png]);
  const head = await call("HEAD /v1/file");
  assert.deepEqual([head.headers["content-length"], head.text], ["300", ""]);
});

test("without a content type, or with one that cannot be a header, bytes are an octet stream", async (t) => {
  for (const contentType of ["", "text/plain\r\nset-cookie: a=b", "\u0000", "teks/ünik"]) {
    const { call } = await unary(t, { template: "/v1/file" }, { output: "HttpBody" }, { contentType });
    const answer = await call("GET /v1/file");
    assert.equal(answer.headers["content-type"], "application/octet-stream", contentType);
    assert.equal(answer.headers["set-cookie"], undefined);
    assert.deepEqual([answer.status, answer.text], [200, ""]);
  }
});

test("response_body may be an HttpBody, also within a oneof and when it is not set", async (t) => {
  const file = { contentType: "text/csv", data: Buffer.from("a,b\n") };
  const types = { output: "Upload" };
  const field = await unary(t, { template: "/v1/file", responseBody: "file" }, types, { file });
  assert.equal((await field.call("GET /v1/file")).text, "a,b\n");
  const scan = { content: { case: "scan", value: file } };
  const member = await unary(t, { template: "/v1/file", responseBody: "scan" }, types, scan);
  const answer = await member.call("GET /v1/file");
  assert.deepEqual([answer.headers["content-type"], answer.text], ["text/csv", "a,b\n"]);
  const none = await unary(t, { template: "/v1/file", responseBody: "scan" }, types, { file });
  const empty = await none.call("GET /v1/file");
  assert.deepEqual([empty.headers["content-type"], empty.text], ["application/octet-stream", ""]);
});

test("an HttpBody that is not the whole answer is JSON, as every message", async (t) => {
  const file = { contentType: "text/csv", data: Buffer.from("a") };
  const { call } = await unary(t, { template: "/v1/file" }, { output: "Upload" }, { name: "n", file });
  assert.deepEqual((await call("GET /v1/file")).json, {
    name: "n",
    file: { contentType: "text/csv", data: "YQ==" },
  });
});

test("text is compressed, pictures are not", async (t) => {
  const data = Buffer.from("kode,nama\n".repeat(1000));
  for (const [contentType, coding] of [
    ["text/csv; charset=utf-8", "gzip"],
    ["image/svg+xml", "gzip"],
    ["image/png", undefined],
    ["application/zip", undefined],
  ] as const) {
    const { call } = await unary(t, { template: "/v1/file" }, { output: "HttpBody" }, { contentType, data });
    const answer = await call("GET /v1/file", { headers: { "accept-encoding": "gzip" } });
    assert.equal(answer.headers["content-encoding"], coding, contentType);
    assert.deepEqual(coding === undefined ? answer.bytes : gunzipSync(answer.bytes), data);
  }
});

test("a request that is an HttpBody takes every content type, and bytes that are no UTF-8", async (t) => {
  const { call, calls } = await unary(
    t,
    { method: "POST", template: "/v1/file", body: "*" },
    { input: "HttpBody" },
  );
  for (const type of ["image/png", "application/json", "application/x-www-form-urlencoded", ""]) {
    const headers: Record<string, string> = type === "" ? {} : { "content-type": type };
    const answer = await call("POST /v1/file", { headers, body: png });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(calls.at(-1)!.input.contentType, type);
    assert.deepEqual([...(calls.at(-1)!.input.data as Uint8Array)], [...png]);
  }
  assert.equal((await call("POST /v1/file")).status, 200);
  assert.equal((calls.at(-1)!.input.data as Uint8Array).length, 0);
});

test("a body field may be an HttpBody, also within a oneof; path and query fill the rest", async (t) => {
  const rule = { method: "PUT", template: "/v1/{name=files/*}", body: "file" };
  const { call, calls } = await unary(t, rule, { input: "Upload" });
  const headers = { "content-type": "image/png" };
  assert.equal((await call("PUT /v1/files/1?text=t", { headers, body: png })).status, 200);
  const { name, file, content } = calls[0]!.input as unknown as Uploaded;
  assert.deepEqual([name, content.value, file.contentType], ["files/1", "t", "image/png"]);
  assert.deepEqual([...file.data], [...png]);
  await call("PUT /v1/files/1");
  assert.equal(calls[1]!.input.file, undefined);

  const member = await unary(t, { ...rule, body: "scan" }, { input: "Upload" });
  await member.call("PUT /v1/files/1", { headers, body: png });
  const oneof = member.calls[0]!.input.content as { case: string; value: { contentType: string } };
  assert.deepEqual([oneof.case, oneof.value.contentType], ["scan", "image/png"]);
});

test("a raw body has the limits of every body, and may be compressed", async (t) => {
  const { call, calls } = await unary(
    t,
    { method: "POST", template: "/v1/file", body: "*" },
    { input: "HttpBody" },
    {},
    { body: { maxBytes: 200, timeoutMs: 1000 } },
  );
  assert.equal((await call("POST /v1/file", { body: png })).status, 413);
  const headers = { "content-encoding": "zstd" };
  assert.equal((await call("POST /v1/file", { body: "x", headers })).status, 415);
  assert.equal(calls.length, 0);
});

test("a stream of HttpBody is its bytes, of the type that the first message names", async (t) => {
  const { call } = await stream(t, async function* () {
    yield { contentType: "text/csv", data: Buffer.from("a,b\n") };
    yield { data: new Uint8Array() };
    yield { contentType: "application/json", data: Buffer.from("1,2\n") };
  });
  // Accept says what formats a stream of messages may have: bytes have the one that they have.
  const headers = { accept: "application/pdf", "accept-encoding": "gzip" };
  const answer = await call("GET /v1/file", { headers });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-type"], "text/csv");
  assert.equal(answer.headers["content-encoding"], undefined);
  assert.deepEqual([answer.text, answer.isWhole], ["a,b\n1,2\n", true]);
  const head = await call("HEAD /v1/file");
  assert.deepEqual([head.headers["content-type"], head.text], ["text/csv", ""]);
});

test("the head of a raw stream waits for its first message, and a stream of nothing is an octet stream", async (t) => {
  const late = await stream(t, async function* () {
    await new Promise((resolve) => setTimeout(resolve, 50));
    yield { contentType: "image/png", data: png };
  });
  assert.equal((await late.call("GET /v1/file")).headers["content-type"], "image/png");
  const none = await stream(t, async function* () {});
  const answer = await none.call("GET /v1/file");
  assert.deepEqual([answer.headers["content-type"], answer.text], ["application/octet-stream", ""]);
});

test("response_body may be the HttpBody of each message of a stream", async (t) => {
  const { call } = await stream(
    t,
    async function* () {
      yield { name: "n", file: { contentType: "text/plain", data: Buffer.from("a") } };
      yield { name: "n" };
      yield { file: { data: Buffer.from("b") } };
    },
    { output: "Upload" },
  );
  const answer = await call("GET /v1/file");
  assert.deepEqual([answer.headers["content-type"], answer.text], ["text/plain", "ab"]);
});

test("a raw stream that fails is an HTTP error before its first message, and cut off without a word later", async (t) => {
  // biome-ignore lint/correctness/useYield: a stream that is refused at once.
  const refused = await stream(t, async function* () {
    throw new ConnectError("there is no such file", Code.NotFound);
  });
  const answer = await refused.call("GET /v1/file");
  assert.deepEqual([answer.status, answer.json.message], [404, "there is no such file"]);
  const broken = await stream(t, async function* () {
    yield { contentType: "text/csv", data: Buffer.from("a,b\n") };
    throw new ConnectError("the store said no", Code.Internal);
  });
  const cut = await broken.call("GET /v1/file");
  assert.deepEqual([cut.status, cut.text, cut.isWhole], [200, "a,b\n", false]);
});

test("a client that does not read a raw stream holds the upstream up, and cancels it when it goes", async (t) => {
  const { call, calls } = await stream(t, async function* () {
    for (;;) yield { contentType: "application/zip", data: new Uint8Array(100_000) };
  });
  const request = http.get({ host: "127.0.0.1", port: call.port, path: "/v1/file", agent: false });
  request.on("error", () => {});
  await once(request, "response");
  let before = -1;
  while (calls[0]!.read !== before) {
    before = calls[0]!.read;
    await sleep(200);
  }
  // 100 kB each: the buffers of two sockets take a few MB.
  assert.ok(before < 300, `${before} messages were read`);
  const { signal } = calls[0]!;
  const aborted = once(signal, "abort");
  request.destroy();
  await aborted;
  assert.equal(signal.aborted, true);
});
