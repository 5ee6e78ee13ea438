// Command line tools that tests run: found on PATH or in the cache, else built into the cache with Go, once.
//
//   node test/harness/tools.ts     builds all of them, so that no test has to wait for it
import { spawnSync } from "node:child_process";
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** By program name. A version that is on PATH already will do. */
const TOOLS = {
  grpcurl: "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4",
  connectconformance: "connectrpc.com/conformance/cmd/connectconformance@v1.0.6",
  "toxiproxy-server": "github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0",
} as const;

export type ToolName = keyof typeof TOOLS;

const BUILD_TIMEOUT_MS = 10 * 60_000;

if (import.meta.main) for (const name of Object.keys(TOOLS)) console.log(findTool(name as ToolName).path);

/**
 * Where a tool is. Without it and without Go the test is to be skipped for `skip`; with CI=true that is an error, since
 * a test that CI skips is a test nobody runs.
 */
export function findTool(
  name: ToolName,
  env = process.env,
): { path: string; skip: false } | { path: ""; skip: string } {
  const bin = join(cacheDir(env), "bin");
  const found = [...(env.PATH ?? "").split(delimiter), bin]
    .map((folder) => join(folder, name))
    .find(isProgram);
  if (found) return { path: found, skip: false };
  if (spawnSync("go", ["version"]).status !== 0) {
    const skip = `${name} is neither on PATH nor in ${bin}, and there is no Go to build it with`;
    if (env.CI === "true") throw new Error(skip);
    return { path: "", skip };
  }
  mkdirSync(bin, { recursive: true });
  console.log(`building ${TOOLS[name]} into ${bin}, once ...`);
  const stage = mkdtempSync(join(bin, ".build-"));
  try {
    const built = spawnSync("go", ["install", TOOLS[name]], {
      env: { ...env, GOBIN: stage, GOFLAGS: "" },
      stdio: ["ignore", "ignore", "inherit"],
      timeout: BUILD_TIMEOUT_MS,
    });
    if (built.status !== 0) throw new Error(`go install ${TOOLS[name]} did not succeed`);
    // Go names a program after its package's folder, which need not be its name.
    renameSync(join(stage, readdirSync(stage)[0]!), join(bin, name));
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
  return { path: join(bin, name), skip: false };
}

/** Where programs that tests run are kept; LAMPID_CACHE_DIR moves it. */
export function cacheDir(env: NodeJS.ProcessEnv = process.env): string {
  return env.LAMPID_CACHE_DIR || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "lampid-engines");
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
