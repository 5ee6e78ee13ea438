// `npm run token -- operator`: prints an access token of a demo account, for curl and grpcurl.
import { resolve } from "node:path";
import { readMeshState } from "./data-dir.ts";

const [account = "--help", ...rest] = process.argv.slice(2);
if (account === "--help" || rest.length > 0) {
  console.log(`usage: npm run -s token -- ACCOUNT

Prints an access token of a demo account: operator, operator2, operator3, supervisor, supervisor2, supervisor3,
kota, kota2, pusat, auditor or mitra.
Variables: LAMPID_DATA_DIR (default .lampid) names the running mesh, LAMPID_DEMO_PASSWORD (default rahasia) its password.`);
  process.exit(account === "--help" && rest.length === 0 ? 0 : 2);
}

const dataDir = resolve(process.env.LAMPID_DATA_DIR || ".lampid");
const password = process.env.LAMPID_DEMO_PASSWORD || "rahasia";
const state = readMeshState(dataDir);
if (!state) fail(`no mesh is running on ${dataDir}: run npm start, or set LAMPID_DATA_DIR`);
console.log(await (account === "mitra" ? clientCredentials(state.urls.issuer!) : login(state.urls.gateway!)));

async function login(gateway: string): Promise<string> {
  return accessToken(`${gateway}/login`, JSON.stringify({ username: account, password }), "application/json");
}

async function clientCredentials(issuer: string): Promise<string> {
  const form = new URLSearchParams({
    grant_type: "client_credentials",
    client_id: account,
    client_secret: password,
  });
  const endpoint = await tokenEndpoint(issuer);
  return accessToken(endpoint, form.toString(), "application/x-www-form-urlencoded");
}

/** The embedded issuer's is at /token, Keycloak's is not: each says so itself. */
async function tokenEndpoint(issuer: string): Promise<string> {
  const url = `${issuer}/.well-known/openid-configuration`;
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) }).catch((cause: Error) =>
    fail(`${url} cannot be reached: ${cause.message}`),
  );
  const { token_endpoint: endpoint } = (await response.json().catch(() => ({}))) as Record<string, string>;
  return endpoint ?? fail(`${url} names no token endpoint (HTTP ${response.status})`);
}

async function accessToken(url: string, body: string, contentType: string): Promise<string> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": contentType },
    body,
    signal: AbortSignal.timeout(10_000),
  }).catch((cause: Error) => fail(`${url} cannot be reached: ${cause.message}`));
  const answer = (await response.json().catch(() => ({}))) as Record<string, string>;
  if (!response.ok || !answer.access_token) {
    fail(`${account}: ${answer.message ?? answer.error_description ?? `HTTP ${response.status}`}`);
  }
  return answer.access_token;
}

function fail(message: string): never {
  console.error(`token: ${message}`);
  process.exit(1);
}
