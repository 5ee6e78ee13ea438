// The gateway as a process of its own, without the rest of the mesh.
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { upstreamServices } from "../../gateway/upstreams.ts";
import { ROOT } from "../../services/mesh/processes.ts";
import { launch, workFolder } from "../engines/engine.ts";
import { freePort } from "./database.ts";

export type GatewayProcess = {
  url: string;
  adminUrl: string;
  pid: number;
  /** The lines of its log. */
  log: () => Record<string, unknown>[];
  stop: () => Promise<void>;
};

/** Nothing listens there: calls to upstreams fail at once. */
const NOWHERE = "http://127.0.0.1:9";
const UPSTREAMS = Object.keys(upstreamServices).map((name) => name.toUpperCase());

/** Starts gateway/main.ts with these variables alone, besides what it cannot do without. */
export async function startGateway(env: Record<string, string> = {}): Promise<GatewayProcess> {
  const folder = workFolder("gateway");
  const [port, adminPort] = [await freePort(), await freePort()];
  const unset = Object.keys(process.env).filter((name) => name.startsWith("LAMPID_"));
  const adminUrl = `http://127.0.0.1:${adminPort}`;
  const { logPath, pid, stop } = await launch({
    name: "gateway",
    command: process.execPath,
    args: [join(ROOT, "gateway/main.ts")],
    env: {
      // An empty variable is one that is not set.
      ...Object.fromEntries(unset.map((name) => [name, ""])),
      ...Object.fromEntries(UPSTREAMS.map((name) => [`LAMPID_UPSTREAM_${name}`, NOWHERE])),
      LAMPID_PORT: String(port),
      LAMPID_ADMIN_PORT: String(adminPort),
      ...env,
    },
    folder,
    isReady: async () => (await fetch(`http://127.0.0.1:${port}/`)).status === 200,
    withinMs: 20_000,
  });
  const lines = () => readFileSync(logPath, "utf8").split("\n");
  return {
    url: `http://127.0.0.1:${port}`,
    adminUrl,
    pid,
    log: () => lines().flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : [])),
    async stop() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
