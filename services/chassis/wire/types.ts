/** The two interfaces every wire offers, and the options they share. */

import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { Interceptor, ServiceImpl, Transport } from "@connectrpc/connect";

/** A Connect transport that owns its connection: `createClient` takes it, `close()` lets the connection go. */
export interface WireTransport extends Transport {
  /** Refuses new calls; calls in flight may finish. */
  close(): void;
}

export interface WireServer {
  /** Adds a service. A method that `impl` lacks answers UNIMPLEMENTED. Call before `listen`. */
  service<Desc extends DescService>(desc: Desc, impl: Partial<ServiceImpl<Desc>>): WireServer;
  /** Starts to listen; port 0 picks a free one. Rejects when the address is taken. */
  listen(at: { host?: string; port: number }): Promise<{ host: string; port: number }>;
  /** Takes no new connection or call, waits up to `graceMs` for running calls, then cuts what is left. */
  close(graceMs: number): Promise<void>;
}

/** HTTP/2 PING: finds a peer that went away without a FIN (a pulled cable, a frozen node). */
export interface Keepalive {
  /** Silence after which a ping is sent. */
  timeMs: number;
  /** How long the answer may take before the connection is given up. */
  timeoutMs: number;
  /** Client only: ping when no call is running, too. Default false: other gRPC servers punish idle pings. */
  withoutCalls?: boolean;
}

interface CommonOptions {
  /** Connect interceptors; index 0 is outermost. */
  interceptors?: Interceptor[];
  /** Largest message accepted, in bytes after decompression; larger is RESOURCE_EXHAUSTED. Default 4 MiB. */
  readMaxBytes?: number;
  /** Largest message sent, in bytes before compression; larger is RESOURCE_EXHAUSTED. Default 4 MiB. */
  writeMaxBytes?: number;
  /** Compress what is sent. Default: identity, for loopback and the data centre have more bandwidth than CPU. */
  sendCompression?: "gzip";
  /** Messages below this size are not compressed. Default 1 KiB. */
  compressMinBytes?: number;
  keepalive?: Keepalive;
}

export interface WireTransportOptions extends CommonOptions {
  /** `http://host:port`. TLS belongs to the mesh (see istio/), so https is refused. */
  baseUrl: string;
  /** Deadline of calls that name none, in ms. Default: none, so set it. */
  defaultTimeoutMs?: number;
  /** Wait between attempts to connect: from `minMs`, doubling, to `maxMs`. Default 100 ms to 5 s. */
  reconnect?: { minMs: number; maxMs: number };
  /** Bytes that a streaming call may hand over before its producer has to wait. Default 256 KiB. */
  writeBufferBytes?: number;
  /** Methods whose responses stay encoded: see raw.ts. Default: none. */
  rawResponses?: (method: DescMethod) => boolean;
}

export interface WireServerOptions extends CommonOptions {
  /** Calls at once on one connection; the client queues the rest. Default 1,000. */
  maxConcurrentCalls?: number;
  /** Connections at once; more are refused. Default 1,000. */
  maxConnections?: number;
  /** Bytes that a streaming response may have in flight before its producer has to wait. Default 256 KiB. */
  writeBufferBytes?: number;
  /** Methods whose requests stay encoded: see raw.ts. Default: none. */
  rawRequests?: (method: DescMethod) => boolean;
  /** Sees every error that a caller gets only as "internal error". Log it: nobody else has the cause. */
  onInternalError?: (error: unknown, path: string) => void;
  /** Sees the path of every call that no service answers. The caller gets UNIMPLEMENTED. */
  onUnknown?: (path: string) => void;
}

export const defaultMaxBytes = 4 * 1024 * 1024;
export const defaultCompressMinBytes = 1024;
export const defaultWriteBufferBytes = 256 * 1024;
export const defaultMaxConcurrentCalls = 1000;
export const defaultMaxConnections = 1000;
export const defaultReconnect = { minMs: 100, maxMs: 5000 };

/** setTimeout fires at once above this (24.8 days). */
export const maxTimerMs = 2 ** 31 - 1;
