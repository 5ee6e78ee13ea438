// What a process would answer to GET /metrics, without a port.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Telemetry } from "#chassis/telemetry.ts";

export function metricsText(telemetry: Telemetry): Promise<string> {
  return new Promise((resolve) => {
    const response = { statusCode: 200, setHeader() {}, end: resolve };
    telemetry.serveMetrics({} as IncomingMessage, response as unknown as ServerResponse);
  });
}
