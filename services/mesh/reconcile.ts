// `npm run reconcile`: starts the reconciliation of statistik with the addresses and passwords of the running mesh.
import { spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { readMeshState } from "./data-dir.ts";
import { ROOT } from "./processes.ts";
import { readSecrets } from "./provision.ts";

const { env } = process;
const args = process.argv.slice(2);
const child = spawn(
  process.execPath,
  ["--disable-warning=ExperimentalWarning", join(ROOT, "services/statistik/reconcile/main.ts"), ...args],
  { stdio: "inherit", env: { ...env, ...meshEnvironment() } },
);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});

/** What a process of the mesh would be given; what the user says of engines outside it stays. */
function meshEnvironment(): Record<string, string> {
  const dataDir = resolve(env.LAMPID_DATA_DIR || ".lampid");
  const [state, secrets] = [readMeshState(dataDir), readSecrets(dataDir)];
  if (!state || !secrets) {
    if (env.LAMPID_UPSTREAM_PENDUDUK || args.includes("--help")) return {};
    console.error(`reconcile: no mesh is running on ${dataDir}: run npm start, or set LAMPID_DATA_DIR`);
    process.exit(3);
  }
  const registry = { LAMPID_UPSTREAM_PENDUDUK: state.urls.penduduk! };
  if (env.LAMPID_KAFKA_BROKERS) return { ...registry, LAMPID_PROFILE: "cluster" };
  const url = (database: string) =>
    `postgres://statistik:${secrets.roles.statistik}@127.0.0.1:${state.processes.postgres!.port}/${database}`;
  return {
    ...registry,
    LAMPID_PROFILE: "embedded",
    LAMPID_DATABASE_URL: url("statistik"),
    LAMPID_BUS_URL: url("bus"),
    LAMPID_ISSUER_URL: state.urls.issuer!,
    LAMPID_SERVICE_CLIENT_SECRET: secrets.service,
  };
}
