// `npm start` and `npm run start:cluster`: the whole mesh on this machine, until Ctrl-C.

import { isIP } from "node:net";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { ConfigError, configReader } from "#chassis/config.ts";
import { createLogger } from "#chassis/log.ts";
import { CLUSTER_DEFAULTS, clusterEnvironment } from "./cluster-profile.ts";
import { type Mesh, type MeshOptions, startMesh } from "./mesh.ts";
import { MeshError } from "./mesh-error.ts";
import { PROCESSES } from "./processes.ts";
import { welcome } from "./welcome.ts";

const HELP = `usage: npm start -- [option...]

Starts PostgreSQL and every process of the mesh, and stops them at Ctrl-C. With --cluster (npm run start:cluster) it starts
the processes alone, on a Kafka, MongoDB, Keycloak and PostgreSQL that run already: docker compose up --wait.

  --cluster              the cluster profile, as LAMPID_PROFILE=cluster
  --verbose              print all that the processes log, not only warnings
  --only <name,name>     start these processes only: ${PROCESSES.map(({ name }) => name).join(", ")}
  --help                 this text

Variables (LAMPID_* and OTEL_* are passed on to the processes):
  LAMPID_DATA_DIR        where data and logs lie             .lampid
  LAMPID_PORT_OFFSET     added to every port, 0 to 10000     0
  LAMPID_HOST            where gateway and issuer listen     127.0.0.1
  LAMPID_DEMO_PASSWORD   of the demo accounts                rahasia
  LAMPID_CACHE_DIR       for PostgreSQL's program files      ~/.cache/lampid-engines

Variables of the cluster profile, with the defaults of compose.yaml:
${Object.entries(CLUSTER_DEFAULTS)
  .map(([name, value]) => `  ${name.padEnd(34)} ${value.replace(/:[^:/@]+@/, ":...@")}`)
  .join("\n")}`;

const DEFAULT_PASSWORD = "rahasia";
/** npm, the terminal and the launcher each pass a Ctrl-C on: within this time it is one. */
const ONE_INTERRUPT_MS = 1_000;

type Config = Pick<MeshOptions, "profile" | "dataDir" | "portOffset" | "host" | "only" | "isVerbose"> & {
  password: string;
};

/** @throws MeshError or ConfigError, with the one line to print. */
export function readConfig(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Config | "help" {
  let flags: { cluster?: boolean; verbose?: boolean; help?: boolean; only?: string };
  try {
    ({ values: flags } = parseArgs({
      args: [...args],
      options: {
        cluster: { type: "boolean" },
        verbose: { type: "boolean" },
        help: { type: "boolean", short: "h" },
        only: { type: "string" },
      },
    }));
  } catch (error) {
    throw new MeshError(`${(error as Error).message.split(". ")[0]}; --help lists the options`);
  }
  if (flags.help) return "help";
  const config = configReader(env);
  const profile = flags.cluster
    ? "cluster"
    : config.oneOf("LAMPID_PROFILE", ["embedded", "cluster"], "embedded");
  const portOffset = config.integer("LAMPID_PORT_OFFSET", { min: 0, max: 10_000, fallback: 0 });
  const host = config.string("LAMPID_HOST", "127.0.0.1").replace(/^localhost$/, "127.0.0.1");
  if (isIP(host) === 0) throw new ConfigError("LAMPID_HOST", "an IP address or localhost", host);
  const password = config.string("LAMPID_DEMO_PASSWORD", DEFAULT_PASSWORD);
  if (password === DEFAULT_PASSWORD && !isLoopback(host)) {
    throw new MeshError(
      `LAMPID_HOST: with the demo password everybody knows, the mesh listens on loopback only, not on ${host}; set LAMPID_DEMO_PASSWORD`,
    );
  }
  const only = flags.only?.split(",").map((name) => name.trim());
  return {
    profile,
    dataDir: resolve(config.string("LAMPID_DATA_DIR", ".lampid")),
    portOffset,
    host,
    password,
    ...(only ? { only } : {}),
    isVerbose: flags.verbose ?? false,
  };
}

export function isLoopback(host: string): boolean {
  return host === "::1" || host === "::ffff:127.0.0.1" || /^127\./.test(host);
}

async function main(): Promise<number> {
  const startedAt = performance.now();
  const config = readConfig(process.argv.slice(2), process.env);
  if (config === "help") {
    console.log(HELP);
    return 0;
  }
  const interrupted = new AbortController();
  let firstAt = Number.POSITIVE_INFINITY;
  const interrupt = (why: string) => {
    if (firstAt === Number.POSITIVE_INFINITY) {
      firstAt = performance.now();
      console.log(`\n${why}: stopping ...`);
      interrupted.abort();
    } else if (performance.now() - firstAt > ONE_INTERRUPT_MS) {
      // Impatient: the watchdog stops the rest when we are gone.
      console.log("stopping at once");
      process.exit(1);
    }
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
  // The launcher holds the other end of this channel, and may be killed with -9.
  if (process.connected) process.on("disconnect", () => interrupt("the launcher ended"));
  // A closed terminal or pipe must not end the supervisor before it has stopped the mesh.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

  const env = config.profile === "cluster" ? clusterEnvironment(process.env) : undefined;
  if (env) {
    const { checkEngines } = await import("./check-engines.ts");
    const problems = await checkEngines(env, createLogger("start", "silent"));
    for (const problem of problems) console.error(problem);
    if (problems.length > 0) return 1;
  }

  let mesh: Mesh;
  try {
    mesh = await startMesh({
      ...config,
      ...(env ? { env } : {}),
      signal: interrupted.signal,
      report: (line) => console.log(line),
      onLine: (name, line) => console.log(`${name} | ${line}`),
    });
  } catch (error) {
    if (interrupted.signal.aborted && error instanceof MeshError) {
      console.log("stopped");
      return 0;
    }
    throw error;
  }
  console.log(
    welcome({
      ...mesh,
      postgres: new URL(mesh.superuserUrl).host,
      password: config.password,
      seconds: (performance.now() - startedAt) / 1000,
    }),
  );

  const aborted = new Promise<undefined>((done) => {
    interrupted.signal.addEventListener("abort", () => done(undefined), { once: true });
    if (interrupted.signal.aborted) done(undefined);
  });
  const failed = await Promise.race([mesh.failed, aborted]);
  if (failed) console.error(failed.message);
  await mesh.stop();
  console.log("stopped");
  return failed ? 1 : 0;
}

if (import.meta.main) {
  try {
    process.exit(await main());
  } catch (error) {
    const isOurs = error instanceof MeshError || error instanceof ConfigError;
    console.error(isOurs ? error.message : error);
    process.exit(1);
  }
}
