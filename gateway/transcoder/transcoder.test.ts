import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { buildRegistry, buildService, fakeTransport, type RuleSpec } from "./fixture.ts";
import { RuleError } from "./rule.ts";
import { createTranscoder, type TranscoderOptions } from "./transcoder.ts";

const servers: http.Server[] = [];
after(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

/** Serves rules over HTTP/1.1 and returns a caller; the upstream answers by `answer`, by default with its input. */
async function serve(
  rules: RuleSpec[],
  answer?: Parameters<typeof fakeTransport>[0],
  options: Partial<TranscoderOptions<string>> = {},
) {
  const upstream = fakeTransport(answer);
  const transcoder = createTranscoder<string>({
    services: [buildService(rules)],
    transportFor: () => upstream.transport,
    ...options,
  });
  const server = http.createServer((request, response) => {
    if (!transcoder.handle(request, response, "me")) {
      response.writeHead(404).end("none");
    }
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(base + path, {
      method,
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await response.text();
    const isJson = response.headers.get("content-type") === "application/json" && text !== "";
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  }
  return { call, base, calls: upstream.calls };
}

const post: RuleSpec = { method: "POST", template: "/v1/books", body: "*" };

test("a call goes upstream with the allowed headers only and what is left of its deadline", async () => {
  const { call, calls } = await serve([post]);
  const answer = await call(
    "POST",
    "/v1/books",
    { name: "Bumi" },
    {
      authorization: "Bearer x",
      traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
      cookie: "secret=1",
      "x-server-timeout": "2.5",
    },
  );
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.body, { name: "Bumi" });
  assert.deepEqual([...calls[0]!.headers.keys()].sort(), ["accept-language", "authorization", "traceparent"]);
  assert.ok(calls[0]!.timeoutMs! <= 2500 && calls[0]!.timeoutMs! > 2000);
});

test("the deadline has a default and a maximum, and nonsense is refused", async () => {
  const { call, calls } = await serve([post]);
  await call("POST", "/v1/books", {});
  await call("POST", "/v1/books", {}, { "x-server-timeout": "900" });
  assert.ok(calls[0]!.timeoutMs! > 14_000 && calls[0]!.timeoutMs! <= 15_000);
  assert.ok(calls[1]!.timeoutMs! > 59_000 && calls[1]!.timeoutMs! <= 60_000);
  for (const bad of ["0", "-1", "soon", "1e9"]) {
    assert.equal((await call("POST", "/v1/books", {}, { "x-server-timeout": bad })).status, 400);
  }
});

test("an Idempotency-Key becomes the request_id unless the body has one", async () => {
  const { call, calls } = await serve([post], undefined, {
    requestId: (key, context) => `${context}/${key}`,
  });
  await call("POST", "/v1/books", {}, { "idempotency-key": "any string" });
  await call("POST", "/v1/books", { request_id: "mine" }, { "idempotency-key": "k" });
  await call("POST", "/v1/books", {});
  assert.deepEqual(
    calls.map(({ input }) => input.requestId),
    ["me/any string", "mine", ""],
  );
});

test("every code has its HTTP status, and a status body with numeric code, message and details", async () => {
  const table: [Code, number][] = [
    [Code.Canceled, 499],
    [Code.Unknown, 500],
    [Code.InvalidArgument, 400],
    [Code.DeadlineExceeded, 504],
    [Code.NotFound, 404],
    [Code.AlreadyExists, 409],
    [Code.PermissionDenied, 403],
    [Code.ResourceExhausted, 429],
    [Code.FailedPrecondition, 400],
    [Code.Aborted, 409],
    [Code.OutOfRange, 400],
    [Code.Unimplemented, 501],
    [Code.Internal, 500],
    [Code.Unavailable, 503],
    [Code.DataLoss, 500],
    [Code.Unauthenticated, 401],
  ];
  let code: Code = Code.Unknown;
  const { call } = await serve([post], () => {
    throw new ConnectError("said on purpose", code);
  });
  for (const [next, httpStatus] of table) {
    code = next;
    const { status, body, headers } = await call("POST", "/v1/books", {});
    assert.equal(status, httpStatus, Code[next]);
    assert.deepEqual(Object.keys(body), ["code", "message", "details"]);
    assert.equal(headers.get("www-authenticate"), next === Code.Unauthenticated ? "Bearer" : null);
  }
});

test("ABORTED is 412 only when If-Match was sent", async () => {
  const { call } = await serve([post], () => {
    throw new ConnectError("etag mismatch", Code.Aborted);
  });
  assert.equal((await call("POST", "/v1/books", {})).status, 409);
  assert.equal((await call("POST", "/v1/books", {}, { "if-match": '"1"' })).status, 412);
});

test("internals never leak: the caller learns that it was internal and the trace, the hook the cause", async () => {
  const seen: unknown[] = [];
  const causes = [
    new TypeError("secret: cannot read x"),
    new ConnectError("connect ECONNREFUSED 10.0.0.7:9002", Code.Unavailable),
    new ConnectError("panic at store.ts:12", Code.Internal),
  ];
  let cause: unknown;
  const { call } = await serve(
    [post],
    () => {
      throw cause;
    },
    { onInternalError: (error) => seen.push(error) },
  );
  const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  for (cause of causes) {
    const { status, body } = await call("POST", "/v1/books", {}, { traceparent });
    assert.ok(status === 500 || status === 503);
    assert.doesNotMatch(JSON.stringify(body), /secret|ECONNREFUSED|10\.0|store\.ts/);
    if (status === 500) {
      assert.equal(body.message, "internal error (trace 4bf92f3577b34da6a3ce929d0e0e4736)");
    }
  }
  assert.deepEqual(seen, causes);
});

test("details come from the registry, unknown ones keep their bytes", async () => {
  const registry = buildRegistry([post]);
  const { call } = await serve(
    [post],
    () => {
      const error = new ConnectError("no", Code.NotFound);
      error.details = [
        { type: "test.v1.Author", value: new Uint8Array([0x10, 0x07]) },
        { type: "other.v1.Thing", value: new Uint8Array([1, 2]) },
      ];
      throw error;
    },
    { registry },
  );
  assert.deepEqual((await call("POST", "/v1/books", {})).body.details, [
    { "@type": "type.googleapis.com/test.v1.Author", born: 7 },
    { "@type": "type.googleapis.com/other.v1.Thing", value: "AQI=" },
  ]);
});

test("another Content-Type is 415, JSON in all its spellings and none are taken", async () => {
  const { call } = await serve([post]);
  const status = async (type: string) =>
    (await call("POST", "/v1/books", "{}", { "content-type": type })).status;
  for (const type of [
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/json; charset=latin1",
    "x",
  ]) {
    assert.equal(await status(type), 415, type);
  }
  for (const type of [
    "application/json; charset=UTF-8",
    "application/merge-patch+json",
    "Application/JSON",
  ]) {
    assert.equal(await status(type), 200, type);
  }
});

test("a body over the limit is 413, announced or not, and the connection serves on or is closed cleanly", async () => {
  const { call, base, calls } = await serve([post], undefined, { body: { maxBytes: 1000, timeoutMs: 1000 } });
  const large = JSON.stringify({ name: "x".repeat(5_000_000) });
  const announced = await call("POST", "/v1/books", large);
  assert.equal(announced.status, 413);
  assert.equal(announced.body.code, 8);
  const chunked = await fetch(`${base}/v1/books`, {
    method: "POST",
    body: new Blob([large]).stream(),
    duplex: "half",
  } as RequestInit);
  assert.equal(chunked.status, 413);
  assert.equal(calls.length, 0);
  assert.equal((await call("POST", "/v1/books", {})).status, 200);
});

test("a body that stalls is 408", async () => {
  const { base, calls } = await serve([post], undefined, { body: { maxBytes: 1000, timeoutMs: 100 } });
  const status = await new Promise((resolve) => {
    const request = http.request(`${base}/v1/books`, { method: "POST", headers: { "content-length": 100 } });
    request.on("response", (response) => resolve(response.statusCode));
    request.on("error", () => {});
    request.write("{");
  });
  assert.equal(status, 408);
  assert.equal(calls.length, 0);
});

test("405 tells the methods, OPTIONS is answered, HEAD has no body, unknown paths are left to others", async () => {
  const { call } = await serve([post, { template: "/v1/books/{name}" }]);
  const wrong = await call("DELETE", "/v1/books");
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.get("allow"), "OPTIONS, POST");
  assert.equal(wrong.body.code, 12);
  const options = await call("OPTIONS", "/v1/books/1");
  assert.equal(options.status, 204);
  assert.equal(options.headers.get("allow"), "GET, HEAD, OPTIONS");
  const head = await call("HEAD", "/v1/books/1");
  assert.equal(head.status, 200);
  assert.equal(head.body, "");
  assert.equal((await call("GET", "/v2")).body, "none");
  assert.equal((await call("GET", "/v1/books/%zz")).status, 400);
});

test("additional bindings serve the same method", async () => {
  const { call } = await serve([{ template: "/a/{name}", additional: [{ template: "/b/{name}" }] }]);
  assert.deepEqual((await call("GET", "/a/1")).body, { name: "1" });
  assert.deepEqual((await call("GET", "/b/1")).body, { name: "1" });
});

test("a caller that goes away cancels the call upstream", async () => {
  let canceled: () => void;
  const done = new Promise<void>((resolve) => {
    canceled = resolve;
  });
  const { base } = await serve([post], () => new Promise(() => {}), {
    onAnswer: ({ code }) => code === Code.Canceled && canceled(),
  });
  const abort = new AbortController();
  const call = fetch(`${base}/v1/books`, {
    method: "POST",
    body: "{}",
    signal: abort.signal,
    headers: { "content-type": "application/json" },
  });
  setTimeout(() => abort.abort(), 50);
  await assert.rejects(call);
  await done;
});

test("a route taken twice, and a stream to take without a body to take it from, fail at start", () => {
  const transportFor = () => fakeTransport().transport;
  assert.throws(
    () => createTranscoder({ services: [buildService([post, post])], transportFor }),
    /library.proto: test.v1.Library.M1: POST \/v1\/books is taken by test.v1.Library.M0/,
  );
  for (const [serverStreaming, kind] of [
    [false, "client_streaming"],
    [true, "bidi_streaming"],
  ] as const) {
    const service = buildService([{ ...post, body: "" }], { serverStreaming, clientStreaming: true });
    const reason = new RegExp(`test.v1.Library.M0: a ${kind} method needs a body`);
    assert.throws(() => createTranscoder({ services: [service], transportFor }), reason);
  }
});

test("routes that differ by the names of their variables only are one route, also within one method", () => {
  const transportFor = () => fakeTransport().transport;
  const start = (...rules: RuleSpec[]) => createTranscoder({ services: [buildService(rules)], transportFor });
  const ambiguous: RuleSpec[][] = [
    [{ template: "/v1/{name}" }, { template: "/v1/{isbn}" }],
    [{ template: "/v1/{name}" }, { template: "/v1/*" }],
    [{ template: "/v1/{name=**}" }, { template: "/v1/{isbn=**}" }],
    [{ template: "/v1/{name=books/*}:lend" }, { template: "/v1/books/{isbn}:lend" }],
    [{ template: "/v1/%62ooks" }, { template: "/v1/books" }],
    [{ template: "/v1/{name}", additional: [{ template: "/v1/{isbn}" }] }],
    [
      { method: "*", template: "/v1/{name}" },
      { method: "*", template: "/v1/{isbn}" },
    ],
  ];
  for (const rules of ambiguous) {
    assert.throws(
      () => start(...rules),
      (error: Error) => error instanceof RuleError && /is taken by test.v1.Library.M0/.test(error.message),
      JSON.stringify(rules),
    );
  }
  // Not ambiguous: the more specific is preferred, or the methods or verbs differ.
  start({ template: "/v1/{name}" }, { template: "/v1/{name=**}" }, { template: "/v1/books" });
  start({ template: "/v1/{name}" }, { method: "PUT", template: "/v1/{name}" }, { template: "/v1/{name}:x" });
});

test("who is not admitted is answered before the body is read, and nothing goes upstream", async () => {
  const admit = () => new ConnectError("full", Code.ResourceExhausted);
  const { call, calls } = await serve([post], undefined, { admit });
  const refused = await call("POST", "/v1/books", "{ this is no JSON");
  assert.equal(refused.status, 429);
  assert.equal(refused.body.message, "full");
  assert.equal(calls.length, 0);
});
