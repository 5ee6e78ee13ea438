// A process's own token: with it, what the mesh does by itself calls other processes (client_credentials, RFC 6749 4.4).
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { type IssuerClient, postToken } from "./token-endpoint.ts";

/** The access token; rejects with UNAVAILABLE while the issuer gives none. */
export type ServiceToken = () => Promise<string>;

export type ServiceTokenOptions = {
  tokenUrl: () => Promise<string>;
  client: IssuerClient;
  /** What to look at when the issuer refuses. Default: the variables of a process's own token. */
  hint?: string;
  /** Milliseconds of a clock that never goes back. */
  now?: () => number;
};

/** Renewed when this much of its life is over, so that a call never travels with a token about to expire. */
const RENEWED_AFTER = 0.75;

/** Asks when a token is needed, once for all who wait, and remembers it. */
export function serviceToken({
  tokenUrl,
  client,
  hint = "check LAMPID_SERVICE_CLIENT_ID and LAMPID_SERVICE_CLIENT_SECRET",
  now = () => performance.now(),
}: ServiceTokenOptions): ServiceToken {
  let known: { token: string; renewAtMs: number } | undefined;
  let asking: Promise<string> | undefined;

  async function ask(): Promise<string> {
    const askedAtMs = now();
    const { status, answer } = await postToken({ tokenUrl }, client, {
      grant_type: "client_credentials",
    }).catch((cause) => {
      throw unavailable("the identity provider cannot be reached", cause);
    });
    const { access_token: token, expires_in: seconds } = answer;
    if (status !== 200 || typeof token !== "string" || typeof seconds !== "number") {
      throw unavailable(
        `the identity provider gives ${client.id} no token (${status} ${answer.error ?? ""}): ${hint}`,
      );
    }
    known = { token, renewAtMs: askedAtMs + seconds * 1000 * RENEWED_AFTER };
    return token;
  }

  return async () => {
    if (known && now() < known.renewAtMs) return known.token;
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return await asking;
  };
}

/** Sends the token with every call that carries none. */
export function authorizeAs(token: ServiceToken): Interceptor {
  return (next) => async (req) => {
    if (!req.header.has("authorization")) req.header.set("authorization", `Bearer ${await token()}`);
    return await next(req);
  };
}

function unavailable(message: string, cause?: unknown): ConnectError {
  return new ConnectError(message, Code.Unavailable, undefined, undefined, cause);
}
