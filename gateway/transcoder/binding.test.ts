import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { createBinding } from "./binding.ts";
import { buildService, type RuleSpec } from "./fixture.ts";
import { RuleError, readHttpRules } from "./rule.ts";
import { type FieldViolation, Refusal } from "./status.ts";

function bind(rule: RuleSpec, options = {}) {
  const method = buildService([rule]).methods[0]!;
  const binding = createBinding(method, readHttpRules(method)[0]!, options);
  return {
    binding,
    read: (path: string, query = "", body?: unknown) =>
      JSON.parse(
        binding.write(
          binding.read(
            path.slice(1).split("/"),
            query,
            body === undefined
              ? undefined
              : Buffer.from(typeof body === "string" ? body : JSON.stringify(body)),
          ),
        ),
      ) as JsonObject,
  };
}

function violationsOf(run: () => unknown): FieldViolation[] {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error));
    assert.equal(error.httpStatus, 400);
    return (error.status.details[0] as unknown as { fieldViolations: FieldViolation[] }).fieldViolations;
  }
  assert.fail("was not refused");
}

const fieldsOf = (violations: FieldViolation[]) => violations.map((violation) => violation.field);

test("rules are read from the descriptor, additional ones after the first", () => {
  const method = buildService([
    { method: "POST", template: "/a", body: "*", responseBody: "name", additional: [{ template: "/b" }] },
  ]).methods[0]!;
  assert.deepEqual(readHttpRules(method), [
    { method: "POST", template: "/a", body: "*", responseBody: "name" },
    { method: "GET", template: "/b", body: "", responseBody: "" },
  ]);
});

test("a custom kind is a method in upper case", () => {
  const method = buildService([{ method: "purge", template: "/a" }]).methods[0]!;
  assert.equal(readHttpRules(method)[0]!.method, "PURGE");
});

test("the body fills the message by proto names and by JSON names, the path wins over it", () => {
  const { read } = bind({ method: "POST", template: "/v1/{name}", body: "*" });
  assert.deepEqual(read("/v1/n1", "", { name: "other", page_count: 3, inPrint: true }), {
    name: "n1",
    pageCount: 3,
    inPrint: true,
  });
});

test("path variables take nested fields, numbers, enums and oneof members", () => {
  const { read } = bind({ template: "/v1/{author.full_name}/{page_count}/{genre}/{isbn}" });
  assert.deepEqual(read("/v1/Pram/12/GENRE_NOVEL/979"), {
    author: { fullName: "Pram" },
    pageCount: 12,
    genre: "GENRE_NOVEL",
    isbn: "979",
  });
  assert.deepEqual(fieldsOf(violationsOf(() => read("/v1/Pram/twelve/1/979"))), ["page_count"]);
});

test("a query takes dotted, repeated, proto and JSON names, and every type that one string can spell", () => {
  const { read } = bind({ template: "/v1/books" });
  const query = [
    "name=a+b%26c",
    "pageCount=7",
    "copies_sold=9007199254740993",
    "in_print=true",
    "rating=NaN",
    "cover=-_8",
    "genre=1",
    "genres=GENRE_NOVEL&genres=0",
    "tags=x&tags=y",
    "author.full_name=Pram&author.mentor.born=1900",
    "published=2026-01-31T08:30:00Z",
    "loan=3.5s",
    "update_mask=page_count,author.full_name",
    "subtitle=s",
    "signed=false",
  ].join("&");
  assert.deepEqual(read("/v1/books", query), {
    name: "a b&c",
    pageCount: 7,
    copiesSold: "9007199254740993",
    inPrint: true,
    rating: "NaN",
    cover: "+/8=",
    genre: "GENRE_NOVEL",
    genres: ["GENRE_NOVEL", "GENRE_UNSPECIFIED"],
    tags: ["x", "y"],
    author: { fullName: "Pram", mentor: { born: 1900 } },
    published: "2026-01-31T08:30:00Z",
    loan: "3.500s",
    updateMask: "pageCount,author.fullName",
    subtitle: "s",
    signed: false,
  });
});

test("a query is refused with every violation: unknown, duplicate, second oneof member, message, wrong type, escape", () => {
  const { read } = bind({ template: "/v1/{name}" });
  const violations = violationsOf(() =>
    read(
      "/v1/n",
      "nope=1&page_count=1&pageCount=2&isbn=1&ean=2&sequels=x&author=x&extra=y&in_print=1&rating=%zz&name=q&tags.x=1",
    ),
  );
  assert.deepEqual(fieldsOf(violations).sort(), [
    "author",
    "ean",
    "extra",
    "in_print",
    "name",
    "nope",
    "page_count",
    "rating",
    "sequels",
    "tags.x",
  ]);
});

test("with body * a query binds nothing", () => {
  const { read } = bind({ method: "POST", template: "/v1/books", body: "*" });
  assert.deepEqual(fieldsOf(violationsOf(() => read("/v1/books", "name=x", {}))), ["name"]);
});

test("a body field may be a message, a scalar or a list; the query fills the rest", () => {
  assert.deepEqual(
    bind({ method: "POST", template: "/v1", body: "author" }).read("/v1", "name=n", { full_name: "Pram" }),
    { name: "n", author: { fullName: "Pram" } },
  );
  assert.deepEqual(bind({ method: "POST", template: "/v1", body: "page_count" }).read("/v1", "", "12"), {
    pageCount: 12,
  });
  assert.deepEqual(bind({ method: "POST", template: "/v1", body: "tags" }).read("/v1", "", ["a"]), {
    tags: ["a"],
  });
  assert.deepEqual(
    fieldsOf(
      violationsOf(() => bind({ method: "POST", template: "/v1", body: "author" }).read("/v1", "", { x: 1 })),
    ),
    ["author.x"],
  );
});

test("an empty body is the empty message", () => {
  assert.deepEqual(bind({ method: "POST", template: "/v1", body: "*" }).read("/v1", "", ""), {});
  assert.deepEqual(bind({ method: "POST", template: "/v1", body: "author" }).read("/v1", "", ""), {});
});

test("a body that does not fit is refused with the path of every field that is wrong", () => {
  const { read } = bind({ method: "POST", template: "/v1", body: "*" });
  const violations = violationsOf(() =>
    read("/v1", "", {
      name: 1,
      page_count: "x",
      in_print: "true",
      genre: "GENRE_NOPE",
      tags: ["ok", 5],
      author: { full_name: [], extra: 1 },
      sequels: [{}, { rating: "high" }],
      published: "yesterday",
      constructor: 1,
      cover: "***",
    }),
  );
  assert.deepEqual(fieldsOf(violations), [
    "name",
    "page_count",
    "in_print",
    "genre",
    "tags[1]",
    "author.full_name",
    "author.extra",
    "sequels[1].rating",
    "published",
    "constructor",
    "cover",
  ]);
  assert.equal(violations[0]!.description, "must be a string");
  assert.equal(violations[0]!.reason, "WRONG_TYPE");
  assert.match(violations[3]!.description, /GENRE_UNSPECIFIED, GENRE_NOVEL/);
});

test("violations are bounded in number", () => {
  const { read } = bind({ method: "POST", template: "/v1", body: "*" });
  const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`k${i}`, 1]));
  assert.equal(violationsOf(() => read("/v1", "", many)).length, 20);
});

test("a field given by both of its names, two members of a oneof and lone surrogates are violations", () => {
  const { read } = bind({ method: "POST", template: "/v1", body: "*" });
  assert.deepEqual(fieldsOf(violationsOf(() => read("/v1", "", { page_count: 1, pageCount: 2 }))), [
    "page_count",
  ]);
  assert.deepEqual(fieldsOf(violationsOf(() => read("/v1", "", { isbn: "1", ean: "2" }))), ["ean"]);
  assert.deepEqual(
    violationsOf(() => read("/v1", "", '{"name":"\\ud800"}')),
    [{ field: "name", description: "must be valid Unicode", reason: "INVALID_VALUE" }],
  );
});

test("__proto__ is an unknown field, deep nesting is refused, and a body of another kind is named body", () => {
  const { read } = bind({ method: "POST", template: "/v1", body: "*" });
  assert.deepEqual(fieldsOf(violationsOf(() => read("/v1", "", '{"__proto__":{"name":"x"}}'))), [
    "__proto__",
  ]);
  const deep = `${'{"sequels":['.repeat(150)}{}${"]}".repeat(150)}`;
  assert.equal(violationsOf(() => read("/v1", "", deep))[0]!.reason, "TOO_DEEP");
  for (const body of ["null", "[]", "1", '"x"']) {
    assert.deepEqual(fieldsOf(violationsOf(() => read("/v1", "", body))), ["body"]);
  }
});

test("JSON and UTF-8 errors are told without a word of the body", () => {
  const { binding } = bind({ method: "POST", template: "/v1", body: "*" });
  const invalid = violationsOf(() => binding.read([], "", Buffer.from('{"name": rahasia}')));
  assert.equal(invalid[0]!.reason, "INVALID_JSON");
  assert.doesNotMatch(JSON.stringify(invalid), /rahasia/);
  const bytes = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]);
  assert.equal(violationsOf(() => binding.read([], "", bytes))[0]!.reason, "INVALID_UTF8");
});

test("NUL bytes and emoji reach the message as they are", () => {
  const { read } = bind({ method: "POST", template: "/v1", body: "*" });
  assert.deepEqual(read("/v1", "", { name: "a\u0000b😀" }), { name: "a\u0000b😀" });
});

test("response_body picks a field, a list as a top-level array, and says what is not set", () => {
  const list = bind({ method: "POST", template: "/v1", body: "*", responseBody: "tags" });
  assert.deepEqual(list.read("/v1", "", { tags: ["a"] }), ["a"]);
  assert.deepEqual(list.read("/v1", "", {}), []);
  assert.equal(bind({ template: "/v1", responseBody: "author" }).read("/v1"), null);
  assert.equal(bind({ template: "/v1", responseBody: "name" }).read("/v1"), "");
});

test("unpopulated fields are written on demand", () => {
  assert.equal(bind({ template: "/v1" }, { emitUnpopulated: true }).read("/v1").pageCount, 0);
  assert.equal("pageCount" in bind({ template: "/v1" }).read("/v1"), false);
});

test("a PATCH without a mask changes the fields that its body has, not those of the path nor the etag", () => {
  const { read } = bind({ method: "PATCH", template: "/v1/{author.full_name}", body: "author" });
  const patched = read("/v1/Pram", "", { full_name: "ignored", born: null, mentor: { born: 1 } });
  assert.equal(patched.updateMask, "born,mentor.born");
  assert.equal(read("/v1/Pram", "update_mask=born", { mentor: {} }).updateMask, "born");
});

test("a rule that cannot work fails at start with file, method and reason", () => {
  const cases: [RuleSpec, RegExp][] = [
    [
      { template: "/v1/{nope}" },
      /test\/v1\/library.proto: test.v1.Library.M0: path variable: no field "nope"/,
    ],
    [{ template: "/v1/{tags}" }, /must not be or lie in a repeated field/],
    [{ template: "/v1/{sequels.name}" }, /"sequels.name" must not be or lie in a repeated field/],
    [{ template: "/v1/{author.mentor}" }, /cannot be a message/],
    [{ template: "/v1/{author.nope}" }, /path variable: no field "author.nope"/],
    [{ template: "/v1/{name.x}" }, /path variable: no field "name.x"/],
    [{ template: "/v1/{name}/{name}" }, /variable "name" is bound twice/],
    [{ template: "/v1/**/books" }, /"\*\*" must be the last segment/],
    [{ template: "/v1/{name=**}/books" }, /"\*\*" must be the last segment/],
    [{ template: "/v1/{name=**/books}" }, /"\*\*" must be the last segment/],
    [{ template: "v1" }, /must start with "\/"/],
    [{ template: "" }, /must start with "\/"/],
    [{ method: "", template: "/v1" }, /the rule has no HTTP method/],
    [{ template: "/v1", body: "author.born" }, /body: no field "author.born"/],
    [{ template: "/v1", responseBody: "*" }, /response_body: no field "\*"/],
    [{ template: "/v1/{author}" }, /cannot be a message/],
    [{ template: "/v1/{" }, /offset 5/],
    [{ template: "/v1", body: "nope" }, /body: no field/],
    [{ template: "/v1", responseBody: "nope" }, /response_body: no field/],
  ];
  for (const [rule, reason] of cases) {
    assert.throws(
      () => bind(rule),
      (error: Error) => error instanceof RuleError && reason.test(error.message),
    );
  }
});

test("additional_bindings within additional_bindings fail at start", () => {
  const nested = { template: "/b", additional: [{ template: "/c" }] };
  const method = buildService([{ template: "/a", additional: [nested] }]).methods[0]!;
  assert.throws(
    () => readHttpRules(method),
    (error: Error) =>
      error instanceof RuleError &&
      /^test\/v1\/library.proto: test.v1.Library.M0: additional_bindings cannot have additional_bindings/.test(
        error.message,
      ),
  );
});
