// The mesh under end-to-end tests: started once by test/run.ts on ports of its own, and found by every test file. With
// LAMPID_PROFILE=cluster it runs on the engines that LAMPID_KAFKA_BROKERS and so on name, in a corner of its own of each.
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type MeshState, readMeshState, removeDataDir } from "../../services/mesh/data-dir.ts";
import { type Mesh, type MeshOptions, startMesh } from "../../services/mesh/mesh.ts";
import { freePortOffset } from "../../services/mesh/ports.ts";
import type { DatabaseName, Secrets } from "../../services/mesh/provision.ts";

/** The origin whose pages may call the gateway of a test mesh. */
export const ALLOWED_ORIGIN = "http://mitra.localhost";

/** Limits that would otherwise stop a test that calls as fast as it can, or make it wait. */
const TEST_ENVIRONMENT = {
  LAMPID_RATE_LIMIT_PER_MINUTE: "1000000",
  LAMPID_BODY_TIMEOUT_MS: "6000",
  LAMPID_CORS_ORIGINS: ALLOWED_ORIGIN,
  LAMPID_REVOCATION_SECONDS: "1",
};

/** Whether tests run on a mesh of the cluster profile. */
export const isCluster = () => process.env.LAMPID_PROFILE === "cluster";

export type TestMesh = Mesh & {
  /** Of the document database that statistik counts in; undefined when it counts in PostgreSQL. */
  documentsUrl: string | undefined;
};

/** A mesh for one test file alone, that may kill what it likes in it. */
export async function startTestMesh(
  env: Record<string, string> = {},
  options: Partial<MeshOptions> = {},
): Promise<TestMesh> {
  const dataDir = mkdtempSync(join(tmpdir(), "lampid-mesh-"));
  const { profile = isCluster() ? "cluster" : "embedded" } = options;
  const corner = profile === "cluster" ? ownCorner({ ...process.env, ...env }) : undefined;
  const mesh = await startMesh({
    profile,
    dataDir,
    portOffset: await freePortOffset(),
    env: { ...TEST_ENVIRONMENT, ...env, ...corner },
    report: (line) => console.log(`mesh: ${line}`),
    ...options,
  });
  return {
    ...mesh,
    documentsUrl: corner?.LAMPID_MONGO_URL,
    async stop() {
      await mesh.stop();
      removeDataDir(dataDir);
    },
  };
}

/** Topics, groups and documents that no other mesh on the same engines has; PostgreSQL is the mesh's own, embedded. */
function ownCorner(env: NodeJS.ProcessEnv) {
  const name = `test_${randomBytes(5).toString("hex")}`;
  const documents = new URL(env.LAMPID_MONGO_URL ?? "");
  documents.pathname = `/${name}`;
  return { LAMPID_KAFKA_PREFIX: `${name}.`, LAMPID_MONGO_URL: documents.href, LAMPID_POSTGRES_URL: "" };
}

/** A mesh as seen from outside its supervisor. */
export type RunningMesh = {
  dataDir: string;
  /** `http://127.0.0.1:8080` by process name, and `issuer`. */
  urls: Record<string, string>;
  /** `http://127.0.0.1:9080` by process name: /healthz, /readyz, /metrics. */
  adminUrls: Record<string, string>;
  /** Of a service's role to its own database. */
  databaseUrl: (role: DatabaseName) => string;
  documentsUrl: string | undefined;
  /** By process name; undefined between an end and the next start. */
  pid: (name: string) => number | undefined;
  /** Ends it, if it was started for this file. */
  stop: () => Promise<void>;
};

/** The mesh of this run; a file that is run by hand starts one for itself. */
export async function useMesh(): Promise<RunningMesh> {
  const shared = process.env.LAMPID_TEST_MESH;
  if (shared) return lookAt(shared, async () => {});
  const mesh = await startTestMesh();
  return lookAt(mesh.dataDir, mesh.stop, mesh.documentsUrl);
}

/** The mesh that runs on a data folder, whoever started it. */
export function lookAt(
  dataDir: string,
  stop: () => Promise<void>,
  documentsUrl = process.env.LAMPID_TEST_DOCUMENTS_URL,
): RunningMesh {
  const state = stateOf(dataDir);
  const { roles } = JSON.parse(readFileSync(join(dataDir, "secrets.json"), "utf8")) as Secrets;
  const services = Object.entries(state.processes).filter(([, { adminPort }]) => adminPort !== undefined);
  return {
    dataDir,
    urls: state.urls,
    adminUrls: Object.fromEntries(
      services.map(([name, { adminPort }]) => [name, `http://127.0.0.1:${adminPort}`]),
    ),
    databaseUrl: (role) =>
      `postgres://${role}:${roles[role]}@127.0.0.1:${state.processes.postgres?.port}/${role}`,
    documentsUrl,
    pid: (name) => stateOf(dataDir).processes[name]?.pid,
    stop,
  };
}

function stateOf(dataDir: string): MeshState {
  const state = readMeshState(dataDir);
  if (!state) throw new Error(`no mesh is running on ${dataDir}`);
  return state;
}
