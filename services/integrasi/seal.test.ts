import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ConfigError } from "#chassis/config.ts";
import { Refused } from "#chassis/refusal.ts";
import { readQuarantineKeys, sealWith } from "./seal.ts";

const PLAIN = Buffer.from("3201014101600001 Siti");
const id = randomUUID();
const keysOf = (...numbers: number[]) => ({
  current: numbers[0]!,
  keys: new Map(numbers.map((number) => [number, randomBytes(32)])),
});

describe("a sealed row", () => {
  const seal = sealWith(keysOf(1));

  test("opens as it was, shows nothing of itself, and is sealed differently each time", () => {
    const sealed = seal.seal(id, PLAIN);
    assert.deepEqual(seal.open(id, sealed), PLAIN);
    assert.ok(!sealed.includes("3201014101600001") && !sealed.includes("Siti"));
    assert.notDeepEqual(seal.seal(id, PLAIN), sealed);
    assert.deepEqual(seal.open(id, seal.seal(id, Buffer.alloc(0))), Buffer.alloc(0));
  });

  test("does not open under another id, nor with a byte changed, nor cut off", () => {
    const sealed = seal.seal(id, PLAIN);
    assert.throws(() => seal.open(randomUUID(), sealed), isUnreadable);
    for (const at of [1, 13, sealed.length - 1]) {
      const changed = Buffer.from(sealed);
      changed[at]! ^= 1;
      assert.throws(() => seal.open(id, changed), isUnreadable);
    }
    for (const length of [0, 1, 28])
      assert.throws(() => seal.open(id, sealed.subarray(0, length)), isUnreadable);
  });

  test("does not open with another key of the same number, and says which key is missing", () => {
    const sealed = seal.seal(id, PLAIN);
    assert.throws(() => sealWith(keysOf(1)).open(id, sealed), /key 1 .* is not the one it was sealed with/);
    assert.throws(
      () => sealWith(keysOf(2)).open(id, sealed),
      /sealed with key 1, which LAMPID_QUARANTINE_KEY_FILE/,
    );
  });

  test("opens after the key was changed, while the old one is kept", () => {
    const { keys } = keysOf(1, 2);
    const sealed = sealWith({ current: 1, keys }).seal(id, PLAIN);
    const rotated = sealWith({ current: 2, keys });
    assert.deepEqual(rotated.open(id, sealed), PLAIN);
    assert.equal(rotated.seal(id, PLAIN)[0], 2);
  });
});

describe("the key file", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "lampid-key-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  const write = (text: string, mode = 0o600) => {
    const path = join(folder, randomUUID());
    writeFileSync(path, text, { mode });
    return path;
  };

  test("holds one key in base64 or hex", () => {
    const key = randomBytes(32);
    for (const text of [
      key.toString("base64"),
      key.toString("hex"),
      key.toString("base64url"),
      `\n${key.toString("hex")}\n`,
    ]) {
      const { current, keys } = readQuarantineKeys(write(text));
      assert.deepEqual([current, keys.get(1)], [1, key]);
    }
  });

  test("holds several, of which the first seals", () => {
    const [one, two] = [randomBytes(32), randomBytes(32)];
    const { current, keys } = readQuarantineKeys(
      write(`2:${two.toString("base64")}\n1:${one.toString("hex")}\n`),
    );
    assert.equal(current, 2);
    assert.deepEqual([keys.get(1), keys.get(2)], [one, two]);
  });

  test("that is missing, open to everybody, empty or wrong stops the process, by name, and is not quoted", () => {
    const secret = randomBytes(31).toString("base64");
    for (const [path, says] of [
      [join(folder, "none"), /ENOENT/],
      [write(randomBytes(32).toString("hex"), 0o644), /chmod 600/],
      [write(""), /nothing in/],
      [write(secret), /something else in/],
      [write(`256:${randomBytes(32).toString("hex")}`), /something else in/],
      [write(`1:${"ab".repeat(32)}\n1:${"cd".repeat(32)}`), /key 1 twice/],
    ] as const) {
      assert.throws(
        () => readQuarantineKeys(path),
        (cause: Error) => {
          assert.ok(cause instanceof ConfigError);
          assert.match(cause.message, /^LAMPID_QUARANTINE_KEY_FILE: expected a file with 32 bytes/);
          assert.match(cause.message, says);
          assert.ok(!cause.message.includes(secret));
          return true;
        },
      );
    }
  });
});

function isUnreadable(cause: unknown): boolean {
  return cause instanceof Refused && cause.refusal.reason === "KARANTINA_UNREADABLE";
}
