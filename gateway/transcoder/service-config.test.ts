import assert from "node:assert/strict";
import { test } from "node:test";
import { buildService, fakeTransport, type RuleSpec } from "./fixture.ts";
import { RuleError } from "./rule.ts";
import type { HttpRuleConfig } from "./service-config.ts";
import { createTranscoder } from "./transcoder.ts";

const annotated: RuleSpec[] = [
  { template: "/v1/books/{name}", additional: [{ template: "/v1/old/{name}" }] },
  { template: "/v1/others" },
];

function routesOf(httpRules: readonly HttpRuleConfig[], rules = annotated): string[] {
  const transportFor = () => fakeTransport().transport;
  const { routes } = createTranscoder({ services: [buildService(rules)], transportFor, httpRules });
  return routes.map(({ httpMethod, template, method }) => `${method.name} ${httpMethod} ${template}`);
}

test("a rule takes the place of the whole annotation of the method that it selects", () => {
  assert.deepEqual(routesOf([]), ["M0 GET /v1/books/{name}", "M0 GET /v1/old/{name}", "M1 GET /v1/others"]);
  assert.deepEqual(routesOf([{ selector: "test.v1.Library.M0", get: "/v2/{name=books/*}" }]), [
    "M0 GET /v2/{name=books/*}",
    "M1 GET /v1/others",
  ]);
});

test("a rule has every kind of pattern, names of JSON or of the proto file, and additional bindings", () => {
  const selector = "test.v1.Library.M1";
  const rule: HttpRuleConfig = {
    selector,
    post: "/v2/books",
    body: "*",
    additional_bindings: [
      { put: "/v2/{name}", body: "author", response_body: "tags" },
      { patch: "/v2/{name}", body: "author", responseBody: "tags" },
      { delete: "/v2/{name}" },
      { custom: { kind: "purge", path: "/v2/{name}" } },
    ],
  };
  assert.deepEqual(routesOf([rule]).slice(2), [
    "M1 POST /v2/books",
    "M1 PUT /v2/{name}",
    "M1 PATCH /v2/{name}",
    "M1 DELETE /v2/{name}",
    "M1 PURGE /v2/{name}",
  ]);
  const json = { selector, get: "/a", additionalBindings: [{ get: "/b" }] };
  assert.deepEqual(routesOf([json]).slice(2), ["M1 GET /a", "M1 GET /b"]);
});

test("of several rules for one method the last counts", () => {
  const selector = "test.v1.Library.M1";
  const routes = routesOf([
    { selector, get: "/a" },
    { selector, get: "/b" },
  ]);
  assert.deepEqual(routes.slice(2), ["M1 GET /b"]);
});

test("a rule that cannot work fails at start and names its selector and the reason", () => {
  const selector = "test.v1.Library.M0";
  const cases: [unknown, RegExp][] = [
    [{ selector: "test.v1.Library.Nope", get: "/a" }, /"test.v1.Library.Nope" names no method/],
    [{ selector: "Library.M0", get: "/a" }, /"Library.M0" names no method/],
    [{ get: "/a" }, /httpRules\[0\]: the rule has no selector/],
    [null, /httpRules\[0\]: the rule has no selector/],
    [{ selector }, /Library.M0: httpRules\[0\]: a rule must have one of get/],
    [{ selector, get: "/a", post: "/b" }, /must have one of get/],
    [{ selector, get: 1 }, /get must be a string/],
    [{ selector, get: "/a", bodi: "*" }, /"bodi" is not a field of google.api.HttpRule/],
    [{ selector, get: "/a", responseBody: "tags", response_body: "tags" }, /both of its names/],
    [{ selector, get: "/a", additionalBindings: {} }, /must be a list/],
    [{ selector, get: "/a", additionalBindings: [{}] }, /must have one of get/],
    [{ selector, get: "/a", additionalBindings: [{ selector, get: "/b" }] }, /must not have a selector/],
    [
      { selector, get: "/a", additionalBindings: [{ get: "/b", additionalBindings: [{ get: "/c" }] }] },
      /Library.M0: httpRules\[0\]: additional_bindings cannot have additional_bindings/,
    ],
    [{ selector, get: "a" }, /Library.M0: template "a", offset 0/],
    [{ selector, get: "/{nope}" }, /Library.M0: path variable: no field "nope"/],
    [{ selector, custom: { path: "/a" } }, /Library.M0: the rule has no HTTP method/],
    [{ selector, get: "/v1/others" }, /is taken by test.v1.Library.M0/],
  ];
  for (const [rule, reason] of cases) {
    assert.throws(
      () => routesOf([rule as HttpRuleConfig]),
      (error: Error) => error instanceof RuleError && reason.test(error.message),
      JSON.stringify(rule),
    );
  }
});
