// What the gateway's process does about rate limits when nobody has set a variable, and when somebody has.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { StatistikService } from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import { type GatewayProcess, startGateway } from "../harness/gateway.ts";

const started: GatewayProcess[] = [];
after(() => Promise.all(started.map((gateway) => gateway.stop())));

async function gatewayWith(env: Record<string, string>): Promise<GatewayProcess> {
  const gateway = await startGateway(env);
  started.push(gateway);
  return gateway;
}

test("without a variable call 101 of a minute is refused", async () => {
  const { url } = await gatewayWith({});
  for (let calls = 1; calls <= 100; calls++) {
    const { status } = await fetch(`${url}/openapi.json`, { method: "HEAD" });
    assert.equal(status, 200, `call ${calls}`);
  }
  const refused = await fetch(`${url}/openapi.json`);
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers.get("retry-after")) >= 1);
  assert.equal(refused.headers.get("ratelimit-limit"), "100");
});

test("a route's limit is one for all its REST paths, Connect and gRPC, and leaves other routes alone", async () => {
  const { url } = await gatewayWith({
    LAMPID_RATE_LIMITS_ROUTES: "lampid.statistik.v1.StatistikService/GetStats=4",
  });
  const grpc = createClient(StatistikService, createGrpcTransport({ baseUrl: url }));
  const connect = createClient(
    StatistikService,
    createConnectTransport({ baseUrl: url, httpVersion: "1.1" }),
  );
  for (const path of ["/stats", "/v1/stats"]) assert.equal((await fetch(url + path)).status, 503);
  await assert.rejects(grpc.getStats({}), /unavailable/);
  await assert.rejects(connect.getStats({}), /unavailable/);
  const refused = await fetch(`${url}/stats`);
  assert.equal(refused.status, 429);
  assert.equal(refused.headers.get("ratelimit-policy"), "4;w=60");
  await assert.rejects(grpc.getStats({}), /resource_exhausted/);
  await assert.rejects(connect.getStats({}), /resource_exhausted/);
  const other = await fetch(`${url}/v1/stats/32/kecamatan`);
  assert.equal(other.status, 503);
  assert.equal(other.headers.get("ratelimit-policy"), "100;w=60");
});

test("a limit of a route that does not exist ends the start, naming the variable", async () => {
  const starting = startGateway({
    LAMPID_RATE_LIMITS_ROUTES: "lampid.statistik.v1.StatistikService/GetStat=4",
  });
  await assert.rejects(starting, /LAMPID_RATE_LIMITS_ROUTES: .*there is no \S*GetStat"/s);
});

test("a store that is not there keeps nobody from serving: limits are local, as the log and a metric say", async () => {
  const { url, adminUrl, log } = await gatewayWith({ LAMPID_RATE_LIMIT_STORE: "redis://127.0.0.1:9" });
  const answer = await fetch(`${url}/openapi.json`);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("ratelimit-remaining"), null, "a document is shown to others from a cache");
  assert.equal((await fetch(`${url}/stats`)).headers.get("ratelimit-remaining"), "98");
  assert.equal(log().filter(({ msg }) => String(msg).startsWith("rate limits are local")).length, 1);
  assert.match(await (await fetch(`${adminUrl}/metrics`)).text(), /^gateway_rate_limit_local\b.* 1$/m);
});
