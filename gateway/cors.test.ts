import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { createCors, parseOrigins } from "./cors.ts";

const servers: http.Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

/** A caller of a server that answers 200 to what is no preflight. */
async function serve(...origins: string[]) {
  const cors = createCors(new Set(origins));
  const server = http.createServer((request, response) => {
    if (!cors.handle(request, response)) response.writeHead(200, { "x-request-id": "1" }).end("ok");
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/penduduk`;
  // Not fetch: it keeps a page, which it is not, from naming an origin of its own.
  return (method: string, headers: Record<string, string>) =>
    new Promise<http.IncomingMessage>((resolve, reject) => {
      http
        .request(url, { method, headers, agent: false }, (response) => resolve(response.resume()))
        .on("error", reject)
        .end();
    });
}

const portal = "https://portal.example";
const preflight = { "access-control-request-method": "PATCH", "access-control-request-headers": "if-match" };

test("a page of an allowed origin may send what the protocols need, and read what answers tell in headers", async () => {
  const call = await serve(portal);
  const asked = await call("OPTIONS", { origin: portal, ...preflight });
  assert.equal(asked.statusCode, 204);
  assert.equal(asked.headers["access-control-allow-origin"], portal);
  assert.match(asked.headers["access-control-allow-methods"]!, /\bPATCH\b/);
  const allowed = asked.headers["access-control-allow-headers"]!.split(", ");
  for (const name of [
    "authorization",
    "if-match",
    "idempotency-key",
    "connect-protocol-version",
    "x-grpc-web",
  ]) {
    assert.ok(allowed.includes(name), name);
  }
  assert.equal(asked.headers["access-control-allow-credentials"], undefined);
  const answer = await call("GET", { origin: portal });
  assert.equal(answer.statusCode, 200);
  assert.equal(answer.headers["access-control-allow-origin"], portal);
  assert.equal(answer.headers.vary, "origin");
  const exposed = answer.headers["access-control-expose-headers"]!.split(", ");
  for (const name of ["etag", "grpc-status", "ratelimit-remaining", "retry-after"]) {
    assert.ok(exposed.includes(name), name);
  }
});

test("a page of another origin is told nothing, and a program that names no origin is served as ever", async () => {
  const call = await serve(portal);
  const origin = "https://elsewhere.example";
  const asked = await call("OPTIONS", { origin, ...preflight });
  assert.equal(asked.statusCode, 204);
  for (const answer of [asked, await call("GET", { origin }), await call("GET", {})]) {
    const names = Object.keys(answer.headers).filter((name) => name.startsWith("access-control-"));
    assert.deepEqual(names, []);
  }
});

test("OPTIONS that is no preflight is answered by whoever has the path", async () => {
  const call = await serve("*");
  const answer = await call("OPTIONS", { origin: portal });
  assert.equal(answer.statusCode, 200);
  assert.equal(answer.headers["access-control-allow-origin"], "*");
});

test("origins that cannot be one are named", () => {
  assert.deepEqual(
    parseOrigins("https://a.example, http://localhost:5173"),
    new Set(["https://a.example", "http://localhost:5173"]),
  );
  assert.deepEqual(parseOrigins(""), new Set());
  assert.deepEqual(parseOrigins("*"), new Set(["*"]));
  for (const text of [
    "portal.example",
    "https://portal.example/",
    "https://portal.example/app",
    "https://*.example",
  ]) {
    assert.match(String(parseOrigins(text)), /not "/);
  }
});
