import assert from "node:assert/strict";
import { test } from "node:test";
import { traceIdOf, traceparentFrom } from "./trace-context.ts";

const header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

test("a well-formed header is kept, and its trace id is what logs carry", () => {
  assert.equal(traceparentFrom(header), header);
  assert.equal(traceIdOf(header), "4bf92f3577b34da6a3ce929d0e0e4736");
});

test("a header that is missing or malformed is replaced by a new, unsampled context", () => {
  const bad = [
    undefined,
    null,
    "",
    "x",
    header.toUpperCase(),
    `${header}\n`,
    `ff${header.slice(2)}`,
    // All zeros is no id (W3C Trace Context, 3.2.2.3 and 3.2.2.4).
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
  ];
  for (const each of bad) {
    const made = traceparentFrom(each);
    assert.match(made, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    assert.notEqual(made, each);
  }
});

test("10,000 new contexts are all different, so the pool of random bytes is never read twice", () => {
  const made = Array.from({ length: 10_000 }, () => traceparentFrom(null));
  assert.equal(new Set(made.map(traceIdOf)).size, made.length);
  assert.equal(new Set(made.map((each) => each.split("-")[2])).size, made.length);
});

test("what is no context has no trace id", () => {
  assert.equal(traceIdOf("x"), "");
});
