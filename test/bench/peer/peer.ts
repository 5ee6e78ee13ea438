// Builds the peers of bench:gateway (main.go) into the cache with Go, once for each state of their sources.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { cacheDir } from "../../harness/tools.ts";

const here = import.meta.dirname;
const root = join(here, "../../..");
const sources = ["echo.proto", "main.go", "go.mod", "go.sum"];

export interface Peer {
  /** The program. */
  readonly program: string;
  /** The FileDescriptorSet of echo.proto. */
  readonly image: string;
}

/** Finds or builds it; throws when Go is missing or the build fails. */
export function buildPeer(): Peer {
  const hash = createHash("sha256");
  for (const name of sources) hash.update(readFileSync(join(here, name)));
  const folder = join(cacheDir(), `bench-peer-${hash.digest("hex").slice(0, 12)}`);
  const peer = { program: join(folder, "peer"), image: join(folder, "image.binpb") };
  if (existsSync(peer.program)) return peer;
  console.log(`building Go's grpc-gateway and its peers into ${folder}, once ...`);
  mkdirSync(cacheDir(), { recursive: true });
  const stage = mkdtempSync(join(cacheDir(), ".bench-peer-"));
  try {
    for (const name of sources) cpSync(join(here, name), join(stage, name));
    const bin = join(stage, "bin");
    run("go", ["install", "tool"], stage, { GOBIN: bin });
    // buf takes a folder for a module; ours is the contract and what it imports.
    const contract = join(stage, "contract");
    cpSync(join(root, "proto/vendor/google/api"), join(contract, "google/api"), { recursive: true });
    cpSync(join(here, "echo.proto"), join(contract, "echo.proto"));
    writeFileSync(join(contract, "buf.yaml"), "version: v2\n");
    const plugins = ["protoc-gen-go", "protoc-gen-go-grpc", "protoc-gen-grpc-gateway"].map((name) => ({
      local: join(bin, name),
      out: join(stage, "echo"),
      opt: "module=bench/echo",
    }));
    const template = JSON.stringify({ version: "v2", plugins });
    const buf = join(root, "node_modules/.bin/buf");
    run(buf, ["generate", ".", "--path", "echo.proto", "--template", template], contract);
    run(buf, ["build", ".", "-o", join(stage, "image.binpb")], contract);
    rmSync(contract, { recursive: true });
    run("go", ["build", "-o", "peer", "."], stage);
    renameSync(stage, folder);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
  return peer;
}

function run(command: string, args: string[], cwd: string, env: NodeJS.ProcessEnv = {}): void {
  const { status, error } = spawnSync(command, args, {
    cwd,
    env: { ...process.env, GOFLAGS: "-mod=mod", ...env },
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status !== 0)
    throw new Error(`${command} ${args[0]} did not succeed${error ? `: ${error.message}` : ""}`);
}
