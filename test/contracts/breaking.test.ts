import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ROOT } from "../../services/mesh/processes.ts";

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

test("contracts as released pass the breaking step", () => {
  assert.equal(runStep(copyOfContracts(), "breaking").status, 0);
});

test("a removed field, a changed type and a renamed JSON member each fail it", () => {
  const breaks: [string, string][] = [
    [
      "  // Account name. Required, 1 to 64 characters.\n  string username = 1",
      "  // Gone.\n  string username = 9",
    ],
    ["string password = 2", "bytes password = 2"],
    ['json_name = "access_token"', 'json_name = "accessToken"'],
  ];
  for (const [from, to] of breaks) {
    const copy = copyOfContracts();
    edit(copy, from, to);
    const { status, stderr } = runStep(copy, "breaking");
    assert.equal(status, 1, to);
    assert.match(stderr, /break what was released/);
  }
});

test("a new field passes it", () => {
  const copy = copyOfContracts();
  edit(
    copy,
    "// LoginRequest carries",
    "// Extra is new.\nmessage Extra {\n  // Text.\n  string text = 1;\n}\n\n// LoginRequest carries",
  );
  assert.equal(runStep(copy, "breaking").status, 0);
});

test("a broken contract whose image was replaced as well fails against the commit before", () => {
  const copy = copyOfContracts();
  edit(copy, "string password = 2", "bytes password = 2");
  const buf = join(ROOT, "node_modules/.bin/buf");
  assert.equal(
    spawnSync(buf, ["build", "--path", "proto/lampid", "-o", "proto/released.binpb"], { cwd: copy }).status,
    0,
  );
  const { status, stderr } = runStep(copy, "breaking");
  assert.equal(status, 1);
  assert.match(stderr, /released\.binpb breaks the one of commit/);
});

test("contracts:release refuses a break and leaves the image alone", () => {
  const copy = copyOfContracts();
  const before = readFileSync(join(copy, "proto/released.binpb"));
  edit(copy, "string password = 2", "bytes password = 2");
  const { status, stderr } = runStep(copy, "release");
  assert.equal(status, 1);
  assert.match(stderr, /a release may not break the one before/);
  assert.ok(before.equals(readFileSync(join(copy, "proto/released.binpb"))));
});

/** A repository of its own with one commit: contracts and image, as they are. */
function copyOfContracts(): string {
  const folder = mkdtempSync(join(tmpdir(), "lampid-breaking-"));
  folders.push(folder);
  for (const path of ["proto", "buf.yaml", "buf.gen.yaml"])
    cpSync(join(ROOT, path), join(folder, path), { recursive: true });
  const identity = [
    "-c",
    "user.name=test",
    "-c",
    "user.email=test@example.test",
    "-c",
    "commit.gpgsign=false",
  ];
  for (const args of [
    ["init", "-q"],
    ["add", "."],
    [...identity, "commit", "-qm", "release"],
  ]) {
    assert.equal(spawnSync("git", args, { cwd: folder }).status, 0);
  }
  return folder;
}

function edit(folder: string, from: string, to: string): void {
  const path = join(folder, "proto/lampid/auth/v1/auth_service.proto");
  const text = readFileSync(path, "utf8");
  assert.ok(text.includes(from), `the contract no longer holds: ${from}`);
  writeFileSync(path, text.replace(from, to));
}

function runStep(folder: string, step: string) {
  const script = join(ROOT, "proto/tools/contracts.ts");
  return spawnSync(process.execPath, [script, step, "--root", folder], { encoding: "utf8" });
}
