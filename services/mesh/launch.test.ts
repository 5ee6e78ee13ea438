import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";

const LOCK = JSON.stringify({
  lockfileVersion: 3,
  packages: {
    "": { name: "x" },
    "node_modules/a": { version: "1.0.0", integrity: "sha512-a" },
    "node_modules/elsewhere": { version: "1.0.0", integrity: "sha512-e", optional: true, os: ["plan9"] },
  },
});

/** In place of npm: notes that it was called, takes a while, and leaves what npm leaves. */
const NPM = `#!/bin/sh
echo "$@" >> "$PWD/npm-calls"
if [ -n "$FAKE_NPM_FAILS" ]; then
  echo "npm error code ECONNREFUSED" >&2
  echo "npm error network request to https://registry failed" >&2
  echo "npm error A complete log of this run can be found in: /x" >&2
  exit 1
fi
rm -rf node_modules
sleep 0.5
mkdir -p node_modules/.bin
ln -s "$FAKE_NODE" node_modules/.bin/node
`;

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "lampid-launch-"));
  mkdirSync(join(root, "services/mesh"), { recursive: true });
  mkdirSync(join(root, "bin"));
  cpSync(join(import.meta.dirname, "launch.mjs"), join(root, "services/mesh/launch.mjs"));
  writeFileSync(join(root, "package-lock.json"), LOCK);
  writeFileSync(join(root, "bin/npm"), NPM);
  chmodSync(join(root, "bin/npm"), 0o755);
  writeFileSync(join(root, "hello.mjs"), 'console.log("hello", process.argv.slice(2).join(" "));');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function start(args: string[], env: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, ["services/mesh/launch.mjs", ...args], {
    cwd: root,
    env: { PATH: `${join(root, "bin")}:${process.env.PATH}`, FAKE_NODE: process.execPath, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function launch(args: string[], env: Record<string, string> = {}) {
  const child = start(args, env);
  let out = "";
  let err = "";
  child.stdout?.on("data", (chunk) => {
    out += chunk;
  });
  child.stderr?.on("data", (chunk) => {
    err += chunk;
  });
  const [code] = await once(child, "close");
  return { code, out, err };
}

function npmCalls(): string[] {
  const path = join(root, "npm-calls");
  return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
}

describe("the launcher", () => {
  test("installs what the lock file says, then runs the script with its arguments", async () => {
    const { code, out } = await launch(["hello.mjs", "a", "b c"]);
    assert.equal(code, 0);
    assert.equal(out, "hello a b c\n");
    assert.equal(npmCalls().length, 1);
    assert.match(npmCalls()[0] ?? "", /^ci /);
  });

  test("installs nothing when that is current, and again when the lock file has changed", async () => {
    await launch(["hello.mjs"]);
    const { err } = await launch(["hello.mjs"]);
    assert.equal(err, "");
    assert.equal(npmCalls().length, 1);
    writeFileSync(join(root, "package-lock.json"), LOCK.replace("1.0.0", "1.0.1"));
    await launch(["hello.mjs"]);
    assert.equal(npmCalls().length, 2);
  });

  test("two at the same time install once, and leave no lock", async () => {
    const results = await Promise.all([launch(["hello.mjs"]), launch(["hello.mjs"]), launch(["hello.mjs"])]);
    assert.deepEqual(
      results.map(({ out }) => out),
      ["hello \n", "hello \n", "hello \n"],
    );
    assert.equal(npmCalls().length, 1);
    assert.deepEqual(
      readdirSync(root).filter((name) => name.startsWith(".npm-ci")),
      [],
    );
  });

  test("takes the lock of a dead process over", async () => {
    writeFileSync(join(root, ".npm-ci.lock"), "999999999\n");
    assert.equal((await launch(["hello.mjs"])).code, 0);
    assert.ok(!existsSync(join(root, ".npm-ci.lock")));
  });

  test("believes an npm ci that was run by hand", async () => {
    mkdirSync(join(root, "node_modules/.bin"), { recursive: true });
    symlinkSync(process.execPath, join(root, "node_modules/.bin/node"));
    const installed = { packages: { "node_modules/a": { version: "1.0.0", integrity: "sha512-a" } } };
    writeFileSync(join(root, "node_modules/.package-lock.json"), JSON.stringify(installed));
    assert.equal((await launch(["hello.mjs"])).code, 0);
    assert.equal(npmCalls().length, 0);
  });

  test("does not believe one of another lock file", async () => {
    mkdirSync(join(root, "node_modules"));
    const installed = { packages: { "node_modules/a": { version: "0.9.0", integrity: "sha512-b" } } };
    writeFileSync(join(root, "node_modules/.package-lock.json"), JSON.stringify(installed));
    await launch(["hello.mjs"]);
    assert.equal(npmCalls().length, 1);
  });

  test("says in one line why npm ci failed, and leaves no lock and no stamp", async () => {
    const { code, out, err } = await launch(["hello.mjs"], { FAKE_NPM_FAILS: "1" });
    assert.equal(code, 1);
    assert.equal(out, "");
    assert.equal(
      err,
      "installing the packages of package-lock.json (npm ci) ...\n" +
        "npm ci failed (1): ECONNREFUSED: network request to https://registry failed\n",
    );
    assert.ok(!existsSync(join(root, ".npm-ci.lock")));
  });

  test("passes the exit code through", async () => {
    writeFileSync(join(root, "ends.mjs"), "process.exit(7);");
    assert.equal((await launch(["ends.mjs"])).code, 7);
  });

  test("passes signals on, and the way the script ended by them", async () => {
    writeFileSync(
      join(root, "waits.mjs"),
      'process.on("SIGTERM", () => { console.log("told"); process.exit(3); }); setInterval(() => {}, 1000); console.log("up");',
    );
    const child = start(["waits.mjs"]);
    const lines: string[] = [];
    child.stdout?.on("data", (chunk) => {
      lines.push(String(chunk));
      if (lines.length === 1) child.kill("SIGTERM");
    });
    assert.deepEqual(await once(child, "close"), [3, null]);
    assert.deepEqual(lines, ["up\n", "told\n"]);
  });

  test("a script sees the launcher's end, even by kill -9", async () => {
    writeFileSync(
      join(root, "sees.mjs"),
      `import { writeFileSync } from "node:fs";
       process.on("disconnect", () => { writeFileSync("seen", ""); process.exit(); }); console.log("up");`,
    );
    const child = start(["sees.mjs"]);
    await once(child.stdout as NodeJS.ReadableStream, "data");
    child.kill("SIGKILL");
    await once(child, "close");
    assert.ok(existsSync(join(root, "seen")));
  });

  test("a script is told to end when npm, its shell, is gone", async () => {
    writeFileSync(
      join(root, "owned.mjs"),
      `import { writeFileSync } from "node:fs";
       process.on("SIGTERM", () => { writeFileSync("told", ""); process.exit(); });
       setInterval(() => {}, 1000); console.log("up");`,
    );
    // Two commands, so that the shell stays the launcher's parent, as npm's does.
    const shell = spawn("sh", ["-c", `"${process.execPath}" services/mesh/launch.mjs owned.mjs; true`], {
      cwd: root,
      env: {
        PATH: `${join(root, "bin")}:${process.env.PATH}`,
        FAKE_NODE: process.execPath,
        npm_lifecycle_event: "x",
      },
    });
    await once(shell.stdout as NodeJS.ReadableStream, "data");
    shell.kill("SIGTERM");
    await once(shell, "close");
    assert.ok(existsSync(join(root, "told")));
  });

  test("without a script it says how it is used", async () => {
    const { code, err } = await launch([]);
    assert.equal(code, 1);
    assert.match(err, /^usage: .*\n$/);
  });
});
