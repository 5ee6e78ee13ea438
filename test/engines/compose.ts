// compose.yaml as the recipes read it: versions and settings of the engines, written down once.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { ROOT } from "../../services/mesh/processes.ts";

export type ComposeService = {
  image: string;
  command?: string[];
  environment?: Record<string, string | number>;
  ports?: string[];
  volumes?: string[];
  healthcheck?: { test: string[] };
};

export type EngineName = "postgres" | "kafka" | "mongodb" | "keycloak" | "valkey";

export const COMPOSE_FILE = join(ROOT, "compose.yaml");

/** A service of compose.yaml, as it is written: `${NAME:-default}` stands for its default. */
export function composeService(name: EngineName): ComposeService {
  const text = readFileSync(COMPOSE_FILE, "utf8").replace(/\$\{\w+:-([^}]*)\}/g, "$1");
  const { services } = parse(text) as { services: Record<EngineName, ComposeService> };
  return services[name];
}

/** The tag of its image, e.g. "4.3.1". */
export function composeVersion(name: EngineName): string {
  return composeService(name).image.split(":").at(-1)!;
}

/** Its environment, every value a text. */
export function composeEnvironment(name: EngineName): Record<string, string> {
  const entries = Object.entries(composeService(name).environment ?? {});
  return Object.fromEntries(entries.map(([key, value]) => [key, String(value)]));
}

/** The port of this machine that reaches the port of the container: "127.0.0.1:8180:8080" gives 8180 for 8080. */
export function composePort(name: EngineName, containerPort: number): number {
  for (const published of composeService(name).ports ?? []) {
    const [, host, container] = /:(\d+):(\d+)$/.exec(published) ?? [];
    if (Number(container) === containerPort) return Number(host);
  }
  throw new Error(`compose.yaml publishes no port ${containerPort} of ${name}`);
}
