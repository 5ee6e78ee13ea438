// The admin port of every process: /healthz (alive), /readyz (serving), /metrics (Prometheus).
import { createServer, type Server } from "node:http";
import type { HealthState } from "./health.ts";
import type { Telemetry } from "./telemetry.ts";

export function createAdminServer(health: HealthState, telemetry: Telemetry): Server {
  const server = createServer((request, response) => {
    const send = (status: number, body: unknown) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(`${JSON.stringify(body)}\n`);
    };
    switch (request.method === "GET" || request.method === "HEAD" ? request.url : undefined) {
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
      default:
        return send(404, { error: "try /healthz, /readyz or /metrics" });
    }
  });
  server.requestTimeout = 5_000;
  server.headersTimeout = 5_000;
  return server;
}
