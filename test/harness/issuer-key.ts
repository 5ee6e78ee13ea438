// The private key that the issuer signs with, for tests that forge tokens.
import { readFileSync } from "node:fs";
import type { JWK } from "jose";
import type { Sql } from "./ledger.ts";

/** Of the embedded issuer, from its database; of Keycloak, the one that the test run has given it. */
export async function issuerKey(sql: Sql): Promise<JWK> {
  const path = process.env.LAMPID_TEST_ISSUER_KEY;
  if (path) return JSON.parse(readFileSync(path, "utf8")) as JWK;
  const [row] = await sql.rows("auth", "select value from issuer_secret where name = 'jwks'");
  return row.value.keys[0];
}
