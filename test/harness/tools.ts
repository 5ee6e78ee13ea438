// Command line tools that tests run: found on PATH or in the cache, else built into the cache with Go.
import { execFileSync, spawnSync } from "node:child_process";
import { accessSync, constants, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

const GRPCURL = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4";
const BUILD_TIMEOUT_MS = 10 * 60_000;

/**
 * Where grpcurl is. Without it and without Go the test is to be skipped for `skip`; with CI=true that is an error, since
 * a test that CI skips is a test nobody runs.
 */
export function findGrpcurl(env = process.env): { path: string; skip: false } | { path: ""; skip: string } {
  const bin = join(cacheDir(env), "bin");
  const found = [...(env.PATH ?? "").split(delimiter), bin]
    .map((folder) => join(folder, "grpcurl"))
    .find(isProgram);
  if (found) return { path: found, skip: false };
  const missing = "grpcurl is neither on PATH nor in the cache, and there is no Go to build it with";
  if (spawnSync("go", ["version"]).status !== 0) {
    if (env.CI === "true") throw new Error(missing);
    return { path: "", skip: missing };
  }
  mkdirSync(bin, { recursive: true });
  console.log(`building ${GRPCURL} into ${bin}, once ...`);
  execFileSync("go", ["install", GRPCURL], {
    env: { ...env, GOBIN: bin, GOFLAGS: "" },
    stdio: ["ignore", "ignore", "inherit"],
    timeout: BUILD_TIMEOUT_MS,
  });
  return { path: join(bin, "grpcurl"), skip: false };
}

function cacheDir(env: NodeJS.ProcessEnv): string {
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
