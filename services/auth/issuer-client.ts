// Asks an issuer's token endpoint for a token with a username and a password: ours, or Keycloak's Direct Access Grant.
import { refuse } from "#chassis/refusal.ts";
import { postToken, type TokenEndpoint } from "#chassis/token-endpoint.ts";

export type TokenAnswer =
  | { kind: "granted"; accessToken: string; tokenType: string; expiresIn: number }
  | { kind: "denied" }
  /** The password fits, and its owner has to choose one of their own first, at the issuer's login page. */
  | { kind: "password_expired" };

/** Throws UNAVAILABLE when the issuer cannot be reached, is not ready, or does not answer in time. */
export type PasswordGrant = (request: {
  username: string;
  password: string;
  traceparent: string;
}) => Promise<TokenAnswer>;

/** Both issuers' words for a password that must be replaced, in the error_description of invalid_grant. */
export const PASSWORD_EXPIRED = "Account is not fully set up";

/**
 * OAuth 2.0 resource owner password credentials (RFC 6749 4.3).
 *
 * @deprecated by RFC 9700 2.4: kept for first-party scripts. People sign in by authorization code and PKCE.
 */
export function passwordGrant(endpoint: TokenEndpoint): PasswordGrant {
  return async ({ username, password, traceparent }) => {
    const us = endpoint.client();
    if (!us) throw issuerUnavailable();
    const form = { grant_type: "password", username, password };
    // Not given up when the caller leaves: the issuer goes on with it, and Keycloak refuses another try meanwhile.
    const { status, answer } = await postToken(endpoint, us, form, { headers: { traceparent } }).catch(
      (cause) => {
        throw issuerUnavailable(cause);
      },
    );
    return understood(status, answer);
  };
}

/**
 * Whether the issuer knows our client and its secret: undefined, or its reason. It asks for nobody's token, so that no
 * account's tries are used up. Rejects when the issuer does not answer.
 */
export async function whyClientIsRefused(
  endpoint: TokenEndpoint,
  signal: AbortSignal,
): Promise<string | undefined> {
  const form = { grant_type: "password" };
  const { status, answer } = await postToken(endpoint, endpoint.client()!, form, { signal });
  if (status >= 500 || status === 429) throw new Error(`the issuer answered ${status}`);
  return isClientRefused(answer) ? String(answer.error_description ?? answer.error) : undefined;
}

/** Keycloak says unauthorized_client to a wrong secret, too; RFC 6749 5.2 would have invalid_client. */
export function isClientRefused(answer: Record<string, unknown>): boolean {
  return answer.error === "invalid_client" || answer.error === "unauthorized_client";
}

export function issuerUnavailable(cause?: unknown) {
  const refused = refuse("unavailable", "ISSUER_UNAVAILABLE", "the identity provider cannot be reached", {
    retryAfterSeconds: 2,
  });
  refused.cause = cause;
  return refused;
}

function understood(status: number, answer: Record<string, unknown>): TokenAnswer {
  // RFC 6749 5.2 says 400; Keycloak answered 401 to a wrong password for years. Disabled accounts are an invalid_grant too.
  if ((status === 400 || status === 401) && answer.error === "invalid_grant") {
    return { kind: answer.error_description === PASSWORD_EXPIRED ? "password_expired" : "denied" };
  }
  if (status >= 500 || status === 429) throw issuerUnavailable(new Error(`the issuer answered ${status}`));
  const { access_token: accessToken, token_type: tokenType, expires_in: expiresIn } = answer;
  if (status === 200 && typeof accessToken === "string" && typeof expiresIn === "number") {
    return {
      kind: "granted",
      accessToken,
      tokenType: tokenType === "bearer" ? "Bearer" : String(tokenType),
      expiresIn,
    };
  }
  // Our client is not registered, or not for this grant: nothing that the caller could do about.
  throw new Error(`the issuer refused this service: ${status} ${String(answer.error)}`);
}
