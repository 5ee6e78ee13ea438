import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createFileRegistry, createRegistry, type DescService, type FileRegistry } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { deprecation } from "#gen/lampid/option/v1/http_pb.ts";
import { deprecationHeaders } from "./deprecation.ts";
import { createGateway } from "./gateway.ts";
import { createListener } from "./listener.ts";
import { compile } from "./openapi/fixture.ts";
import { createOpenApi } from "./openapi/openapi.ts";
import { upstreamServices } from "./upstreams.ts";

/** A contract with a method of each kind, and what its option says of the old ones. */
function contract(option: string, mark = "option deprecated = true;") {
  return compile(`
    syntax = "proto3";
    package test.v1;
    import "google/api/annotations.proto";
    import "google/protobuf/descriptor.proto";
    // The option, as lampid.option.v1 has it: descriptors are read by number.
    message Deprecation { string since = 1; string sunset = 2; }
    extend google.protobuf.MethodOptions { optional Deprecation deprecation = ${deprecation.number}; }
    service Library {
      // Old lends a book. Call New instead.
      rpc Old(Book) returns (Book) { ${mark} ${option} option (google.api.http) = {get: "/old/{name}"}; }
      rpc OldStream(Book) returns (stream Book) { ${mark} ${option} option (google.api.http) = {get: "/old-stream"}; }
      rpc New(Book) returns (Book) { option (google.api.http) = {get: "/new"}; }
    }
    message Book { string name = 1; }
  `);
}

const set = contract('option (deprecation) = {since: "2027-01-01", sunset: "2027-12-31"};');
const registry: FileRegistry = createFileRegistry(set);
const service: DescService = registry.getService("test.v1.Library")!;
const told = {
  deprecation: "@1798761600",
  sunset: "Fri, 31 Dec 2027 00:00:00 GMT",
  link: '</docs/deprecation>; rel="deprecation"; type="text/markdown"',
};

const closers: (() => unknown)[] = [];
let baseUrl: string;
before(async () => {
  const upstream = createRouterTransport((router) => {
    router.service(service, {
      old(book: { name?: string }) {
        if (book.name === "lost") throw new ConnectError("lost", Code.NotFound);
        return book;
      },
      async *oldStream(book: object) {
        yield book;
      },
      new: (book: object) => book,
    } as never);
  });
  const gateway = createGateway({
    upstreams: [{ name: "library", services: [service], transport: upstream }],
    registry: createRegistry(),
    verify: () => undefined,
    methodHeaders: deprecationHeaders,
    limits: { callsPerMinute: 1_000 },
  });
  const listener = createListener({ handler: gateway.handle, onError: () => {} });
  const { port } = await listener.listen(0, "127.0.0.1");
  closers.push(gateway.close, () => listener.close(100));
  baseUrl = `http://127.0.0.1:${port}`;
});
after(() => Promise.all(closers.map((close) => close())));

const toldBy = (headers: Headers) =>
  Object.fromEntries(
    Object.keys(told).flatMap((name) => (headers.has(name) ? [[name, headers.get(name)!]] : [])),
  );

test("REST tells it with every answer of the method, a refusal and a stream too, and with no other", async () => {
  for (const [path, status] of [
    ["/old/a", 200],
    ["/old/lost", 404],
    ["/old/a?x=1", 400],
    ["/old-stream", 200],
  ] as const) {
    const answer = await fetch(`${baseUrl}${path}`);
    assert.equal(answer.status, status, path);
    assert.deepEqual(toldBy(answer.headers), told, path);
  }
  assert.deepEqual(toldBy((await fetch(`${baseUrl}/new`)).headers), {});
});

describe("the other protocols tell it, too:", () => {
  const transports: [string, () => Transport][] = [
    ["Connect", () => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
    ["gRPC-Web", () => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
    ["gRPC", () => createGrpcTransport({ baseUrl })],
  ];
  for (const [protocol, transportOf] of transports) {
    test(protocol, async () => {
      const client = createClient(service, transportOf()) as unknown as Record<
        string,
        (book: object, options: object) => Promise<unknown> & AsyncIterable<unknown>
      >;
      let seen = new Headers();
      const options = { onHeader: (headers: Headers) => (seen = headers) };
      await client.old!({ name: "a" }, options);
      assert.deepEqual(toldBy(seen), told);
      for await (const _ of client.oldStream!({}, options));
      assert.deepEqual(toldBy(seen), told);
      await assert.rejects(client.old!({ name: "lost" }, options), (error: ConnectError) => {
        assert.equal(error.code, Code.NotFound);
        assert.deepEqual(toldBy(error.metadata), told);
        return true;
      });
      await client.new!({}, options);
      assert.deepEqual(toldBy(seen), {});
    });
  }
});

test("OpenAPI marks the operation and says the days", () => {
  const document = createOpenApi({
    set,
    services: ["test.v1.Library"],
    info: { title: "Library", version: "1" },
    deprecation: "test.v1.deprecation",
  });
  const { get } = document.paths["/old/{name}"] as unknown as {
    get: { deprecated: boolean; description: string };
  };
  assert.equal(get.deprecated, true);
  assert.match(
    get.description,
    /Call New instead\.\n\nDeprecated since 2027-01-01 .* gone from 2027-12-31 on/,
  );
});

test("a method that is deprecated without a day, or that gives too short a notice, fails at start", () => {
  const headersOf = (option: string, mark?: string) => {
    const { methods } = createFileRegistry(contract(option, mark)).getService("test.v1.Library")!;
    return deprecationHeaders(methods[0]!);
  };
  assert.throws(
    () => headersOf(""),
    /test\/v1\/library\.proto: test\.v1\.Library\.Old .* does not say since when/,
  );
  assert.throws(
    () => headersOf('option (deprecation) = {since: "2027-01-01"};', ""),
    /but not `option deprecated/,
  );
  for (const since of ["", "2027-02-30", "1 May 2027"]) {
    assert.throws(() => headersOf(`option (deprecation) = {since: "${since}"};`), /is no day such as/);
  }
  assert.throws(
    () => headersOf('option (deprecation) = {since: "2027-01-01", sunset: "2027-06-29"};'),
    /less than 180 days/,
  );
  assert.deepEqual(Object.keys(headersOf('option (deprecation) = {since: "2027-01-01"};')), [
    "deprecation",
    "link",
  ]);
});

test("every method that the gateway offers keeps to this", () => {
  for (const { methods } of Object.values(upstreamServices).flat()) methods.forEach(deprecationHeaders);
});
