// Asks an issuer's token endpoint for a token with a username and a password: ours, or Keycloak's Direct Access Grant.
import { refuse } from "#chassis/refusal.ts";

/** The first-party client we ask as; without a secret it is a public one. */
export type IssuerClient = { id: string; secret?: string | undefined };

export type TokenAnswer =
  | { kind: "granted"; accessToken: string; tokenType: string; expiresIn: number }
  | { kind: "denied" };

/** Throws UNAVAILABLE when the issuer cannot be reached, is not ready, or does not answer in time. */
export type PasswordGrant = (request: {
  username: string;
  password: string;
  traceparent: string;
  signal: AbortSignal;
}) => Promise<TokenAnswer>;

export type PasswordGrantDeps = {
  tokenUrl: string;
  /** Undefined while the embedded issuer is starting. */
  client: () => IssuerClient | undefined;
  /** Longest wait for an answer. Default 3,000. */
  timeoutMs?: number;
};

/**
 * OAuth 2.0 resource owner password credentials (RFC 6749 4.3).
 *
 * @deprecated by RFC 9700 2.4: kept for first-party scripts. People sign in by authorization code and PKCE.
 */
export function passwordGrant({ tokenUrl, client, timeoutMs = 3_000 }: PasswordGrantDeps): PasswordGrant {
  return async ({ username, password, traceparent, signal }) => {
    const us = client();
    if (!us) throw unavailable();
    const form = new URLSearchParams({ grant_type: "password", username, password });
    const headers: Record<string, string> = { accept: "application/json", traceparent };
    if (us.secret === undefined) form.set("client_id", us.id);
    else headers.authorization = `Basic ${btoa(`${formEncoded(us.id)}:${formEncoded(us.secret)}`)}`;

    let status: number;
    let answer: Record<string, unknown>;
    try {
      const response = await fetch(tokenUrl, {
        method: "POST",
        body: form,
        headers,
        // A password must not follow a redirect to somewhere else.
        redirect: "error",
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      status = response.status;
      answer = (await response.json()) as Record<string, unknown>;
    } catch (cause) {
      throw unavailable(cause);
    }
    return understood(status, answer);
  };
}

function understood(status: number, answer: Record<string, unknown>): TokenAnswer {
  // RFC 6749 5.2 says 400; Keycloak answers 401 to a wrong password. Disabled accounts are an invalid_grant too.
  if ((status === 400 || status === 401) && answer?.error === "invalid_grant") return { kind: "denied" };
  if (status >= 500 || status === 429) throw unavailable(new Error(`the issuer answered ${status}`));
  const { access_token: accessToken, token_type: tokenType, expires_in: expiresIn } = answer ?? {};
  if (status === 200 && typeof accessToken === "string" && typeof expiresIn === "number") {
    return {
      kind: "granted",
      accessToken,
      tokenType: tokenType === "bearer" ? "Bearer" : String(tokenType),
      expiresIn,
    };
  }
  // Our client is not registered, or not for this grant: nothing that the caller could do about.
  throw new Error(`the issuer refused this service: ${status} ${String(answer?.error)}`);
}

function unavailable(cause?: unknown) {
  const refused = refuse("unavailable", "ISSUER_UNAVAILABLE", "the identity provider cannot be reached", {
    retryAfterSeconds: 2,
  });
  refused.cause = cause;
  return refused;
}

/** RFC 6749 2.3.1: id and secret are form-encoded before they are joined. */
function formEncoded(text: string): string {
  return new URLSearchParams([["", text]]).toString().slice(1);
}
