import assert from "node:assert/strict";
import { test } from "node:test";
import { loadWilayah } from "#chassis/wilayah.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { StatistikService } from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import { parseTemplate } from "../transcoder/template.ts";
import { legacyPath } from "./path.ts";
import { defaultFallback, parseRules, RulesError } from "./rules.ts";

const context = { services: [PendudukService, StatistikService], hasWilayah: loadWilayah().has };
const getPenduduk = "lampid.penduduk.v1.PendudukService/GetPenduduk";

function problemsOf(text: string): readonly string[] {
  try {
    parseRules(text, context);
  } catch (error) {
    assert.ok(error instanceof RulesError);
    return error.problems;
  }
  assert.fail("the rules were taken");
}

const route = (more: string) =>
  `routes: [{rpc: ${getPenduduk}, baseUrl: "http://lama", rollout: {percent: 5}, ${more}}]`;

test("a rule needs an RPC, a base URL and a rollout; the rest has defaults", () => {
  const rules = parseRules(
    `routes:
       - rpc: ${getPenduduk}
         baseUrl: https://siak.example.go.id/api
         rollout: { percent: 12.5, wilayah: ["32.01", ID] }`,
    context,
  );
  const rule = rules.get(PendudukService.method.getPenduduk)!;
  assert.equal(rule.rpc, getPenduduk);
  assert.equal(rule.baseUrl.href, "https://siak.example.go.id/api");
  assert.deepEqual(rule.rollout, { percent: 12.5, wilayah: ["32.01", "ID"] });
  assert.deepEqual(rule.fallback, defaultFallback);
  assert.equal(rule.authorization, "none");
  assert.equal(rule.shadow, undefined);
  assert.equal(rule.path, undefined);
});

test("JSON will do, and a fallback can be set or refused", () => {
  const json = (fallback: unknown) =>
    JSON.stringify({ routes: [{ rpc: getPenduduk, baseUrl: "http://lama", rollout: {}, fallback }] });
  const of = (fallback: unknown) =>
    parseRules(json(fallback), context).get(PendudukService.method.getPenduduk)!.fallback;
  assert.deepEqual(of({ windowSeconds: 10, percent: 20, callsMin: 5, coolDownSeconds: 1 }), {
    windowMs: 10_000,
    percent: 20,
    callsMin: 5,
    coolDownMs: 1_000,
  });
  assert.equal(of(false), undefined);
});

test("everything that is wrong is told at once, by its place", () => {
  const problems = problemsOf(`
    routes:
      - { rpc: lampid.penduduk.v1.PendudukService/Gone, baseUrl: "http://lama", rollout: {percent: 101} }
      - { rpc: ${getPenduduk}, baseUrl: "ftp://lama", rollout: {wilayah: ["32.99"]}, colour: red }
      - { rpc: lampid.statistik.v1.StatistikService/WatchStats, baseUrl: "http://u:rahasia@lama" }
      - { rpc: lampid.penduduk.v1.PendudukService/ExportPenduduk, baseUrl: "http://lama", rollout: {} }`);
  for (const expected of [
    /^routes\[0\]\.rpc: expected an RPC that is offered, .*Gone/,
    /^routes\[0\]\.rollout\.percent: expected a number from 0 to 100, found 101/,
    /^routes\[1\]\.baseUrl: expected an http or https URL/,
    /^routes\[1\]\.rollout\.wilayah: "32\.99" is no code of a wilayah/,
    /^routes\[1\]: unknown "colour"/,
    /^routes\[2\]\.rpc: .* has no REST path/,
    /^routes\[3\]\.rpc: .* is a stream/,
    /^routes\[2\]\.rollout: expected percent, wilayah or both/,
  ]) {
    assert.ok(
      problems.some((problem) => expected.test(problem)),
      `${expected} in ${problems.join("\n")}`,
    );
  }
  assert.doesNotMatch(problems.join(), /rahasia/);
});

test("a file that is no YAML, has no routes, or names an RPC twice is refused", () => {
  assert.match(problemsOf("routes: [")[0]!, /^not YAML/);
  assert.deepEqual(problemsOf(""), ["the file: expected routes", "routes: expected a list"]);
  const twice = `{rpc: ${getPenduduk}, baseUrl: "http://lama", rollout: {}}`;
  assert.match(problemsOf(`routes: [${twice}, ${twice}]`)[0]!, /is there twice/);
});

test("what changes something is shadowed only by who says so", () => {
  const write = (shadow: string) =>
    `routes: [{rpc: lampid.penduduk.v1.PendudukService/RegisterPenduduk, baseUrl: "http://lama", rollout: {}, shadow: ${shadow}}]`;
  assert.match(problemsOf(write("{percent: 1}"))[0]!, /changes something; "writes: true" says/);
  const [rule] = parseRules(write("{percent: 1, writes: true, ignore: [waktu]}"), context).values();
  assert.deepEqual(rule!.shadow, { percent: 1, ignore: new Set(["waktu"]) });
  assert.equal(parseRules(route("shadow: {}"), context).size, 1);
});

test("a path may have the variables that every REST path of the RPC has, and nothing that leaves it", () => {
  assert.equal(parseRules(route('path: "/warga/{name}"'), context).size, 1);
  assert.match(problemsOf(route('path: "/warga/{nik}"'))[0]!, /\{nik\} is no variable of/);
  assert.match(problemsOf(route('path: "warga"'))[0]!, /starts with "\/"/);
  assert.match(problemsOf(route('path: "/warga?x=1"'))[0]!, /without a query/);
  assert.match(problemsOf(route('path: "/a/../b"'))[0]!, /no part of a path/);
});

const template = parseTemplate("/v1/{name=penduduk/*}");
const toLegacy = (rawPath: string, source?: string, base = "http://lama/api/") =>
  legacyPath(new URL(base), source, template, rawPath, rawPath.slice(1).split("/"));

test("a request keeps its path under the base URL, or has it made from the variables as they were written", () => {
  assert.equal(toLegacy("/v1/penduduk/a%20b"), "/api/v1/penduduk/a%20b");
  assert.equal(toLegacy("/v1/penduduk/a%20b", "/warga/{name}/detail"), "/api/warga/penduduk/a%20b/detail");
  assert.equal(toLegacy("/v1/penduduk/1", undefined, "http://lama"), "/v1/penduduk/1");
});

test("no request leaves the base URL, however its dots and slashes are written", () => {
  for (const segment of [
    "..",
    "%2e%2e",
    "%2E.",
    "..%2f..",
    "a%2fb",
    "%5c..",
    "..;",
    "%252e%252e",
    "%00",
    "%zz",
    "a b",
  ]) {
    assert.equal(toLegacy(`/v1/penduduk/${segment}`), undefined, segment);
    assert.equal(toLegacy(`/v1/penduduk/${segment}`, "/warga/{name}"), undefined, segment);
  }
});
