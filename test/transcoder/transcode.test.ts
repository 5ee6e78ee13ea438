// The transcode command: what it says when it cannot start.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema, file_google_protobuf_empty } from "@bufbuild/protobuf/wkt";
import { ROOT } from "../../services/mesh/processes.ts";

const folder = mkdtempSync(join(tmpdir(), "transcode-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function run(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const script = join(ROOT, "gateway/transcoder/transcode.ts");
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { timeout: 30_000 }, (failure, out, error) => {
      resolve({ code: failure === null ? 0 : Number(failure.code), out, error });
    });
  });
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test("--help says what there is", async () => {
  const { code, out } = await run("--help");
  assert.equal(code, 0);
  assert.match(out, /^usage: transcode --descriptors FILE --upstream URL/);
});

test("what is wrong with its options and files is one line that says what to do", async () => {
  const empty = file(
    "empty.binpb",
    toBinary(
      FileDescriptorSetSchema,
      create(FileDescriptorSetSchema, { file: [file_google_protobuf_empty.proto] }),
    ),
  );
  const upstream = ["--upstream", "http://127.0.0.1:1"];
  const set = ["--descriptors", empty, ...upstream];
  const table: [string[], RegExp][] = [
    [[], /--descriptors and --upstream are needed/],
    [["--nonsense"], /--nonsense.*--help/],
    [["--descriptors", join(folder, "none.binpb"), ...upstream], /none.binpb: there is no such file$/],
    [
      ["--descriptors", file("text.binpb", "no descriptors"), ...upstream],
      /must be a FileDescriptorSet with all/,
    ],
    [["--descriptors", empty, "--upstream", "127.0.0.1:9090"], /--upstream must be http:\/\/host:port/],
    [[...set, "--dialect", "envoy"], /--dialect must be default or grpc-gateway, not envoy/],
    [[...set, "--port", "70000"], /--port must be a whole number up to 65535/],
    [[...set, "--service", "a.B"], /--service a.B is not among the descriptors, which have: none/],
    [[...set, "--service-config", file("a.yaml", "http: {}")], /a.yaml: has no list http.rules/],
    [[...set, "--service-config", file("b.json", "{")], /--service-config .*b.json: /],
    [
      [...set, "--service-config", file("c.yaml", "http: {rules: [{selector: a.B.C, get: /x}]}")],
      /the selector "a.B.C" names no method/,
    ],
    [set, /no method has a google.api.http annotation; --service-config can give them rules/],
  ];
  for (const [args, says] of table) {
    const { code, error } = await run(...args);
    assert.match(error.trimEnd(), says);
    assert.deepEqual(
      [code, error.trimEnd().split("\n").length, error.startsWith("transcode: ")],
      [2, 1, true],
      error,
    );
  }
});
