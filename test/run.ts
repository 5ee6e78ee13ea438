// `npm test`: unit, contract and component tests on a PostgreSQL of their own, then end-to-end tests on a mesh of their own.
// `npm run test:engines`: what needs Kafka, MongoDB or Keycloak, then the same end-to-end tests on a mesh that runs on them.
//
//   npm test                         everything that npm alone can run
//   npm run test:engines             everything that wants real engines: test/engines and test/e2e
//   npm test -- test/bus             only test files whose path contains one of the arguments
//   npm test -- --unit | --e2e       one half (of --engines: test/engines, test/e2e)
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../services/mesh/processes.ts";
import { type Engines, enginesMissing, startEngines } from "./engines/all.ts";
import { startTestPostgres } from "./harness/database.ts";
import { startTestMesh } from "./harness/mesh.ts";

/** A file that hangs is a bug; it is ended, and named. */
const FILE_TIMEOUT_MS = 240_000;

/**
 * They bring tens of thousands of cells of the ledger at once, one a kelurahan, for which the stand-in for MongoDB takes minutes. What
 * of them is the engines' is in test/engines: the store's contract, the bus's, and counting again.
 */
const TOO_MUCH_FOR_THE_STAND_IN = ["sync", "sync-kill"];

/** What they are about is the same whatever a mesh runs on: they are run once, on the embedded one. */
const KNOW_NO_ENGINE = new Set(
  [
    "backup",
    "bad-input",
    "clients",
    "lampid-random",
    "legacy",
    "overload",
    "pact",
    "portal",
    "reconcile",
    "retention",
    "status",
    "supervisor",
    ...TOO_MUCH_FOR_THE_STAND_IN,
  ].map((name) => join("test/e2e", `${name}.test.ts`)),
);

const options = new Set(process.argv.slice(2).filter((argument) => argument.startsWith("--")));
const filters = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
if (options.has("--help")) {
  console.log(
    "usage: npm test [-- [--unit|--e2e] [part of a path]...], and the same of npm run test:engines",
  );
  process.exit(0);
}

const isOnEngines = options.has("--engines");
const wanted = (path: string) => filters.length === 0 || filters.some((filter) => path.includes(filter));
const all = globSync("{services,gateway,proto,test}/**/*.test.ts", { cwd: ROOT }).sort().filter(wanted);
const within = (folder: string) => all.filter((path) => path.startsWith(join("test", folder)));
const endToEnd = options.has("--unit")
  ? []
  : within("e2e").filter((path) => !(isOnEngines && KNOW_NO_ENGINE.has(path)));
const others = options.has("--e2e")
  ? []
  : isOnEngines
    ? within("engines")
    : all.filter((path) => ![...within("e2e"), ...within("engines")].includes(path));

if (endToEnd.length + others.length === 0) {
  console.error(`no test file matches ${filters.join(" ")}`);
  process.exit(1);
}
process.exit((isOnEngines ? await runOnEngines() : await runEmbedded()) ? 0 : 1);

async function runEmbedded(): Promise<boolean> {
  let passed = true;
  if (others.length > 0) {
    const postgres = await startTestPostgres();
    try {
      passed = await runFiles(others, { LAMPID_TEST_POSTGRES_URL: postgres.superuserUrl }, 2);
    } finally {
      await postgres.stop();
    }
  }
  return (await runEndToEnd({})) && passed;
}

async function runOnEngines(): Promise<boolean> {
  const reason = enginesMissing();
  if (reason) {
    console.log(`skipped: ${reason}`);
    return true;
  }
  const engines: Engines = await startEngines();
  try {
    // Mostly they wait, for servers that they have killed: three at a time take two cores' time, not more.
    const passed = others.length === 0 || (await runFiles(others, testVariables(engines.env), 3));
    return (await runEndToEnd(engines.env)) && passed;
  } finally {
    await engines.stop();
  }
}

/** What tells test files where the engines are, without what would tell a mesh or a process. */
function testVariables(env: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => name.startsWith("LAMPID_TEST_")));
}

async function runEndToEnd(env: Record<string, string>): Promise<boolean> {
  if (endToEnd.length === 0) return true;
  Object.assign(process.env, env);
  const mesh = await startTestMesh();
  const { dataDir, documentsUrl } = mesh;
  try {
    // One at a time: they share the mesh, and some take its processes down.
    const shared = {
      LAMPID_TEST_MESH: dataDir,
      ...(documentsUrl ? { LAMPID_TEST_DOCUMENTS_URL: documentsUrl } : {}),
    };
    return await runFiles(endToEnd, shared, 1);
  } finally {
    await mesh.stop();
  }
}

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
