import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { buildService, fakeTransport } from "./fixture.ts";
import { serveHttp } from "./fixture-server.ts";

const service = buildService([{ method: "GET", template: "/v1/books" }]);
const get = "GET /v1/books";

/** Answers with the given metadata, or fails with it. */
function answering(header: Headers, trailer: Headers, error?: ConnectError): Transport {
  const { transport } = fakeTransport();
  return {
    ...transport,
    async unary(...call: Parameters<Transport["unary"]>) {
      if (error !== undefined) throw error;
      return { ...(await transport.unary(...call)), header, trailer };
    },
  } as Transport;
}

test("headers travel by the list, those of bytes as base64, and one that is none is 400", async (t) => {
  const { transport, calls } = fakeTransport();
  const forwardHeaders = ["x-tenant", "x-trace-bin"];
  const call = await serveHttp(t, { services: [service], transportFor: () => transport, forwardHeaders });
  const headers = { "x-tenant": "a", "x-trace-bin": "AAEC/+8=", "x-other": "o", authorization: "Bearer x" };
  assert.equal((await call(get, { headers })).status, 200);
  assert.deepEqual(
    [...calls[0]!.headers],
    [
      ["x-tenant", "a"],
      ["x-trace-bin", "AAEC/+8="],
    ],
  );
  for (const value of ["not base64!", "a=b=c"]) {
    const refused = await call(get, { headers: { "x-trace-bin": value } });
    assert.equal(refused.status, 400);
    assert.equal(refused.json.details[0].fieldViolations[0].field, "x-trace-bin");
  }
  assert.equal((await call(get, { headers: { "x-tenant": "Gj\u00f8vik" } })).status, 200);
  assert.deepEqual([...calls[1]!.headers], [], "text that metadata cannot hold stays here");
});

test("the upstream is told where a request came from, where that is wanted", async (t) => {
  const { transport, calls } = fakeTransport();
  const call = await serveHttp(t, { services: [service], transportFor: () => transport, forwarded: true });
  await call(get, {
    headers: { "x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https", host: "lib.example" },
  });
  assert.deepEqual(
    [...calls[0]!.headers],
    [
      ["x-forwarded-for", "192.0.2.1, 127.0.0.1"],
      ["x-forwarded-host", "lib.example"],
      ["x-forwarded-proto", "https"],
    ],
  );
  await call(get);
  assert.equal(calls[1]!.headers.get("x-forwarded-for"), "127.0.0.1");
  assert.equal(calls[1]!.headers.get("x-forwarded-proto"), "http");
});

test("metadata of an answer comes back by the lists, trailers and bytes too, also with an error", async (t) => {
  const header = new Headers({ "x-request-id": "r1", "x-key-bin": "AAE=", secret: "s" });
  const trailer = new Headers({ "x-cost": "3", "grpc-status": "0" });
  const options = {
    services: [service],
    answerHeaders: ["x-request-id", "x-key-bin"],
    answerTrailers: ["x-cost"],
  };
  const whole = await serveHttp(t, { ...options, transportFor: () => answering(header, trailer) });
  const error = new ConnectError("no", Code.NotFound, { "x-request-id": "r2", "x-cost": "1", secret: "s" });
  const failing = await serveHttp(t, { ...options, transportFor: () => answering(header, trailer, error) });
  const answer = (await whole(get)).headers;
  assert.deepEqual([answer["x-request-id"], answer["x-key-bin"], answer["x-cost"]], ["r1", "AAE=", "3"]);
  const failed = await failing(get);
  assert.equal(failed.status, 404);
  assert.deepEqual([failed.headers["x-request-id"], failed.headers["x-cost"]], ["r2", "1"]);
  for (const { secret, "grpc-status": status } of [answer, failed.headers]) {
    assert.deepEqual([secret, status], [undefined, undefined]);
  }
});
