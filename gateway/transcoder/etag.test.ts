// Entity tags over HTTP, from and to the etag of messages.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { etagHeader, findEtagPath, matchesTag } from "./etag.ts";
import { buildRegistry, buildService, fakeTransport, type MethodSpec, type RuleSpec } from "./fixture.ts";
import { serveHttp } from "./fixture-server.ts";
import type { Answer } from "./transcoder.ts";

async function serve(t: TestContext, rules: RuleSpec[], answer: object | Error = {}, types: MethodSpec = {}) {
  const upstream = fakeTransport((_, method) => {
    if (answer instanceof Error) throw answer;
    return create(method.output, answer as never);
  });
  const answers: Answer[] = [];
  const call = await serveHttp(t, {
    services: [buildService(rules, types)],
    transportFor: () => upstream.transport,
    onAnswer: (each) => answers.push(each),
  });
  return { call, calls: upstream.calls, answers };
}

const get: RuleSpec = { template: "/v1/{name=books/*}" };
const post: RuleSpec = { method: "POST", template: "/v1/books", body: "*" };

test("an answer with an etag has it as a strong entity tag", async (t) => {
  const { call } = await serve(t, [get, post], { name: "n", etag: "7" });
  assert.equal((await call("GET /v1/books/1")).headers.etag, '"7"');
  assert.equal((await call("POST /v1/books", { body: "{}" })).headers.etag, '"7"');
  const without = await serve(t, [get], { name: "n" });
  assert.equal((await without.call("GET /v1/books/1")).headers.etag, undefined);
});

test("of a wrapped resource the etag counts where response_body makes it the answer", async (t) => {
  const shelf = { book: { etag: "7" } };
  const types = { output: "Shelf" };
  const picked = await serve(t, [{ template: "/v1/books", responseBody: "book" }], shelf, types);
  assert.equal((await picked.call("GET /v1/books")).headers.etag, '"7"');
  const whole = await serve(t, [{ template: "/v1/books" }], shelf, types);
  assert.equal((await whole.call("GET /v1/books")).headers.etag, undefined);
  const none = await serve(t, [{ template: "/v1/books", responseBody: "book" }], {}, types);
  assert.equal((await none.call("GET /v1/books")).headers.etag, undefined);
});

test("an etag that cannot be a header is none", () => {
  const book = buildRegistry([]).getMessage("test.v1.Book")!;
  const path = findEtagPath(book, undefined)!;
  const header = (etag: string) => etagHeader(path, create(book, { etag } as never));
  assert.equal(header("a!#~"), '"a!#~"');
  for (const etag of ["", '"7"', "a b", "a\r\nb", "é"]) {
    assert.equal(header(etag), undefined, etag);
  }
  // The field of that name is no string here.
  assert.equal(findEtagPath(buildRegistry([]).getMessage("test.v1.Author")!, undefined), undefined);
});

test("If-None-Match of GET and HEAD is 304 when it names the tag, weakly compared", async (t) => {
  const { call, answers } = await serve(t, [get, post], { name: "n", etag: "7" });
  for (const known of ['"7"', 'W/"7"', "*", '"5", "7"', 'W/"5",W/"7"', '"a,b", "7"']) {
    for (const method of ["GET", "HEAD"]) {
      const answer = await call(`${method} /v1/books/1`, { headers: { "if-none-match": known } });
      assert.equal(answer.status, 304, known);
      assert.equal(answer.text, "");
      assert.equal(answer.headers.etag, '"7"');
      assert.equal(answer.headers["content-type"], undefined);
      assert.equal(answer.headers.vary, "accept-encoding");
    }
  }
  assert.deepEqual([answers[0]!.httpStatus, answers[0]!.code], [304, 0]);
  for (const known of ['"5"', "7", '"77"', '"7', ""]) {
    const answer = await call("GET /v1/books/1", { headers: { "if-none-match": known } });
    assert.equal(answer.status, 200, known);
  }
  const changed = await call("POST /v1/books", { headers: { "if-none-match": '"7"' }, body: "{}" });
  assert.equal(changed.status, 200);
});

test("the comparison of tags takes time in proportion to the header", () => {
  const startedAtMs = performance.now();
  assert.equal(matchesTag('W/"'.repeat(5_000), '"7"'), false);
  assert.ok(performance.now() - startedAtMs < 500);
});

test("If-Match fills an etag that the request left empty: its own, in the body or in the query", async (t) => {
  const { call, calls } = await serve(t, [post, { method: "DELETE", template: "/v1/{name=books/*}" }]);
  const headers = { "if-match": '"7"' };
  await call("POST /v1/books", { headers, body: "{}" });
  await call("POST /v1/books", { headers, body: '{"etag":"6"}' });
  await call("DELETE /v1/books/1", { headers });
  await call("DELETE /v1/books/1?etag=6", { headers });
  await call("DELETE /v1/books/1", { headers: { "if-match": "*" } });
  await call("DELETE /v1/books/1");
  assert.deepEqual(
    calls.map(({ input }) => input.etag),
    ["7", "6", "7", "6", "", ""],
  );
});

test("If-Match fills the etag of the message in the body, also of one that is empty", async (t) => {
  const rule = { method: "PATCH", template: "/v1/books", body: "book" };
  const { call, calls } = await serve(t, [rule], {}, { input: "Shelf" });
  for (const body of ['{"name":"n"}', ""]) {
    await call("PATCH /v1/books", { headers: { "if-match": '"7"' }, body });
    assert.equal((calls.at(-1)!.input.book as { etag: string }).etag, "7");
  }
  await call("PATCH /v1/books", { body: "" });
  assert.equal(calls.at(-1)!.input.book, undefined);
});

test("an etag that the service finds out of date is 412 with If-Match, 409 without", async (t) => {
  const { call } = await serve(t, [post], new ConnectError("etag mismatch", Code.Aborted));
  const status = async (headers: Record<string, string>) =>
    (await call("POST /v1/books", { headers, body: "{}" })).status;
  assert.equal(await status({ "if-match": '"7"' }), 412);
  assert.equal(await status({ "if-match": "*" }), 412);
  assert.equal(await status({}), 409);
});

test("a weak tag in If-Match is 412, several are 400, one without quotes is taken for what it means", async (t) => {
  const { call, calls } = await serve(t, [post]);
  const send = (tag: string) => call("POST /v1/books", { headers: { "if-match": tag }, body: "{}" });
  assert.equal((await send('W/"7"')).status, 412);
  for (const tag of ['"7", "8"', '"', '""', "7, 8", "a b"]) {
    const answer = await send(tag);
    assert.equal(answer.status, 400, tag);
    assert.equal(answer.json.details[0].fieldViolations[0].field, "If-Match");
  }
  assert.equal(calls.length, 0);
  assert.equal((await send("7")).status, 200);
  assert.equal(calls[0]!.input.etag, "7");
});

test("where no etag is, If-Match is left alone", async (t) => {
  const { call, calls } = await serve(t, [post], {}, { input: "Shelf" });
  assert.equal((await call("POST /v1/books", { headers: { "if-match": "a, b" }, body: "{}" })).status, 200);
  assert.equal(calls[0]!.input.book, undefined);
});
