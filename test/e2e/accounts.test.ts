// Accounts over REST on a real mesh, whichever issuer it has: an admin makes, moves and suspends them; nobody else does.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { importJWK, type JWK, SignJWT } from "jose";
import { createWireTransport } from "#chassis/wire/wire.ts";
import { RevocationService } from "#gen/lampid/auth/v1/revocation_service_pb.ts";
import { NotifikasiService } from "#gen/lampid/notifikasi/v1/notifikasi_service_pb.ts";
import { assertRefused } from "../harness/component.ts";
import { eventually } from "../harness/eventually.ts";
import { issuerKey } from "../harness/issuer-key.ts";
import { openSql, type Sql } from "../harness/ledger.ts";
import { type RunningMesh, useMesh } from "../harness/mesh.ts";
import { assertStatus, assertViolations, login, type RestClient, restClient } from "../harness/rest.ts";

let mesh: RunningMesh;
let call: RestClient;
let sql: Sql;
let key: JWK;
const tokens = {} as Record<"kota" | "pusat" | "operator" | "auditor", string>;

before(async () => {
  mesh = await useMesh();
  call = restClient(mesh.urls.gateway!);
  sql = openSql(mesh);
  key = await issuerKey(sql);
  for (const name of ["kota", "pusat", "operator", "auditor"] as const) {
    tokens[name] = await login(mesh.urls.gateway!, name);
  }
});
after(async () => {
  for (const close of closers) close();
  await sql?.close();
  await mesh?.stop();
});

const closers: (() => void)[] = [];
function transportTo(process: string) {
  const transport = createWireTransport({ baseUrl: mesh.urls[process]!, defaultTimeoutMs: 10_000 });
  closers.push(transport.close);
  return transport;
}

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

/** A token of the account as the issuer would sign it, some seconds ago: no sign-in of a new account comes without a browser. */
async function tokenOf(account: { name: string; username: string; kodeWilayah: string }, secondsAgo = 0) {
  const claims = JSON.parse(Buffer.from(tokens.operator.split(".")[1]!, "base64url").toString());
  const now = Math.floor(Date.now() / 1000);
  return await new SignJWT({
    ...claims,
    sub: account.name.replace("accounts/", ""),
    preferred_username: account.username,
    wilayah: account.kodeWilayah,
    iat: now - secondsAgo,
    exp: now + 290,
  })
    .setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid: key.kid! })
    .sign(await importJWK(key, "ES256"));
}

/** What becomes of calls with this token: over REST at auth and at penduduk, and at a service by gRPC, past the gateway. */
function useOf(token: string) {
  const notifikasi = createClient(NotifikasiService, transportTo("notifikasi"));
  const headers = { authorization: `Bearer ${token}` };
  const search = { nama: "siapa pun", kodeWilayah: "32.01.01" };
  const rest = [
    () => call("GET /protected", { token }),
    () => call("POST /v1/penduduk:search", { token, json: search }),
  ];
  const direct = () => notifikasi.getPreferensi({}, { headers });
  return {
    async passes(): Promise<void> {
      for (const each of rest) assert.equal((await each()).status, 200);
      await direct();
    },
    async isRefused(): Promise<void> {
      for (const each of rest) assertStatus(await each(), 401, "Unauthenticated", "TOKEN_REVOKED");
      await assertRefused(direct(), "Unauthenticated", "TOKEN_REVOKED");
    },
    /** The mesh under test asks every second; with the default of ten there are still four tries within the minute. */
    async isRefusedSoon(): Promise<void> {
      const statuses = async () => await Promise.all(rest.map(async (each) => (await each()).status));
      await eventually(async () => (await statuses()).every((status) => status === 401), 10_000);
      await eventually(
        () =>
          direct().then(
            () => false,
            () => true,
          ),
        10_000,
      );
      await this.isRefused();
    },
  };
}

test("a suspended account's token is refused everywhere soon, others' are not, and one of after its return is good", async (context) => {
  const [account, bystander] = [await created(), await created()];
  const use = useOf(await tokenOf(account, 3));
  const uninvolved = useOf(await tokenOf(bystander, 3));
  await use.passes();
  await uninvolved.passes();

  const suspended = await call(`POST /v1/${account.name}:suspend`, { token: tokens.kota, json: {} });
  assert.equal(suspended.status, 200, suspended.text);
  const suspendedAt = performance.now();
  await use.isRefusedSoon();
  context.diagnostic(
    `refused at three services ${Math.round(performance.now() - suspendedAt)} ms after it was suspended`,
  );
  await useOf(await tokenOf(account)).isRefused();
  await uninvolved.passes();

  await call(`POST /v1/${account.name}:reactivate`, { token: tokens.kota, json: {} });
  const again = useOf(await tokenOf(account));
  await eventually(
    () =>
      again.passes().then(
        () => true,
        () => false,
      ),
    10_000,
  );
  await use.isRefused();
});

test("whoever was moved, or given another password, goes on with a new token and not with the old one", async () => {
  for (const change of [
    (name: string, etag: string) =>
      call(`PATCH /v1/${name}`, { token: tokens.kota, json: { etag, kodeWilayah: "32.01.01.1007" } }),
    (name: string) => call(`POST /v1/${name}:resetPassword`, { token: tokens.kota, json: {} }),
  ]) {
    const account = await created();
    const use = useOf(await tokenOf(account, 3));
    await use.passes();
    assert.equal((await change(account.name, account.etag)).status, 200);
    const renewed = useOf(await tokenOf({ ...account, kodeWilayah: "32.01.01.1007" }));
    await use.isRefusedSoon();
    await renewed.passes();
  }
});

test("while auth is killed and comes back, what was refused stays so and what was good stays good", async () => {
  const account = await created();
  const refused = await tokenOf(account, 3);
  await call(`POST /v1/${account.name}:suspend`, { token: tokens.kota, json: {} });
  await useOf(refused).isRefusedSoon();

  const before = mesh.pid("auth")!;
  process.kill(before, "SIGKILL");
  const search = { nama: "siapa pun", kodeWilayah: "32.01.01" };
  const status = async (token: string) =>
    (await call("POST /v1/penduduk:search", { token, json: search })).status;
  const admin = restClient(mesh.adminUrls.auth!);
  const isBack = async () => {
    const pid = mesh.pid("auth");
    return (
      pid !== undefined &&
      pid !== before &&
      (await admin("GET /readyz").catch(() => undefined))?.status === 200
    );
  };
  let looks = 0;
  await eventually(async () => {
    assert.deepEqual([await status(refused), await status(tokens.operator)], [401, 200]);
    looks++;
    return await isBack();
  }, 30_000);
  assert.ok(looks > 1, "somebody looked while auth was away");
  await useOf(refused).isRefusedSoon();
  await useOf(tokens.operator).passes();
});

test("processes ask for the list without a token; the gateway does not offer it", async () => {
  const list = await createClient(RevocationService, transportTo("auth")).listRevocations({});
  assert.ok(list.revocations.length > 0);
  const path = "/lampid.auth.v1.RevocationService/ListRevocations";
  assert.equal((await call(`POST ${path}`, { token: tokens.pusat, json: {} })).status, 404);
});
