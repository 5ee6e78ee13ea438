import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Refused } from "#chassis/refusal.ts";
import { type LoginThrottle, loginThrottle } from "./login-throttle.ts";

const isWrong = (result: string) => result === "wrong";
const outcome = (throttle: LoginThrottle, username: string, result = "wrong", address?: string) =>
  throttle
    .attempt(username, async () => result, isWrong, address)
    .catch((cause) => {
      assert.ok(cause instanceof Refused);
      return `refused, ${cause.refusal.kind}, ${cause.refusal.retryAfterSeconds} s`;
    });

let throttle: LoginThrottle;

beforeEach((context) => {
  mock.timers.enable({ apis: ["Date", "setTimeout"] });
  throttle = loginThrottle({ triesPerMinute: 5 });
  if ("after" in context) context.after(() => mock.timers.reset());
});

test("five failed tries a minute, then none, not even the right password", async () => {
  for (let tries = 0; tries < 5; tries++) assert.equal(await outcome(throttle, "siti"), "wrong");
  mock.timers.tick(20_000);
  assert.equal(await outcome(throttle, "siti"), "refused, exhausted, 40 s");
  assert.equal(await outcome(throttle, "siti", "right"), "refused, exhausted, 40 s");
  mock.timers.tick(40_001);
  assert.equal(await outcome(throttle, "siti", "right"), "right");
});

test("another username is another count, another spelling is not", async () => {
  for (const spelling of ["Siti", "siti", "SITI", "sitI", "ｓiti"]) await outcome(throttle, spelling);
  assert.match(await outcome(throttle, "siti"), /^refused/);
  assert.equal(await outcome(throttle, "budi"), "wrong");
});

test("who guesses from one address does not keep the owner out at another", async () => {
  for (let tries = 0; tries < 5; tries++) await outcome(throttle, "siti", "wrong", "203.0.113.7");
  assert.match(await outcome(throttle, "siti", "right", "203.0.113.7"), /^refused/);
  assert.equal(await outcome(throttle, "siti", "right", "198.51.100.2"), "right");
  assert.equal(await outcome(throttle, "siti", "right"), "right", "no address is a place of its own");
  assert.equal(await outcome(throttle, "budi", "wrong", "203.0.113.7"), "wrong");
});

test("many addresses have no more than twenty failed tries a minute between them", async () => {
  const looked: string[] = [];
  const guesses = Array.from({ length: 100 }, (_, n) => outcome(throttle, "siti", "wrong", `203.0.113.${n}`));
  for (const result of await Promise.all(guesses)) if (result === "wrong") looked.push(result);
  assert.equal(looked.length, 20);
  assert.match(await outcome(throttle, "siti", "right", "198.51.100.2"), /^refused, exhausted, 60 s/);
});

test("the right password may be used as often as one likes, and forgives no failed try", async () => {
  for (let tries = 0; tries < 4; tries++) await outcome(throttle, "siti");
  for (let tries = 0; tries < 100; tries++) assert.equal(await outcome(throttle, "siti", "right"), "right");
  assert.equal(await outcome(throttle, "siti"), "wrong");
  assert.match(await outcome(throttle, "siti"), /^refused/);
});

test("of a hundred wrong guesses at the same moment five are looked at", async () => {
  let looked = 0;
  const guesses = Array.from({ length: 100 }, () =>
    throttle
      .attempt(
        "siti",
        async () => {
          looked++;
          for (let turns = 0; turns < 10; turns++) await Promise.resolve();
          return "wrong";
        },
        isWrong,
      )
      .catch((cause) => assert.ok(cause instanceof Refused)),
  );
  await Promise.all(guesses);
  assert.equal(looked, 5);
});

test("of a hundred right passwords at the same moment at most five are under way, and all are let in", async () => {
  let running = 0;
  let most = 0;
  const logins = Array.from({ length: 100 }, () =>
    throttle.attempt(
      "siti",
      async () => {
        most = Math.max(most, ++running);
        for (let turns = 0; turns < 10; turns++) await Promise.resolve();
        running--;
        return "right";
      },
      isWrong,
    ),
  );
  assert.equal((await Promise.all(logins)).length, 100);
  assert.equal(most, 5);
});

test("where one try a username is all that may be under way, the others wait for it", async () => {
  const one = loginThrottle({ triesPerMinute: 5, atOnce: 1 });
  let running = 0;
  let most = 0;
  const tries = Array.from({ length: 20 }, () =>
    one.attempt(
      "siti",
      async () => {
        most = Math.max(most, ++running);
        await Promise.resolve();
        running--;
        return "right";
      },
      isWrong,
    ),
  );
  assert.equal((await Promise.all(tries)).length, 20);
  assert.equal(most, 1);
});

test("where a try needs time to settle, the next one waits for that, and its own answer does not", async () => {
  const settling = loginThrottle({ triesPerMinute: 5, atOnce: 1, settleMs: 100 });
  let made = 0;
  const attempt = () => settling.attempt("siti", async () => String(++made), isWrong);
  const [first, second] = [attempt(), attempt()];
  assert.equal(await first, "1");
  mock.timers.tick(99);
  await turn();
  assert.equal(made, 1);
  mock.timers.tick(1);
  assert.equal(await second, "2");
  // Nor does one that comes later find the place free.
  const third = attempt();
  await turn();
  assert.equal(made, 2);
  mock.timers.tick(100);
  assert.equal(await third, "3");
});

test("a try that could not be made is no failed one", async () => {
  for (let tries = 0; tries < 20; tries++) {
    const broken = throttle.attempt("siti", () => Promise.reject(new Error("issuer gone")), isWrong);
    await assert.rejects(broken, /issuer gone/);
  }
  assert.equal(await outcome(throttle, "siti", "right"), "right");
});
