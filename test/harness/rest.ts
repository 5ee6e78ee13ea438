// The gateway as a partner's program calls it: JSON over HTTP/1.1, and what an error must look like.
import assert from "node:assert/strict";
import { Code } from "@connectrpc/connect";

export type CallOptions = {
  token?: string;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is, in place of `json`. */
  body?: string | Uint8Array<ArrayBuffer>;
  headers?: Record<string, string>;
  timeoutMs?: number;
};

export type Answer = Awaited<ReturnType<RestClient>>;
export type RestClient = ReturnType<typeof restClient>;

const TIMEOUT_MS = 20_000;

/** Calls with `"POST /penduduk"`; rejects only when no answer comes. */
export function restClient(baseUrl: string) {
  return async (call: string, { token, json, body, headers, timeoutMs = TIMEOUT_MS }: CallOptions = {}) => {
    const [method = "GET", path = "/"] = call.split(" ");
    const content = body ?? (json === undefined ? undefined : JSON.stringify(json));
    const response = await fetch(`${baseUrl}${path}`, {
      method,
      headers: {
        ...(content === undefined ? {} : { "content-type": "application/json" }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      body: content,
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson ? JSON.parse(text) : text,
    };
  };
}

/** Access token of a demo account, with whom test files log in once each. */
export async function login(
  gateway: string,
  username: string,
  password = process.env.LAMPID_DEMO_PASSWORD || "rahasia",
): Promise<string> {
  const answer = await restClient(gateway)("POST /login", { json: { username, password } });
  assert.equal(answer.status, 200, `login of ${username}: ${answer.text}`);
  return answer.body.access_token;
}

/** Access token of the machine client, from the issuer's token endpoint (RFC 6749 section 4.4), whichever issuer it is. */
export async function mitraToken(issuer: string, scope?: string): Promise<string> {
  const discovery = await fetch(`${issuer}/.well-known/openid-configuration`);
  const { token_endpoint: endpoint } = (await discovery.json()) as { token_endpoint: string };
  const form = { grant_type: "client_credentials", client_id: "mitra", client_secret: "rahasia" };
  const body = new URLSearchParams({ ...form, ...(scope === undefined ? {} : { scope }) });
  const response = await fetch(endpoint, { method: "POST", body });
  const answer = (await response.json()) as { access_token: string };
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer.access_token;
}

/** Fails unless the answer is this HTTP status with a google.rpc.Status of this code and, if given, ErrorInfo reason. */
export function assertStatus(
  answer: Pick<Answer, "status" | "headers" | "body" | "text">,
  httpStatus: number,
  code: keyof typeof Code,
  reason?: string,
): void {
  assert.equal(answer.status, httpStatus, answer.text);
  assert.match(answer.headers.get("content-type") ?? "", /^application\/json/);
  assertStatusBody(answer.body, code);
  if (reason !== undefined) assert.equal(detailOf(answer.body, "ErrorInfo")?.reason, reason, answer.text);
}

/** Fails unless this is the JSON of a google.rpc.Status with this code. */
export function assertStatusBody(body: Status, code: keyof typeof Code): void {
  assert.equal(Code[body.code], code, JSON.stringify(body));
  assert.equal(typeof body.message, "string");
  assert.notEqual(body.message, "");
  assert.ok(Array.isArray(body.details), JSON.stringify(body));
}

/** Fails unless the answer is 400 with a google.rpc.BadRequest of exactly these fields. */
export function assertViolations(answer: Answer, fields: readonly string[]): void {
  assertStatus(answer, 400, "InvalidArgument");
  const violations = detailOf(answer.body, "BadRequest")?.fieldViolations ?? [];
  assert.deepEqual(
    [...new Set(violations.map(({ field }) => field))].sort(),
    [...fields].sort(),
    answer.text,
  );
  for (const { description } of violations) assert.ok(description, "every violation says what is wrong");
}

type Detail = {
  "@type": string;
  reason?: string;
  fieldViolations?: { field: string; description: string }[];
};
type Status = { code: number; message: string; details: Detail[] };

function detailOf(body: Status, type: string): Detail | undefined {
  return body.details.find((detail) => detail["@type"] === `type.googleapis.com/google.rpc.${type}`);
}
