// schemathesis, in a Python environment of its own in the cache; made once for a requirements.txt.
//
//   node test/fuzz/schemathesis.ts     makes it, so that no run has to wait for it
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { cacheDir } from "../harness/tools.ts";

const REQUIREMENTS = join(import.meta.dirname, "requirements.txt");
const INSTALL_TIMEOUT_MS = 5 * 60_000;
/** The oldest that the requirements run on. */
const PYTHON = "import sys; sys.exit(sys.version_info < (3, 10))";

if (import.meta.main) console.log(findSchemathesis().path);

/** Without Python the run is to be skipped for `skip`; with CI=true that is an error. */
export function findSchemathesis(
  env: NodeJS.ProcessEnv = process.env,
): { path: string; skip: false } | { path: ""; skip: string } {
  const key = createHash("sha256").update(readFileSync(REQUIREMENTS)).digest("hex").slice(0, 16);
  const folder = join(cacheDir(env), `schemathesis-${key}`);
  const path = join(folder, "bin/schemathesis");
  // The last thing that is made: a folder without it is what a run left that was killed.
  const isMade = join(folder, "made");
  if (existsSync(isMade)) return { path, skip: false };
  if (spawnSync("python3", ["-c", PYTHON]).status !== 0) {
    const skip = "schemathesis needs Python 3.10 or newer, as python3 on PATH";
    if (env.CI === "true") throw new Error(skip);
    return { path: "", skip };
  }
  console.log(`installing schemathesis into ${folder}, once ...`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(dirname(folder), { recursive: true });
  run("python3", ["-m", "venv", folder]);
  run(join(folder, "bin/python"), [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "-r",
    REQUIREMENTS,
  ]);
  mkdirSync(isMade);
  return { path, skip: false };
}

function run(command: string, args: string[]): void {
  const done = spawnSync(command, args, {
    stdio: ["ignore", "ignore", "inherit"],
    timeout: INSTALL_TIMEOUT_MS,
  });
  if (done.status !== 0) throw new Error(`${command} ${args.slice(0, 3).join(" ")} did not succeed`);
}
