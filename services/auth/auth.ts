// Puts the auth process together, for production and for component tests: AuthService, and the issuer when it is ours.
import { backoffMs, pause } from "#chassis/backoff.ts";
import { ConfigError, type ConfigReader } from "#chassis/config.ts";
import type { Database } from "#chassis/database.ts";
import type { ProcessContext } from "#chassis/process.ts";
import type { IssuerClient, TokenEndpoint } from "#chassis/token-endpoint.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { AccountService } from "#gen/lampid/auth/v1/account_service_pb.ts";
import { AuthService } from "#gen/lampid/auth/v1/auth_service_pb.ts";
import { RevocationService } from "#gen/lampid/auth/v1/revocation_service_pb.ts";
import { accountService } from "./account-service.ts";
import type { AccountStore } from "./account-store.ts";
import { postgresAccounts } from "./accounts.ts";
import { DEFAULT_DEMO_PASSWORD, disableDemoAccounts, seedDemoAccounts } from "./demo-accounts.ts";
import { newInitialPassword } from "./initial-password.ts";
import { createIssuer, LOGIN_CLIENT_ID } from "./issuer.ts";
import { passwordGrant, whyClientIsRefused } from "./issuer-client.ts";
import { probeIssuer, reachTokenEndpoint } from "./issuer-probe.ts";
import { loadIssuerSecrets } from "./issuer-secrets.ts";
import { listenIssuer } from "./issuer-server.ts";
import { keycloakAccountStore } from "./keycloak-account-store.ts";
import { adminUrlOf, keycloakAdmin } from "./keycloak-admin.ts";
import { type LoginThrottle, loginThrottle } from "./login-throttle.ts";
import { sweepOidcState } from "./oidc-state.ts";
import { passwordHasher } from "./password-hash.ts";
import { postgresAccountStore } from "./postgres-account-store.ts";
import { revocationService } from "./revocations.ts";
import { authService } from "./service.ts";

/** What of the process context this service uses; a test gives no more. */
export type AuthContext = Pick<
  ProcessContext,
  | "config"
  | "log"
  | "health"
  | "signal"
  | "serve"
  | "database"
  | "background"
  | "onClose"
  | "discovery"
  | "retain"
>;

export async function composeAuth(ctx: AuthContext): Promise<void> {
  const settings = readSettings(ctx.config);
  const throttle = loginThrottle({
    triesPerMinute: settings.triesPerMinute,
    // Keycloak's protection from guessing refuses a username's second try while the first is under way, right or wrong, and
    // the first may be so for a moment after its answer: a busy Keycloak refused one of forty that came one by one.
    ...(settings.external ? { atOnce: 1, settleMs: 100 } : {}),
  });
  const { endpoint, store, database } = settings.embedded
    ? await startEmbeddedIssuer(ctx, settings.embedded, settings.tokenTtlSeconds, throttle)
    : watchExternalIssuer(ctx, settings.external!);
  ctx.serve(AuthService, authService({ grant: passwordGrant(endpoint), throttle }));
  ctx.serve(
    AccountService,
    accountService({
      store,
      wilayah: loadWilayah(),
      clock: () => new Date(),
      newPassword: newInitialPassword,
    }),
  );
  const { tokenTtlSeconds } = settings;
  ctx.serve(RevocationService, revocationService({ database, tokenTtlSeconds, log: ctx.log }));
}

/** What the issuer of a profile is to us: where it gives tokens, and where it keeps accounts; with our own audit of both. */
type Issuer = { endpoint: TokenEndpoint; store: AccountStore; database: Database };

type EmbeddedSettings = {
  host: string;
  port: number;
  issuerUrl: string;
  audience: string;
  /** Absent when the demo accounts are switched off. */
  demoPassword: string | undefined;
  /** Of the processes of the mesh that call others by themselves; without one there are none. */
  serviceSecret: string | undefined;
};

type ExternalSettings = {
  /** Where it is not what the discovery says. */
  tokenUrl: string | undefined;
  login: IssuerClient;
  admin: IssuerClient;
  /** Of Keycloak's Admin API. */
  adminUrl: string;
};

type Settings = {
  triesPerMinute: number;
  /** How long a token of a person lives. */
  tokenTtlSeconds: number;
  embedded?: EmbeddedSettings;
  external?: ExternalSettings;
};

function readSettings(config: ConfigReader): Settings {
  const triesPerMinute = config.integer("LAMPID_LOGIN_TRIES_PER_MINUTE", {
    min: 1,
    max: 1_000_000,
    fallback: 5,
  });
  const isCluster = config.oneOf("LAMPID_PROFILE", ["embedded", "cluster"], "embedded") === "cluster";
  const tokenTtlSeconds = config.integer("LAMPID_TOKEN_TTL_SECONDS", {
    min: 1,
    max: 86_400,
    // Of a realm it is accessTokenLifespan.
    fallback: isCluster ? 300 : 3_600,
  });
  if (isCluster) {
    const tokenUrl =
      config.optional("LAMPID_ISSUER_TOKEN_URL") &&
      config.url("LAMPID_ISSUER_TOKEN_URL", ["http:", "https:"]);
    const login = {
      id: config.string("LAMPID_ISSUER_CLIENT_ID", LOGIN_CLIENT_ID),
      secret: config.optional("LAMPID_ISSUER_CLIENT_SECRET"),
    };
    const issuerUrl = config.url("LAMPID_ISSUER_URL", ["http:", "https:"]);
    // Where processes reach the issuer by another address than people do, the token endpoint has it.
    const adminUrl = adminUrlOf(tokenUrl ?? issuerUrl);
    if (!adminUrl) {
      const setting = tokenUrl ? "LAMPID_ISSUER_TOKEN_URL" : "LAMPID_ISSUER_URL";
      throw new ConfigError(setting, "a realm of Keycloak, https://.../realms/lampid", tokenUrl ?? issuerUrl);
    }
    const admin = {
      id: config.string("LAMPID_ISSUER_ADMIN_CLIENT_ID", "lampid-admin"),
      secret: config.string("LAMPID_ISSUER_ADMIN_CLIENT_SECRET"),
    };
    return { triesPerMinute, tokenTtlSeconds, external: { tokenUrl, login, admin, adminUrl } };
  }
  const host = config.string("LAMPID_HOST", "127.0.0.1");
  const password = config.string("LAMPID_DEMO_PASSWORD", DEFAULT_DEMO_PASSWORD);
  const demo = config.boolean("LAMPID_DEMO_ACCOUNTS", true);
  if (demo && password === DEFAULT_DEMO_PASSWORD && !isLoopback(host)) {
    throw new ConfigError(
      "LAMPID_DEMO_PASSWORD",
      `a password of your own before LAMPID_HOST may be ${host} (or LAMPID_DEMO_ACCOUNTS=false)`,
      "the default",
    );
  }
  const issuerUrl = config.url("LAMPID_ISSUER_URL", ["http:", "https:"], "http://127.0.0.1:8081");
  if (new URL(issuerUrl).pathname !== "/" || /[?#]/.test(issuerUrl)) {
    throw new ConfigError("LAMPID_ISSUER_URL", "a URL without a path (embedded profile)", issuerUrl);
  }
  return {
    triesPerMinute,
    tokenTtlSeconds,
    embedded: {
      host,
      port: config.integer("LAMPID_ISSUER_PORT", { min: 1, max: 65_535, fallback: 8_081 }),
      issuerUrl,
      audience: config.string("LAMPID_TOKEN_AUDIENCE", "lampid"),
      demoPassword: demo ? password : undefined,
      serviceSecret: config.optional("LAMPID_SERVICE_CLIENT_SECRET"),
    },
  };
}

/** Listens at once and serves when PostgreSQL has given it its keys, so that a start needs no order. */
async function startEmbeddedIssuer(
  ctx: AuthContext,
  settings: EmbeddedSettings,
  tokenTtlSeconds: number,
  throttle: LoginThrottle,
): Promise<Issuer> {
  const { host, port, demoPassword } = settings;
  const { log, signal } = ctx;
  const database = ctx.database();
  ctx.retain();
  const health = ctx.health.part("issuer");
  const hasher = passwordHasher();
  const accounts = postgresAccounts({ database, hasher, clock: () => new Date() });
  const server = await listenIssuer({ host, port, issuerUrl: settings.issuerUrl, accounts, throttle, log });
  ctx.onClose(server.close);
  let loginSecret: string | undefined;

  async function prepare(): Promise<void> {
    const secrets = await loadIssuerSecrets(database);
    if (demoPassword === undefined) await disableDemoAccounts(database);
    else await seedDemoAccounts(database, hasher, demoPassword);
    const { serviceSecret } = settings;
    const machineSecrets = {
      mitra: demoPassword,
      integrasi: serviceSecret,
      notifikasi: serviceSecret,
      pelaporan: serviceSecret,
      dokumen: serviceSecret,
    };
    server.serve(
      createIssuer({ ...settings, tokenTtlSeconds, machineSecrets, secrets, accounts, sql: database, log }),
    );
    loginSecret = secrets.loginSecret;
    health(true);
    log.info({ issuer: settings.issuerUrl, demoAccounts: demoPassword !== undefined }, "issuer is ready");
  }

  async function run(): Promise<void> {
    for (let attempt = 0; !signal.aborted && loginSecret === undefined; attempt++) {
      try {
        await prepare();
      } catch (cause) {
        if (signal.aborted) return;
        health(false, "cannot load its keys");
        // Said once: the database's own probe tells of an outage.
        log[attempt === 0 ? "warn" : "debug"]({ err: cause }, "issuer cannot load its keys, trying again");
        await pause(backoffMs(attempt, { baseMs: 250, maxMs: 2_000 }), signal);
      }
    }
    await sweepOidcState(database, log, signal);
  }
  ctx.background(run());

  const endpoint: TokenEndpoint = {
    tokenUrl: async () => `http://${reachable(host)}:${port}/token`,
    client: () => (loginSecret === undefined ? undefined : { id: LOGIN_CLIENT_ID, secret: loginSecret }),
    // It is here, and its queue of passwords is short: on a machine at its limit a login is slow rather than refused.
    timeoutMs: 10_000,
  };
  return { endpoint, store: postgresAccountStore({ database, hasher }), database };
}

/** Starts without it and serves when it is there, so that a start needs no order here either. */
function watchExternalIssuer(ctx: AuthContext, settings: ExternalSettings): Issuer {
  const { discovery, health, log, signal } = ctx;
  const { tokenUrl: given, login, adminUrl } = settings;
  const tokenUrl = async () => given ?? (await discovery.metadata()).tokenEndpoint;
  const endpoint: TokenEndpoint = { tokenUrl, client: () => login };
  const admin = keycloakAdmin({ baseUrl: adminUrl, tokenUrl, client: settings.admin });
  ctx.background(
    probeIssuer({
      reach: given === undefined ? discovery.probe : reachTokenEndpoint(given, log),
      clients: [
        {
          settings: "LAMPID_ISSUER_CLIENT_ID and LAMPID_ISSUER_CLIENT_SECRET",
          whyRefused: (until) => whyClientIsRefused(endpoint, until),
          health: health.part("issuer client"),
        },
        {
          settings: "LAMPID_ISSUER_ADMIN_CLIENT_ID and LAMPID_ISSUER_ADMIN_CLIENT_SECRET",
          whyRefused: admin.whyRefused,
          // People sign in without it.
          health: health.part("issuer admin client", { isCritical: false }),
        },
      ],
      health: health.part("issuer"),
      log,
      signal,
    }),
  );
  // The accounts are Keycloak's; who changed them is for our own audit.
  // A login needs Keycloak alone; the administration of accounts, which is audited here, refuses without it.
  const database = ctx.database({ isCritical: false });
  return { endpoint, store: keycloakAccountStore({ admin, database }), database };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** An address that listens on everything is reached on loopback. */
function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}
