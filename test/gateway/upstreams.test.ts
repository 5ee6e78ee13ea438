// The gateway's process in front of upstreams that have several addresses, on real connections.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { WireServer } from "#chassis/wire/types.ts";
import { createWireServer } from "#chassis/wire/wire.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { freePort } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import { type GatewayProcess, startGateway } from "../harness/gateway.ts";

const closers: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

/** One replica of penduduk; it counts the reads and the writes that it got. */
async function startReplica(port: number, host = "127.0.0.1") {
  const seen = { reads: 0, writes: 0 };
  let server: WireServer;
  const start = async () => {
    server = createWireServer().service(PendudukService, {
      getPenduduk({ name }) {
        seen.reads++;
        return { penduduk: { name } };
      },
      registerPenduduk() {
        seen.writes++;
        return { penduduk: { name: "penduduk/1" } };
      },
    });
    await server.listen({ host, port });
  };
  await start();
  const stop = () => server.close(0);
  closers.push(stop);
  return { seen, start, stop };
}

const read = async ({ url }: GatewayProcess) => (await fetch(`${url}/v1/penduduk/1`)).status;
const write = async ({ url }: GatewayProcess) => {
  const headers = { "content-type": "application/json" };
  return (await fetch(`${url}/penduduk`, { method: "POST", headers, body: "{}" })).status;
};

test("calls go to all addresses of a list; when one dies reads do not notice, and it is used again when it is back", async () => {
  const ports = [await freePort(), await freePort()];
  const [one, two] = await Promise.all(ports.map((port) => startReplica(port)));
  const gateway = await startGateway({
    LAMPID_UPSTREAM_PENDUDUK: ports.map((port) => `http://127.0.0.1:${port}`).join(","),
    LAMPID_RATE_LIMIT_PER_MINUTE: "1000000",
  });
  closers.push(gateway.stop);
  for (let n = 0; n < 40; n++) assert.equal(await read(gateway), 200);
  assert.ok(one!.seen.reads > 0 && two!.seen.reads > 0, `${one!.seen.reads} and ${two!.seen.reads}`);

  await one!.stop();
  const before = two!.seen.reads;
  for (let n = 0; n < 40; n++) assert.equal(await read(gateway), 200);
  assert.equal(two!.seen.reads, before + 40);
  const writes = await Promise.all(Array.from({ length: 10 }, () => write(gateway)));
  assert.deepEqual(new Set(writes), new Set([201]), "the address is out by now");
  assert.equal(two!.seen.writes, 10);

  const { reads } = one!.seen;
  await one!.start();
  await eventually(async () => {
    assert.equal(await read(gateway), 200);
    return one!.seen.reads > reads;
  });
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  assert.match(metrics, /^gateway_address_total\{.*state="out".*\} 1$/m);
  assert.match(metrics, /^gateway_address_total\{.*state="back".*\} 1$/m);
});

test("when every address is gone a read is 503 and a write is tried once", async () => {
  const port = await freePort();
  const replica = await startReplica(port);
  const gateway = await startGateway({
    LAMPID_UPSTREAM_PENDUDUK: `http://127.0.0.1:${port},http://127.0.0.1:${await freePort()}`,
  });
  closers.push(gateway.stop);
  await replica.stop();
  for (let n = 0; n < 5; n++) assert.equal(await read(gateway), 503);
  assert.equal(await write(gateway), 503);
});

test("a name is resolved to the addresses that it has", async () => {
  const port = await freePort();
  const replica = await startReplica(port);
  const gateway = await startGateway({ LAMPID_UPSTREAM_PENDUDUK: `dns:///localhost:${port}` });
  closers.push(gateway.stop);
  // ::1 may be one of them, where nothing listens.
  for (let n = 0; n < 5; n++) assert.equal(await read(gateway), 200);
  assert.equal(replica.seen.reads, 5);
});

test("an upstream that cannot be read ends the start, naming the variable", async () => {
  const starting = startGateway({ LAMPID_UPSTREAM_PENDUDUK: "http://127.0.0.1:1,penduduk:9002" });
  await assert.rejects(starting, /LAMPID_UPSTREAM_PENDUDUK: expected http:\/\/host:port, several/);
});
