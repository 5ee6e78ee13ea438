import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readQuarantineKeys } from "../integrasi/seal.ts";
import { settleQuarantineKey } from "./provision.ts";

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
