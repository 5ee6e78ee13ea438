import assert from "node:assert/strict";
import http from "node:http";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { createRegistry } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport, type ServiceImpl } from "@connectrpc/connect";
import { loadMeshPolicy } from "#chassis/policy/policy.ts";
import { refuse } from "#chassis/refusal.ts";
import { file_google_rpc_error_details } from "#gen/google/rpc/error_details_pb.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { type Caller, createGateway } from "../gateway.ts";
import { createListener } from "../listener.ts";
import type { Change } from "./error-window.ts";
import { createLegacyFront, legacyAuthorizer, type Reason } from "./legacy.ts";
import { isInRollout } from "./rollout.ts";
import { parseRules } from "./rules.ts";
import { createShadows, type ShadowOutcome } from "./shadow.ts";

const closers: (() => unknown)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

const getPenduduk = "lampid.penduduk.v1.PendudukService/GetPenduduk";
const lookup = "lampid.penduduk.v1.PendudukService/LookupPenduduk";
const register = "lampid.penduduk.v1.PendudukService/RegisterPenduduk";
const NIK = "3201010101900001";
const policy = await loadMeshPolicy();

type Seen = { method: string; url: string; headers: http.IncomingHttpHeaders; body: string };
type Answer = (seen: Seen, response: http.ServerResponse) => void;

const json: Answer = ({ url }, response) => {
  response.writeHead(200, {
    "content-type": "application/json",
    etag: '"1"',
    "set-cookie": "s=1",
    server: "tua",
  });
  response.end(JSON.stringify({ name: url.split("?")[0]!.slice("/v1/".length), alamat: "lama" }));
};

/** `rules` are those of a list, with LEGACY for the base URL. */
async function start(
  rules: string,
  { implementation = {} as Partial<ServiceImpl<typeof PendudukService>> } = {},
) {
  const seen: Seen[] = [];
  const fake = { answer: json };
  /** What the decision waits for; nothing, usually. */
  const deciding = { promise: Promise.resolve(), waiting: 0, left: 0 };
  const legacyUrl = await listen((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      const one = { method, url, headers, body: Buffer.concat(chunks).toString() };
      seen.push(one);
      fake.answer(one, response);
    });
  });
  const clock = { ms: 0 };
  const changes: Change[] = [];
  const choices: string[] = [];
  const problems: unknown[] = [];
  const outcomes: ShadowOutcome[] = [];
  const services = [PendudukService];
  const registry = createRegistry(file_google_rpc_error_details, PendudukService.file);
  const callers: Record<string, Required<Caller>> = {
    operator: { subject: "1", username: "operator", role: "operator", wilayah: "32.01", scopes: [] },
    bali: { subject: "2", username: "bali", role: "operator", wilayah: "51.01", scopes: [] },
    auditor: { subject: "3", username: "auditor", role: "auditor", wilayah: "ID", scopes: [] },
  };
  const verify = (authorization: string | null) => {
    const caller = callers[authorization?.slice("Bearer ".length) ?? ""];
    if (caller === undefined) throw refuse("unauthenticated", "TOKEN_INVALID", "not valid");
    return caller;
  };
  const shadows = createShadows({
    now: () => new Date(0),
    onOutcome: (_, outcome) => outcomes.push(outcome),
  });
  const legacy = createLegacyFront({
    services,
    registry,
    flags: {
      async isForNew({ rollout }, caller) {
        deciding.waiting++;
        await deciding.promise;
        return isInRollout(rollout, caller);
      },
    },
    shadows,
    authorize: legacyAuthorizer((rpc, caller) => policy(rpc, { ...nobody, ...caller }), verify),
    gatewayAuthorization: "Basic cmFoYXNpYQ==",
    timeout: { defaultMs: 15_000, maxMs: 60_000 },
    body: { maxBytes: 10_000, timeoutMs: 5_000 },
    answerBytesMax: 100_000,
    now: () => clock.ms,
    onChange: (_, change) => changes.push(change),
    onChoice: (_, system, reason: Reason) => choices.push(`${system}: ${reason}`),
    onInternalError: (error) => problems.push(error),
  });
  legacy.update(parseRules(rules.replaceAll("LEGACY", legacyUrl), { services, hasWilayah: () => true }));
  closers.push(legacy.close);
  const transport = createRouterTransport(({ service }) =>
    service(PendudukService, {
      getPenduduk: ({ name }) => ({ penduduk: { name, alamat: "baru" } }),
      registerPenduduk: () => ({ penduduk: { name: "penduduk/1" } }),
      lookupPenduduk: ({ nik }) => ({ penduduk: { name: "penduduk/1", nik, alamat: "baru" } }),
      ...implementation,
    }),
  );
  const gateway = createGateway({
    upstreams: [{ name: "penduduk", services, transport }],
    registry,
    verify: (authorization) => verify(authorization),
    legacy,
    limits: { callsPerMinute: 1_000_000, cacheBytesMax: 0 },
  });
  closers.push(gateway.close);
  const { handle } = gateway;
  const url = await listen((request, response) => {
    response.once("close", () => response.writableFinished || deciding.left++);
    handle(request, response);
  });
  const call = async (
    path: string,
    { token = "operator", ...init }: RequestInit & { token?: string } = {},
  ) => {
    const headers = { ...(token ? { authorization: `Bearer ${token}` } : {}), ...(init.headers as object) };
    const response = await fetch(url + path, { ...init, headers });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: text ? JSON.parse(text) : undefined,
    };
  };
  const read = async (token?: string) => (await call("/v1/penduduk/1", { token })).body.alamat;
  return {
    url,
    handle,
    deciding,
    legacyUrl,
    legacy,
    fake,
    seen,
    clock,
    changes,
    choices,
    problems,
    outcomes,
    shadows,
    call,
    read,
  };
}

const nobody = { subject: "", username: "", role: "", wilayah: "", scopes: [] };

async function listen(handler: http.RequestListener): Promise<string> {
  const server = http.createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function until(condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 5_000; !condition(); ) {
    assert.ok(Date.now() < deadline, "did not happen within 5 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const rule = (more: string, rpc = getPenduduk) => `routes: [{rpc: ${rpc}, baseUrl: LEGACY, ${more}}]`;

test("a caller meets the system of their wilayah, and a route without a rule is not touched", async () => {
  const { read, call, seen } = await start(rule('rollout: {wilayah: ["32"]}'));
  assert.equal(await read("operator"), "baru");
  assert.equal(seen.length, 0);
  assert.equal(await read("bali"), "lama");
  assert.equal(seen.length, 1);
  const headers = { "content-type": "application/json" };
  const other = await call("/penduduk", { method: "POST", body: "{}", headers, token: "bali" });
  assert.equal(other.body.name, "penduduk/1");
  assert.equal(seen.length, 1);
});

test("headers travel by allow-list, both ways, and the token stays here unless the rule says otherwise", async () => {
  const { call, seen } = await start(rule("rollout: {}"));
  const answer = await call("/v1/penduduk/1?x=%20y", {
    headers: {
      cookie: "a=b",
      "x-internal": "1",
      "x-lampid-caller-wilayah": "ID",
      "x-forwarded-for": "6.6.6.6",
      "accept-language": "id",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    },
  });
  assert.equal(answer.status, 200);
  const [{ url, headers }] = seen as [Seen];
  assert.equal(url, "/v1/penduduk/1?x=%20y");
  const { host: _, ...sent } = headers;
  assert.deepEqual(sent, {
    accept: "application/json",
    "accept-encoding": "identity",
    "accept-language": "id",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "x-forwarded-for": "127.0.0.1",
    "x-lampid-caller": "1",
    "x-lampid-caller-role": "operator",
    "x-lampid-caller-wilayah": "32.01",
    connection: "keep-alive",
  });
  assert.equal(answer.headers.get("etag"), '"1"');
  assert.equal(answer.headers.get("cache-control"), "no-store");
  assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
  assert.ok(answer.headers.get("ratelimit-limit"));
  assert.equal(answer.headers.get("set-cookie"), null);
  assert.equal(answer.headers.get("server"), null);
});

test("the legacy system is told the caller's token, or the gateway's own credentials, where the rule says so", async () => {
  const caller = await start(rule("rollout: {}, authorization: caller"));
  await caller.read("bali");
  assert.equal(caller.seen[0]!.headers.authorization, "Bearer bali");
  const own = await start(rule("rollout: {}, authorization: gateway"));
  await own.read("bali");
  assert.equal(own.seen[0]!.headers.authorization, "Basic cmFoYXNpYQ==");
});

test("the policy is asked before a legacy system that would answer anybody", async () => {
  const { call, seen } = await start(rule("rollout: {}"));
  const unknown = await call("/v1/penduduk/1", { token: "" });
  assert.equal(unknown.status, 401);
  assert.equal((await call("/v1/penduduk/1", { token: "wrong" })).status, 401);
  const denied = await call("/v1/penduduk/1", { token: "auditor" });
  assert.equal(denied.status, 403);
  assert.equal(denied.body.details[0].reason, "METHOD_DENIED");
  assert.equal(seen.length, 0);
});

test("a path of its own is made from the variables, and none leaves the base URL", async () => {
  const { call, seen } = await start(
    `routes: [{rpc: ${getPenduduk}, baseUrl: LEGACY/api, path: "/warga/{name}", rollout: {}}]`,
  );
  await call("/v1/penduduk/1?a=b");
  assert.equal(seen[0]!.url, "/api/warga/penduduk/1?a=b");
  const climbing = await call("/v1/penduduk/..%2f..%2frahasia");
  assert.equal(climbing.status, 400);
  assert.equal(climbing.body.code, Code.InvalidArgument);
  assert.equal(seen.length, 1);
});

test("bodies travel whole and with their length; one that is too large is 413 and is not sent", async () => {
  const { call, seen, fake } = await start(rule("rollout: {}", register));
  fake.answer = (_, response) => response.writeHead(201, { "content-type": "application/json" }).end("{}");
  const text = JSON.stringify({ nik: NIK });
  const headers = { "content-type": "application/json", "idempotency-key": "k" };
  assert.equal((await call("/penduduk", { method: "POST", body: text, headers })).status, 201);
  const [first] = seen as [Seen];
  assert.equal(first.body, text);
  assert.equal(first.headers["content-length"], String(text.length));
  assert.equal(first.headers["idempotency-key"], "k");
  const large = await call("/penduduk", { method: "POST", body: "x".repeat(10_001), headers });
  assert.equal(large.status, 413);
  assert.equal(seen.length, 1);
});

test("what the legacy system refuses is a google.rpc.Status, without its own words", async () => {
  const { call, fake } = await start(rule("rollout: {}"));
  const expected: [status: number, answered: number, code: Code][] = [
    [404, 404, Code.NotFound],
    [409, 409, Code.Aborted],
    [422, 400, Code.InvalidArgument],
    [401, 500, Code.Internal],
    [403, 403, Code.PermissionDenied],
    [500, 500, Code.Internal],
    [302, 500, Code.Internal],
    [503, 503, Code.Unavailable],
  ];
  for (const [status, answered, code] of expected) {
    fake.answer = (_, response) =>
      response
        .writeHead(status, { location: "http://evil.example", "content-type": "text/html" })
        .end(`ORA-00942 ${NIK}`);
    const answer = await call("/v1/penduduk/1");
    assert.equal(answer.status, answered, `${status}`);
    assert.equal(answer.body.code, code, `${status}`);
    assert.doesNotMatch(answer.text, /ORA|3201/);
    assert.equal(answer.headers.get("location"), null);
    assert.match(answer.headers.get("content-type")!, /^application\/json/);
  }
});

test("an answer that is no JSON, or too large, is not passed on", async () => {
  const { call, fake, url } = await start(rule("rollout: {}"));
  fake.answer = (_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<script>");
  assert.equal((await call("/v1/penduduk/1")).status, 500);
  const type = { "content-type": "application/json" };
  fake.answer = (_, response) =>
    response.writeHead(200, { ...type, "content-length": 100_001 }).end("x".repeat(100_001));
  assert.equal((await call("/v1/penduduk/1")).status, 500);
  // Without a length it shows only on the way: then the answer is cut off, and looks like no whole one.
  fake.answer = (_, response) => {
    response.writeHead(200, type).write("x".repeat(60_000));
    response.end("x".repeat(60_000));
  };
  const headers = { authorization: "Bearer operator" };
  await assert.rejects(fetch(`${url}/v1/penduduk/1`, { headers }).then((response) => response.text()));
});

test("a legacy system that is not there is 503 and then left alone; one that is slow is 504", async () => {
  const { call, fake, seen } = await start(rule("rollout: {}"));
  fake.answer = () => {};
  const late = await call("/v1/penduduk/1", { headers: { "x-server-timeout": "0.05" } });
  assert.equal(late.status, 504);
  fake.answer = (_, response) => response.destroy();
  for (let n = 0; n < 30; n++) assert.equal((await call("/v1/penduduk/1")).status, 503);
  assert.ok(seen.length < 31, "the circuit is open by now");
});

test("a caller who leaves ends the call to the legacy system", async () => {
  const { url, fake, seen } = await start(rule("rollout: {}"));
  let isEnded = false;
  fake.answer = (_, response) => response.once("close", () => (isEnded = true));
  const leaving = new AbortController();
  const headers = { authorization: "Bearer operator" };
  const call = fetch(`${url}/v1/penduduk/1`, { headers, signal: leaving.signal });
  await until(() => seen.length === 1);
  leaving.abort();
  await assert.rejects(call);
  await until(() => isEnded);
});

test("when more than 5 % of the calls to the new system fail the legacy one answers, until probes come through", async () => {
  let isWell = false;
  const { read, call, clock, changes, choices, legacy } = await start(rule("rollout: {percent: 100}"), {
    implementation: {
      getPenduduk({ name }) {
        // Not UNAVAILABLE: the breaker of the upstream goes by the real time.
        if (!isWell) throw new ConnectError("broken", Code.Internal);
        return { penduduk: { name, alamat: "baru" } };
      },
    },
  });
  for (let n = 0; n < 20; n++) assert.equal((await call("/v1/penduduk/1")).status, 500);
  await until(() => changes.length > 0);
  assert.deepEqual(changes, [{ state: "legacy", calls: 20, failed: 20 }]);
  for (let n = 0; n < 10; n++) assert.equal(await read(), "lama");
  assert.equal(choices.at(-1), "legacy: fallback");

  clock.ms += 30_000;
  assert.equal((await call("/v1/penduduk/1")).status, 500, "one probe");
  await until(() => changes.length === 3);
  for (let n = 0; n < 10; n++) assert.equal(await read(), "lama");

  isWell = true;
  clock.ms += 30_000;
  const answers: string[] = [];
  for (let n = 0; n < 60; n++) answers.push(await read());
  assert.equal(legacy.states().get(getPenduduk), "new");
  assert.equal(answers.indexOf("lama"), 1, "a tenth first");
  assert.ok(choices.includes("new: probe"));
  for (let n = 0; n < 10; n++) assert.equal(await read(), "baru");
});

test("refusals are no failures, and a caller with tiny deadlines moves nobody", async () => {
  const { call, changes } = await start(rule("rollout: {percent: 100}"), {
    implementation: {
      getPenduduk({ name }, context) {
        if (name !== "penduduk/slow") throw refusal();
        return new Promise((_, reject) =>
          context.signal.addEventListener("abort", () =>
            reject(new ConnectError("late", Code.DeadlineExceeded)),
          ),
        );
      },
    },
  });
  for (let n = 0; n < 30; n++) assert.equal((await call("/v1/penduduk/1")).status, 404);
  const headers = { "x-server-timeout": "0.01" };
  const late = Array.from({ length: 30 }, () => call("/v1/penduduk/slow", { headers }));
  for (const { status } of await Promise.all(late)) assert.equal(status, 504);
  assert.deepEqual(changes, []);
});

const refusal = () => new ConnectError("there is none", Code.NotFound);

test("when the legacy system is down, too, the new one is asked: some answers are better than none", async () => {
  const { call, fake, choices } = await start(rule("rollout: {percent: 100}"), {
    implementation: { getPenduduk: () => Promise.reject(new ConnectError("away", Code.Unavailable)) },
  });
  fake.answer = (_, response) => response.destroy();
  for (let n = 0; n < 60; n++) assert.equal((await call("/v1/penduduk/1")).status, 503);
  assert.ok(choices.includes("legacy: fallback"));
  assert.equal(choices.at(-1), "new: nowhere else");
});

test("a shadow of the legacy system is compared by paths, and no value is told", async () => {
  const { call, seen, outcomes, shadows, fake } = await start(rule("rollout: {percent: 100}, shadow: {}"));
  assert.equal((await call("/v1/penduduk/1")).body.alamat, "baru");
  await until(() => outcomes.length === 1);
  assert.equal(seen.length, 1);
  fake.answer = ({ url }, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ alamat: "baru", name: url.slice("/v1/".length) }));
  };
  await call("/v1/penduduk/1");
  await until(() => outcomes.length === 2);
  fake.answer = (_, response) => response.writeHead(404).end();
  await call("/v1/penduduk/1");
  await until(() => outcomes.length === 3);
  fake.answer = (_, response) => response.destroy();
  await call("/v1/penduduk/1");
  await until(() => outcomes.length === 4);
  assert.deepEqual(outcomes, ["differs", "same", "differs", "failed"]);
  const report = shadows.report()[getPenduduk]!;
  assert.deepEqual(
    report.paths.map(({ path, kind, count }) => [path, kind, count]),
    [
      ["alamat", "value", 1],
      ["(status)", "value", 1],
    ],
  );
  assert.doesNotMatch(JSON.stringify(report), /"(lama|baru)"/);
});

test("a shadow of a read with a body has the body, and compressed answers are compared, too", async () => {
  const { call, seen, outcomes, fake } = await start(
    rule("rollout: {percent: 100}, shadow: {ignore: [alamat]}", lookup),
    { implementation: { lookupPenduduk: ({ nik }) => ({ penduduk: { nik, alamat: "x".repeat(4_000) } }) } },
  );
  fake.answer = (_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ nik: NIK }));
  };
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ nik: NIK });
  const answer = await call("/v1/penduduk:lookup", { method: "POST", body, headers });
  assert.equal(answer.status, 200, answer.text);
  assert.ok(answer.headers.get("content-encoding"));
  await until(() => outcomes.length === 1);
  assert.deepEqual(JSON.parse(seen[0]!.body), { nik: NIK });
  assert.deepEqual(outcomes, ["same"]);
});

test("when the legacy system answers, the new one is the shadow", async () => {
  const { read, outcomes, shadows, seen } = await start(rule("rollout: {}, shadow: {}"));
  assert.equal(await read(), "lama");
  await until(() => outcomes.length === 1);
  assert.equal(seen.length, 1);
  assert.deepEqual(outcomes, ["differs"]);
  assert.equal(shadows.report()[getPenduduk]!.paths[0]!.path, "alamat");
});

test("nobody waits for a shadow, and of too many the rest is not sent", async () => {
  const { call, outcomes, seen, fake } = await start(rule("rollout: {percent: 100}, shadow: {}"));
  const held: http.ServerResponse[] = [];
  fake.answer = (_, response) => held.push(response);
  for (let n = 0; n < 20; n++) assert.equal((await call("/v1/penduduk/1")).status, 200);
  await until(() => held.length === 16);
  assert.equal(seen.length, 16);
  assert.deepEqual(outcomes, ["skipped", "skipped", "skipped", "skipped"]);
  for (const response of held) response.destroy();
  await until(() => outcomes.length === 20);
});

test("other rules count from the next request on, and what was learnt of a route stays", async () => {
  const { read, call, legacy, legacyUrl, changes } = await start(rule("rollout: {percent: 100}"), {
    implementation: { getPenduduk: () => Promise.reject(new ConnectError("away", Code.Unavailable)) },
  });
  for (let n = 0; n < 20; n++) await call("/v1/penduduk/1");
  await until(() => changes.length > 0);
  const rules = (more: string) =>
    parseRules(rule(more).replaceAll("LEGACY", legacyUrl), {
      services: [PendudukService],
      hasWilayah: () => true,
    });
  legacy.update(rules("rollout: {percent: 100}, shadow: {}"));
  assert.equal(legacy.states().get(getPenduduk), "legacy");
  legacy.update(rules("rollout: {percent: 100}, fallback: false"));
  assert.equal((await call("/v1/penduduk/1")).status, 503);
  legacy.update(rules("rollout: {percent: 0}"));
  assert.equal(await read(), "lama");
  legacy.update(new Map());
  assert.equal((await call("/v1/penduduk/1")).status, 503);
});

test("all of it works over HTTP/2, too", async () => {
  const { handle, outcomes, choices, fake, changes } = await start(
    rule('rollout: {wilayah: ["32"]}, shadow: {}, fallback: {callsMin: 3}'),
    {
      implementation: {
        getPenduduk({ name }) {
          if (name === "penduduk/broken") throw new ConnectError("broken", Code.Internal);
          return { penduduk: { name, alamat: "baru" } };
        },
      },
    },
  );
  const listener = createListener({ handler: handle });
  const { port } = await listener.listen(0, "127.0.0.1");
  closers.push(() => listener.close(100));
  const session = http2.connect(`http://127.0.0.1:${port}`);
  closers.push(() => session.destroy());
  const read = (token: string, id = "1") =>
    new Promise<{ status: unknown; text: string }>((resolve, reject) => {
      const stream = session.request({ ":path": `/v1/penduduk/${id}`, authorization: `Bearer ${token}` });
      let status: unknown;
      let text = "";
      stream.on("response", (headers) => {
        status = headers[":status"];
      });
      stream.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
      });
      stream.on("end", () => resolve({ status, text })).on("error", reject);
    });
  assert.match((await read("operator")).text, /baru/);
  await until(() => outcomes.length === 1);
  assert.match((await read("bali")).text, /lama/);
  await until(() => outcomes.length === 2);
  assert.deepEqual(outcomes, ["differs", "differs"]);
  fake.answer = (_, response) => {
    response.writeHead(200, { "content-type": "application/json" }).write("x".repeat(60_000));
    response.end("x".repeat(60_000));
  };
  await assert.rejects(read("bali"), /NGHTTP2_INTERNAL_ERROR/);
  for (let n = 0; n < 2; n++) assert.equal((await read("operator", "broken")).status, 500);
  await until(() => changes.length === 1);
  assert.equal(choices.at(-1), "new: rollout");
});

test("callers who leave while it is decided where they go take no probe with them", async () => {
  let isWell = false;
  const { url, deciding, read, call, clock, changes, legacy } = await start(rule("rollout: {percent: 100}"), {
    implementation: {
      getPenduduk({ name }) {
        if (!isWell) throw new ConnectError("broken", Code.Internal);
        return { penduduk: { name, alamat: "baru" } };
      },
    },
  });
  for (let n = 0; n < 20; n++) await call("/v1/penduduk/1");
  await until(() => changes.length === 1);
  clock.ms += 30_000;
  isWell = true;
  const decided = Promise.withResolvers<void>();
  Object.assign(deciding, { promise: decided.promise, waiting: 0 });
  const leaving = new AbortController();
  const headers = { authorization: "Bearer operator" };
  const calls = Array.from({ length: 60 }, () =>
    fetch(`${url}/v1/penduduk/1`, { headers, signal: leaving.signal }),
  );
  await until(() => deciding.waiting === 60);
  leaving.abort();
  await Promise.allSettled(calls);
  await until(() => deciding.left === 60);
  decided.resolve();
  for (let n = 0; n < 60; n++) await read();
  assert.equal(legacy.states().get(getPenduduk), "new");
});
