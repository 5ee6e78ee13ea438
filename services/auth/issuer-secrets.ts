// The embedded issuer's keys and secrets: made once, kept in PostgreSQL, so that no restart invalidates a token.
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { calculateJwkThumbprint, type JWK } from "jose";
import type { Sql } from "#chassis/database.ts";

export type IssuerSecrets = {
  /** Private keys that sign tokens; the public halves are what /jwks shows. */
  jwks: { keys: JWK[] };
  /** Sign the cookies of the login page. */
  cookieKeys: string[];
  /** Secret of the client with which AuthService.Login asks for tokens. */
  loginSecret: string;
};

/** Loads them, and makes those that are missing; of several processes that make them at once the first wins. */
export async function loadIssuerSecrets(sql: Sql): Promise<IssuerSecrets> {
  const loaded = await load(sql);
  if (loaded) return loaded;
  const made: IssuerSecrets = {
    jwks: { keys: [await signingKey()] },
    cookieKeys: [randomSecret()],
    loginSecret: randomSecret(),
  };
  await sql.query(
    "insert into issuer_secret (name, value) values ('jwks', $1), ('cookieKeys', $2), ('loginSecret', $3) on conflict do nothing",
    [made.jwks, made.cookieKeys, made.loginSecret].map((value) => JSON.stringify(value)),
  );
  return (await load(sql)) ?? Promise.reject(new Error("the issuer's secrets vanished while they were made"));
}

async function load(sql: Sql): Promise<IssuerSecrets | undefined> {
  const { rows } = await sql.query<{ name: string; value: unknown }>("select name, value from issuer_secret");
  const found = Object.fromEntries(rows.map(({ name, value }) => [name, value]));
  const { jwks, cookieKeys, loginSecret } = found as Partial<IssuerSecrets>;
  return jwks && cookieKeys && loginSecret ? { jwks, cookieKeys, loginSecret } : undefined;
}

/** ES256: a signature costs a tenth of RS256's, and tokens are shorter (RFC 7518 3.4). */
async function signingKey(): Promise<JWK> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = privateKey.export({ format: "jwk" }) as JWK;
  return { ...jwk, kid: await calculateJwkThumbprint(jwk), use: "sig", alg: "ES256" };
}

function randomSecret(): string {
  return randomBytes(32).toString("base64url");
}
