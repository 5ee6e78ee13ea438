// The admin port of every process: /healthz (alive), /readyz (serving), /metrics (Prometheus), and what a process adds.
import { createServer, type Server } from "node:http";
import type { HealthState } from "./health.ts";
import type { Telemetry } from "./telemetry.ts";

/** @param pages JSON that a process has to say of itself, by path. */
export function createAdminServer(
  health: HealthState,
  telemetry: Telemetry,
  pages: ReadonlyMap<string, () => unknown> = new Map(),
): Server {
  const server = createServer((request, response) => {
    const send = (status: number, body: unknown) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(`${JSON.stringify(body)}\n`);
    };
    const path = request.method === "GET" || request.method === "HEAD" ? request.url : undefined;
    switch (path) {
      case "/healthz":
        return send(200, { status: "alive" });
      case "/readyz": {
        const serving = health.serving();
        return send(serving ? 200 : 503, {
          status: serving ? "SERVING" : "NOT_SERVING",
          ...health.describe(),
        });
      }
      case "/metrics":
        return telemetry.serveMetrics(request, response);
      default: {
        const page = pages.get(path ?? "");
        if (page !== undefined) return send(200, page());
        const known = ["/healthz", "/readyz", "/metrics", ...pages.keys()];
        return send(404, { error: `try ${known.join(", ")}` });
      }
    }
  });
  server.requestTimeout = 5_000;
  server.headersTimeout = 5_000;
  return server;
}
