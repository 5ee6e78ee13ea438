// Accounts over REST on a real mesh, whichever issuer it has: an admin makes, moves and suspends them; nobody else does.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { type RunningMesh, useMesh } from "../harness/mesh.ts";
import { assertStatus, assertViolations, login, type RestClient, restClient } from "../harness/rest.ts";

let mesh: RunningMesh;
let call: RestClient;
const tokens = {} as Record<"kota" | "pusat" | "operator" | "auditor", string>;

before(async () => {
  mesh = await useMesh();
  call = restClient(mesh.urls.gateway!);
  for (const name of ["kota", "pusat", "operator", "auditor"] as const) {
    tokens[name] = await login(mesh.urls.gateway!, name);
  }
});
after(() => mesh?.stop());

const newAccount = (over: object = {}) => ({
  username: `rest-${randomUUID().slice(0, 13)}`,
  role: "ROLE_OPERATOR",
  kodeWilayah: "32.01.01.1006",
  ...over,
});

async function created(over: object = {}) {
  const answer = await call("POST /v1/accounts", { token: tokens.kota, json: newAccount(over) });
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}

test("an admin kota makes an account, once under its key, reads it, and finds it in the list of its wilayah", async () => {
  const json = newAccount({ kodeWilayah: "32.01.02.2001" });
  const make = () =>
    call("POST /v1/accounts", { token: tokens.kota, json, headers: { "idempotency-key": json.username } });
  const [first, again] = [await make(), await make()];
  assert.deepEqual([first.status, again.status], [201, 201], first.text);
  assert.deepEqual(again.body, first.body);
  assert.equal(first.body.status, "STATUS_AKTIF");
  const read = await call(`GET /v1/${first.body.name}`, { token: tokens.kota });
  assert.deepEqual(read.body, first.body);
  const seen: string[] = [];
  let pageToken = "";
  do {
    const query = new URLSearchParams({ kodeWilayah: "32.01.02", pageSize: "2", pageToken });
    const page = await call(`GET /v1/accounts?${query}`, { token: tokens.kota });
    assert.equal(page.status, 200, page.text);
    seen.push(...page.body.accounts.map(({ username }: { username: string }) => username));
    pageToken = page.body.nextPageToken;
  } while (pageToken);
  assert.deepEqual(seen, [...new Set(seen)].sort());
  assert.ok(seen.includes(json.username) && seen.includes("operator2"));
});

test("a change needs the current etag, and verbs suspend and let in again", async () => {
  const account = await created();
  const patch = (json: object, headers: Record<string, string> = {}) =>
    call(`PATCH /v1/${account.name}`, { token: tokens.kota, json, headers });
  const moved = await patch({ etag: account.etag, kodeWilayah: "32.01.01.1007" });
  assert.equal(moved.status, 200, moved.text);
  assert.equal(moved.body.kodeWilayah, "32.01.01.1007");
  const late = { etag: account.etag, kodeWilayah: "32.01.01.1006" };
  assertStatus(await patch(late), 409, "Aborted", "ETAG_MISMATCH");
  assertStatus(await patch(late, { "if-match": account.etag }), 412, "Aborted", "ETAG_MISMATCH");
  assertViolations(await patch({ etag: moved.body.etag, role: "ROLE_SUPERVISOR" }), ["kode_wilayah"]);
  assertViolations(await patch({ etag: moved.body.etag, username: "lain" }), ["account.username"]);
  for (const [verb, status] of [
    ["suspend", "STATUS_DITANGGUHKAN"],
    ["reactivate", "STATUS_AKTIF"],
  ]) {
    const answer = await call(`POST /v1/${account.name}:${verb}`, { token: tokens.kota, json: {} });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.status, status);
  }
});

test("an initial password is told once, not to be cached, and is good for the login page alone", async () => {
  const { name, username } = await created();
  const reset = await call(`POST /v1/${name}:resetPassword`, { token: tokens.kota, json: {} });
  assert.equal(reset.status, 200, reset.text);
  assert.equal(reset.headers.get("cache-control"), "no-store");
  const json = { username, password: reset.body.initialPassword };
  assertStatus(await call("POST /login", { json }), 400, "FailedPrecondition", "PASSWORD_EXPIRED");
});

test("nobody else administers, nobody outside their wilayah, nobody themselves", async () => {
  const { name } = await created();
  for (const who of ["operator", "auditor"] as const) {
    const token = tokens[who];
    assertStatus(await call("POST /v1/accounts", { token, json: newAccount() }), 403, "PermissionDenied");
    assertStatus(await call(`GET /v1/${name}`, { token }), 403, "PermissionDenied");
    assertStatus(await call("GET /v1/accounts?kodeWilayah=32.01", { token }), 403, "PermissionDenied");
  }
  assertStatus(await call("POST /v1/accounts", { json: newAccount() }), 401, "Unauthenticated");
  const elsewhere = newAccount({ kodeWilayah: "32.04.05.2001" });
  assertStatus(
    await call("POST /v1/accounts", { token: tokens.kota, json: elsewhere }),
    403,
    "PermissionDenied",
    "WILAYAH_DENIED",
  );
  const { subject } = (await call("GET /v1/auth/me", { token: tokens.pusat })).body;
  assertStatus(
    await call(`POST /v1/accounts/${subject}:suspend`, { token: tokens.pusat, json: {} }),
    403,
    "PermissionDenied",
    "OWN_ACCOUNT",
  );
});
