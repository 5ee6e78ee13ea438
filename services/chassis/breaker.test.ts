import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { DescMethodUnary } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { type BreakerState, breakTransport } from "./breaker.ts";

function broken(fail: () => unknown, more = {}) {
  const states: BreakerState[] = [];
  let calls = 0;
  const transport = {
    async unary() {
      calls++;
      const error = fail();
      if (error !== undefined) {
        throw error;
      }
      return {};
    },
    async stream() {
      return {
        message: (async function* () {
          yield 1;
          throw fail();
        })(),
      };
    },
  } as unknown as Transport;
  const breaker = breakTransport(transport, {
    name: "penduduk",
    volumeMin: 5,
    openMs: 50,
    onState: (_, state) => states.push(state),
    ...more,
  });
  const call = (timeoutMs: number | undefined = 15_000, signal?: AbortSignal) =>
    breaker.unary({} as DescMethodUnary, signal, timeoutMs, undefined, {}).then(
      () => undefined,
      (error) => error as ConnectError,
    );
  return { breaker, call, states, calls: () => calls };
}

async function times(count: number, run: () => Promise<unknown>) {
  for (let i = 0; i < count; i++) {
    await run();
  }
}

test("it opens on failures to reach the upstream, answers at once with RetryInfo, and closes after a probe", async () => {
  let error: unknown = new ConnectError("gone", Code.Unavailable);
  const { breaker, call, states, calls } = broken(() => error);
  await times(5, () => call());
  assert.equal(breaker.state(), "open");
  const refused = await call();
  assert.equal(calls(), 5);
  assert.equal(refused?.code, Code.Unavailable);
  assert.equal(refused?.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds, 1n);
  assert.deepEqual(
    refused?.details.map((detail) => ("desc" in detail ? detail.desc.typeName : "")),
    ["google.rpc.RetryInfo"],
  );
  error = undefined;
  await sleep(80);
  assert.equal(await call(), undefined);
  assert.deepEqual(states, ["open", "halfOpen", "closed"]);
  breaker.shutdown();
});

test("business errors never open it, an internal error that the service reports included", async () => {
  const codes = Object.values(Code).filter((code): code is Code => typeof code === "number");
  for (const code of codes.filter((code) => code !== Code.Unavailable && code !== Code.DeadlineExceeded)) {
    const { breaker, call } = broken(() => new ConnectError("no", code));
    await times(8, () => call());
    assert.equal(breaker.state(), "closed", Code[code]);
    breaker.shutdown();
  }
});

test("an internal error of the transport itself counts, and so does a deadline that was long enough", async () => {
  const reset = broken(
    () => new ConnectError("reset", Code.Internal, undefined, undefined, new Error("RST_STREAM")),
  );
  await times(5, () => reset.call());
  assert.equal(reset.breaker.state(), "open");
  reset.breaker.shutdown();

  const late = broken(() => new ConnectError("late", Code.DeadlineExceeded));
  await times(8, () => late.call(100));
  assert.equal(late.breaker.state(), "closed", "a caller's tiny deadline");
  await times(10, () => late.call(15_000));
  assert.equal(late.breaker.state(), "open");
  late.breaker.shutdown();
});

test("a caller that goes away counts for nothing, whatever error it chose", async () => {
  const { breaker, call } = broken(() => new ConnectError("REFUSED_STREAM", Code.Unavailable));
  await times(20, () =>
    call(15_000, AbortSignal.abort(new ConnectError("REFUSED_STREAM", Code.Unavailable))),
  );
  assert.equal(breaker.state(), "closed");
  breaker.shutdown();
});

test("a few failures among many calls leave it closed", async () => {
  let count = 0;
  const { breaker, call } = broken(() =>
    count++ % 3 === 0 ? new ConnectError("gone", Code.Unavailable) : undefined,
  );
  await times(30, () => call());
  assert.equal(breaker.state(), "closed");
  breaker.shutdown();
});

test("streams that break half-way count", async () => {
  const { breaker } = broken(() => new ConnectError("gone", Code.Unavailable));
  await times(6, async () => {
    const stream = await breaker.stream(
      {} as never,
      undefined,
      undefined,
      undefined,
      (async function* () {})(),
    );
    await assert.rejects(async () => {
      for await (const _ of stream.message) {
        // to its end
      }
    });
  });
  // Each stream counts twice: it began well, then broke. Half of the calls is not more than half.
  assert.equal(breaker.state(), "closed");
  breaker.shutdown();
});
