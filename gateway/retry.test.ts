import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { breakTransport } from "#chassis/breaker.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { type RetryOptions, retryReads } from "./retry.ts";

const gone = () => new ConnectError("No connection established", Code.Unavailable);
const isUnavailable = (error: unknown) => error instanceof ConnectError && error.code === Code.Unavailable;

/** A client whose upstream fails with what `failures` still holds, or for ever with `always`. */
function scene(options: RetryOptions & { failures?: Error[]; always?: Error } = {}) {
  const { failures = [], always, ...more } = options;
  const seen = { tries: 0, timeouts: [] as (number | undefined)[], outcomes: [] as string[] };
  const reach = () => {
    seen.tries++;
    const failure = failures.shift() ?? always;
    if (failure) throw failure;
  };
  const inner = createRouterTransport((router) =>
    router.service(PendudukService, {
      getPenduduk({ name }) {
        reach();
        return { penduduk: { name } };
      },
      registerPenduduk() {
        reach();
        return {};
      },
      // biome-ignore lint/correctness/useYield: it fails before it has something to say.
      async *exportPenduduk() {
        reach();
      },
    }),
  );
  const watched: typeof inner = {
    ...inner,
    unary(...call) {
      seen.timeouts.push(call[2]);
      return inner.unary(...call);
    },
  };
  const make = (transport = watched) =>
    createClient(
      PendudukService,
      retryReads(transport, {
        backoff: { baseMs: 1, maxMs: 1 },
        onRetry: (_, outcome) => seen.outcomes.push(outcome),
        ...more,
      }),
    );
  return { seen, watched, make, client: make() };
}

test("a read that did not reach its upstream is made again, with what is left of its time", async () => {
  const { client, seen } = scene({ failures: [gone(), gone()], backoff: { baseMs: 4, maxMs: 4 } });
  const { penduduk } = await client.getPenduduk({ name: "penduduk/1" }, { timeoutMs: 5_000 });
  assert.equal(penduduk?.name, "penduduk/1");
  assert.deepEqual(seen.outcomes, ["made", "made"]);
  const [first, second, third] = seen.timeouts as number[];
  assert.ok(first! > second! && second! > third!, `${seen.timeouts}`);
});

test("the third failure is what the caller is told", async () => {
  const { client, seen } = scene({ always: gone() });
  await assert.rejects(client.getPenduduk({}), isUnavailable);
  assert.equal(seen.tries, 3);
});

test("a write is never made again, nor is a stream", async () => {
  const { client, seen } = scene({ always: gone() });
  await assert.rejects(client.registerPenduduk({}), isUnavailable);
  assert.equal(seen.tries, 1);
  await assert.rejects(async () => {
    for await (const _ of client.exportPenduduk({}));
  }, isUnavailable);
  assert.equal(seen.tries, 2);
});

test("an answer that is not UNAVAILABLE is an answer", async () => {
  for (const code of [Code.NotFound, Code.DeadlineExceeded, Code.Internal, Code.ResourceExhausted]) {
    const { client, seen } = scene({ always: new ConnectError("no", code) });
    await assert.rejects(client.getPenduduk({}));
    assert.equal(seen.tries, 1, Code[code]);
  }
});

test("a server that says when to come back, or that it is overloaded, is left alone", async () => {
  const retryDelay = create(DurationSchema, { seconds: 1n });
  const details = [
    { desc: RetryInfoSchema, value: { retryDelay } },
    { desc: ErrorInfoSchema, value: { reason: "OVERLOADED", domain: "lampid.go.id", metadata: {} } },
  ];
  for (const detail of details) {
    const { client, seen } = scene({
      always: new ConnectError("later", Code.Unavailable, undefined, [detail]),
    });
    await assert.rejects(client.getPenduduk({}), isUnavailable);
    assert.equal(seen.tries, 1, detail.desc.name);
  }
});

test("there is no retry that the deadline leaves no time for, and none for a caller that has left", async () => {
  const late = scene({ always: gone(), backoff: { baseMs: 1_000, maxMs: 1_000 } });
  await assert.rejects(late.client.getPenduduk({}, { timeoutMs: 400 }), isUnavailable);
  assert.equal(late.seen.tries, 1);
  const left = new AbortController();
  const leaving = scene({ always: gone(), backoff: { baseMs: 60_000, maxMs: 60_000 } });
  const call = leaving.client.getPenduduk({}, { signal: left.signal });
  setImmediate(() => left.abort());
  await assert.rejects(call);
  assert.equal(leaving.seen.tries, 1);
});

test("when everything is down the budget bounds the retries: a tenth of the reads, and a few a second", async () => {
  let nowMs = 0;
  const { client, seen } = scene({ always: gone(), perSecondMin: 5, ratio: 0.1, now: () => nowMs });
  const fail = async (calls: number) => {
    const before = seen.tries;
    for (let n = 0; n < calls; n++) await assert.rejects(client.getPenduduk({}), isUnavailable);
    return seen.tries - before - calls;
  };
  // Two seconds of the minimum are saved up, and each ten calls earn one.
  assert.equal(await fail(1_000), 10 + 100);
  assert.ok(seen.outcomes.includes("over budget"));
  nowMs += 1_000;
  assert.equal(await fail(10), 5 + 1);
});

test("the breaker knows of every try, and an open circuit ends the retries", async () => {
  const { seen, watched, make } = scene({ always: gone(), perSecondMin: 1_000 });
  const breaker = breakTransport(watched, { name: "penduduk", volumeMin: 6 });
  const client = make(breaker);
  for (let n = 0; n < 2; n++) await assert.rejects(client.getPenduduk({}), isUnavailable);
  assert.equal(seen.tries, 6, "two calls, three tries each");
  assert.equal(breaker.state(), "open");
  await assert.rejects(client.getPenduduk({}), /penduduk is unavailable, try again later/);
  assert.equal(seen.tries, 6);
  breaker.shutdown();
});
