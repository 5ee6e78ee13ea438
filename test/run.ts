// `npm test`: unit, contract and component tests on a PostgreSQL of their own, then end-to-end tests on a mesh of their own.
//
//   npm test                         everything
//   npm test -- test/bus             only test files whose path contains one of the arguments
//   npm test -- --unit | --e2e       one half
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../services/mesh/processes.ts";
import { startTestPostgres } from "./harness/database.ts";
import { startTestMesh } from "./harness/mesh.ts";

/** A file that hangs is a bug; it is ended, and named. */
const FILE_TIMEOUT_MS = 240_000;

const options = new Set(process.argv.slice(2).filter((argument) => argument.startsWith("--")));
const filters = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
if (options.has("--help")) {
  console.log("usage: npm test [-- [--unit|--e2e] [part of a path]...]");
  process.exit(0);
}

const wanted = (path: string) => filters.length === 0 || filters.some((filter) => path.includes(filter));
const all = globSync("{services,gateway,proto,test}/**/*.test.ts", { cwd: ROOT }).sort().filter(wanted);
const endToEnd = all.filter((path) => path.startsWith(join("test", "e2e")));
const others = all.filter((path) => !endToEnd.includes(path));

let failed = false;
if (!options.has("--e2e") && others.length > 0) {
  const postgres = await startTestPostgres();
  try {
    failed = !(await runFiles(others, { LAMPID_TEST_POSTGRES_URL: postgres.superuserUrl }, 2)) || failed;
  } finally {
    await postgres.stop();
  }
}
if (!options.has("--unit") && endToEnd.length > 0) {
  const mesh = await startTestMesh();
  try {
    // One at a time: they share the mesh, and some take its processes down.
    failed = !(await runFiles(endToEnd, { LAMPID_TEST_MESH: mesh.dataDir }, 1)) || failed;
  } finally {
    await mesh.stop();
  }
}
if (all.length === 0) {
  console.error(`no test file matches ${filters.join(" ")}`);
  failed = true;
}
process.exit(failed ? 1 : 0);

function runFiles(files: string[], env: Record<string, string>, concurrency: number): Promise<boolean> {
  const args = [
    "--test",
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${FILE_TIMEOUT_MS}`,
    "--test-reporter=spec",
  ];
  const child = spawn(process.execPath, [...args, ...files], {
    cwd: ROOT,
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  return new Promise((resolve) => child.on("exit", (code) => resolve(code === 0)));
}
