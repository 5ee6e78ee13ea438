/** The one place where the wire between services is chosen. */

import { createConnectNodeServer, createConnectNodeTransport } from "./connect-node.ts";
import { createGrpcJsServer } from "./grpc-js-server.ts";
import { createGrpcJsTransport } from "./grpc-js-transport.ts";
import type { WireServer, WireServerOptions, WireTransport, WireTransportOptions } from "./types.ts";

/**
 * `grpc-js` is the fast one; `connect-node` the fallback. Both speak plain gRPC, so the two ends of a call may differ.
 * `node test/bench/wire.ts` prints what the choice is worth.
 */
export type WireName = "grpc-js" | "connect-node";

export const wireNames: readonly WireName[] = ["grpc-js", "connect-node"];

/** The client's end: pass it to `createWireClient`, or to `createClient` for a service without streamed responses. */
export function createWireTransport({
  wire = "grpc-js",
  ...options
}: WireTransportOptions & { wire?: WireName }): WireTransport {
  return wire === "grpc-js" ? createGrpcJsTransport(options) : createConnectNodeTransport(options);
}

/** The server's end: `createWireServer(options).service(desc, impl)`, then `listen`, and `close` to drain. */
export function createWireServer({
  wire = "grpc-js",
  ...options
}: WireServerOptions & { wire?: WireName } = {}): WireServer {
  return wire === "grpc-js" ? createGrpcJsServer(options) : createConnectNodeServer(options);
}
