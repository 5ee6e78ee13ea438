import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { openDataDir } from "./data-dir.ts";
import { openLogFile } from "./log-file.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lampid-data-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("the data folder", () => {
  test("is made with its parents, and can be entered whatever the umask", () => {
    const before = process.umask(0o077);
    try {
      openDataDir(join(folder, "a/b")).close();
    } finally {
      process.umask(before);
    }
    assert.equal(statSync(join(folder, "a/b")).mode & 0o777, 0o755);
  });

  test("that is a file is named in one line", () => {
    writeFileSync(join(folder, "file"), "");
    assert.throws(
      () => openDataDir(join(folder, "file")),
      /^MeshError: LAMPID_DATA_DIR: .*file is not a folder$/,
    );
  });

  test("belongs to one mesh at a time, in this process too", () => {
    const first = openDataDir(folder);
    assert.throws(() => openDataDir(folder), /LAMPID_DATA_DIR: another mesh is running on/);
    first.close();
    openDataDir(folder).close();
  });

  test("is free again when its mesh was killed with -9", async () => {
    const holder = spawn(
      process.execPath,
      [
        "--expose-gc",
        "--input-type=module",
        "-e",
        `import { openDataDir } from ${JSON.stringify(join(import.meta.dirname, "data-dir.ts"))};
         openDataDir(${JSON.stringify(folder)}); await new Promise((done) => setTimeout(done, 10)); gc();
         console.log("locked"); setInterval(() => {}, 1000);`,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    await once(holder.stdout, "data");
    try {
      assert.throws(() => openDataDir(folder), /another mesh/);
    } finally {
      holder.kill("SIGKILL");
      await once(holder, "exit");
    }
    openDataDir(folder).close();
  });
});

describe("a log file", () => {
  test("keeps to its bound, and one file before it", () => {
    const path = join(folder, "x.log");
    const log = openLogFile(path, 100);
    for (let line = 0; line < 50; line++) log.write(`line ${line}\n`);
    assert.equal(log.lastLine(), "line 49");
    log.close();
    assert.ok(statSync(path).size <= 100);
    assert.ok(statSync(`${path}.1`).size <= 100);
    assert.match(readFileSync(path, "utf8"), /line 49\n$/);
  });
});
