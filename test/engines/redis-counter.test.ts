// Rate limits that several gateways share, on a real store that is taken away and given back.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { callCounterContract } from "../../gateway/call-counter.contract.ts";
import { connectRedisCounter, type RedisCounter } from "../../gateway/redis-counter.ts";
import { eventually } from "../harness/eventually.ts";
import { type GatewayProcess, startGateway } from "../harness/gateway.ts";
import { type RedisServer, redisMissing, startRedis } from "./redis.ts";

describe("a counter in Redis", { skip: redisMissing() }, () => {
  let redis: RedisServer;
  let counter: RedisCounter;
  let other: RedisCounter;
  before(async () => {
    redis = await startRedis();
    counter = await connectRedisCounter({ url: redis.url });
    other = await connectRedisCounter({ url: redis.url });
  });
  after(async () => {
    counter?.close();
    other?.close();
    await redis?.stop();
  });

  callCounterContract("Redis", () => counter);

  test("is one for all that count in it", async () => {
    assert.equal((await counter.count("s:shared", 2)).remaining, 1);
    assert.equal((await other.count("s:shared", 2)).remaining, 0);
    assert.equal((await counter.count("s:shared", 2)).isExceeded, true);
  });

  test("fails in time when the store is there and says nothing", async () => {
    redis.freeze();
    try {
      await assert.rejects(counter.count("s:frozen", 2), /timed out/i);
    } finally {
      redis.thaw();
    }
    await eventually(
      async () => (await counter.count("s:thawed", 1_000).catch(() => undefined)) !== undefined,
    );
  });
});

describe("two gateways", { skip: redisMissing() }, () => {
  let redis: RedisServer;
  let gateways: GatewayProcess[];
  before(async () => {
    redis = await startRedis();
    const env = { LAMPID_RATE_LIMIT_STORE: redis.url, LAMPID_RATE_LIMIT_PER_MINUTE: "1000" };
    gateways = await Promise.all([startGateway(env), startGateway(env)]);
  });
  after(async () => {
    await Promise.all((gateways ?? []).map((gateway) => gateway.stop()));
    await redis?.stop();
  });

  /** What is left to this machine's address after one more call; all calls of this test are within one minute. */
  async function left(gateway: GatewayProcess): Promise<number> {
    const answer = await fetch(`${gateway.url}/v1/nowhere`);
    assert.equal(answer.status, 404);
    return Number(answer.headers.get("ratelimit-remaining"));
  }
  const isLocal = async ({ adminUrl }: GatewayProcess) =>
    /^gateway_rate_limit_local\b.* 1$/m.test(await (await fetch(`${adminUrl}/metrics`)).text());
  const said = (gateway: GatewayProcess, start: string) =>
    gateway.log().filter(({ msg }) => String(msg).startsWith(start)).length;

  test("share one limit, limit alone while the store is gone, and share again when it is back", async () => {
    const [one, two] = gateways as [GatewayProcess, GatewayProcess];
    const first = await left(one);
    assert.equal(await left(two), first - 1);
    assert.equal(await left(one), first - 2);

    await redis.kill();
    assert.equal(await left(one), 999);
    assert.equal(await left(one), 998);
    assert.equal(await left(two), 999);
    assert.ok((await isLocal(one)) && (await isLocal(two)));

    await redis.restart();
    for (const gateway of gateways) {
      await eventually(async () => {
        await left(gateway);
        return !(await isLocal(gateway));
      });
    }
    const again = await left(one);
    assert.equal(await left(two), again - 1);
    for (const gateway of gateways) {
      assert.equal(said(gateway, "rate limits are local"), 1);
      assert.equal(said(gateway, "rate limits are shared again"), 1);
    }
  });
});
