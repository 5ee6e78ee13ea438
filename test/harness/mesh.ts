// The mesh under end-to-end tests: started once by test/run.ts on ports of its own, and found by every test file.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Mesh, startMesh } from "../../services/mesh/mesh.ts";
import { freePortOffset } from "../../services/mesh/ports.ts";

/** Limits that would otherwise stop a test that calls as fast as it can. */
const TEST_ENVIRONMENT = { LAMPID_RATE_LIMIT_PER_MINUTE: "1000000" };

export async function startTestMesh(env: Record<string, string> = {}): Promise<Mesh> {
  const dataDir = mkdtempSync(join(tmpdir(), "lampid-mesh-"));
  const mesh = await startMesh({
    dataDir,
    portOffset: await freePortOffset(),
    env: { ...TEST_ENVIRONMENT, ...env },
    report: (line) => console.log(`mesh: ${line}`),
  });
  return {
    ...mesh,
    async stop() {
      await mesh.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

export type RunningMesh = { dataDir: string; urls: Record<string, string>; stop: () => Promise<void> };

/** The mesh of this run; a file that is run by hand starts one for itself. */
export async function useMesh(): Promise<RunningMesh> {
  const dataDir = process.env.LAMPID_TEST_MESH;
  if (!dataDir) return await startTestMesh();
  const state = JSON.parse(readFileSync(join(dataDir, "mesh.json"), "utf8"));
  return { dataDir, urls: state.urls, stop: async () => {} };
}
