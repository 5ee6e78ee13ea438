// A hub on ports of its own, with the mesh's policy and tokens that say who is calling.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { type CallOptions, type Client, Code, ConnectError } from "@connectrpc/connect";
import { configReader } from "#chassis/config.ts";
import { createHealth, type HealthState } from "#chassis/health.ts";
import { createLogger } from "#chassis/log.ts";
import { loadMeshPolicy } from "#chassis/policy/policy.ts";
import { refuse } from "#chassis/refusal.ts";
import { startTelemetry } from "#chassis/telemetry.ts";
import { createWireClient } from "#chassis/wire/client.ts";
import type { WireTransport } from "#chassis/wire/types.ts";
import { createWireTransport } from "#chassis/wire/wire.ts";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import {
  DukcapilHubService,
  type StreamPendudukRequestSchema,
} from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { DaftarPendudukHubSchema, type KelompokPenduduk } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { serveHub } from "../../services/dukcapil/dukcapil.ts";

export type RunningHub = {
  client: Client<typeof DukcapilHubService>;
  transport: WireTransport;
  port: number;
  restUrl: string;
  health: HealthState;
  /** What /metrics would say. */
  metrics: () => Promise<string>;
  /** Ends streams as the end of the process does. */
  stop: AbortController;
  folder: string;
  close: (options?: { keepsFolder?: boolean }) => Promise<void>;
};

export async function startHub(
  env: Record<string, string> = {},
  folder = mkdtempSync(join(tmpdir(), "hub-")),
): Promise<RunningHub> {
  const stop = new AbortController();
  const closers: (() => unknown)[] = [];
  const health = createHealth();
  const telemetry = startTelemetry({ name: "test" });
  const variables = { LAMPID_REST_PORT: "0", LAMPID_HUB_PENDUDUK: "5000", LAMPID_DATA_DIR: folder, ...env };
  const server = await serveHub(
    {
      config: configReader(variables),
      health,
      log: createLogger("test", "silent"),
      onClose: (close) => closers.push(close),
      policy: await loadMeshPolicy(),
      signal: stop.signal,
      telemetry,
      verifyToken(authorization) {
        const role = /^Bearer (\w+)$/.exec(authorization ?? "")?.[1];
        if (!role) throw refuse("unauthenticated", "TOKEN_INVALID", "no such account");
        return { subject: role, username: role, role, wilayah: "ID", scopes: [] };
      },
    },
    { host: "127.0.0.1", port: 0 },
  );
  const transport = createWireTransport({ baseUrl: `http://127.0.0.1:${server.port}` });
  return {
    client: createWireClient(DukcapilHubService, transport),
    transport,
    port: server.port,
    restUrl: `http://127.0.0.1:${server.restPort}/v1/penduduk`,
    health,
    stop,
    folder,
    metrics: () =>
      new Promise((resolve) => {
        const response = { setHeader() {}, end: resolve } as unknown as ServerResponse;
        telemetry.serveMetrics({} as IncomingMessage, response);
      }),
    async close({ keepsFolder = false } = {}) {
      transport.close();
      stop.abort();
      await server.close(1_000);
      for (const close of closers) await close();
      if (!keepsFolder) rmSync(folder, { recursive: true });
    },
  };
}

export const asRole = (role: string): CallOptions => ({ headers: { authorization: `Bearer ${role}` } });
export const asService = asRole("service");

export type Read = { kelompok: KelompokPenduduk[]; error: unknown };

/** Batches up to the end of the stream or its error. */
export async function readStream(
  { client }: RunningHub,
  request: MessageInitShape<typeof StreamPendudukRequestSchema>,
): Promise<Read> {
  const kelompok: KelompokPenduduk[] = [];
  try {
    for await (const response of client.streamPenduduk({ kodeWilayah: "ID", ...request }, asService)) {
      kelompok.push(response.kelompok!);
    }
    return { kelompok, error: undefined };
  } catch (error) {
    return { kelompok, error };
  }
}

export function idsIn({ isi }: KelompokPenduduk): bigint[] {
  return fromBinary(DaftarPendudukHubSchema, isi).penduduk.map(({ id }) => id);
}

/** Fails unless the call is refused with this code and, if given, this google.rpc.ErrorInfo reason. */
export async function refusedWith(call: Promise<unknown>, code: Code, reason?: string): Promise<void> {
  const error = ConnectError.from(
    await call.then(
      () => assert.fail("was not refused"),
      (cause) => cause,
    ),
  );
  assert.equal(Code[error.code], Code[code], error.message);
  if (reason) assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, reason);
}

export function isUnavailable(cause: unknown): boolean {
  return cause instanceof ConnectError && cause.code === Code.Unavailable;
}
