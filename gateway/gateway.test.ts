import assert from "node:assert/strict";
import http2 from "node:http2";
import net from "node:net";
import { after, test } from "node:test";
import { createRegistry } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createClient,
  createRouterTransport,
  type HandlerContext,
} from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  file_google_rpc_error_details,
  RetryInfoSchema,
} from "#gen/google/rpc/error_details_pb.ts";
import { AuthService } from "#gen/lampid/auth/v1/auth_service_pb.ts";
import { NotifikasiService } from "#gen/lampid/notifikasi/v1/notifikasi_service_pb.ts";
import { success_status } from "#gen/lampid/option/v1/http_pb.ts";
import {
  PendudukService,
  type RegisterPendudukRequest,
} from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { StatistikService } from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import { createCors } from "./cors.ts";
import { createGateway, type GatewayDeps, requestIdOf } from "./gateway.ts";
import { createListener } from "./listener.ts";

const closers: (() => unknown)[] = [];
after(async () => {
  await Promise.all(closers.map((close) => close()));
});

const body = { nik: "3201010101900001", nama: "Budi", alamat: "Jl. Merdeka 1", provinsi: "Jawa Barat" };

/** A gateway in front of in-memory services; `stored` is what reached the registry. */
async function start(more: Partial<GatewayDeps> = {}, listenerLimits = {}) {
  const stored: RegisterPendudukRequest[] = [];
  const contexts: HandlerContext[] = [];
  const problems: unknown[] = [];
  const routes = (router: ConnectRouter) => {
    router.service(AuthService, {
      login({ username }) {
        if (username !== "operator") {
          throw new ConnectError("wrong username or password", Code.Unauthenticated);
        }
        return { accessToken: "t", tokenType: "Bearer", expiresIn: 900 };
      },
      getMe: () => ({ message: "access granted", subject: "1", username: "operator" }),
    });
    router.service(PendudukService, {
      registerPenduduk(request, context) {
        contexts.push(context);
        if (!/^[\p{L}\p{M}' .,-]*$/u.test(request.nama)) {
          throw new ConnectError("invalid value in: nama", Code.InvalidArgument, undefined, [
            {
              desc: BadRequestSchema,
              value: { fieldViolations: [{ field: "nama", description: "letters only" }] },
            },
          ]);
        }
        if (stored.some(({ nik }) => nik === request.nik)) {
          throw new ConnectError("registered", Code.AlreadyExists, undefined, [
            { desc: ErrorInfoSchema, value: { reason: "NIK_TAKEN", domain: "lampid.go.id" } },
          ]);
        }
        stored.push(request);
        return { penduduk: { name: "penduduk/1", nik: request.nik, nama: request.nama, peringatan: [] } };
      },
      getPenduduk: ({ name }) => ({ penduduk: { name } }),
      updateBiodata: ({ penduduk, updateMask }) => ({
        penduduk: { name: penduduk!.name, nama: penduduk!.nama ?? "", peringatan: updateMask?.paths ?? [] },
      }),
      issueNik: () => {
        throw new TypeError("secret at store.ts:12");
      },
      async *exportPenduduk() {
        yield { cursor: "1" };
        yield { cursor: "2" };
      },
    });
    router.service(StatistikService, {
      getStats: () => ({ stats: [{ provinsi: "Jawa Barat", jumlah: 12, kodeProvinsi: "32" }] }),
      getKecamatanStats: ({ kodeWilayah }) => ({ stats: [{ kodeKecamatan: kodeWilayah, jumlah: 1 }] }),
    });
  };
  const transport = createRouterTransport(routes);
  const gateway = createGateway({
    upstreams: [
      { name: "auth", services: [AuthService], transport },
      { name: "penduduk", services: [PendudukService], transport },
      { name: "statistik", services: [StatistikService], transport },
    ],
    registry: createRegistry(file_google_rpc_error_details),
    successStatus: success_status,
    verify: (authorization) => {
      const subject = /^Bearer (\w+)$/.exec(authorization)?.[1];
      return subject === "bad" ? Promise.reject(new Error("expired")) : subject ? { subject } : undefined;
    },
    onInternalError: (error) => problems.push(error),
    limits: { callsPerMinute: 10_000, bodyTimeoutMs: 300, ...more.limits },
    ...Object.fromEntries(Object.entries(more).filter(([key]) => key !== "limits")),
  });
  const listener = createListener({ handler: gateway.handle, limits: listenerLimits });
  const { port } = await listener.listen(0, "127.0.0.1");
  closers.push(async () => {
    gateway.drain();
    await listener.close(100);
    gateway.close();
  });
  const base = `http://127.0.0.1:${port}`;
  async function call(method: string, path: string, payload?: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(base + path, {
      method,
      headers: { ...(payload === undefined ? {} : { "content-type": "application/json" }), ...headers },
      body:
        payload === undefined
          ? undefined
          : typeof payload === "string" || payload instanceof Uint8Array
            ? (payload as string)
            : JSON.stringify(payload),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === "" ? undefined : JSON.parse(text),
    };
  }
  return { base, port, call, stored, contexts, problems, gateway };
}

const shared = await start();

test("the four printed calls and their versioned paths answer as printed", async () => {
  const { call } = await start();
  for (const path of ["/login", "/v1/auth:login"]) {
    const login = await call("POST", path, { username: "operator", password: "rahasia" });
    assert.equal(login.status, 200);
    assert.deepEqual(login.body, { access_token: "t", token_type: "Bearer", expires_in: 900 });
    assert.equal((await call("POST", path, { username: "x", password: "y" })).status, 401);
  }
  for (const path of ["/protected", "/v1/auth/me"]) {
    assert.equal((await call("GET", path)).body.message, "access granted");
  }
  const created = await call("POST", "/penduduk", body);
  assert.equal(created.status, 201);
  assert.equal(created.body.nik, body.nik);
  assert.equal(created.headers.get("cache-control"), "no-store");
  const duplicate = await call("POST", "/v1/penduduk", body);
  assert.equal(duplicate.status, 409);
  assert.deepEqual(duplicate.body, {
    code: 6,
    message: "registered",
    details: [
      { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "NIK_TAKEN", domain: "lampid.go.id" },
    ],
  });
  for (const path of ["/stats", "/v1/stats"]) {
    assert.deepEqual((await call("GET", path)).body, [
      { provinsi: "Jawa Barat", jumlah: 12, kodeProvinsi: "32" },
    ]);
  }
});

test("paths with variables, verbs and a PATCH without a mask work", async () => {
  const { call } = shared;
  assert.equal((await call("GET", "/v1/penduduk/7")).body.name, "penduduk/7");
  assert.deepEqual((await call("GET", "/v1/stats/32.01/kecamatan")).body, [
    { kodeKecamatan: "32.01", jumlah: 1 },
  ]);
  const patched = await call("PATCH", "/v1/penduduk/7", { etag: "1", nama: "Budi", namaIbu: null });
  assert.deepEqual(patched.body, { name: "penduduk/7", nama: "Budi", peringatan: ["nama", "nama_ibu"] });
});

test("bad input gets a 4xx with a status body, nothing is stored, and the process lives on", async () => {
  const { call, stored, port } = await start();
  const violation = async (payload: unknown, headers = {}) => {
    const { status, body } = await call("POST", "/penduduk", payload, headers);
    assert.equal(status, 400, JSON.stringify(body));
    assert.equal(body.code, 3);
    assert.equal(body.details[0]["@type"], "type.googleapis.com/google.rpc.BadRequest");
    return body.details[0].fieldViolations[0].field as string;
  };
  assert.equal(await violation('{"nik": "3201'), "body");
  assert.equal(await violation(new Uint8Array([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d])), "body");
  assert.equal(await violation({ ...body, umur: 3 }), "umur");
  assert.equal(await violation({ ...body, nik: 3201010101900001 }), "nik");
  assert.equal(await violation({ ...body, nama: ["Budi"] }), "nama");
  assert.equal(await violation({ ...body, jenis_kelamin: "PRIA" }), "jenis_kelamin");
  assert.equal(await violation([body]), "body");
  // The service judges these; they must reach it as they are.
  assert.equal(await violation({ ...body, nama: "Bu\u0000di" }), "nama");
  assert.equal(await violation({ ...body, nama: "Budi 😀" }), "nama");
  const large = await call("POST", "/penduduk", { ...body, nama: "x".repeat(5_000_000) });
  assert.equal(large.status, 413);
  assert.deepEqual(large.body.details, []);
  assert.equal(
    (await call("POST", "/penduduk", "nik=1", { "content-type": "application/x-www-form-urlencoded" }))
      .status,
    415,
  );
  assert.equal((await call("POST", "/nowhere", {})).status, 404);
  assert.equal((await call("DELETE", "/penduduk")).status, 405);

  const slow = net.connect(port, "127.0.0.1");
  slow.write("POST /penduduk HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\n{");
  let text = "";
  for await (const chunk of slow) {
    text += chunk;
  }
  assert.match(text, /^HTTP\/1\.1 408 [\s\S]*\{"code":4,/);

  assert.equal(stored.length, 0);
  assert.equal((await call("POST", "/penduduk", { ...body, nama: "Ma'ruf" })).status, 201);
});

test("REST is served over HTTP/2, a slow and a large body included", async () => {
  const { base, stored } = await start();
  const session = http2.connect(base);
  const post = (write: (stream: http2.ClientHttp2Stream) => void) =>
    new Promise<{ status: number; code: number }>((resolve, reject) => {
      const stream = session.request({
        ":method": "POST",
        ":path": "/penduduk",
        "content-type": "application/json",
      });
      let status = 0;
      let text = "";
      stream.on("response", (head) => {
        status = head[":status"]!;
      });
      stream.on("data", (chunk) => {
        text += chunk;
      });
      stream.on("end", () => resolve({ status, code: JSON.parse(text).code }));
      stream.on("error", reject);
      write(stream);
    });
  assert.deepEqual(await post((stream) => stream.write("{")), { status: 408, code: 4 });
  assert.deepEqual(await post((stream) => stream.end(Buffer.alloc(5_000_000, 0x20))), {
    status: 413,
    code: 8,
  });
  assert.equal(stored.length, 0);
  assert.equal((await post((stream) => stream.end(JSON.stringify(body)))).status, 201);
  session.close();
});

test("an Idempotency-Key becomes a UUIDv5 of caller and key", async () => {
  const { call, stored } = await start();
  const headers = { "idempotency-key": "any string, twice", authorization: "Bearer alice" };
  await call("POST", "/penduduk", body, headers);
  await call("POST", "/penduduk", { ...body, nik: "1" }, { ...headers, authorization: "Bearer bob" });
  assert.equal(stored[0]!.requestId, requestIdOf("alice", "any string, twice"));
  assert.match(stored[0]!.requestId, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.notEqual(stored[0]!.requestId, stored[1]!.requestId);
  assert.notEqual(requestIdOf("a", "bc"), requestIdOf("ab", "c"));
});

for (const [name, makeTransport] of [
  ["Connect over HTTP/1.1", (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
  ["Connect over HTTP/2", (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "2" })],
  ["gRPC-Web", (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  ["gRPC", (baseUrl: string) => createGrpcTransport({ baseUrl })],
] as const) {
  test(`${name} is passed through: answers, streams, details, unknown services and limits`, async () => {
    const { base } = await start();
    const transport = makeTransport(base);
    const penduduk = createClient(PendudukService, transport);
    assert.equal((await penduduk.registerPenduduk(body)).penduduk?.nama, "Budi");
    const cursors: string[] = [];
    for await (const { cursor } of penduduk.exportPenduduk({ kodeWilayah: "ID" })) {
      cursors.push(cursor);
    }
    assert.deepEqual(cursors, ["1", "2"]);

    const refusal = (promise: Promise<unknown>) =>
      promise.then(() => assert.fail("was not refused"), ConnectError.from);
    const duplicate = await refusal(penduduk.registerPenduduk(body));
    assert.equal(duplicate.code, Code.AlreadyExists);
    assert.equal(duplicate.findDetails(ErrorInfoSchema)[0]?.reason, "NIK_TAKEN");
    const broken = await refusal(penduduk.issueNik({}));
    assert.equal(broken.rawMessage, "internal error");
    const large = await refusal(penduduk.registerPenduduk({ nama: "x".repeat(2_000_000) }));
    assert.equal(large.code, Code.ResourceExhausted);
    const unknown = await refusal(createClient(NotifikasiService, transport).listPesan({}));
    assert.equal(unknown.code, Code.Unimplemented);
  });
}

test("call 101 of a minute is refused in every protocol, by subject or else by address", async () => {
  const refusals: string[] = [];
  const { base, call } = await start({
    limits: { callsPerMinute: 100 },
    onRateLimited: (known) => refusals.push(known),
  });
  const alice = { authorization: "Bearer alice" };
  for (let i = 0; i < 100; i++) {
    assert.equal((await call("GET", "/stats", undefined, alice)).status, 200);
  }
  const refused = await call("GET", "/stats", undefined, alice);
  assert.equal(refused.status, 429);
  assert.equal(refused.body.code, 8);
  const retryAfterS = Number(refused.headers.get("retry-after"));
  assert.ok(retryAfterS >= 1 && retryAfterS <= 60);
  assert.equal(refused.headers.get("ratelimit-remaining"), "0");
  for (const transport of [
    createGrpcTransport({ baseUrl: base }),
    createConnectTransport({ baseUrl: base, httpVersion: "1.1" }),
  ]) {
    const client = createClient(StatistikService, transport);
    const error = await client.getStats({}, { headers: alice }).then(() => assert.fail(), ConnectError.from);
    assert.equal(error.code, Code.ResourceExhausted);
    assert.ok(error.findDetails(RetryInfoSchema)[0]);
    assert.equal(error.metadata.get("ratelimit-policy"), "100;w=60");
    let left: string | null = null;
    const onHeader = (header: Headers) => {
      left = header.get("ratelimit-remaining");
    };
    await client.getStats({}, { headers: { authorization: "Bearer bob" }, onHeader });
    assert.match(String(left), /^9[0-9]$/);
  }
  // A token that is not valid counts by address: it is the service that refuses it.
  assert.equal((await call("GET", "/stats", undefined, { authorization: "Bearer bad" })).status, 200);
  assert.deepEqual(refusals, ["subject", "subject", "subject"]);
});

test("an upstream that is gone opens its breaker alone, and callers get 503 with Retry-After", async () => {
  const gone = createRouterTransport((router) =>
    router.service(AuthService, {
      getMe() {
        throw new ConnectError("connect ECONNREFUSED 127.0.0.1:9001", Code.Unavailable);
      },
    }),
  );
  const states: string[] = [];
  const { call, gateway } = await start({
    upstreams: [{ name: "auth", services: [AuthService], transport: gone }],
    onBreaker: (name, state) => states.push(`${name} ${state}`),
  });
  for (let i = 0; i < 20; i++) {
    const { status, body } = await call("GET", "/protected");
    assert.equal(status, 503);
    assert.doesNotMatch(JSON.stringify(body), /ECONNREFUSED|9001/);
  }
  const { status, headers } = await call("GET", "/protected");
  assert.equal(status, 503);
  assert.ok(Number(headers.get("retry-after")) >= 1);
  assert.deepEqual(states, ["auth open"]);
  assert.deepEqual(gateway.breakers(), { auth: "open" });
});

test("a trace context is made where none came, and a request id is passed on", async () => {
  const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const { call, contexts } = await start({ traceparent: (header) => header ?? traceparent });
  await call("POST", "/penduduk", body, { "x-request-id": "r1", cookie: "c=1" });
  const headers = contexts[0]!.requestHeader;
  assert.equal(headers.get("traceparent"), traceparent);
  assert.equal(headers.get("x-request-id"), "r1");
  assert.equal(headers.get("cookie"), null);
  const { body: failed } = await call("POST", "/v1/penduduk:issueNik", {});
  assert.equal(failed.message, "internal error (trace 4bf92f3577b34da6a3ce929d0e0e4736)");
});

test("a Host header that makes no URL, and none at all, end the request and not the process", async () => {
  const { port, base } = shared;
  for (const head of ["HTTP/1.1\r\nhost: a b:c", "HTTP/1.0"]) {
    const socket = net.connect(port, "127.0.0.1");
    socket.write(
      `POST /lampid.auth.v1.AuthService/GetMe ${head}\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}`,
    );
    let text = "";
    for await (const chunk of socket) {
      text += chunk;
    }
    assert.match(text, /^HTTP\/1\.1 400 /);
  }
  assert.equal((await fetch(base)).status, 200);
});

test("an unknown gRPC service is answered by grpc-status 12 in the head", async () => {
  const session = http2.connect(shared.base);
  const stream = session.request({
    ":method": "POST",
    ":path": "/x.Y/Z",
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.end();
  const head = await new Promise<http2.IncomingHttpHeaders & { ":status"?: number }>((resolve) =>
    stream.on("response", resolve),
  );
  assert.equal(head[":status"], 200);
  assert.equal(head["grpc-status"], "12");
  stream.resume();
  session.close();
});

test("a sign-in counts by address whatever token comes with it, and its upstream alone is told the address", async () => {
  const seen: [method: string, address: string | null][] = [];
  const note = ({ method, requestHeader }: HandlerContext) =>
    seen.push([method.name, requestHeader.get("x-lampid-client-address")]);
  const transport = createRouterTransport((router) =>
    router.service(AuthService, {
      login(_, context) {
        note(context);
        throw new ConnectError("wrong username or password", Code.Unauthenticated);
      },
      getMe: (_, context) => ({ message: String(note(context)) }),
    }),
  );
  const { base, call } = await start({
    limits: { callsPerMinute: 4 },
    signIns: [AuthService.method.login],
    upstreams: [{ name: "auth", services: [AuthService], transport }],
  });
  const who = { username: "operator", password: "guess" };
  const headers = (n: number) => ({
    authorization: `Bearer alice${n}`,
    "x-lampid-client-address": "6.6.6.6",
  });
  assert.equal((await call("GET", "/protected", undefined, headers(1))).status, 200);
  assert.equal((await call("POST", "/login", who, headers(1))).status, 401);
  assert.equal((await call("POST", "/v1/auth:login", who, headers(2))).status, 401);
  assert.equal((await call("POST", "/logi%6e", who, headers(3))).status, 401);
  const client = createClient(AuthService, createGrpcTransport({ baseUrl: base }));
  await assert.rejects(client.login(who, { headers: headers(4) }), /unauthenticated/);
  await assert.rejects(client.login(who, { headers: headers(5) }), /resource_exhausted/);
  assert.equal((await call("POST", "/login", who, headers(6))).status, 429);
  assert.deepEqual(seen, [["GetMe", null], ...Array(4).fill(["Login", "127.0.0.1"])]);
});

test("a read that may be kept has an entity tag, and outlives its upstream for a while, marked as old", async () => {
  let isGone = false;
  let calls = 0;
  const transport = createRouterTransport((router) =>
    router.service(StatistikService, {
      getStats() {
        calls++;
        if (isGone) throw new ConnectError("No connection established", Code.Unavailable);
        return { stats: [{ provinsi: "Jawa Barat", jumlah: 12 }] };
      },
    }),
  );
  const outcomes: string[] = [];
  const { base, call } = await start({
    upstreams: [{ name: "statistik", services: [StatistikService], transport }],
    onCache: (method, outcome) => outcomes.push(`${method} ${outcome}`),
  });
  const alice = { authorization: "Bearer alice" };
  const first = await call("GET", "/stats", undefined, alice);
  const etag = first.headers.get("etag")!;
  assert.equal(first.headers.get("cache-control"), "private, no-cache");
  const unchanged = await call("GET", "/v1/stats", undefined, { ...alice, "if-none-match": etag });
  assert.equal(unchanged.status, 304);
  assert.equal(unchanged.headers.get("etag"), etag);
  assert.equal(unchanged.headers.get("cache-control"), "private, no-cache");

  isGone = true;
  const stale = await call("GET", "/stats", undefined, alice);
  assert.equal(stale.status, 200);
  assert.deepEqual(stale.body, first.body);
  assert.equal(stale.headers.get("age"), "0");
  assert.match(stale.headers.get("warning")!, /^110 - "Response is Stale"/);
  let header = new Headers();
  const client = createClient(
    StatistikService,
    createConnectTransport({ baseUrl: base, httpVersion: "1.1", useHttpGet: true }),
  );
  const onHeader = (received: Headers) => {
    header = received;
  };
  assert.equal((await client.getStats({}, { headers: alice, onHeader })).stats[0]!.jumlah, 12);
  assert.match(header.get("warning")!, /^110/);
  assert.equal((await call("GET", "/stats", undefined, { authorization: "Bearer bob" })).status, 503);
  assert.equal((await call("GET", "/stats")).status, 503);
  assert.deepEqual(
    outcomes.map((outcome) => outcome.split(" ")[1]),
    ["asked", "asked", "asked", "stale", "asked", "stale", "asked"],
  );
  assert.ok(calls > 2);
});

test("an upstream that is full is no reason to refuse what is kept", async () => {
  const answered = Promise.withResolvers<void>();
  let isHeld = false;
  const transport = createRouterTransport((router) =>
    router.service(StatistikService, {
      getStats: () => ({ stats: [{ provinsi: "Jawa Barat", jumlah: 12 }] }),
      async getKecamatanStats() {
        isHeld = true;
        await answered.promise;
        return {};
      },
    }),
  );
  const { call } = await start({
    upstreams: [{ name: "statistik", services: [StatistikService], transport }],
    limits: { upstreamCallsMax: 1 },
  });
  const alice = { authorization: "Bearer alice" };
  assert.equal((await call("GET", "/stats", undefined, alice)).status, 200);
  const slow = call("GET", "/v1/stats/32/kecamatan", undefined, alice);
  while (!isHeld) await new Promise((resolve) => setImmediate(resolve));
  const stale = await call("GET", "/stats", undefined, alice);
  assert.equal(stale.status, 200);
  assert.match(stale.headers.get("warning")!, /^110/);
  assert.equal((await call("GET", "/stats", undefined, { authorization: "Bearer bob" })).status, 503);
  answered.resolve();
  assert.equal((await slow).status, 200);
});

test("what the routes hook adds is answered by the gateway itself, and health is not rate limited", async () => {
  const { ServerReflection } = await import("#gen/grpc/reflection/v1/reflection_pb.ts");
  const { Health } = await import("#gen/grpc/health/v1/health_pb.ts");
  const { base } = await start({
    limits: { callsPerMinute: 1 },
    routes: (router) => {
      router.service(Health, { check: () => ({ status: 1 }) });
      router.service(ServerReflection, {
        async *serverReflectionInfo(requests) {
          for await (const { host } of requests) {
            yield { validHost: host };
          }
        },
      });
    },
  });
  const transport = createGrpcTransport({ baseUrl: base });
  for (let i = 0; i < 3; i++) {
    assert.equal((await createClient(Health, transport).check({})).status, 1);
  }
  const hosts: string[] = [];
  const requests = (async function* () {
    yield { host: "a" };
    yield { host: "b" };
  })();
  for await (const { validHost } of createClient(ServerReflection, transport).serverReflectionInfo(
    requests,
  )) {
    hosts.push(validHost);
  }
  assert.deepEqual(hosts, ["a", "b"]);
});

test("a stream of the contracts is a download by REST: NDJSON, errors before it begins, the rate limit", async () => {
  const calls: unknown[] = [];
  const { base } = await start({ limits: { callsPerMinute: 2 }, onCall: (call) => calls.push(call) });
  const first = await fetch(`${base}/v1/penduduk:export?kodeWilayah=32.01&readMask=nik,kode_wilayah`);
  assert.equal(first.headers.get("content-type"), "application/x-ndjson");
  assert.equal(first.headers.get("cache-control"), "no-store");
  assert.equal(first.headers.get("content-encoding"), "gzip");
  assert.equal(await first.text(), '{"cursor":"1"}\n{"cursor":"2"}\n');
  const wrong = await fetch(`${base}/v1/penduduk:export?batchSize=many`);
  assert.equal(wrong.status, 400);
  const limited = await fetch(`${base}/v1/penduduk:export`, { headers: { accept: "text/event-stream" } });
  assert.equal(limited.status, 429);
  assert.equal(limited.headers.get("content-type"), "application/json");
  assert.deepEqual(
    calls.map((call) => ({ ...(call as object), durationMs: 0 })),
    [0, 3].map((code) => ({
      protocol: "rest",
      method: "lampid.penduduk.v1.PendudukService/ExportPenduduk",
      code,
      durationMs: 0,
    })),
  );
});

test("a stream by REST ends with UNAVAILABLE when the gateway drains, and an upstream that is gone is 503", async () => {
  const left = Promise.withResolvers<void>();
  const transport = createRouterTransport((router) =>
    router.service(PendudukService, {
      async *exportPenduduk(_, { signal }) {
        yield { cursor: "1" };
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        left.resolve();
      },
    }),
  );
  const upstreams = [{ name: "penduduk", services: [PendudukService], transport }];
  const { base, gateway, problems } = await start({ upstreams });
  const watched = await fetch(`${base}/v1/penduduk:export`, { headers: { accept: "text/event-stream" } });
  gateway.drain();
  assert.match(await watched.text(), /data: \{"cursor":"1"\}\n\nevent: error\ndata: \{"code":14,.*\n\n$/);
  await left.promise;
  assert.deepEqual(problems, []);

  // As the wire does it: without a connection there is no response to read.
  const unreachable = new ConnectError("connect ECONNREFUSED 10.0.0.7:9002", Code.Unavailable);
  const gone = { ...transport, stream: () => Promise.reject(unreachable) };
  const another = await start({ upstreams: [{ ...upstreams[0]!, transport: gone }] });
  for (let i = 0; i < 20; i++) {
    const { status, body } = await another.call("GET", "/v1/penduduk:export");
    assert.equal(status, 503);
    assert.doesNotMatch(JSON.stringify(body), /ECONNREFUSED/);
  }
  assert.deepEqual(another.gateway.breakers(), { penduduk: "open" });
});

test("an upstream that has as many calls as it may have is full in every protocol", async () => {
  const overloads: string[] = [];
  const { base, call } = await start({
    limits: { upstreamStreamsMax: 0, upstreamCallsMax: 0 },
    onOverload: (upstream) => overloads.push(upstream),
  });
  const refused = await call("GET", "/stats");
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.match(refused.body.message, /^statistik is overloaded/);
  const client = createClient(PendudukService, createGrpcTransport({ baseUrl: base }));
  const error = await client.getPenduduk({}).then(() => assert.fail(), ConnectError.from);
  assert.equal(error.code, Code.Unavailable);
  assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, "OVERLOADED");
  assert.equal((await call("GET", "/v1/penduduk:export")).status, 503);
  assert.deepEqual(overloads, ["statistik", "penduduk", "penduduk"]);
});

test("a page of an allowed origin may call REST and RPC, and its preflights do not count", async () => {
  const origin = "https://portal.example";
  const { base, call } = await start({
    limits: { callsPerMinute: 2 },
    cors: createCors(new Set([origin])),
  });
  const preflight = { origin, "access-control-request-method": "GET" };
  for (const path of ["/stats", "/lampid.statistik.v1.StatistikService/GetStats"]) {
    for (let n = 0; n < 3; n++) assert.equal((await call("OPTIONS", path, undefined, preflight)).status, 204);
  }
  const rest = await call("GET", "/stats", undefined, { origin, "accept-encoding": "identity" });
  assert.equal(rest.status, 200);
  assert.equal(rest.headers.get("access-control-allow-origin"), origin);
  const rpc = await fetch(`${base}/lampid.statistik.v1.StatistikService/GetStats`, {
    method: "POST",
    headers: { origin, "content-type": "application/json" },
    body: "{}",
  });
  assert.equal(rpc.status, 200);
  assert.equal(rpc.headers.get("access-control-allow-origin"), origin);
  assert.match(rpc.headers.get("access-control-expose-headers")!, /ratelimit-remaining/);
});
