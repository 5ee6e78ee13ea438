import assert from "node:assert/strict";
import { test } from "node:test";
import { callerAddress } from "./address.ts";
import { memoryRateLimiter } from "./rate-limit.ts";
import type { Request } from "./transcoder/status.ts";

test("call 101 of a minute is refused with the time until the next, and others are not affected", async () => {
  const limiter = memoryRateLimiter(100);
  for (let i = 0; i < 100; i++) {
    assert.equal(await limiter.consume("a"), undefined);
  }
  const refused = await limiter.consume("a");
  assert.ok(refused && refused.retryAfterMs > 0 && refused.retryAfterMs <= 60_000);
  assert.equal(await limiter.consume("b"), undefined);
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
