import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { before, beforeEach, describe, test } from "node:test";
import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import type { Meter } from "@opentelemetry/api";
import { trace } from "@opentelemetry/api";
import { pino } from "pino";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { AuthService } from "#gen/lampid/auth/v1/auth_service_pb.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { StatistikService } from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import { actorOf, anonymous, type Caller, callerOf, requireWilayah } from "./caller.ts";
import { serverInterceptors } from "./interceptors.ts";
import { loadMeshPolicy, type Policy } from "./policy/policy.ts";
import { refuse } from "./refusal.ts";
import type { TokenVerifier } from "./token.ts";

const NIK = "3201010101010001";
const name = "penduduk/a7c9b6f0-0000-4000-8000-000000000001";
const cibinong = "32.01.01.1006";

const accounts: Record<string, Caller> = {
  operator: { subject: "s1", username: "operator", role: "operator", wilayah: cibinong, scopes: [] },
  pusat: { subject: "s2", username: "pusat", role: "admin_pusat", wilayah: "ID", scopes: [] },
  auditor: { subject: "s3", username: "auditor", role: "auditor", wilayah: "ID", scopes: [] },
  nowhere: { subject: "s4", username: "nowhere", role: "operator", wilayah: "", scopes: [] },
};

/** "Bearer operator" is operator's token; the JWTs themselves are token.test.ts's business. */
const verifyToken: TokenVerifier = (authorization) => {
  const caller = accounts[authorization?.replace("Bearer ", "") ?? ""];
  if (!caller)
    throw refuse("unauthenticated", "TOKEN_INVALID", "the access token is not valid or has expired");
  // Known tokens come at once, new ones later: the chain must wait for both.
  return caller.username === "pusat" ? Promise.resolve(caller) : caller;
};

let policy: Policy;
before(async () => {
  policy = await loadMeshPolicy();
});

/** What the chain logged, and "method code" of every call it measured. */
let logged: string;
let measured: string[];
beforeEach(() => {
  logged = "";
  measured = [];
});

type Handlers = {
  auth?: Partial<ServiceImpl<typeof AuthService>>;
  penduduk?: Partial<ServiceImpl<typeof PendudukService>>;
  statistik?: Partial<ServiceImpl<typeof StatistikService>>;
};

/** Accounts whose tokens are revoked. */
const revoked = new Set<string>();

/** The whole chain of a server in front of these handlers. */
function serve({ auth = {}, penduduk = {}, statistik = {} }: Handlers, maxCallMs = 1_000) {
  const sink = new Writable({
    write(chunk, _encoding, done) {
      logged += chunk;
      done();
    },
  });
  const record = (_ms: number, { method, code }: Record<string, string>) =>
    void measured.push(`${method!.split("/")[1]} ${code}`);
  const interceptors = serverInterceptors({
    log: pino({ level: "trace" }, sink),
    telemetry: {
      meter: { createHistogram: () => ({ record }) } as unknown as Meter,
      tracer: trace.getTracer("test"),
      traceparent: () => "",
      tracing: false,
      serveMetrics: () => {},
      shutdown: async () => {},
    },
    policy,
    verifyToken,
    isRevoked: ({ subject }) => revoked.has(subject),
    maxCallMs,
  });
  const transport = createRouterTransport(
    (router) => {
      router.service(AuthService, auth);
      router.service(PendudukService, penduduk);
      router.service(StatistikService, statistik);
    },
    { router: { interceptors } },
  );
  return {
    auth: createClient(AuthService, transport),
    penduduk: createClient(PendudukService, transport),
    statistik: createClient(StatistikService, transport),
  };
}

const as = (username: string) => ({ headers: { authorization: `Bearer ${username}` } });

async function refusal(call: Promise<unknown>): Promise<ConnectError> {
  try {
    await call;
  } catch (cause) {
    return ConnectError.from(cause);
  }
  return assert.fail("the call was not refused");
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const messages: T[] = [];
  for await (const message of stream) messages.push(message);
  return messages;
}

const reasonOf = (error: ConnectError) => error.findDetails(ErrorInfoSchema)[0]?.reason;

/** A handler that must not be reached. */
const unreachable = () => assert.fail("the handler ran");

describe("the chain's order", () => {
  test("authentication comes before everything that reads the message: no token, no word about fields", async () => {
    const { penduduk } = serve({ penduduk: { getPenduduk: unreachable } });
    for (const options of [{}, as("forger"), { headers: { authorization: "Basic eDp5" } }]) {
      const error = await refusal(penduduk.getPenduduk({ name: "salah" }, options));
      assert.equal(error.code, Code.Unauthenticated);
      assert.deepEqual(error.findDetails(BadRequestSchema), []);
    }
  });

  test("the policy comes before validation: who may not call is not told what was wrong", async () => {
    const { penduduk } = serve({ penduduk: { getPenduduk: unreachable } });
    for (const who of ["auditor", "nowhere"]) {
      const error = await refusal(penduduk.getPenduduk({ name: "salah" }, as(who)));
      assert.equal(error.code, Code.PermissionDenied);
      assert.equal(reasonOf(error), "METHOD_DENIED");
      assert.deepEqual(error.findDetails(BadRequestSchema), []);
    }
  });

  test("validation comes before the handler", async () => {
    const { penduduk } = serve({ penduduk: { getPenduduk: unreachable } });
    const error = await refusal(penduduk.getPenduduk({ name: "salah" }, as("operator")));
    assert.equal(error.code, Code.InvalidArgument);
  });

  test("measuring is outermost: every outcome is counted under the code that the caller gets", async () => {
    const { penduduk, auth } = serve({
      auth: { getMe: () => ({}) },
      penduduk: {
        getPenduduk: () => {
          throw new Error("rusak");
        },
      },
    });
    await auth.getMe({}, as("operator"));
    await refusal(auth.getMe({}));
    await refusal(penduduk.getPenduduk({ name }, as("auditor")));
    await refusal(penduduk.getPenduduk({ name: "salah" }, as("operator")));
    await refusal(penduduk.getPenduduk({ name }, as("operator")));
    assert.deepEqual(measured, [
      "GetMe ok",
      "GetMe unauthenticated",
      "GetPenduduk permissiondenied",
      "GetPenduduk invalidargument",
      "GetPenduduk internal",
    ]);
  });

  test("a deadline holds for the whole rest of the chain", async () => {
    const { auth } = serve({ auth: { getMe: () => new Promise(() => {}) } }, 20);
    const error = await refusal(auth.getMe({}, as("operator")));
    assert.equal(error.code, Code.DeadlineExceeded);
    assert.deepEqual(measured, ["GetMe deadlineexceeded"]);
  });

  test("a public method needs no token, is validated all the same, and has nobody as its caller", async () => {
    let caller: Caller | undefined;
    const { auth } = serve({
      auth: {
        login(_request, ctx) {
          caller = callerOf(ctx);
          return { tokenType: "Bearer" };
        },
      },
    });
    const error = await refusal(auth.login({ username: "", password: "x" }));
    assert.equal(error.code, Code.InvalidArgument);
    await auth.login({ username: "siti", password: "x" }, as("operator"));
    assert.deepEqual(caller, anonymous);
  });

  test("a handler finds who is calling and why, and a trace that is the caller's or a new one", async () => {
    const actors: unknown[] = [];
    const { auth } = serve({
      auth: {
        getMe(_request, ctx) {
          actors.push(actorOf(ctx));
          return {};
        },
      },
    });
    const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
    const purpose = "x".repeat(300);
    await auth.getMe({}, { headers: { authorization: "Bearer pusat", traceparent, "x-purpose": purpose } });
    const keperluan = purpose.slice(0, 200);
    assert.deepEqual(actors[0], { subject: "s2", role: "admin_pusat", traceparent, keperluan });
    for (const bad of ["", "00-xyz-1-01", `${traceparent}, ${traceparent}`]) {
      await auth.getMe({}, { headers: { authorization: "Bearer pusat", traceparent: bad } });
      assert.match(
        (actors.at(-1) as { traceparent: string }).traceparent,
        /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/,
      );
    }
  });
});

describe("a refusal", () => {
  test("of the handler keeps its code, reason, fields and delay", async () => {
    const refusals = [
      refuse("alreadyExists", "NIK_TAKEN", "the NIK is registered", { metadata: { resource: name } }),
      refuse("exhausted", "SERIALS_EXHAUSTED", "no serial is left", { retryAfterSeconds: 7 }),
      refuse("invalid", "FIELD_VIOLATION", "invalid value in: nik", {
        violations: [{ field: "nik", description: "day + 40 is for women", reason: "NIK_SEX" }],
      }),
    ];
    const { auth } = serve({
      auth: {
        getMe() {
          throw refusals.shift();
        },
      },
    });
    const taken = await refusal(auth.getMe({}, as("operator")));
    assert.deepEqual([taken.code, taken.rawMessage], [Code.AlreadyExists, "the NIK is registered"]);
    const { reason, domain, metadata } = taken.findDetails(ErrorInfoSchema)[0]!;
    assert.deepEqual([reason, domain, metadata], ["NIK_TAKEN", "lampid.go.id", { resource: name }]);
    const exhausted = await refusal(auth.getMe({}, as("operator")));
    assert.equal(exhausted.code, Code.ResourceExhausted);
    assert.equal(exhausted.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds, 7n);
    const invalid = await refusal(auth.getMe({}, as("operator")));
    const [field] = invalid.findDetails(BadRequestSchema)[0]!.fieldViolations;
    assert.deepEqual([field?.field, field?.reason], ["nik", "NIK_SEX"]);
    assert.equal(logged, "", "a refusal is no incident");
  });

  test("of everything unexpected says nothing but a trace id, under which the log has the cause", async () => {
    const { auth, statistik } = serve({
      auth: {
        getMe() {
          throw new Error(`no row for ${NIK} at postgres://penduduk:kunci@10.0.0.7/penduduk`);
        },
      },
      statistik: {
        // biome-ignore lint/correctness/useYield: a stream that breaks before its first message
        async *watchStats() {
          throw new TypeError(`cannot read ${NIK}`);
        },
      },
    });
    const failures = [
      await refusal(auth.getMe({}, as("operator"))),
      await refusal(collect(statistik.watchStats({}, as("pusat")))),
    ];
    for (const error of failures) {
      assert.equal(error.code, Code.Internal);
      const traceId = /^internal error \(trace ([0-9a-f]{32})\)$/.exec(error.rawMessage)?.[1];
      assert.ok(traceId, error.rawMessage);
      assert.deepEqual(error.details, []);
      assert.ok(logged.includes(traceId));
    }
    assert.match(logged, /call failed/);
  });

  test("in the middle of a stream leaks no more than one at its start", async () => {
    const { statistik } = serve({
      statistik: {
        async *watchStats() {
          yield {};
          throw new Error(`no row for ${NIK}`);
        },
      },
    });
    let messages = 0;
    const error = await refusal(
      (async () => {
        for await (const _ of statistik.watchStats({}, as("pusat"))) messages++;
      })(),
    );
    assert.equal(messages, 1);
    assert.match(error.rawMessage, /^internal error \(trace [0-9a-f]{32}\)$/);
    assert.deepEqual(measured, ["WatchStats internal"]);
  });

  test("for a lost database is UNAVAILABLE with a delay, and does not say which database", async () => {
    const causes = [
      Object.assign(new Error("connect ECONNREFUSED 10.0.0.7:5432"), { code: "ECONNREFUSED" }),
      Object.assign(new Error("terminating connection due to administrator command"), { code: "57P01" }),
      new Error("Connection terminated unexpectedly"),
      new Error("timeout exceeded when trying to connect"),
    ];
    const { auth } = serve({
      auth: {
        getMe() {
          throw causes.pop();
        },
      },
    });
    for (let tries = 0; tries < 4; tries++) {
      const error = await refusal(auth.getMe({}, as("operator")));
      assert.equal(error.code, Code.Unavailable);
      assert.equal(reasonOf(error), "STORE_UNAVAILABLE");
      assert.doesNotMatch(error.rawMessage, /10\.0\.0\.7|5432|terminat/);
      assert.ok(error.findDetails(RetryInfoSchema)[0]);
    }
  });
});

describe("validation", () => {
  test("names each wrong field as a violation of google.rpc.BadRequest, and never its value", async () => {
    const { penduduk } = serve({ penduduk: { registerPenduduk: unreachable } });
    const call = penduduk.registerPenduduk({ nik: "12345", nama: "R2-D2; drop" }, as("operator"));
    const error = await refusal(call);
    assert.equal(error.code, Code.InvalidArgument);
    assert.equal(reasonOf(error), "FIELD_VIOLATION");
    const violations = error.findDetails(BadRequestSchema)[0]!.fieldViolations;
    const fields = violations.map(({ field }) => field);
    assert.ok(fields.includes("nik") && fields.includes("nama"), fields.join());
    for (const { description, reason } of violations) {
      assert.ok(description && reason);
      assert.doesNotMatch(`${description} ${error.rawMessage}`, /12345|R2-D2/);
    }
  });

  test("holds for the request of a stream, too", async () => {
    const { penduduk } = serve({ penduduk: { exportPenduduk: unreachable } });
    const error = await refusal(collect(penduduk.exportPenduduk({ kodeWilayah: "32.1" }, as("pusat"))));
    assert.equal(error.code, Code.InvalidArgument);
    const [violation] = error.findDetails(BadRequestSchema)[0]!.fieldViolations;
    assert.equal(violation?.field, "kode_wilayah");
  });
});

describe("a method that is bound to a wilayah", () => {
  const getPenduduk = (ask: (ctx: HandlerContext) => void) =>
    serve({
      penduduk: {
        getPenduduk(_request, ctx) {
          ask(ctx);
          return {};
        },
      },
    }).penduduk.getPenduduk({ name }, as("operator"));

  test("answers when its handler asked about a place that the caller is good for", async () => {
    await getPenduduk((ctx) => requireWilayah(ctx, cibinong));
    await getPenduduk((ctx) => requireWilayah(ctx, "32.01.01"));
  });

  test("refuses when it is about another place, an unknown one or none", async () => {
    for (const wilayah of ["32.01.02.2001", "32.01", "ID", "", "../.."]) {
      const error = await refusal(getPenduduk((ctx) => requireWilayah(ctx, wilayah)));
      assert.equal(error.code, Code.PermissionDenied, wilayah);
      assert.equal(reasonOf(error), "WILAYAH_DENIED");
    }
  });

  test("does not answer when its handler forgot to ask", async () => {
    const error = await refusal(getPenduduk(() => {}));
    assert.equal(error.code, Code.Internal);
    assert.match(logged, /GetPenduduk did not ask the policy/);
  });

  test("as a stream sends nothing when its handler forgot to ask, not even an empty end", async () => {
    for (const messages of [[], [{ cursor: "a" }, { cursor: "b" }]]) {
      const { penduduk } = serve({
        penduduk: {
          async *exportPenduduk() {
            yield* messages;
          },
        },
      });
      const received: unknown[] = [];
      const error = await refusal(
        (async () => {
          for await (const message of penduduk.exportPenduduk({ kodeWilayah: "ID" }, as("pusat")))
            received.push(message);
        })(),
      );
      assert.deepEqual([error.code, received], [Code.Internal, []]);
      assert.match(logged, /ExportPenduduk did not ask the policy/);
    }
  });

  test("as a stream that asked first, sends all, or refuses", async () => {
    const { penduduk } = serve({
      penduduk: {
        async *exportPenduduk({ kodeWilayah }, ctx) {
          requireWilayah(ctx, kodeWilayah);
          yield* [{ cursor: "a" }, { cursor: "b" }];
        },
      },
    });
    const all = await collect(penduduk.exportPenduduk({ kodeWilayah: "ID" }, as("pusat")));
    assert.deepEqual(
      all.map(({ cursor }) => cursor),
      ["a", "b"],
    );
    accounts.kota = { ...accounts.pusat!, role: "admin_kota", wilayah: "32.01" };
    const error = await refusal(collect(penduduk.exportPenduduk({ kodeWilayah: "32.02" }, as("kota"))));
    assert.equal(error.code, Code.PermissionDenied);
  });

  test("a method that is not bound to one is not held up", async () => {
    const { statistik } = serve({
      statistik: {
        getStats: () => ({}),
        async *watchStats() {
          yield {};
        },
      },
    });
    await statistik.getStats({}, as("pusat"));
    assert.equal((await collect(statistik.watchStats({}, as("pusat")))).length, 1);
    assert.equal((await refusal(statistik.getStats({}, as("operator")))).code, Code.PermissionDenied);
    const stream = collect(statistik.watchStats({}, as("operator")));
    assert.equal((await refusal(stream)).code, Code.PermissionDenied);
    assert.equal((await refusal(collect(statistik.watchStats({})))).code, Code.Unauthenticated);
  });

  test("asking outside a call that the policy has seen is refused", () => {
    const values = { get: (key: { defaultValue: unknown }) => key.defaultValue };
    assert.throws(() => requireWilayah({ values } as unknown as HandlerContext, "32"), /was not authorised/);
  });
});

describe("a stream whose caller loses their access", () => {
  test("ends before its next message, with the reason, and its handler is told", async () => {
    let isLeft = false;
    const { statistik } = serve({
      statistik: {
        async *watchStats() {
          try {
            for (;;) yield {};
          } finally {
            isLeft = true;
          }
        },
      },
    });
    let messages = 0;
    const watching = (async () => {
      for await (const _ of statistik.watchStats({}, as("pusat"))) {
        if (++messages === 3) revoked.add(accounts.pusat!.subject);
      }
    })();
    try {
      const error = await refusal(watching);
      assert.equal(error.code, Code.Unauthenticated);
      assert.equal(reasonOf(error), "TOKEN_REVOKED");
      assert.ok(messages >= 3 && isLeft);
      assert.deepEqual(measured, ["WatchStats unauthenticated"]);
    } finally {
      revoked.clear();
    }
  });
});
