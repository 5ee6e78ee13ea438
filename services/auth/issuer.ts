// The embedded identity provider: oidc-provider, set up for this mesh. In a cluster Keycloak takes its place.
import { type Client, type Context, errors, interactionPolicy, Provider } from "oidc-provider";
import type { Sql } from "#chassis/database.ts";
import type { Logger } from "#chassis/log.ts";
import { traceparentFrom } from "#chassis/trace-context.ts";
import type { Account, Accounts } from "./accounts.ts";
import { PASSWORD_EXPIRED } from "./issuer-client.ts";
import type { IssuerSecrets } from "./issuer-secrets.ts";
import { errorPage } from "./login-page.ts";
import { oidcState } from "./oidc-state.ts";
import { HasherBusy } from "./password-hash.ts";

export type IssuerDeps = {
  issuerUrl: string;
  /** Claim "aud" of access tokens. */
  audience: string;
  tokenTtlSeconds: number;
  /** Secrets of the machine clients; without its own there is none of that name. */
  machineSecrets: Readonly<Record<keyof typeof machines, string | undefined>>;
  secrets: IssuerSecrets;
  accounts: Accounts;
  sql: Sql;
  log: Logger;
};

/** Client of AuthService.Login. Its secret is ours alone, so that the password grant cannot be used past the throttle. */
export const LOGIN_CLIENT_ID = "lampid-login";
/** Public client of people's browsers: authorization code and PKCE. */
export const WEB_CLIENT_ID = "lampid-web";

/** Resource indicator (RFC 8707), which has to be a URI; tokens carry the audience it stands for. */
const RESOURCE = "urn:lampid";
/** Scope of people's tokens: what they may do is a matter of role and wilayah. */
const PEOPLE_SCOPE = "lampid";
const SIGNING_ALG = "ES256";
const SESSION_SECONDS = 8 * 3_600;

/** Clients that act for themselves (client_credentials). */
const machines = {
  mitra: { role: "mitra", wilayah: "ID", scope: "penduduk.verify penduduk.export statistik.read" },
  /** Processes of the mesh, for what they do by themselves. */
  integrasi: { role: "service", wilayah: "ID", scope: "lampid" },
  notifikasi: { role: "service", wilayah: "ID", scope: "lampid" },
  dokumen: { role: "service", wilayah: "ID", scope: "lampid" },
  pelaporan: { role: "service", wilayah: "ID", scope: "lampid" },
} as const;

type Machine = { role: string; wilayah: string; scope: string };

function machineOf(clientId: string): Machine | undefined {
  return Object.hasOwn(machines, clientId) ? machines[clientId as keyof typeof machines] : undefined;
}

export function createIssuer(deps: IssuerDeps): Provider {
  const { issuerUrl, secrets, accounts, sql, log, tokenTtlSeconds } = deps;
  const provider: Provider = new Provider(issuerUrl, {
    adapter: oidcState(sql),
    jwks: secrets.jwks,
    clients: clients(deps),
    clientDefaults: { id_token_signed_response_alg: SIGNING_ALG },
    enabledJWA: { idTokenSigningAlgValues: [SIGNING_ALG] },
    responseTypes: ["code"],
    scopes: ["openid"],
    claims: { openid: ["sub", "preferred_username", "role", "wilayah"] },
    cookies: { keys: secrets.cookieKeys },
    clientBasedCORS: (_ctx: Context, origin: string, client: Client) =>
      client.clientId === WEB_CLIENT_ID && /^http:\/\/(127\.0\.0\.1|localhost)(:\d+)?$/.test(origin),
    pkce: { required: () => true },
    ttl: {
      AccessToken: tokenTtlSeconds,
      ClientCredentials: tokenTtlSeconds,
      IdToken: tokenTtlSeconds,
      AuthorizationCode: 60,
      Interaction: 600,
      Session: SESSION_SECONDS,
      Grant: SESSION_SECONDS,
      RefreshToken: SESSION_SECONDS,
    },
    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => RESOURCE,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx: Context, resource: string, client: Client) => {
          if (resource !== RESOURCE) throw new errors.InvalidTarget("unknown resource");
          const info = resourceServer(deps, client);
          // RFC 6749 3.3: who asks for no scope gets what the client is registered for, as at Keycloak.
          if (ctx.oidc.params.grant_type === "client_credentials") ctx.oidc.params.scope ??= info.scope;
          return info;
        },
      },
    },
    issueRefreshToken: (_ctx: Context, client: Client) => client.grantTypeAllowed("refresh_token"),
    findAccount: async (_ctx: Context, id: string) => {
      const account = await accounts.find(id);
      return account && entityOf(account);
    },
    extraTokenClaims: (ctx: Context, token: { kind: string; clientId: string }) => {
      if (token.kind === "ClientCredentials") {
        const { role, wilayah } = machineOf(token.clientId) ?? {};
        return { role, wilayah };
      }
      const { preferred_username, role, wilayah } = (ctx.oidc.entities.Account as AccountEntity).profile;
      return { preferred_username, role, wilayah };
    },
    interactions: { policy: interactionRules() },
    loadExistingGrant,
    renderError: (ctx: Context) => {
      ctx.type = "html";
      ctx.body = errorPage();
    },
  });
  // The address is the one that is configured; see issuer-server.ts, which sets the headers this trusts.
  provider.proxy = true;
  provider.registerGrantType("password", (ctx) => grantByPassword(deps, ctx), ["username", "password"]);
  // Without a listener Koa prints to stderr.
  provider.on("error", (cause: Error) => log.error({ err: cause }, "issuer failed"));
  provider.on("server_error", (_ctx: Context, cause: Error) => log.error({ err: cause }, "issuer failed"));
  return provider;
}

function clients({ machineSecrets, secrets }: IssuerDeps): Record<string, unknown>[] {
  return [
    {
      client_id: WEB_CLIENT_ID,
      client_name: "e-LAMPID",
      // A native client's loopback redirect may have any port (RFC 8252 7.3).
      application_type: "native",
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      redirect_uris: ["http://127.0.0.1/callback", "http://localhost/callback"],
    },
    {
      client_id: LOGIN_CLIENT_ID,
      client_secret: secrets.loginSecret,
      grant_types: ["password"],
      response_types: [],
      redirect_uris: [],
    },
    ...Object.entries(machineSecrets)
      .filter(([, secret]) => secret !== undefined)
      .map(([id, secret]) => ({
        client_id: id,
        client_secret: secret,
        grant_types: ["client_credentials"],
        response_types: [],
        redirect_uris: [],
      })),
  ];
}

function resourceServer({ audience, tokenTtlSeconds }: IssuerDeps, client: Client) {
  return {
    scope: machineOf(client.clientId)?.scope ?? PEOPLE_SCOPE,
    audience,
    accessTokenTTL: tokenTtlSeconds,
    accessTokenFormat: "jwt",
    jwt: { sign: { alg: SIGNING_ALG } },
  } as const;
}

/** Deprecated (RFC 9700 2.4), for the first-party client only; Keycloak calls it Direct Access Grant. */
async function grantByPassword(deps: IssuerDeps, ctx: Context): Promise<void> {
  const { client, params, provider } = ctx.oidc;
  const { username, password } = params;
  if (!username || !password) throw new errors.InvalidRequest("username and password are required");
  const account = await deps.accounts
    .signIn({
      username,
      password,
      via: "lampid.auth.v1.AuthService/Login",
      traceparent: traceparentFrom(ctx.get("traceparent")),
    })
    .catch((cause) => {
      if (!(cause instanceof HasherBusy)) throw cause;
      throw Object.assign(new errors.CustomOIDCProviderError("temporarily_unavailable", "try again"), {
        status: 503,
        statusCode: 503,
      });
    });
  if (!account) throw new errors.InvalidGrant("username and password do not match");
  if (account.isPasswordExpired) {
    throw new errors.CustomOIDCProviderError("invalid_grant", PASSWORD_EXPIRED);
  }
  ctx.oidc.entity("Account", entityOf(account));
  const scope = PEOPLE_SCOPE;
  const token = new provider.AccessToken({ accountId: account.id, client, scope, gty: "password" });
  token.resourceServer = new provider.ResourceServer(RESOURCE, resourceServer(deps, client));
  const value = await token.save();
  ctx.body = { access_token: value, token_type: token.tokenType, expires_in: token.expiration, scope };
}

type AccountEntity = ReturnType<typeof entityOf>;

/** An account as oidc-provider sees it. */
function entityOf({ id, username, role, wilayah }: Account) {
  const profile = { sub: id, preferred_username: username, role, wilayah };
  return { accountId: id, profile, claims: async () => profile };
}

/**
 * oidc-provider asks for consent whenever a native client comes: another program on the machine could pose as it
 * (RFC 8252 8.6). Having just typed the password is as good; only a remembered session asks "continue as ...?".
 */
function interactionRules() {
  const policy = interactionPolicy.base();
  const { checks } = policy.get("consent");
  checks.remove("native_client_prompt");
  checks.add(
    new interactionPolicy.Check(
      "remembered_session",
      "a remembered session needs a confirmation",
      "interaction_required",
      ({ oidc }) => !oidc.result?.login && !oidc.result?.consent,
    ),
  );
  return policy;
}

/** Our own client needs no consent to scopes: it is given what it may ask for. */
async function loadExistingGrant({ oidc }: Context) {
  const { client, provider, result, session } = oidc;
  const known = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
  const found = known === undefined ? undefined : await provider.Grant.find(known);
  if (found) return found;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId! });
  grant.addOIDCScope("openid");
  grant.addResourceScope(RESOURCE, PEOPLE_SCOPE);
  await grant.save();
  return grant;
}
