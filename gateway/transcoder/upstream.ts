// The connection from the transcode command to the gRPC server behind it: the one place that says by which client.
import type { Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

export interface Upstream {
  readonly transport: Transport;
  /** Ends the connection; calls that run fail. */
  close(): void;
}

/** Connects when the first call is made, and again when the connection is lost. */
export function connectUpstream(baseUrl: string): Upstream {
  const sessions = new Http2SessionManager(baseUrl);
  return {
    transport: createGrpcTransport({ baseUrl, sessionManager: sessions }),
    close: () => sessions.abort(),
  };
}
