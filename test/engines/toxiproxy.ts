// toxiproxy: a network between a process and an engine that is slow, that drops everything, or that is not there.
import { rmSync } from "node:fs";
import { freePort } from "../harness/database.ts";
import { findTool } from "../harness/tools.ts";
import { isListening, launch, workFolder } from "./engine.ts";

/** A way to one engine. */
export type ProxiedWay = {
  port: number;
  /** Every answer comes so much later. */
  delay: (milliseconds: number) => Promise<void>;
  /** Connections stay open and carry nothing any more, as behind a firewall that forgot them. */
  swallow: () => Promise<void>;
  /** Nothing listens: connections end, and new ones are refused. */
  cut: () => Promise<void>;
  /** As if nothing had been: connections that wait for an answer which was swallowed end. */
  heal: () => Promise<void>;
};

export type Toxiproxy = {
  /** A proxy on a port of its own, or on the given one. */
  proxy: (name: string, upstreamPort: number, port?: number) => Promise<ProxiedWay>;
  freePort: () => Promise<number>;
  stop: () => Promise<void>;
};

export const toxiproxyMissing = () => findTool("toxiproxy-server").skip;

export async function startToxiproxy(): Promise<Toxiproxy> {
  const folder = workFolder("toxiproxy");
  const apiPort = await freePort();
  const engine = await launch({
    name: "toxiproxy",
    command: findTool("toxiproxy-server").path,
    args: ["-host", "127.0.0.1", "-port", String(apiPort)],
    env: { LOG_LEVEL: "warn" },
    folder,
    isReady: () => isListening(apiPort),
    withinMs: 10_000,
  });

  async function call(method: string, path: string, body?: object): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${apiPort}${path}`, {
      method,
      ...(body ? { body: JSON.stringify(body) } : {}),
      signal: AbortSignal.timeout(5_000),
    });
    if (!response.ok)
      throw new Error(`toxiproxy ${method} ${path}: ${response.status} ${await response.text()}`);
  }

  async function removeToxics(name: string): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${apiPort}/proxies/${name}/toxics`);
    for (const { name: each } of (await response.json()) as { name: string }[])
      await call("DELETE", `/proxies/${name}/toxics/${each}`);
  }

  return {
    freePort,
    async proxy(name, upstreamPort, given) {
      const port = given ?? (await freePort());
      const [listen, upstream] = [`127.0.0.1:${port}`, `127.0.0.1:${upstreamPort}`];
      await call("POST", "/proxies", { name, listen, upstream, enabled: true });
      const enable = (enabled: boolean) => call("POST", `/proxies/${name}`, { listen, upstream, enabled });
      const toxic = (type: string, stream: string, attributes: object) =>
        call("POST", `/proxies/${name}/toxics`, {
          name: `${type}-${stream}`,
          type,
          stream,
          toxicity: 1,
          attributes,
        });
      return {
        port,
        delay: (latency) => toxic("latency", "downstream", { latency, jitter: 0 }),
        // A timeout of 0 never closes the connection.
        swallow: async () => {
          await toxic("timeout", "downstream", { timeout: 0 });
          await toxic("timeout", "upstream", { timeout: 0 });
        },
        cut: () => enable(false),
        heal: async () => {
          await enable(false);
          await removeToxics(name);
          await enable(true);
        },
      };
    },
    async stop() {
      await engine.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
