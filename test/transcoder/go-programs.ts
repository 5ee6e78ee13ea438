// Go programs that the transcoder is tested with, built once into the cache from modules of the Go proxy.
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheDir } from "../harness/tools.ts";

const EXAMPLES = { module: "google.golang.org/grpc/examples", version: "v0.0.0-20260825154716-030ee8becb20" };
const GATEWAY = { module: "github.com/grpc-ecosystem/grpc-gateway/v2", version: "v2.33.0" };
const BUILD_TIMEOUT_MS = 10 * 60_000;

export type GoProgram = { path: string; skip: false } | { path: ""; skip: string };

/** A gRPC server that nobody here wrote, with a method of each of the four kinds. */
export function routeGuideServer(): GoProgram {
  return findProgram(`route-guide-server-${EXAMPLES.version}`, (output, folder) => {
    // Its go.mod has replacements, so `go install` refuses it; as a dependency it is like any other.
    go(["mod", "init", "build"], folder);
    go(["get", `${EXAMPLES.module}@${EXAMPLES.version}`], folder);
    go(["build", "-mod=mod", "-o", output, `${EXAMPLES.module}/route_guide/server`], folder);
  });
}

/** The integration tests of grpc-gateway, with a main of ours that leaves port 8088 to whoever is to be tested. */
export function gatewaySuite(main: string): GoProgram {
  return findProgram(`grpc-gateway-suite-${GATEWAY.version}`, (output, folder) => {
    const { Dir } = JSON.parse(
      go(["mod", "download", "-json", `${GATEWAY.module}@${GATEWAY.version}`], folder),
    );
    // Go replaces no file of its module cache, which is read-only, so this is a copy.
    const copy = join(folder, "module");
    execFileSync("cp", ["-R", Dir, copy]);
    execFileSync("chmod", ["-R", "u+w", copy]);
    const tests = "examples/internal/integration";
    copyFileSync(main, join(copy, tests, "main_test.go"));
    go(["test", "-c", "-o", output, `./${tests}`], copy);
  });
}

/** Without Go the test is to be skipped for `skip`; with CI=true that is an error. */
function findProgram(name: string, build: (output: string, folder: string) => void): GoProgram {
  const bin = join(cacheDir(), "bin");
  const path = join(bin, name);
  if (existsSync(path)) return { path, skip: false };
  if (spawnSync("go", ["version"]).status !== 0) {
    const skip = `${name} is not in ${bin}, and there is no Go to build it with`;
    if (process.env.CI === "true") throw new Error(skip);
    return { path: "", skip };
  }
  mkdirSync(bin, { recursive: true });
  console.log(`building ${name} into ${bin}, once ...`);
  const folder = mkdtempSync(join(bin, ".build-"));
  try {
    build(join(folder, "program"), folder);
    renameSync(join(folder, "program"), path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return { path, skip: false };
}

function go(args: string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync("go", args, {
    cwd,
    env: { ...process.env, GOFLAGS: "" },
    encoding: "utf8",
    timeout: BUILD_TIMEOUT_MS,
  });
  if (status !== 0) throw new Error(`go ${args.join(" ")}: ${stderr}`);
  return stdout;
}
