// The auth process as its tests use it: its composition behind the real interceptor chain, without the gRPC port.
import type { DescService } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  createClient,
  createRouterTransport,
  type ServiceImpl,
} from "@connectrpc/connect";
import { configReader } from "#chassis/config.ts";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createHealth } from "#chassis/health.ts";
import { serverInterceptors } from "#chassis/interceptors.ts";
import { issuerDiscovery } from "#chassis/issuer-discovery.ts";
import { createLogger } from "#chassis/log.ts";
import { loadMeshPolicy } from "#chassis/policy/policy.ts";
import { startTelemetry } from "#chassis/telemetry.ts";
import { tokenVerifier } from "#chassis/token.ts";
import { AccountService } from "#gen/lampid/auth/v1/account_service_pb.ts";
import { AuthService } from "#gen/lampid/auth/v1/auth_service_pb.ts";
import { RevocationService } from "#gen/lampid/auth/v1/revocation_service_pb.ts";
import { composeAuth } from "../../services/auth/auth.ts";
import { freePort } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";

export type AuthComponent = {
  issuerUrl: string;
  auth: Client<typeof AuthService>;
  accounts: Client<typeof AccountService>;
  revocations: Client<typeof RevocationService>;
  health: ReturnType<typeof createHealth>;
  /** What it has logged from level info on, and clears it. */
  takeLog: () => { level: string; msg: string }[];
  /** Waits until it serves. */
  serving: () => Promise<void>;
  stop: () => Promise<void>;
};

/** Starts it as runProcess would: embedded with an issuer on a port of its own, or with LAMPID_PROFILE=cluster. */
export async function startAuth(
  databaseUrl: string,
  env: Record<string, string> = {},
): Promise<AuthComponent> {
  const port = await freePort();
  const settings = {
    LAMPID_ISSUER_URL: `http://127.0.0.1:${port}`,
    LAMPID_ISSUER_PORT: String(port),
    ...env,
  };
  const issuerUrl = settings.LAMPID_ISSUER_URL;
  const lines: { level: string; msg: string }[] = [];
  const log = createLogger("auth-test", "info", { write: (line) => void lines.push(JSON.parse(line)) });
  const config = configReader(settings);
  const discovery = issuerDiscovery({ issuer: issuerUrl, log });
  const health = createHealth();
  const ending = new AbortController();
  const closers: (() => unknown)[] = [];
  const background: Promise<void>[] = [];
  const offered: { service: DescService; implementation: Partial<ServiceImpl<DescService>> }[] = [];
  let database: Database | undefined;

  await composeAuth({
    config,
    log,
    health,
    discovery,
    signal: ending.signal,
    serve: (service, implementation) => void offered.push({ service, implementation }),
    database: () => {
      database ??= openDatabase({ url: databaseUrl, name: "auth", log });
      return database;
    },
    background: (work) => void background.push(work),
    retain: () => {},
    onClose: (close) => void closers.push(close),
  });
  const interceptors = serverInterceptors({
    log,
    telemetry: startTelemetry({ name: "auth-test" }),
    policy: await loadMeshPolicy(),
    verifyToken: tokenVerifier({
      issuer: issuerUrl,
      audience: "lampid",
      ...(env.LAMPID_PROFILE === "cluster" ? { discovery } : {}),
    }),
    maxCallMs: 30_000,
  });
  const transport = createRouterTransport(
    (router) => {
      for (const { service, implementation } of offered) router.service(service, implementation);
    },
    { router: { interceptors } },
  );

  return {
    issuerUrl,
    auth: createClient(AuthService, transport),
    accounts: createClient(AccountService, transport),
    revocations: createClient(RevocationService, transport),
    health,
    takeLog: () => lines.splice(0),
    serving: () => eventually(() => health.serving()),
    async stop() {
      ending.abort();
      await Promise.all(background);
      for (const close of closers.reverse()) await close();
      await database?.close();
    },
  };
}

export function bearer(token: string): CallOptions {
  return { headers: { authorization: `Bearer ${token}` } };
}
