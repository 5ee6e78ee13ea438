import assert from "node:assert/strict";
import { test } from "node:test";
import { callerAddress } from "./address.ts";
import { createRateLimiter, parseRateLimits, parseRouteLimits, rateLimitHeaders } from "./rate-limit.ts";
import type { Request } from "./transcoder/status.ts";

test("call 101 of a minute is refused with the time until the next, and others are not affected", async () => {
  const limiter = createRateLimiter({ perMinute: 100 });
  for (let left = 99; left >= 0; left--) {
    const { isExceeded, limit, remaining } = await limiter.consume("a");
    assert.deepEqual({ isExceeded, limit, remaining }, { isExceeded: false, limit: 100, remaining: left });
  }
  const refused = await limiter.consume("a");
  assert.equal(refused.isExceeded, true);
  assert.equal(refused.remaining, 0);
  assert.ok(refused.resetMs > 0 && refused.resetMs <= 60_000);
  assert.equal((await limiter.consume("b")).isExceeded, false);
});

test("who has a limit of its own has that, and counts apart", async () => {
  const byName = parseRateLimits("mitra-demo=3, siak = 2");
  assert.ok(byName instanceof Map);
  const limiter = createRateLimiter({ perMinute: 1, byName });
  const calls = async (key: string, name?: string) => {
    let allowed = 0;
    while (!(await limiter.consume(key, name)).isExceeded) allowed++;
    return allowed;
  };
  assert.equal(await calls("s:1", "mitra-demo"), 3);
  assert.equal(await calls("s:2", "siak"), 2);
  assert.equal(await calls("s:3", "budi"), 1);
  assert.equal(await calls("a:10.0.0.1"), 1);
});

test("a route with a limit of its own has that for each caller, on top of the caller's, and uses up the caller's", async () => {
  const register = "lampid.penduduk.v1.PendudukService/RegisterPenduduk";
  const limiter = createRateLimiter({ perMinute: 5, byRoute: new Map([[register, 2]]) });
  const call = async (key: string, route: string) => {
    const { isExceeded, limit, remaining } = await limiter.consume(key, undefined, route);
    return `${isExceeded ? "refused" : "allowed"} ${remaining}/${limit}`;
  };
  assert.equal(await call("s:1", register), "allowed 1/2");
  assert.equal(await call("s:1", register), "allowed 0/2");
  assert.equal(await call("s:1", register), "refused 0/2");
  assert.equal(await call("s:2", register), "allowed 1/2");
  assert.equal(await call("s:1", "lampid.statistik.v1.StatistikService/GetStats"), "allowed 1/5");
  assert.equal(await call("s:1", "lampid.statistik.v1.StatistikService/GetStats"), "allowed 0/5");
  assert.match(await call("s:1", register), /^refused/);
});

test("a limit of a route that is not offered is named", () => {
  const offered = new Set(["a.v1.S/Get", "a.v1.S/List"]);
  assert.deepEqual(parseRouteLimits("a.v1.S/List=3", offered), new Map([["a.v1.S/List", 3]]));
  assert.match(String(parseRouteLimits("a.v1.S/Lst=3", offered)), /there is no "a\.v1\.S\/Lst"/);
  assert.match(String(parseRouteLimits("a.v1.S/List", offered)), /not "a\.v1\.S\/List"/);
});

test("limits that cannot be read are named", () => {
  assert.match(String(parseRateLimits("mitra-demo=3,siak")), /not "siak"/);
  assert.match(String(parseRateLimits("siak=0")), /not "siak=0"/);
  assert.match(String(parseRateLimits("siak=1,siak=2")), /"siak" is there twice/);
  assert.deepEqual(parseRateLimits(""), new Map());
});

test("a caller is told its limit, what is left of it, and when it begins anew", () => {
  assert.deepEqual(rateLimitHeaders({ isExceeded: false, limit: 100, remaining: 7, resetMs: 1_001 }), {
    "ratelimit-limit": "100",
    "ratelimit-remaining": "7",
    "ratelimit-reset": "2",
    "ratelimit-policy": "100;w=60",
  });
});

const request = (remoteAddress: string, forwarded?: string) =>
  ({ socket: { remoteAddress }, headers: { "x-forwarded-for": forwarded } }) as unknown as Request;

test("an anonymous caller is known by address: IPv4 whole, IPv6 by its /64", () => {
  assert.equal(callerAddress(request("10.0.0.1"), 0), "10.0.0.1");
  assert.equal(callerAddress(request("::ffff:10.0.0.1"), 0), "10.0.0.1");
  assert.equal(callerAddress(request("2001:db8:1:2:3:4:5:6"), 0), "2001:db8:1:2::/64");
  assert.equal(callerAddress(request("2001:db8::9"), 0), "2001:db8:0:0::/64");
  assert.equal(callerAddress(request("::1"), 0), "0:0:0:0::/64");
});

test("X-Forwarded-For is believed only as far as proxies are trusted", () => {
  assert.equal(callerAddress(request("10.0.0.1", "6.6.6.6, 1.2.3.4"), 0), "10.0.0.1");
  assert.equal(callerAddress(request("10.0.0.1", "6.6.6.6, 1.2.3.4"), 1), "1.2.3.4");
  assert.equal(callerAddress(request("10.0.0.1"), 1), "10.0.0.1");
});
