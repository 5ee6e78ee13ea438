import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { createRegistry } from "@bufbuild/protobuf";
import { createRouterTransport } from "@connectrpc/connect";
import { parse } from "yaml";
import { AuthService } from "#gen/lampid/auth/v1/auth_service_pb.ts";
import { createDocuments } from "./documents.ts";
import { createGateway, type Gateway } from "./gateway.ts";
import { createListener } from "./listener.ts";
import { openApiDocuments } from "./openapi/documents.ts";
import { contentSecurityPolicy, portalDocuments } from "./portal/portal.ts";

const json = readFileSync(new URL("../gen/openapi.json", import.meta.url), "utf8");
const closers: (() => unknown)[] = [];
let baseUrl: string;

before(async () => {
  baseUrl = await start();
});
after(async () => {
  await Promise.all(closers.map((close) => close()));
});

/** `fetch` asks for compression unless it is told what to ask for. */
const plain = { headers: { "accept-encoding": "identity" } };

async function start(callsPerMinute = 1_000): Promise<string> {
  const transport = createRouterTransport(() => {});
  const gateway: Gateway = createGateway({
    upstreams: [{ name: "auth", services: [AuthService], transport }],
    registry: createRegistry(),
    verify: () => undefined,
    documents: createDocuments([...openApiDocuments(json), ...portalDocuments()]),
    limits: { callsPerMinute },
  });
  const listener = createListener({ handler: gateway.handle, onError: () => {} });
  const { port } = await listener.listen(0, "127.0.0.1");
  closers.push(gateway.close, () => listener.close(100));
  return `http://127.0.0.1:${port}`;
}

test("GET /openapi.json answers the document to anyone, and lets it be kept for a while", async () => {
  const answer = await fetch(`${baseUrl}/openapi.json`);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-type"), "application/json");
  assert.equal(answer.headers.get("cache-control"), "public, max-age=300");
  assert.equal(answer.headers.get("ratelimit-remaining"), null);
  assert.equal(await answer.text(), json);
});

test("GET /openapi.yaml answers the same as YAML", async () => {
  const answer = await fetch(`${baseUrl}/openapi.yaml?x=1`);
  assert.equal(answer.headers.get("content-type"), "application/yaml");
  const text = await answer.text();
  assert.match(text, /^openapi: 3\.1\.1\n/);
  assert.deepEqual(parse(text), JSON.parse(json));
});

test("who has the document is told 304 without a body", async () => {
  for (const path of ["/openapi.json", "/openapi.yaml"]) {
    const etag = (await fetch(`${baseUrl}${path}`, plain)).headers.get("etag")!;
    assert.match(etag, /^"[\w-]{22}"$/);
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
      const again = await fetch(`${baseUrl}${path}`, {
        headers: { ...plain.headers, "if-none-match": known },
      });
      assert.equal(again.status, 304, known);
      assert.equal(again.headers.get("etag"), etag);
      assert.equal(await again.text(), "");
    }
    const other = await fetch(`${baseUrl}${path}`, { headers: { "if-none-match": '"other"' } });
    assert.equal(other.status, 200);
    await other.arrayBuffer();
  }
});

test("HEAD answers the head of GET", async () => {
  const answer = await fetch(`${baseUrl}/openapi.json`, { method: "HEAD", ...plain });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-length"), String(Buffer.byteLength(json)));
  assert.equal(await answer.text(), "");
});

test("a document comes compressed to who takes that, each coding with an ETag of its own", async () => {
  const tags = new Set<string>();
  for (const coding of ["br", "gzip", "identity"]) {
    const headers = { "accept-encoding": coding };
    const answer = await fetch(`${baseUrl}/openapi.json`, { headers });
    assert.equal(answer.headers.get("content-encoding"), coding === "identity" ? null : coding);
    assert.equal(answer.headers.get("vary"), "accept-encoding");
    assert.equal(await answer.text(), json);
    const etag = answer.headers.get("etag")!;
    tags.add(etag);
    const again = await fetch(`${baseUrl}/openapi.json`, { headers: { ...headers, "if-none-match": etag } });
    assert.equal(again.status, 304);
  }
  assert.equal(tags.size, 3);
  const none = await fetch(`${baseUrl}/openapi.json`, { headers: { "accept-encoding": "identity;q=0" } });
  assert.equal(none.status, 406);
});

test("the portal is one page under a policy that lets it load from here alone, with assets to be kept for good", async () => {
  const page = await fetch(`${baseUrl}/docs`);
  assert.equal(page.status, 200);
  assert.equal(page.headers.get("content-security-policy"), contentSecurityPolicy);
  assert.doesNotMatch(contentSecurityPolicy, /unsafe|https?:|\*/);
  const html = await page.text();
  assert.equal(await (await fetch(`${baseUrl}/docs/`)).text(), html);
  assert.doesNotMatch(html, /https?:|<script>|<style|{assets}/);
  const assets = [...html.matchAll(/(?:src|href)="(\/docs\/[^"]+)"/g)].map((match) => match[1]!);
  assert.equal(assets.length, 5);
  for (const path of assets) {
    const asset = await fetch(`${baseUrl}${path}`);
    assert.equal(asset.status, 200, path);
    assert.match(asset.headers.get("cache-control") ?? "", /immutable/);
    await asset.arrayBuffer();
  }
});

test("two documents at one path are refused at start", () => {
  const document = { path: "/a", contentType: "text/plain", make: () => "a" };
  assert.throws(() => createDocuments([document, document]), /two documents are at \/a/);
});

test("other methods are refused with what is allowed, other paths are not taken", async () => {
  const posted = await fetch(`${baseUrl}/openapi.json`, { method: "POST", body: "{}" });
  assert.equal(posted.status, 405);
  assert.equal(posted.headers.get("allow"), "GET, HEAD, OPTIONS");
  assert.equal((await fetch(`${baseUrl}/openapi.json`, { method: "OPTIONS" })).status, 204);
  assert.equal((await fetch(`${baseUrl}/openapi.xml`)).status, 404);
});

test("the documents count for the rate limit like any call", async () => {
  const limitedUrl = await start(2);
  const statuses: number[] = [];
  for (let call = 0; call < 3; call++) {
    const answer = await fetch(`${limitedUrl}/openapi.json`);
    statuses.push(answer.status);
    await answer.arrayBuffer();
  }
  assert.deepEqual(statuses, [200, 200, 429]);
});
