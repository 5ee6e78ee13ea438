import assert from "node:assert/strict";
import { test } from "node:test";
import { sampleOf, toEcmaPattern } from "./pattern.ts";

test("a pattern of RE2 becomes one of ECMAScript where there is one", () => {
  assert.equal(toEcmaPattern("\\Aa\\z"), "^a$");
  assert.equal(toEcmaPattern("(?P<year>[0-9]{4})"), "(?<year>[0-9]{4})");
  assert.equal(toEcmaPattern("^[[:alpha:]_]+$"), "^[A-Za-z_]+$");
  assert.equal(toEcmaPattern("^\\p{L}+$"), "^\\p{L}+$");
  assert.equal(toEcmaPattern("(?i)abc"), undefined);
  assert.equal(toEcmaPattern("\\pN\\Qa.b\\E"), undefined);
});

test("a sample matches its pattern and is the same every time", () => {
  const patterns = [
    "^[0-9]{16}$",
    "^penduduk/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    "^(ID|[0-9]{2}(\\.[0-9]{2})?)$",
    "^[\\p{L}\\p{M}' .,-]*\\p{L}[\\p{L}\\p{M}' .,-]*$",
    "^[A-Za-z0-9][A-Za-z0-9._-]{2,63}$",
    "^(?:|x)\\d+?[^a-c]$",
    "\\.\\x41\\u0042",
  ];
  for (const pattern of patterns) {
    const sample = sampleOf(pattern)!;
    assert.match(sample, new RegExp(pattern, "u"));
    assert.equal(sampleOf(pattern), sample);
  }
  assert.equal(sampleOf("^[0-9]{16}$"), "1234567891234567");
});

test("a sample is as long as it is asked to be, where the pattern lets it", () => {
  assert.ok(sampleOf("^[a-z]+$", 20)!.length >= 20);
  assert.equal(sampleOf("^[a-z]{2}$", 20), undefined);
});

test("there is no sample of what cannot be understood or satisfied", () => {
  assert.equal(sampleOf("(?=a)b"), undefined);
  assert.equal(sampleOf("(a)\\1"), undefined);
  assert.equal(sampleOf("a^b"), undefined);
});
