import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createClient,
  createRouterTransport,
} from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { limitTransport } from "./bulkhead.ts";

/** A client behind a bulkhead of two calls and one stream, to a service that answers when it is told to. */
function scene() {
  const overloads: string[] = [];
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const routes = (router: ConnectRouter) =>
    router.service(PendudukService, {
      async getPenduduk({ name }) {
        await released;
        if (name === "penduduk/broken") throw new ConnectError("no", Code.NotFound);
        return { penduduk: { name } };
      },
      async *exportPenduduk() {
        yield { cursor: "1" };
        await released;
        yield { cursor: "2" };
      },
    });
  const client = createClient(
    PendudukService,
    limitTransport(createRouterTransport(routes), {
      name: "penduduk",
      callsMax: 2,
      streamsMax: 1,
      onOverload: (name) => overloads.push(name),
    }),
  );
  return { client, overloads, release };
}

const isOverload = (error: unknown) =>
  error instanceof ConnectError &&
  error.code === Code.Unavailable &&
  error.findDetails(ErrorInfoSchema)[0]?.reason === "OVERLOADED" &&
  error.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds === 1n;

test("a call beyond the maximum is refused at once with when to come again, and a place that is left is taken", async () => {
  const { client, overloads, release } = scene();
  const first = client.getPenduduk({ name: "penduduk/1" });
  const second = client.getPenduduk({ name: "penduduk/broken" });
  await assert.rejects(client.getPenduduk({ name: "penduduk/3" }), isOverload);
  assert.deepEqual(overloads, ["penduduk"]);
  release();
  assert.equal((await first).penduduk?.name, "penduduk/1");
  await assert.rejects(second, /not_found/);
  assert.equal((await client.getPenduduk({ name: "penduduk/4" })).penduduk?.name, "penduduk/4");
});

test("streams have places of their own, which calls do not take", async () => {
  const { client, release } = scene();
  const calls = [1, 2].map((n) => client.getPenduduk({ name: `penduduk/${n}` }));
  const stream = client.exportPenduduk({})[Symbol.asyncIterator]();
  assert.equal((await stream.next()).value?.cursor, "1");
  await assert.rejects(client.exportPenduduk({})[Symbol.asyncIterator]().next(), isOverload);
  release();
  await Promise.all(calls);
  assert.equal((await stream.next()).value?.cursor, "2");
  assert.equal((await stream.next()).done, true);
  assert.equal((await client.exportPenduduk({})[Symbol.asyncIterator]().next()).value?.cursor, "1");
});

test("a stream that is left gives its place back", async () => {
  const { client } = scene();
  const left = new AbortController();
  const stream = client.exportPenduduk({}, { signal: left.signal })[Symbol.asyncIterator]();
  await stream.next();
  left.abort();
  await sleep(0);
  assert.equal((await client.exportPenduduk({})[Symbol.asyncIterator]().next()).value?.cursor, "1");
});
