import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTemplate, TemplateError, variableValue } from "./template.ts";

test("a literal path has one literal per segment and no verb", () => {
  const template = parseTemplate("/v1/penduduk");
  assert.deepEqual(template.segments, [
    { kind: "literal", value: "v1" },
    { kind: "literal", value: "penduduk" },
  ]);
  assert.equal(template.verb, "");
});

test("a verb is what follows the last colon", () => {
  assert.equal(parseTemplate("/v1/auth:login").verb, "login");
  assert.equal(parseTemplate("/v1/{name=pesan/*}:resend").verb, "resend");
});

test("a variable without a pattern takes one segment", () => {
  assert.deepEqual(parseTemplate("/v1/{a.b}/c").variables, [
    { path: ["a", "b"], start: 1, end: 2, multi: false },
  ]);
});

test("a variable with a pattern of several segments is multi, and ** takes the rest", () => {
  assert.deepEqual(parseTemplate("/v1/{name=shelves/*/books/*}").variables, [
    { path: ["name"], start: 1, end: 5, multi: true },
  ]);
  assert.deepEqual(parseTemplate("/v1/{name=files/**}:read").variables, [
    { path: ["name"], start: 1, end: undefined, multi: true },
  ]);
});

test("templates outside the grammar are refused with offset and reason", () => {
  const cases: [string, RegExp][] = [
    ["", /must start with/],
    ["v1", /must start with/],
    ["/v1/", /offset 4: expected a segment/],
    ["/v1//a", /expected a segment/],
    ["/v1/{", /expected a field name/],
    ["/v1/{a", /expected "}"/],
    ["/v1/{a=}", /expected a segment/],
    ["/v1/{a={b}}", /cannot lie within/],
    ["/v1/**/a", /must be the last/],
    ["/v1/{a=**}/b", /must be the last/],
    ["/v1/{a}/{a}", /bound twice/],
    ["/v1/a:", /expected a segment/],
    ["/v1/a:b/c", /unexpected "\/"/],
    ["/v1/a b", /unexpected " "/],
    ["/v1/%ff", /not UTF-8/],
  ];
  for (const [source, reason] of cases) {
    assert.throws(
      () => parseTemplate(source),
      (error: Error) => error instanceof TemplateError && reason.test(error.message),
      source,
    );
  }
});

test("an encoded slash is decoded in a variable of one segment and kept in one of several", () => {
  const single = parseTemplate("/v1/{a}").variables[0]!;
  assert.equal(variableValue(single, ["v1", "x%2Fy%20z"]), "x/y z");
  const multi = parseTemplate("/v1/{a=b/*}").variables[0]!;
  assert.equal(variableValue(multi, ["v1", "b", "x%2fy%20z"]), "b/x%2Fy z");
});
