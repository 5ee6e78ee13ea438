// A store for rate limits: Debian's redis-server (7.0, the last under BSD's licence), or what is on PATH; a cluster has Valkey.
//
//   node test/engines/redis.ts     starts one until Ctrl-C, and prints its URL
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../harness/database.ts";
import { composeService } from "./compose.ts";
import {
  debianPackages,
  isListening,
  isOnPath,
  launch,
  missing,
  type Restartable,
  restartable,
  workFolder,
} from "./engine.ts";

export type RedisServer = Restartable & {
  /** For LAMPID_RATE_LIMIT_STORE. */
  url: string;
  port: number;
};

const PROGRAMS = ["valkey-server", "redis-server"];
/** The program is in the tools' package. The others are what it needs and a small machine need not have. */
const PACKAGES = ["redis-server", "redis-tools", "libatomic1", "libjemalloc2", "liblzf1"];

/** Why there is none to test against here, or false. */
export const redisMissing = () => (PROGRAMS.some(isOnPath) ? false : missing("apt-get"));

/** One with the settings of compose.yaml, on a port of its own. */
export async function startRedis(): Promise<RedisServer> {
  const { command, env } = findServer();
  const folder = workFolder("redis");
  const port = await freePort();
  const [, ...settings] = composeService("valkey").command ?? [];
  const start = () =>
    launch({
      name: "redis",
      command,
      args: [...settings, "--bind", "127.0.0.1", "--port", String(port)],
      env,
      folder,
      isReady: () => isListening(port),
      withinMs: 10_000,
    });
  return { url: `redis://127.0.0.1:${port}`, port, ...(await restartable(start, folder)) };
}

function findServer(): { command: string; env: Record<string, string> } {
  const program = PROGRAMS.find(isOnPath);
  if (program) return { command: program, env: {} };
  const root = debianPackages(...PACKAGES);
  const libraries = join(root, "usr/lib");
  const folders = readdirSync(libraries, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return {
    command: join(root, "usr/bin/redis-server"),
    env: { LD_LIBRARY_PATH: folders.map(({ name }) => join(libraries, name)).join(":") },
  };
}

if (import.meta.main) {
  const redis = await startRedis();
  console.log(redis.url);
  process.on("SIGINT", async () => {
    await redis.stop();
    process.exit(0);
  });
}
