import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConfigError, configReader } from "./config.ts";

const fails = (read: () => unknown, ...parts: string[]) =>
  assert.throws(read, (cause) => {
    assert.ok(cause instanceof ConfigError);
    for (const part of parts) assert.ok(cause.message.includes(part), cause.message);
    assert.ok(!cause.message.includes("\n"), "one line");
    return true;
  });

describe("a variable that is not set, or empty,", () => {
  test("gives the fallback", () => {
    for (const env of [{}, { X: "" }, { X: undefined }]) {
      const config = configReader(env);
      assert.equal(config.string("X", "here"), "here");
      assert.equal(config.integer("X", { min: 0, max: 9, fallback: 7 }), 7);
      assert.equal(config.boolean("X", true), true);
      assert.equal(config.oneOf("X", ["a", "b"], "b"), "b");
      assert.equal(config.url("X", ["http:"], "http://here"), "http://here");
      assert.equal(config.optional("X"), undefined);
    }
  });

  test("fails by name, with what was expected, when there is no fallback", () => {
    const config = configReader({});
    fails(() => config.string("LAMPID_X"), "LAMPID_X", "not set");
    fails(() => config.integer("LAMPID_X", { min: 1, max: 9 }), "LAMPID_X", "from 1 to 9");
    fails(() => config.oneOf("LAMPID_X", ["a", "b"]), "LAMPID_X", "a, b");
    fails(() => config.url("LAMPID_X", ["smtp:"]), "LAMPID_X", "smtp://");
  });
});

test("an integer is one, and within its range", () => {
  const read = (X: string) => configReader({ X }).integer("X", { min: -5, max: 10 });
  assert.equal(read("10"), 10);
  assert.equal(read("-5"), -5);
  for (const bad of ["11", "-6", "1.5", "1e1", " 1", "0x1", "NaN", "one"]) {
    fails(() => read(bad), "X", "-5 to 10", bad);
  }
});

test("a boolean is true, false, 1 or 0, and no name that every object has", () => {
  const read = (X: string) => configReader({ X }).boolean("X", false);
  assert.deepEqual(["true", "1", "false", "0"].map(read), [true, true, false, false]);
  for (const bad of ["yes", "TRUE", "constructor", "toString", "__proto__"]) {
    fails(() => read(bad), "true or false");
  }
});

test("a choice is one of those allowed", () => {
  assert.equal(configReader({ X: "b" }).oneOf("X", ["a", "b"]), "b");
  fails(() => configReader({ X: "c" }).oneOf("X", ["a", "b"]), "X", "a, b", "c");
});

test("a URL has one of the protocols, and a bad one is not printed, for it may hold a password", () => {
  const read = (X: string) => configReader({ X }).url("X", ["postgres:", "postgresql:"]);
  assert.equal(read("postgres://a:geheim@db/x"), "postgres://a:geheim@db/x");
  for (const bad of ["http://a:geheim@db", "geheim"]) {
    assert.throws(
      () => read(bad),
      (cause) => cause instanceof ConfigError && !cause.message.includes("geheim"),
    );
  }
});
