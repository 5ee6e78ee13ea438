// `npm run test:fuzz`: schemathesis calls every REST operation of a mesh of its own with what the OpenAPI document allows and
// what it does not. No answer may be a 500, or another than the document says: in status, type, headers or body.
//
//   npm run test:fuzz                        LAMPID_TEST_SEED=n for another seed, -- --include-path-regex penduduk for a part
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startTestMesh } from "../harness/mesh.ts";
import { login } from "../harness/rest.ts";
import { findSchemathesis } from "./schemathesis.ts";

/** The same calls in every run, unless asked for others. */
const SEED = process.env.LAMPID_TEST_SEED || "1";
const EXAMPLES = "10";
const TIMEOUT_MS = 180_000;
const CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_schema_conformance",
  "response_headers_conformance",
];

const { path, skip } = findSchemathesis();
if (skip) {
  console.log(`skipped: ${skip}`);
  process.exit(0);
}
console.log(`seed ${SEED} (LAMPID_TEST_SEED=${SEED} repeats it)`);
// Runs of synchronisation are among what is called: of a hub that they are soon through with.
const mesh = await startTestMesh({ LAMPID_HUB_PENDUDUK: "2000" });
const folder = mkdtempSync(join(tmpdir(), "lampid-fuzz-"));
try {
  const gateway = mesh.urls.gateway!;
  process.exitCode = await fuzz(gateway, await login(gateway, "pusat"));
} finally {
  rmSync(folder, { recursive: true, force: true });
  await mesh.stop();
}

function fuzz(gateway: string, token: string): Promise<number> {
  const args = [
    ["run", `${gateway}/openapi.json`, "--no-color", "--warnings=off", "--continue-on-failure"],
    ["--header", `Authorization: Bearer ${token}`],
    // Streams that watch something would last for an hour.
    ["--header", "X-Server-Timeout: 5", "--request-timeout", "15"],
    // This one has no end of its own: at the deadline it breaks off, which is how a stream says that something went wrong.
    ["--exclude-path", "/v1/laporan:watch"],
    ["--checks", CHECKS.join(",")],
    ["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", SEED, "--workers", "1"],
    process.argv.slice(2),
  ].flat();
  const child = spawn(path, args, { cwd: folder, stdio: "inherit" });
  const timer = setTimeout(() => {
    console.error(`not done within ${TIMEOUT_MS / 1000} s`);
    child.kill("SIGKILL");
  }, TIMEOUT_MS);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => {
      clearTimeout(timer);
      resolve(code ?? 1);
    });
  });
}
