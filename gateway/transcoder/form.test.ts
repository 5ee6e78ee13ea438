// Bodies of application/x-www-form-urlencoded, read as query parameters.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { buildService, fakeTransport, type RuleSpec } from "./fixture.ts";
import { serveHttp } from "./fixture-server.ts";
import type { TranscoderOptions } from "./transcoder.ts";

const headers = { "content-type": "application/x-www-form-urlencoded" };

async function serve(
  t: TestContext,
  rule: RuleSpec,
  options: Partial<TranscoderOptions> = { formBodies: true },
) {
  const upstream = fakeTransport();
  const services = [buildService([rule])];
  return serveHttp(t, { services, transportFor: () => upstream.transport, ...options });
}

const whole: RuleSpec = { method: "POST", template: "/v1/{name}", body: "*" };

test("a form fills the message like a query: dotted, repeated, proto and JSON names", async (t) => {
  const call = await serve(t, whole);
  const body =
    "page_count=7&inPrint=true&tags=a+b&tags=%C3%A9&author.full_name=Pram&published=2026-01-31T08:30:00Z";
  const answer = await call("POST /v1/n", { headers, body });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(answer.json, {
    name: "n",
    pageCount: 7,
    inPrint: true,
    tags: ["a b", "é"],
    author: { fullName: "Pram" },
    published: "2026-01-31T08:30:00Z",
  });
  assert.deepEqual((await call("POST /v1/n", { headers })).json, { name: "n" });
});

test("charset, capitals and compression are as for JSON, and JSON is taken as before", async (t) => {
  const call = await serve(t, whole);
  const type = "Application/X-WWW-Form-URLencoded; charset=UTF-8";
  const packed = { "content-type": type, "content-encoding": "gzip" };
  assert.equal((await call("POST /v1/n", { headers: packed, body: gzipSync("rating=5") })).json.rating, 5);
  assert.equal((await call("POST /v1/n", { body: '{"rating":5}' })).json.rating, 5);
  const latin = { "content-type": "application/x-www-form-urlencoded; charset=latin1" };
  assert.equal((await call("POST /v1/n", { headers: latin, body: "rating=5" })).status, 415);
});

test("a form is refused with every violation: unknown, wrong type, bound by the path, broken bytes", async (t) => {
  const call = await serve(t, whole);
  const answer = await call("POST /v1/n", {
    headers,
    body: "nope=1&page_count=x&name=q&isbn=1&ean=2&sequels=1",
  });
  assert.equal(answer.status, 400);
  assert.equal(answer.json.message, "the form is not valid");
  const fields = answer.json.details[0].fieldViolations.map(({ field }: { field: string }) => field);
  assert.deepEqual(fields.sort(), ["ean", "name", "nope", "page_count", "sequels"]);
  const bytes = await call("POST /v1/n", { headers, body: Buffer.from([0x72, 0x3d, 0xff]) });
  assert.equal(bytes.json.details[0].fieldViolations[0].reason, "INVALID_UTF8");
  assert.equal((await call("POST /v1/n?rating=5", { headers, body: "page_count=1" })).status, 400);
});

test("where a rule has no body, form and query are one", async (t) => {
  const call = await serve(t, { method: "POST", template: "/v1/{name}:lend" });
  const answer = await call("POST /v1/n:lend?rating=5", { headers, body: "page_count=7" });
  assert.deepEqual(answer.json, { name: "n", rating: 5, pageCount: 7 });
  assert.equal((await call("POST /v1/n:lend?rating=5", { headers, body: "rating=5" })).status, 400);
  // Bodies that nobody reads stay unread.
  assert.deepEqual((await call("POST /v1/n:lend", { body: "x" })).json, { name: "n" });
});

test("a GET has no form, and a body field takes none", async (t) => {
  const get = await serve(t, { template: "/v1/{name}" });
  assert.deepEqual((await get("GET /v1/n", { headers, body: "rating=5" })).json, { name: "n" });
  const field = await serve(t, { ...whole, body: "author" });
  assert.equal((await field("POST /v1/n", { headers, body: "born=1900" })).status, 415);
});

test("forms are refused unless they are asked for", async (t) => {
  const call = await serve(t, whole, {});
  const answer = await call("POST /v1/n", { headers, body: "rating=5" });
  assert.deepEqual([answer.status, answer.headers.accept], [415, "application/json"]);
});
