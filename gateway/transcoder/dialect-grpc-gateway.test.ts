import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { grpcGatewayDialect } from "./dialect-grpc-gateway.ts";
import {
  buildService,
  fakeStreamTransport,
  fakeTransport,
  fakeUploadTransport,
  type RuleSpec,
} from "./fixture.ts";
import { serveHttp } from "./fixture-server.ts";

const rules: RuleSpec[] = [
  { method: "POST", template: "/v1/books", body: "*" },
  { method: "GET", template: "/v1/books/{name}" },
  { method: "GET", template: "/v1/tagged/{tags}/{signed}" },
  { method: "GET", template: "/v1/{name=shelves/*}/books" },
];
const service = buildService(rules);

function options(transport: Transport) {
  return { services: [service], transportFor: () => transport, dialect: grpcGatewayDialect };
}

test("what is not set is written, messages as null, and what is not known is discarded", async (t) => {
  const { transport } = fakeTransport();
  const call = await serveHttp(t, options(transport));
  const { status, json } = await call("POST /v1/books?nonsense=1", {
    body: '{"nonsense":1,"author":{}} trailing',
  });
  assert.equal(status, 200);
  assert.deepEqual([json.name, json.pageCount, json.copiesSold, json.tags], ["", 0, "0", []]);
  assert.deepEqual([json.published, json.subtitle, json.extra], [null, null, null]);
  assert.deepEqual(json.author, { fullName: "", born: 0, mentor: null });
  assert.equal("isbn" in json, false, "a oneof that is not set has no member to write");
});

test("paths take lists and Go's words, and are decoded before they are split", async (t) => {
  const { transport, calls } = fakeTransport();
  const call = await serveHttp(t, options(transport));
  assert.equal((await call("GET /v1/tagged/a,b/T")).status, 200);
  assert.deepEqual([calls[0]!.input.tags, calls[0]!.input.signed], [["a", "b"], true]);
  assert.equal((await call("GET /v1/shelves%2F1/books")).status, 200);
  assert.equal(calls[1]!.input.name, "shelves/1");
  assert.equal((await call("GET /v1/books/b?loan=1h30m&in_print=t")).status, 200);
  assert.deepEqual(
    [String((calls[2]!.input.loan as { seconds: bigint }).seconds), calls[2]!.input.inPrint],
    ["5400", true],
  );
});

test("a form is a long query, also by another method, and unknown methods are 501", async (t) => {
  const { transport, calls } = fakeTransport();
  const call = await serveHttp(t, options(transport));
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const form = await call("POST /v1/books/b?page_count=1", { headers, body: "tags=a&tags=b" });
  assert.equal(form.status, 200);
  assert.deepEqual(
    [calls[0]!.input.name, calls[0]!.input.pageCount, calls[0]!.input.tags],
    ["b", 1, ["a", "b"]],
  );
  const override = { ...headers, "x-http-method-override": "get" };
  assert.equal((await call("POST /v1/books/b", { headers: override, body: "" })).status, 200);
  for (const method of ["DELETE", "HEAD", "OPTIONS"]) {
    const wrong = await call(`${method} /v1/books/b`);
    assert.equal(wrong.status, 501, method);
    if (method !== "HEAD") {
      assert.deepEqual(wrong.json, { code: 12, message: "Method Not Allowed", details: [] });
    }
  }
});

test("metadata goes both ways under its prefixes, and callers cannot forge what the gateway says", async (t) => {
  const { transport, calls } = fakeTransport();
  const header = new Headers({ foo: "1", "content-type": "application/grpc" });
  const answering = {
    ...transport,
    async unary(...call: Parameters<Transport["unary"]>) {
      const answer = await transport.unary(...call);
      return { ...answer, header, trailer: new Headers({ bar: "2", "grpc-status": "0" }) };
    },
  } as Transport;
  const call = await serveHttp(t, options(answering));
  const headers = {
    authorization: "Bearer x",
    cookie: "c=1",
    "x-unknown": "u",
    "grpc-metadata-tenant": "a",
    "grpc-metadata-key-bin": "AAE=",
    "grpc-metadata-grpcgateway-cookie": "forged",
    "grpc-metadata-x-forwarded-for": "forged",
    "grpc-metadata-content-type": "forged",
    "grpc-metadata-a+b": "no key",
  };
  const answer = await call("GET /v1/books/b", { headers: { ...headers, te: "trailers", host: "h" } });
  assert.equal(answer.headers["grpc-metadata-foo"], "1");
  assert.equal(answer.headers.trailer, "grpc-trailer-bar");
  assert.equal(answer.headers["transfer-encoding"], "chunked");
  assert.equal((await call("GET /v1/books/b")).headers.trailer, undefined);
  assert.deepEqual(Object.fromEntries(calls[0]!.headers), {
    authorization: "Bearer x",
    "grpcgateway-authorization": "Bearer x",
    "grpcgateway-cookie": "c=1",
    "grpcgateway-host": "h",
    tenant: "a",
    "key-bin": "AAE=",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-host": "h",
  });
  assert.equal((await call("GET /v1/books/b", { headers: { "grpc-metadata-key-bin": "!" } })).status, 400);
});

test("a stream to send is JSON texts, of which an array is none, and the URL says nothing about it", async (t) => {
  const upload = buildService([{ method: "POST", template: "/v1/{name}:import" }], { clientStreaming: true });
  const names: string[] = [];
  const transport = fakeUploadTransport(async (books) => {
    for await (const { name } of books as AsyncIterable<Message & { name: string }>) names.push(name);
    return {};
  });
  const call = await serveHttp(t, {
    services: [upload],
    transportFor: () => transport,
    dialect: grpcGatewayDialect,
  });
  const body = '{"pageCount":1}{"name":"b"}';
  assert.equal(
    (await call("POST /v1/a:import", { headers: { "content-type": "text/plain" }, body })).status,
    200,
  );
  assert.deepEqual(names, ["", "b"]);
  assert.equal((await call("POST /v1/a:import", { body: "[{}]" })).status, 400);
});

test("errors say what the upstream said, and 401 says it in WWW-Authenticate", async (t) => {
  const { transport } = fakeTransport(() => {
    throw Object.assign(new ConnectError("token expired", Code.Unauthenticated), { isWireError: true });
  });
  const call = await serveHttp(t, options(transport));
  const { status, headers, json } = await call("GET /v1/books/b");
  assert.deepEqual([status, headers["www-authenticate"]], [401, "token expired"]);
  assert.deepEqual(json, { code: 16, message: "token expired", details: [] });
  const broken = fakeTransport(() => {
    throw new ConnectError("connect ECONNREFUSED 10.0.0.7:9090", Code.Unavailable);
  });
  const hidden = await (await serveHttp(t, options(broken.transport)))("GET /v1/books/b");
  assert.deepEqual([hidden.status, hidden.json.message], [503, "service unavailable, try again later"]);
});

test("items of a stream are results, and an error is the last item of an answer that ends well", async (t) => {
  const watch = buildService([{ method: "GET", template: "/v1/watch" }], {
    output: "Shelf",
    serverStreaming: true,
  });
  const served = (answer: Parameters<typeof fakeStreamTransport>[0]) => {
    const { transport } = fakeStreamTransport(answer);
    return serveHttp(t, { services: [watch], transportFor: () => transport, dialect: grpcGatewayDialect });
  };
  const error = () => new ConnectError("no more", Code.Aborted);
  const one = async function* () {
    yield { label: "a" };
    throw error();
  };
  // biome-ignore lint/correctness/useYield: a stream that is refused at once.
  const none = async function* () {
    throw error();
  };
  const begun = await (await served(one))("GET /v1/watch", { headers: { accept: "text/event-stream" } });
  assert.deepEqual(
    [begun.status, begun.headers["content-type"], begun.isWhole],
    [200, "application/json", true],
  );
  const status = '{"error":{"code":10,"message":"no more","details":[]}}\n';
  assert.equal(begun.text, `{"result":{"label":"a","book":null}}\n${status}`);
  const refused = await (await served(none))("GET /v1/watch");
  assert.deepEqual([refused.status, refused.text], [409, status]);
});
