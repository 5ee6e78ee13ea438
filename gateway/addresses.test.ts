import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { parseAddresses, watchName } from "./addresses.ts";

beforeEach((context) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  if ("after" in context) context.after(() => mock.timers.reset());
});

test("one address, several, or a name", () => {
  assert.deepEqual(parseAddresses("http://10.0.0.1:9002"), {
    kind: "fixed",
    baseUrls: ["http://10.0.0.1:9002"],
  });
  assert.deepEqual(parseAddresses("http://a:1, http://[::1]:2"), {
    kind: "fixed",
    baseUrls: ["http://a:1", "http://[::1]:2"],
  });
  assert.deepEqual(parseAddresses("dns:///penduduk.lampid.svc:9002"), {
    kind: "name",
    host: "penduduk.lampid.svc",
    port: 9002,
  });
});

test("anything else is none of these", () => {
  for (const text of [
    "",
    "penduduk:9002",
    "https://penduduk:9002",
    "http://penduduk:9002/v1",
    "http://me:secret@penduduk:9002",
    "http://a:1,",
    "http://a:1,http://a:1",
    "http://a:1,dns:///b:2",
    "dns:///penduduk",
    "dns:///penduduk:0",
    "dns:///penduduk:99999",
    "dns://8.8.8.8/penduduk:9002",
  ]) {
    assert.equal(parseAddresses(text), undefined, text);
  }
});

test("a name is resolved again and again, changes are told, and a resolver that fails takes nothing away", async () => {
  let answer: string[] | Error = ["10.0.0.2", "10.0.0.1"];
  const told: string[] = [];
  const errors: string[] = [];
  const watch = watchName({
    host: "penduduk",
    port: 9002,
    everyMs: 10_000,
    async resolve() {
      if (answer instanceof Error) throw answer;
      return answer;
    },
    onChange: (baseUrls) => told.push(baseUrls.join(" ")),
    onError: (cause) => errors.push((cause as Error).message),
  });
  const next = async () => {
    mock.timers.tick(10_000);
    await turn();
  };
  await turn();
  answer = ["10.0.0.1", "10.0.0.2"];
  await next();
  assert.deepEqual(told, ["http://10.0.0.1:9002 http://10.0.0.2:9002"], "another order is no change");
  answer = new Error("getaddrinfo EAI_AGAIN");
  await next();
  answer = [];
  await next();
  assert.deepEqual(errors, ["getaddrinfo EAI_AGAIN", "penduduk has no address"]);
  assert.equal(told.length, 1);
  answer = ["10.0.0.2", "fd00::1"];
  await next();
  assert.equal(told.at(-1), "http://10.0.0.2:9002 http://[fd00::1]:9002");
  watch.close();
  answer = ["10.0.0.3"];
  await next();
  assert.equal(told.length, 2);
});
