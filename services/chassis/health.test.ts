import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";
import { createHealth } from "./health.ts";

function start() {
  const health = createHealth();
  const transport = createRouterTransport((router) => void router.service(Health, health.service));
  return { health, client: createClient(Health, transport) };
}

describe("a process", () => {
  test("without dependencies is serving", async () => {
    const { client, health } = start();
    assert.equal((await client.check({ service: "" })).status, Status.SERVING);
    assert.ok(health.serving());
  });

  test("is as well as the worst of its dependencies, which are down until they say otherwise", async () => {
    const { client, health } = start();
    const status = async () => (await client.check({ service: "" })).status;
    const [database, bus] = [health.part("database"), health.part("bus")];
    assert.deepEqual(health.describe(), { database: "starting", bus: "starting" });
    database(true);
    assert.equal(await status(), Status.NOT_SERVING);
    bus(true);
    assert.equal(await status(), Status.SERVING);
    database(false, "database unreachable");
    assert.equal(await status(), Status.NOT_SERVING);
    assert.deepEqual(health.describe(), { database: "database unreachable", bus: "ok" });
    database(true);
    assert.equal(await status(), Status.SERVING);
  });

  test("serves without a dependency that is not critical, and shows that it is away", async () => {
    const { client, health } = start();
    const bus = health.part("bus", { isCritical: false });
    assert.equal((await client.check({ service: "" })).status, Status.SERVING);
    bus(false, "Kafka cannot be reached");
    assert.equal((await client.check({ service: "" })).status, Status.SERVING);
    assert.deepEqual(health.describe(), { bus: "Kafka cannot be reached" });
  });

  test("that is stopping serves no more, whatever its dependencies say", async () => {
    const { client, health } = start();
    const database = health.part("database");
    database(true);
    health.stop();
    database(true);
    assert.equal((await client.check({ service: "" })).status, Status.NOT_SERVING);
    assert.equal(health.describe().process, "stopping");
  });
});

test("services that are offered are known and listed, others are not found", async () => {
  const { client, health } = start();
  health.addService("lampid.test.v1.TestService");
  const known = await client.check({ service: "lampid.test.v1.TestService" });
  assert.equal(known.status, Status.SERVING);
  const { statuses } = await client.list({});
  assert.deepEqual(Object.keys(statuses), ["", "lampid.test.v1.TestService"]);
  const unknown = client.check({ service: "other" });
  await assert.rejects(unknown, (cause) => ConnectError.from(cause).code === Code.NotFound);
});

describe("watch", () => {
  test("tells the status now and each change, and no repetition", async () => {
    const { client, health } = start();
    const database = health.part("database");
    const stop = new AbortController();
    const seen: Status[] = [];
    const watching = (async () => {
      for await (const { status } of client.watch({ service: "" }, { signal: stop.signal })) {
        seen.push(status);
        if (seen.length === 1) database(true);
        if (seen.length === 2) {
          database(true);
          health.part("bus")(true);
          health.stop();
        }
        if (seen.length === 3) stop.abort();
      }
    })();
    await assert.rejects(watching, (cause) => ConnectError.from(cause).code === Code.Canceled);
    assert.deepEqual(seen, [Status.NOT_SERVING, Status.SERVING, Status.NOT_SERVING]);
  });

  test("of an unknown service says so", async () => {
    const { client } = start();
    const seen: Status[] = [];
    for await (const { status } of client.watch({ service: "other" })) {
      seen.push(status);
      break;
    }
    assert.deepEqual(seen, [Status.SERVICE_UNKNOWN]);
  });
});
