// The hub's two ports: gRPC by plain @grpc/grpc-js, and REST. Interop is proven by having another stack than the mesh's.
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { HealthState } from "#chassis/health.ts";
import { standardServices } from "#chassis/process.ts";
import { DukcapilHubService } from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { mountConnect, serviceDefinition } from "./grpc-definition.ts";
import { createRestServer } from "./rest.ts";
import { type Deps, dukcapilHandlers } from "./service.ts";

/** Requests of the hub are small. */
const MAX_REQUEST_BYTES = 64 * 1024;
const MAX_CONCURRENT_CALLS = 100;

export type HubServer = { port: number; restPort: number; close: (graceMs: number) => Promise<void> };

/** Port 0 picks a free one. */
export async function listenHub(
  deps: Deps & { health: HealthState },
  { host, port, restPort }: { host: string; port: number; restPort: number },
): Promise<HubServer> {
  const grpc = new Server({
    "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
    "grpc.max_concurrent_streams": MAX_CONCURRENT_CALLS,
  });
  grpc.addService(serviceDefinition(DukcapilHubService), dukcapilHandlers(deps));
  for (const { service, implementation } of standardServices(deps.health, [DukcapilHubService])) {
    grpc.addService(serviceDefinition(service), mountConnect(service, implementation, deps.log));
  }
  const rest = createRestServer(deps);
  rest.listen(restPort, host);
  await once(rest, "listening");
  const bound = await bind(grpc, host, port).catch((cause) => {
    rest.close();
    throw cause;
  });
  return {
    port: bound,
    restPort: (rest.address() as AddressInfo).port,
    async close(graceMs) {
      const force = setTimeout(() => {
        rest.closeAllConnections();
        grpc.forceShutdown();
      }, graceMs);
      const restClosed = new Promise<void>((resolve) => rest.close(() => resolve()));
      rest.closeIdleConnections();
      await Promise.all([new Promise<void>((resolve) => grpc.tryShutdown(() => resolve())), restClosed]);
      clearTimeout(force);
    },
  };
}

function bind(grpc: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    grpc.bindAsync(address, ServerCredentials.createInsecure(), (cause, bound) => {
      if (!cause) resolve(bound);
      // grpc-js tells by its text alone; the process names the port by the code.
      else if (/EADDRINUSE/.test(cause.message)) reject(Object.assign(cause, { code: "EADDRINUSE", port }));
      else reject(cause);
    });
  });
}
