// Verifies access tokens (JWT, RFC 9068) against the issuer's keys, once per token.
import { hash } from "node:crypto";
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import type { Caller } from "./caller.ts";
import type { IssuerDiscovery } from "./issuer-discovery.ts";
import { refuse } from "./refusal.ts";
import { type IsRevoked, tokenRevoked } from "./revocations.ts";

/** Turns an Authorization header into a caller; throws UNAUTHENTICATED, or UNAVAILABLE when the keys cannot be had. */
export type TokenVerifier = (authorization: string | null) => Caller | Promise<Caller>;

export type TokenVerifierOptions = {
  /** Expected "iss". */
  issuer: string;
  /** Expected "aud". */
  audience: string;
  /** Where the issuer publishes its keys. Default: what the discovery says, without one `<issuer>/jwks`. */
  jwksUrl?: string;
  discovery?: IssuerDiscovery;
  /** Instead of {@link jwksUrl}, for tests. */
  keys?: JWTVerifyGetKey;
  /** Asked at every call, also for a token that is remembered. Default: none is. */
  isRevoked?: IsRevoked;
  /** Tokens remembered. Default 10,000. */
  cacheSize?: number;
  now?: () => number;
};

/** Asymmetric only: an HS256 token "signed" with the public key, or alg none, must never pass (RFC 8725). */
const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"];

/** Keys are asked for again when a token names an unknown one; an issuer that is down for hours must not stop the mesh. */
const JWKS_OPTIONS = { timeoutDuration: 3_000, cooldownDuration: 5_000, cacheMaxAge: 6 * 60 * 60_000 };

export function tokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const { issuer, audience, isRevoked = () => false, cacheSize = 10_000, now = Date.now } = options;
  const keys = options.keys ?? remoteKeys(options);
  const cache = new Map<string, { caller: Caller; expiresAtMs: number }>();

  async function verify(token: string, cacheKey: string): Promise<Caller> {
    const payload = await checked(token);
    const caller = callerFromClaims(payload);
    // Oldest first out: a flood of new tokens costs verifications, never memory.
    if (cache.size >= cacheSize) cache.delete(cache.keys().next().value!);
    cache.set(cacheKey, { caller, expiresAtMs: payload.exp! * 1000 });
    return unlessRevoked(caller);
  }

  function unlessRevoked(caller: Caller): Caller {
    if (isRevoked(caller)) throw tokenRevoked();
    return caller;
  }

  async function checked(token: string): Promise<JWTPayload> {
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        requiredClaims: ["exp", "sub"],
        currentDate: new Date(now()),
      });
      return payload;
    } catch (cause) {
      if (isAboutTheToken(cause)) throw unauthenticated("the access token is not valid or has expired");
      throw refuse("unavailable", "ISSUER_UNAVAILABLE", "the identity provider cannot be reached", {
        retryAfterSeconds: 2,
      });
    }
  }

  return (authorization) => {
    const match = authorization === null ? null : /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(authorization);
    if (!match) throw unauthenticated("send an access token as 'Authorization: Bearer <token>'");
    const token = match[1]!;
    const cacheKey = hash("sha256", token, "base64");
    const known = cache.get(cacheKey);
    if (known) {
      if (known.expiresAtMs > now()) return unlessRevoked(known.caller);
      cache.delete(cacheKey);
    }
    return verify(token, cacheKey);
  };
}

function remoteKeys({ issuer, jwksUrl, discovery }: TokenVerifierOptions): JWTVerifyGetKey {
  if (jwksUrl || !discovery) {
    return createRemoteJWKSet(new URL(jwksUrl ?? `${issuer.replace(/\/$/, "")}/jwks`), JWKS_OPTIONS);
  }
  let keys: JWTVerifyGetKey | undefined;
  return async (header, token) => {
    keys ??= createRemoteJWKSet(new URL((await discovery.metadata()).jwksUri), JWKS_OPTIONS);
    return await keys(header, token);
  };
}

function callerFromClaims(payload: JWTPayload): Caller {
  const text = (claim: string): string => (typeof payload[claim] === "string" ? payload[claim] : "");
  return {
    subject: payload.sub!,
    username: text("preferred_username") || text("client_id"),
    role: text("role"),
    wilayah: text("wilayah"),
    scopes: text("scope").split(" ").filter(Boolean),
    ...(payload.iat === undefined ? {} : { issuedAtSeconds: payload.iat }),
  };
}

/** A token that is wrong, as opposed to keys that could not be fetched. */
function isAboutTheToken(cause: unknown): boolean {
  return (
    cause instanceof errors.JOSEError &&
    !(cause instanceof errors.JWKSTimeout) &&
    !(cause instanceof errors.JWKSInvalid) &&
    cause.code !== "ERR_JOSE_GENERIC"
  );
}

function unauthenticated(message: string) {
  return refuse("unauthenticated", "TOKEN_INVALID", message);
}
