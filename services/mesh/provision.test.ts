import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readKunci } from "../dokumen/kunci.ts";
import { readQuarantineKeys } from "../integrasi/seal.ts";
import { settleDokumenKey, settleQuarantineKey } from "./provision.ts";

test("the key of the quarantine is made once, for its owner alone, as integrasi reads it", () => {
  const folder = mkdtempSync(join(tmpdir(), "lampid-key-"));
  try {
    const path = settleQuarantineKey(folder);
    const text = readFileSync(path, "utf8");
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(readQuarantineKeys(path).keys.size, 1);
    settleQuarantineKey(folder);
    assert.equal(readFileSync(path, "utf8"), text);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the key of documents is made once, for its owner alone, as dokumen reads it, and its public part lies beside it", () => {
  const folder = mkdtempSync(join(tmpdir(), "lampid-key-"));
  try {
    const path = settleDokumenKey(folder);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const { penanda, publik } = readKunci(path);
    assert.equal(penanda.kid, publik[0]!.kid);
    assert.equal(settleDokumenKey(folder), path);
    assert.deepEqual(readKunci(path).penanda, penanda);
    const published = readFileSync(join(folder, "dokumen-jwks.json"), "utf8");
    assert.deepEqual(JSON.parse(published), { keys: publik });
    assert.ok(!published.includes(penanda.d));

    // A new key in front of the old one, which signs no more and still verifies.
    writeFileSync(path, JSON.stringify({ keys: [{ ...penanda, kid: "next" }, publik[0]] }));
    settleDokumenKey(folder);
    const after = JSON.parse(readFileSync(join(folder, "dokumen-jwks.json"), "utf8"));
    assert.deepEqual(after.keys, [{ ...publik[0], kid: "next" }, publik[0]]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
