import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import type { DescService } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { buildService, fakeUploadTransport, type MethodSpec, type RuleSpec } from "./fixture.ts";
import { serveHttp } from "./fixture-server.ts";
import type { Answer } from "./transcoder.ts";

type Book = { name: string; pageCount: number; tags: string[]; contentType: string; data: Uint8Array };
type Library = (books: AsyncIterable<Book>) => Promise<unknown> | AsyncIterable<unknown>;

const post = { method: "POST", template: "/v1/{name=shelves/*}:import", body: "*" };
const path = "POST /v1/shelves/1:import";
const ndjson = { "content-type": "application/x-ndjson" };
const json = { "content-type": "application/json" };

/** Serves one method that takes a stream, in front of an upstream in this process. */
async function serve(
  t: Parameters<typeof serveHttp>[0],
  library: Library,
  spec: MethodSpec = {},
  rule: RuleSpec = post,
) {
  const service: DescService = buildService([rule], { clientStreaming: true, ...spec });
  const transport = fakeUploadTransport(library as never);
  const answers: Answer[] = [];
  const call = await serveHttp(t, {
    services: [service],
    transportFor: () => transport,
    body: { maxBytes: 1000, timeoutMs: 5_000 },
    onAnswer: (answer) => answers.push(answer),
  });
  return Object.assign(call, { answers });
}

/** Answers with what it got. */
async function collect(books: AsyncIterable<Book>) {
  const tags: string[] = [];
  for await (const book of books) tags.push(`${book.name}=${book.pageCount}`);
  return { tags };
}

test("lines, texts and an array are the messages of one call, and path and query bind into the first", async (t) => {
  const call = await serve(t, collect);
  const bodies: [Record<string, string>, string][] = [
    [ndjson, '{"pageCount":1}\n\n{"name":"b","pageCount":2}'],
    [{ "content-type": "application/jsonl; charset=utf-8" }, '{"pageCount":1}\n{"name":"b","pageCount":2}\n'],
    [json, '[{"pageCount":1},{"name":"b","pageCount":2}]'],
    [json, '{"pageCount":1}{"name":"b",\n"pageCount":2}'],
    [{}, '{"pageCount":1}\n{"name":"b","pageCount":2}\n'],
  ];
  for (const [headers, body] of bodies) {
    const { status, json } = await call(path, { headers, body });
    assert.equal(status, 200);
    assert.deepEqual(json, { tags: ["shelves/1=1", "b=2"] }, body);
  }
  assert.deepEqual((await call(path, { headers: ndjson, body: "" })).json, {}, "no message at all");
  assert.deepEqual((await call(path, { headers: json, body: '{"name":"a"}' })).json.tags, ["shelves/1=0"]);
});

test("a rule with a body field puts each message there, and its query into the first", async (t) => {
  const rule = { method: "POST", template: "/v1/import", body: "author" };
  const seen: unknown[] = [];
  const call = await serve(
    t,
    async (books) => {
      for await (const { pageCount, ...book } of books) {
        seen.push([pageCount, (book as unknown as { author: { fullName: string } }).author.fullName]);
      }
      return {};
    },
    {},
    rule,
  );
  const body = '{"fullName":"A"}\n{"full_name":"B"}\n';
  assert.equal((await call("POST /v1/import?page_count=3", { headers: ndjson, body })).status, 200);
  assert.deepEqual(seen, [
    [3, "A"],
    [0, "B"],
  ]);
});

test("google.api.HttpBody is the bytes as they come, with their type in the first", async (t) => {
  const chunks: Book[] = [];
  const call = await serve(
    t,
    async (books) => {
      for await (const book of books) chunks.push(book);
      return {};
    },
    { input: "HttpBody" },
    { ...post, template: "/v1/upload" },
  );
  const body = Buffer.alloc(300_000, 7);
  const answer = await call("POST /v1/upload", { headers: { "content-type": "image/png" }, body });
  assert.equal(answer.status, 200);
  assert.ok(chunks.length > 1);
  assert.deepEqual(Buffer.concat(chunks.map(({ data }) => data)), body);
  assert.deepEqual(new Set(chunks.slice(1).map(({ contentType }) => contentType)), new Set([""]));
  assert.equal(chunks[0]!.contentType, "image/png");
});

test("what is wrong with a message is 400 with the place, and the upstream sees a call that broke off", async (t) => {
  const ends: string[] = [];
  const call = await serve(t, async (books) => {
    try {
      for await (const _ of books);
      ends.push("whole");
    } catch {
      ends.push("broken off");
    }
    return {};
  });
  const table: [Record<string, string>, string, number, string, RegExp][] = [
    [
      ndjson,
      '{"pageCount":1}\n{"pageCount":\n{}',
      400,
      "body",
      /^line 2: is not valid JSON|^line 2: must be/,
    ],
    [ndjson, '{}\n{"pageCount":"x"}\n', 400, "page_count", /^line 2: must be an integer/],
    [ndjson, '{}\n\n{"nonsense":1}', 400, "nonsense", /^line 3: /],
    [json, '[{},{"pageCount":"x"}]', 400, "page_count", /^message 2: must be an integer/],
    [json, "[{},{}", 400, "body", /not closed/],
  ];
  for (const [headers, body, status, field, description] of table) {
    const answer = await call(path, { headers, body });
    assert.equal(answer.status, status, body);
    const [violation] = answer.json.details[0].fieldViolations;
    assert.equal(violation.field, field);
    assert.match(violation.description, description);
  }
  const large = await call(path, { headers: ndjson, body: `{}\n{"name":"${"x".repeat(1001)}"}` });
  assert.equal(large.status, 413);
  assert.equal(ends.includes("whole"), false);
});

test("another type and an unknown coding are 415, gzip is undone, and broken gzip is 400", async (t) => {
  const call = await serve(t, collect);
  const body = gzipSync('{"pageCount":1}\n{"pageCount":2}\n');
  const gzip = { ...ndjson, "content-encoding": "gzip" };
  const csv = await call(path, { headers: { "content-type": "text/csv" }, body: "a" });
  assert.deepEqual([csv.status, csv.headers.accept], [415, "application/x-ndjson, application/json"]);
  assert.equal((await call(path, { headers: { ...ndjson, "content-encoding": "zstd" }, body })).status, 415);
  assert.deepEqual((await call(path, { headers: gzip, body })).json.tags, ["shelves/1=1", "=2"]);
  assert.equal((await call(path, { headers: gzip, body: body.subarray(0, 20) })).status, 400);
  assert.equal((await call(path, { headers: gzip, body: "plain" })).status, 400);
});

test("an upstream that answers early is answered from, and the connection serves on", async (t) => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const call = await serve(t, async (books) => {
    for await (const { name } of books) {
      if (name === "stop") throw new ConnectError("enough", Code.FailedPrecondition);
      if (name === "done") return { name: "early" };
    }
    return {};
  });
  const rest = `${'{"name":"more"}\n'.repeat(50_000)}`;
  const post = (body: string) =>
    new Promise<[number, string, number]>((resolve, reject) => {
      const request = http.request({
        port: call.port,
        method: "POST",
        path: path.slice(5),
        headers: ndjson,
        agent,
      });
      request.on("error", reject);
      request.on("response", async (response) => {
        let text = "";
        for await (const chunk of response) text += chunk;
        resolve([response.statusCode!, text, request.socket!.localPort!]);
      });
      request.end(body);
    });
  const failed = await post(`{}\n{"name":"stop"}\n${rest}`);
  assert.deepEqual([failed[0], JSON.parse(failed[1]).message], [400, "enough"]);
  const early = await post(`{}\n{"name":"done"}\n${rest}`);
  assert.deepEqual([early[0], early[1]], [200, '{"name":"early"}']);
  assert.equal(early[2], failed[2], "on the same connection");
});

test("a client is read no faster than the upstream takes its messages", async (t) => {
  const gate = Promise.withResolvers<void>();
  const call = await serve(t, async (books) => {
    let count = 0;
    for await (const _ of books) {
      if (count++ === 0) await gate.promise;
    }
    return { pageCount: count };
  });
  const line = `{"name":"${"x".repeat(950)}"}\n`;
  const request = http.request({ port: call.port, method: "POST", path: path.slice(5), headers: ndjson });
  const answered = new Promise<string>((resolve, reject) => {
    request.on("error", reject);
    request.on("response", async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      resolve(text);
    });
  });
  // Until the sockets are full: the buffer of the client then stays full, too.
  let sent = 0;
  while (sent < 200_000) {
    const hasRoom = request.write(line);
    sent++;
    if (!hasRoom) {
      const drained = new Promise((resolve) => request.once("drain", () => resolve(true)));
      const stuck = new Promise((resolve) => setTimeout(resolve, 1_000, false));
      if (!(await Promise.race([drained, stuck]))) break;
    }
  }
  assert.ok(sent < 100_000, `the client was stopped after ${sent} lines`);
  gate.resolve();
  request.end();
  assert.deepEqual(JSON.parse(await answered), { pageCount: sent });
});

test("a client that goes cancels the call, and its half body is not taken for a whole one", async (t) => {
  const started = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<string>();
  const call = await serve(t, async (books) => {
    try {
      for await (const _ of books) started.resolve();
      ended.resolve("whole");
    } catch {
      ended.resolve("broken off");
    }
    return {};
  });
  const request = http.request({ port: call.port, method: "POST", path: path.slice(5), headers: ndjson });
  request.on("error", () => {});
  request.write("{}\n");
  await started.promise;
  request.destroy();
  assert.equal(await ended.promise, "broken off");
});

test("a bidirectional stream answers while its body comes", async (t) => {
  const call = await serve(
    t,
    async function* (books) {
      for await (const { name } of books) {
        if (name === "fail") throw new ConnectError("no more", Code.Aborted);
        yield { name: `${name}!` };
      }
    },
    { serverStreaming: true },
    { ...post, template: "/v1/chat" },
  );
  const body = '{"name":"a"}\n{"name":"b"}\n';
  const whole = await call("POST /v1/chat", { headers: ndjson, body });
  assert.deepEqual([whole.status, whole.text], [200, '{"name":"a!"}\n{"name":"b!"}\n']);
  const events = await call("POST /v1/chat", { headers: { ...ndjson, accept: "text/event-stream" }, body });
  assert.match(events.text, /data: \{"name":"b!"\}\n\nevent: end/);
  const failed = await call("POST /v1/chat", { headers: ndjson, body: '{"name":"a"}\n{"name":"fail"}\n' });
  assert.deepEqual(
    [failed.isWhole, JSON.parse(failed.text.split("\n")[1]!).error.message],
    [false, "no more"],
  );

  const request = http.request({ port: call.port, method: "POST", path: "/v1/chat", headers: ndjson });
  t.after(() => request.destroy());
  request.on("error", () => {});
  request.write('{"name":"1"}\n');
  const response = await new Promise<http.IncomingMessage>((resolve) => request.on("response", resolve));
  const lines = response.iterator({ destroyOnReturn: false });
  assert.equal(String((await lines.next()).value), '{"name":"1!"}\n');
  request.write('{"name":"2"}\n');
  assert.equal(String((await lines.next()).value), '{"name":"2!"}\n', "the second waits for nothing");
  request.end('{"page_count":"x"}\n');
  const error = JSON.parse(String((await lines.next()).value)).error;
  assert.match(JSON.stringify(error), /line 3: must be an integer/);
});
