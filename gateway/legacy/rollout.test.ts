import assert from "node:assert/strict";
import { test } from "node:test";
import type { Provider } from "@openfeature/server-sdk";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { callerKeyOf, flagsOfRules, isInRollout, openFlags, rulesProvider } from "./rollout.ts";
import { type LegacyRule, parseRules } from "./rules.ts";

const callers = Array.from({ length: 2_000 }, (_, n) => callerKeyOf(`s:${n}`));
const among = (percent: number) =>
  callers.filter((key) => isInRollout({ percent, wilayah: [] }, { key, wilayah: "" }));

test("0 % is nobody, 100 % everybody, and 25 % about a quarter", () => {
  assert.equal(among(0).length, 0);
  assert.equal(among(100).length, callers.length);
  assert.ok(Math.abs(among(25).length / callers.length - 0.25) < 0.03, String(among(25).length));
});

test("whoever is in stays in when the percentage grows", () => {
  const more = new Set(among(50));
  for (const key of among(20)) assert.ok(more.has(key));
});

test("a wilayah contains those within it, and no other that begins with the same digits", () => {
  const isIn = (own: string, ...wilayah: string[]) =>
    isInRollout({ percent: 0, wilayah }, { key: callers[0]!, wilayah: own });
  assert.ok(isIn("32.01.01.2001", "32.01"));
  assert.ok(isIn("32.01", "32.01"));
  assert.ok(isIn("32.02", "31", "32.02"));
  assert.ok(!isIn("32.010", "32.01"));
  assert.ok(!isIn("32", "32.01"), "who is good for the province is not in one of its kabupaten");
  assert.ok(!isIn("", "ID"), "who has no wilayah is nowhere");
  assert.ok(isIn("32.01", "ID"));
});

const rule = [
  ...parseRules(
    `routes: [{rpc: lampid.penduduk.v1.PendudukService/GetPenduduk, baseUrl: "http://lama", rollout: {wilayah: ["32"]}}]`,
    { services: [PendudukService], hasWilayah: () => true },
  ).values(),
][0]!;
const jabar = { key: callerKeyOf("s:1"), wilayah: "32.01", role: "operator" };
const bali = { ...jabar, wilayah: "51.01" };

test("the provider of the rules says the same by its interface and by OpenFeature", async () => {
  const byRpc = new Map<string, LegacyRule>([[rule.rpc, rule]]);
  const provider = rulesProvider((rpc) => byRpc.get(rpc));
  for (const flags of [flagsOfRules(provider), await openFlags("test rules", provider)]) {
    assert.equal(await flags.isForNew(rule, jabar), true);
    assert.equal(await flags.isForNew(rule, bali), false);
  }
});

test("another provider decides instead, and is told no subject; what it cannot say in time, the rules say", async () => {
  const asked: unknown[] = [];
  let answer: () => Promise<{ value: boolean }> = async () => ({ value: true });
  const provider = {
    metadata: { name: "another" },
    resolveBooleanEvaluation(flag: string, _fallback: boolean, context: unknown) {
      asked.push([flag, context]);
      return answer();
    },
  } as unknown as Provider;
  const flags = await openFlags("test another", provider);
  assert.equal(await flags.isForNew(rule, bali), true);
  assert.deepEqual(asked, [
    [
      "lampid.penduduk.v1.PendudukService/GetPenduduk",
      { targetingKey: callerKeyOf("s:1"), wilayah: "51.01", role: "operator" },
    ],
  ]);
  answer = () => Promise.reject(new Error("away"));
  assert.equal(await flags.isForNew(rule, bali), false);
  answer = () => new Promise(() => {});
  assert.equal(await flags.isForNew(rule, jabar), true);
});
