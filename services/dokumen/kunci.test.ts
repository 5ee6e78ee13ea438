import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { readKunci } from "./kunci.ts";

const X = "A".repeat(43);
const D = "B".repeat(43);
const key = (over: object = {}) => ({ kty: "OKP", crv: "Ed25519", x: X, d: D, kid: "2026", ...over });

let folder: string;
let path: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "lampid-kunci-"));
  path = join(folder, "keys.json");
});
after(() => rmSync(folder, { recursive: true }));

function read(content: unknown, mode = 0o600) {
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  chmodSync(path, mode);
  return readKunci(path);
}

describe("the key file", () => {
  test("has the key that signs first, and public keys after it", () => {
    const { penanda, publik } = read({ keys: [key(), key({ kid: "2025", d: undefined })] });
    assert.deepEqual([penanda.kid, penanda.d], ["2026", D]);
    assert.deepEqual(
      publik.map(({ kid }) => kid),
      ["2026", "2025"],
    );
    assert.ok(!JSON.stringify(publik).includes(D), "no secret part is published");
  });

  test("that is wrong is refused by its variable, and not quoted", () => {
    const wrong: [unknown, RegExp][] = [
      ["rahasia", /cannot be read/],
      [{}, /no keys/],
      [{ keys: [] }, /no keys/],
      [{ keys: [key({ d: undefined })] }, /without "d"/],
      [{ keys: [key({ d: "rahasia" })] }, /without "d"/],
      [{ keys: [key({ kty: "RSA" })] }, /another kind/],
      [{ keys: [key({ kid: "" })] }, /another kind/],
      [{ keys: [key({ x: "rahasia" })] }, /another kind/],
      [{ keys: [key(), "rahasia"] }, /another kind/],
      [{ keys: [key(), key()] }, /two keys of one kid/],
    ];
    for (const [content, why] of wrong) {
      assert.throws(
        () => read(content),
        ({ message }: Error) => {
          assert.match(message, /^LAMPID_DOKUMEN_KEY_FILE: /);
          assert.match(message, why);
          assert.ok(!message.includes("rahasia"));
          return true;
        },
      );
    }
  });

  test("that everybody may read, or that is not there, is refused", () => {
    assert.throws(() => read({ keys: [key()] }, 0o644), /everybody/);
    assert.throws(() => readKunci(join(folder, "none.json")), /cannot be read/);
  });
});
