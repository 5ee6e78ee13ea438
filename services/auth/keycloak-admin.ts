// Keycloak's Admin REST API, as far as accounts need it. Plain fetch: four requests are less to know than a client library.
import { type IssuerClient, postToken, type TokenEndpoint } from "#chassis/token-endpoint.ts";
import { isClientRefused, issuerUnavailable } from "./issuer-client.ts";

/** A user of the realm (UserRepresentation); what is not named here is kept as it came. */
export type KeycloakUser = {
  id: string;
  username: string;
  enabled: boolean;
  createdTimestamp: number;
  attributes?: Record<string, string[]>;
  /** Set for the account of a client, which is nobody's. */
  serviceAccountClientId?: string;
};

export type KeycloakAnswer = { status: number; body: unknown; location: string };

export type KeycloakAdmin = {
  /**
   * Sends a request below /admin/realms/<realm>. Answers of 2xx, 404 and 409 are for the caller to understand, others throw:
   * UNAVAILABLE for a Keycloak that is away, slow or ill.
   */
  request: (
    method: "GET" | "POST" | "PUT",
    path: string,
    more?: { query?: Record<string, string>; body?: unknown },
  ) => Promise<KeycloakAnswer>;
  /** Undefined when Keycloak gives our client a token, else its reason; rejects when it does not answer. */
  whyRefused: (signal?: AbortSignal) => Promise<string | undefined>;
};

export type KeycloakAdminDeps = {
  /** `https://id.example.go.id/admin/realms/lampid`. */
  baseUrl: string;
  tokenUrl: TokenEndpoint["tokenUrl"];
  client: IssuerClient;
  /** Longest wait for one answer. Default 3,000. */
  timeoutMs?: number;
  now?: () => number;
};

/** Keycloak said no to us: to our client, or to what we asked. So it has done nothing. */
export class KeycloakRefusal extends Error {
  readonly reason: string;

  constructor(reason: string, what: string) {
    super(`Keycloak refused ${what}: ${reason}`);
    this.name = "KeycloakRefusal";
    this.reason = reason;
  }
}

/** A token that is about to expire would expire on its way. */
const EXPIRY_MARGIN_MS = 30_000;

/** Of a realm, or of its token endpoint: `https://host/admin/realms/<realm>`. Undefined for another URL. */
export function adminUrlOf(url: string): string | undefined {
  const match = /^(https?:\/\/.+?)\/realms\/([^/]+)(\/protocol\/openid-connect\/token)?$/.exec(url);
  return match ? `${match[1]}/admin/realms/${match[2]}` : undefined;
}

export function keycloakAdmin({
  baseUrl,
  tokenUrl,
  client,
  timeoutMs = 3_000,
  now = Date.now,
}: KeycloakAdminDeps): KeycloakAdmin {
  let token: { value: string; expiresAtMs: number } | undefined;
  let asking: Promise<string> | undefined;

  async function askToken(signal?: AbortSignal): Promise<string> {
    const form = { grant_type: "client_credentials" };
    const { status, answer } = await postToken({ tokenUrl, timeoutMs }, client, form, { signal });
    if (isClientRefused(answer)) {
      throw new KeycloakRefusal(String(answer.error_description ?? answer.error), client.id);
    }
    const { access_token: value, expires_in: seconds } = answer;
    if (status !== 200 || typeof value !== "string" || typeof seconds !== "number") {
      throw new Error(`the token endpoint answered ${status}`);
    }
    token = { value, expiresAtMs: now() + seconds * 1000 };
    return value;
  }

  /** One request for a token, however many calls wait for it. */
  function currentToken(): Promise<string> {
    if (token && token.expiresAtMs - EXPIRY_MARGIN_MS > now()) return Promise.resolve(token.value);
    asking ??= askToken().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  async function send(method: string, url: URL, body: unknown): Promise<Response> {
    return await fetch(url, {
      method,
      headers: {
        authorization: `Bearer ${await currentToken()}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: "error",
      signal: AbortSignal.timeout(timeoutMs),
    });
  }

  async function sendTwice(method: string, url: URL, body: unknown): Promise<KeycloakAnswer> {
    let response = await send(method, url, body);
    if (response.status === 401) {
      // A realm whose keys were changed knows our token no more; the request has done nothing yet.
      await response.body?.cancel();
      token = undefined;
      response = await send(method, url, body);
    }
    const text = await response.text();
    const location = response.headers.get("location") ?? "";
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text), location };
  }

  return {
    async request(method, path, { query = {}, body } = {}) {
      const url = new URL(`${baseUrl}/${path}`);
      url.search = new URLSearchParams(query).toString();
      let answer: KeycloakAnswer;
      try {
        answer = await sendTwice(method, url, body);
      } catch (cause) {
        // Nothing that the caller could do about; the probe has named the setting in the log.
        if (cause instanceof KeycloakRefusal) throw cause;
        throw issuerUnavailable(cause);
      }
      const { status } = answer;
      if (status >= 500 || status === 429) throw issuerUnavailable(new Error(`Keycloak answered ${status}`));
      if ((status >= 200 && status < 300) || status === 404 || status === 409) return answer;
      throw new KeycloakRefusal(`${status} ${reasonIn(answer.body)}`, `${method} ${path}`);
    },

    async whyRefused(signal) {
      try {
        await askToken(signal);
        return undefined;
      } catch (cause) {
        if (cause instanceof KeycloakRefusal) return cause.reason;
        throw cause;
      }
    },
  };
}

/** Keycloak's word for what is wrong; its errors name fields, never their values. */
function reasonIn(body: unknown): string {
  if (typeof body !== "object" || body === null) return "";
  const { errorMessage, error } = body as { errorMessage?: unknown; error?: unknown };
  return String(errorMessage ?? error ?? "");
}
