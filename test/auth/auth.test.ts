// The auth process on a real PostgreSQL: issuer, accounts, AuthService and the chain in front of it.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { decodeJwt, decodeProtectedHeader } from "jose";
import pg from "pg";
import { ConfigError } from "#chassis/config.ts";
import { createLogger } from "#chassis/log.ts";
import { chassisMigrations, migrate } from "#chassis/migrate.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { demoAccounts } from "../../services/auth/demo-accounts.ts";
import { type Postgres, startPostgres } from "../../services/mesh/postgres.ts";
import { ROOT } from "../../services/mesh/processes.ts";
import { refused } from "../harness/component.ts";
import { freePort } from "../harness/database.ts";
import { type AuthComponent, bearer, startAuth } from "./auth-component.ts";
import {
  askToken,
  authorizationQuery,
  newVerifier,
  openBrowser,
  REDIRECT_URI,
  redeemCode,
} from "./browser.ts";

const log = createLogger("auth-test", "silent");
const migrations = join(ROOT, "services/auth/migrations");

let folder: string;
let postgres: Postgres;
let url: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "lampid-auth-test-"));
  postgres = await startPostgres({ dataDir: folder, port: await freePort(), log });
  url = postgres.url("auth");
  await migrate({ url, sets: { chassis: chassisMigrations, auth: migrations } });
});

after(async () => {
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

const start = (env: Record<string, string> = {}, databaseUrl = url) => startAuth(databaseUrl, env);

async function startServing(env: Record<string, string> = {}): Promise<AuthComponent> {
  const mesh = await start(env);
  await mesh.serving();
  return mesh;
}

async function sql<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end();
  }
}

describe("the embedded issuer", () => {
  let mesh: AuthComponent;
  before(async () => {
    mesh = await startServing();
  });
  after(() => mesh?.stop());

  test("every demo account logs in and is told who it is", async () => {
    for (const { username, role, wilayah } of demoAccounts) {
      const { accessToken, tokenType, expiresIn } = await mesh.auth.login({ username, password: "rahasia" });
      assert.equal(tokenType, "Bearer");
      assert.equal(expiresIn, 3_600);
      const me = await mesh.auth.getMe({}, bearer(accessToken));
      assert.equal(me.message, "Akses diotorisasi");
      assert.deepEqual([me.username, me.role, me.wilayah, me.scopes], [username, role, wilayah, ["lampid"]]);
      assert.match(me.subject, /^[0-9a-f-]{36}$/);
    }
  });

  test("an access token is an ES256 JWT with the claims that the mesh reads", async () => {
    const { accessToken } = await mesh.auth.login({ username: "OPERATOR", password: "rahasia" });
    const header = decodeProtectedHeader(accessToken);
    assert.deepEqual([header.alg, header.typ], ["ES256", "at+jwt"]);
    const { iss, aud, exp, iat, sub, jti, ...claims } = decodeJwt(accessToken);
    assert.deepEqual([iss, aud, exp! - iat!], [mesh.issuerUrl, "lampid", 3_600]);
    assert.ok(sub && jti);
    assert.deepEqual(claims, {
      preferred_username: "operator",
      role: "operator",
      wilayah: "32.01.01.1006",
      scope: "lampid",
      client_id: "lampid-login",
    });
  });

  test("a wrong password and an unknown account are refused alike, and no refusal quotes them", async () => {
    const wrong = await refused(mesh.auth.login({ username: "auditor", password: "sandi-yang-salah" }));
    const unknown = await refused(mesh.auth.login({ username: "siapa-ini", password: "sandi-yang-salah" }));
    for (const { code, rawMessage } of [wrong, unknown]) {
      assert.equal(code, Code.Unauthenticated);
      assert.equal(rawMessage, "username and password do not match");
    }
    assert.equal(unknown.findDetails(ErrorInfoSchema)[0]?.reason, "CREDENTIALS_INVALID");
  });

  test("a username that PostgreSQL cannot store is an unknown one", async () => {
    const { code } = await refused(mesh.auth.login({ username: "opera\0tor", password: "ra\0hasia" }));
    assert.equal(code, Code.Unauthenticated);
  });

  test("after five wrong passwords even the right one has to wait", async () => {
    const tries = Array.from({ length: 12 }, () =>
      refused(mesh.auth.login({ username: "supervisor2", password: "tebakan" })),
    );
    const codes = (await Promise.all(tries)).map(({ code }) => code);
    assert.equal(codes.filter((code) => code === Code.Unauthenticated).length, 5);
    assert.equal(codes.filter((code) => code === Code.ResourceExhausted).length, 7);
    const late = await refused(mesh.auth.login({ username: "Supervisor2", password: "rahasia" }));
    assert.equal(late.code, Code.ResourceExhausted);
    const seconds = Number(late.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds);
    assert.ok(seconds > 30 && seconds <= 60, `${seconds} s`);
    await mesh.auth.login({ username: "supervisor", password: "rahasia" });
  });

  test("forty logins at once with the right password all succeed", async () => {
    const logins = Array.from({ length: 40 }, () =>
      mesh.auth.login({ username: "kota", password: "rahasia" }),
    );
    assert.equal((await Promise.all(logins)).length, 40);
  });

  test("the audit tells who logged in and who failed, and never what was typed", async () => {
    const rows = await sql<{ subject: string; action: string; resource: string; wilayah: string }>(
      "select subject, action, resource, wilayah from audit",
    );
    const [auditor] = await sql<{ id: string }>("select id from account where username = 'auditor'");
    const method = "lampid.auth.v1.AuthService/Login";
    const has = (subject: string, action: string) =>
      rows.some((row) => row.subject === subject && row.action === action);
    assert.ok(has(auditor!.id, `${method} ok`));
    assert.ok(has(auditor!.id, `${method} failed`));
    assert.ok(has("unknown", `${method} failed`));
    const everything = JSON.stringify(await sql("select * from audit"));
    assert.doesNotMatch(everything, /siapa-ini|sandi-yang-salah|tebakan|rahasia/);
  });

  test("a machine client gets a token with its role, the nation and its scopes", async () => {
    for (const asked of [{}, { scope: "penduduk.verify" }] as Record<string, string>[]) {
      const answer = await fetch(`${mesh.issuerUrl}/token`, {
        method: "POST",
        headers: { authorization: `Basic ${btoa("mitra:rahasia")}` },
        body: new URLSearchParams({ grant_type: "client_credentials", ...asked }),
      });
      assert.equal(answer.status, 200);
      const { access_token: token, scope } = (await answer.json()) as Record<string, string>;
      const expected = asked.scope ?? "penduduk.verify penduduk.export statistik.read";
      assert.equal(scope, expected);
      const me = await mesh.auth.getMe({}, bearer(token!));
      assert.deepEqual(
        [me.username, me.role, me.wilayah, me.scopes],
        ["mitra", "mitra", "ID", expected.split(" ")],
      );
    }
    const wrong = await fetch(`${mesh.issuerUrl}/token`, {
      method: "POST",
      body: new URLSearchParams({
        grant_type: "client_credentials",
        client_id: "mitra",
        client_secret: "salah",
      }),
    });
    assert.equal(wrong.status, 401);
  });

  test("the password grant is for the first-party client alone", async () => {
    const form = { grant_type: "password", username: "operator", password: "rahasia" };
    const ask = async (client: Record<string, string>) => {
      const body = new URLSearchParams({ ...form, ...client });
      const answer = await fetch(`${mesh.issuerUrl}/token`, { method: "POST", body });
      return [answer.status, ((await answer.json()) as { error: string }).error];
    };
    assert.deepEqual(await ask({ client_id: "lampid-web" }), [400, "invalid_request"]);
    assert.deepEqual(await ask({ client_id: "mitra", client_secret: "rahasia" }), [400, "invalid_request"]);
    assert.deepEqual(await ask({ client_id: "lampid-login" }), [401, "invalid_client"]);
    assert.deepEqual(await ask({ client_id: "lampid-login", client_secret: "tebakan" }), [
      401,
      "invalid_client",
    ]);
  });

  test("only public keys are published, and nobody registers a client", async () => {
    const { keys } = (await (await fetch(`${mesh.issuerUrl}/jwks`)).json()) as {
      keys: Record<string, unknown>[];
    };
    assert.equal(keys.length, 1);
    assert.equal(keys[0]!.alg, "ES256");
    assert.equal(keys[0]!.d, undefined);
    const registered = await fetch(`${mesh.issuerUrl}/reg`, { method: "POST", body: "{}" });
    assert.equal(registered.status, 404);
    const discovery = (await (
      await fetch(`${mesh.issuerUrl}/.well-known/openid-configuration`)
    ).json()) as Record<string, unknown>;
    assert.equal(discovery.issuer, mesh.issuerUrl);
    assert.equal(discovery.jwks_uri, `${mesh.issuerUrl}/jwks`);
    assert.equal(discovery.registration_endpoint, undefined);
    assert.deepEqual(discovery.code_challenge_methods_supported, ["S256"]);
  });

  test("a restart keeps the keys: tokens from before it are still good, and nothing is seeded twice", async () => {
    const { accessToken } = await mesh.auth.login({ username: "operator", password: "rahasia" });
    const before = await sql("select id, username, password_hash, updated_at from account order by username");
    const second = await startServing({ LAMPID_ISSUER_URL: mesh.issuerUrl });
    try {
      const kid = decodeProtectedHeader(accessToken).kid;
      const answer = await second.auth.login({ username: "operator", password: "rahasia" });
      assert.equal(decodeProtectedHeader(answer.accessToken).kid, kid);
      const rows = await sql("select id, username, password_hash, updated_at from account order by username");
      assert.deepEqual(rows, before);
    } finally {
      await second.stop();
    }
  });
});

describe("signing in with a browser", () => {
  let mesh: AuthComponent;
  before(async () => {
    mesh = await startServing();
  });
  after(() => mesh?.stop());

  const browser = () => openBrowser(mesh.issuerUrl);
  const authorization = (verifier: string, more: Record<string, string> = {}) =>
    `/auth?${authorizationQuery(verifier, more)}`;
  const redeem = (code: string, verifier: string) => redeemCode(`${mesh.issuerUrl}/token`, code, verifier);

  test("the login page leads to a code, and the code with its verifier to tokens, once", async () => {
    const visit = browser();
    const verifier = newVerifier();
    const start = await visit(authorization(verifier));
    assert.equal(start.status, 303);
    const page = await visit(start.location);
    assert.equal(page.status, 200);
    assert.match(page.html, /<html lang="id">/);
    assert.match(page.html, /<label for="username">Nama pengguna<\/label>/);
    assert.match(
      page.headers.get("content-security-policy") ?? "",
      /default-src 'none'.*frame-ancestors 'none'/,
    );

    const wrong = await visit(start.location, { username: '"><b>operator', password: "salah" });
    assert.equal(wrong.status, 401);
    assert.match(wrong.html, /role="alert".*Nama pengguna atau kata sandi salah/);
    assert.doesNotMatch(wrong.html, /<b>operator|value="salah"/);

    const done = await visit(start.location, { username: "operator", password: "rahasia" });
    assert.equal(done.status, 303);
    const callback = await visit(done.location);
    assert.equal(callback.status, 303);
    assert.ok(callback.location.startsWith(`${REDIRECT_URI}?`), callback.location);
    const { code, state, iss } = Object.fromEntries(new URL(callback.location).searchParams);
    assert.deepEqual([state, iss], ["keadaan", mesh.issuerUrl]);

    assert.equal((await redeem(code!, "x".repeat(43))).status, 400);
    const again = await visit(authorization(verifier));
    assert.match((await visit(again.location)).html, /Anda masuk sebagai <strong>operator<\/strong>/);
    const confirmed = await visit(again.location, { action: "lanjut" });
    const second = await visit(confirmed.location);
    const fresh = new URL(second.location).searchParams.get("code")!;
    const [first, repeated] = await Promise.all([redeem(fresh, verifier), redeem(fresh, verifier)]);
    const statuses = [first.status, repeated.status].sort();
    assert.deepEqual(statuses, [200, 400]);
    const tokens = (first.status === 200 ? first : repeated).body;
    const me = await mesh.auth.getMe({}, bearer(tokens.access_token!));
    assert.deepEqual([me.username, me.wilayah, me.scopes], ["operator", "32.01.01.1006", ["lampid"]]);
    assert.equal(decodeJwt(tokens.id_token!).preferred_username, "operator");
    assert.ok(tokens.refresh_token);
    const [row] = await sql<{ count: string }>(
      "select count(*) from audit where action = 'issuer/interaction ok'",
    );
    assert.equal(row!.count, "1");
  });

  test("a refresh token gives new tokens, and is replaced", async () => {
    const visit = browser();
    const verifier = newVerifier();
    const start = await visit(authorization(verifier));
    const done = await visit(start.location, { username: "pusat", password: "rahasia" });
    const callback = await visit(done.location);
    const answer = await redeem(new URL(callback.location).searchParams.get("code")!, verifier);
    const refresh = (token: string) =>
      askToken(`${mesh.issuerUrl}/token`, {
        grant_type: "refresh_token",
        client_id: "lampid-web",
        refresh_token: token,
      });
    const renewed = await refresh(answer.body.refresh_token!);
    assert.equal(renewed.status, 200);
    assert.equal((await mesh.auth.getMe({}, bearer(renewed.body.access_token!))).role, "admin_pusat");
    assert.notEqual(renewed.body.refresh_token, answer.body.refresh_token);
    assert.equal((await refresh(answer.body.refresh_token!)).status, 400);
  });

  test("cancelling goes back to the client with access_denied", async () => {
    const visit = browser();
    const start = await visit(authorization(newVerifier()));
    const cancelled = await visit(start.location, { action: "batal" });
    const callback = await visit(cancelled.location);
    assert.equal(new URL(callback.location).searchParams.get("error"), "access_denied");
  });

  test("no PKCE, a foreign redirect, a NUL, another browser's interaction: none of them gets in", async () => {
    const visit = browser();
    const plain = await visit(
      authorization("v".repeat(43), { code_challenge: "", code_challenge_method: "" }),
    );
    assert.equal(new URL(plain.location).searchParams.get("error"), "invalid_request");
    const foreign = await visit(
      authorization("v".repeat(43), { redirect_uri: "https://jahat.example/callback" }),
    );
    assert.equal(foreign.status, 400);
    assert.match(foreign.html, /Permintaan tidak dapat diproses/);
    assert.equal((await visit(authorization("v".repeat(43), { state: "\0" }))).status, 400);
    const start = await visit(authorization("v".repeat(43)));
    const other = await browser()(start.location, { username: "operator", password: "rahasia" });
    assert.equal(other.status, 400);
    assert.match(other.html, /Sesi masuk sudah berakhir/);
    const large = await visit(start.location, { username: "x".repeat(20_000), password: "rahasia" });
    assert.equal(large.status, 413);
  });

  test("the page's tries are counted with those of Login", async () => {
    const visit = browser();
    const start = await visit(authorization(newVerifier()));
    for (let tries = 0; tries < 5; tries++) {
      const { status } = await visit(start.location, { username: "auditor", password: "salah" });
      assert.equal(status, 401);
    }
    const late = await visit(start.location, { username: "auditor", password: "rahasia" });
    assert.equal(late.status, 429);
    assert.match(late.html, /Terlalu banyak percobaan/);
    const login = (address: string) =>
      mesh.auth.login(
        { username: "auditor", password: "rahasia" },
        { headers: { "x-lampid-client-address": address } },
      );
    assert.equal((await refused(login("127.0.0.1"))).code, Code.ResourceExhausted);
    assert.ok((await login("198.51.100.2")).accessToken, "its owner is elsewhere");
  });
});

describe("when things are not there", () => {
  test("without PostgreSQL it starts, is not serving, and answers UNAVAILABLE", async () => {
    const nowhere = `postgres://auth:x@127.0.0.1:${await freePort()}/auth`;
    const mesh = await start({}, nowhere);
    try {
      assert.equal(mesh.health.serving(), false);
      assert.equal((await fetch(`${mesh.issuerUrl}/jwks`)).status, 503);
      const { code } = await refused(mesh.auth.login({ username: "operator", password: "rahasia" }));
      assert.equal(code, Code.Unavailable);
      const me = await refused(mesh.auth.getMe({}, bearer("a.b.c")));
      assert.ok([Code.Unauthenticated, Code.Unavailable].includes(me.code));
    } finally {
      await mesh.stop();
    }
  });

  test("an issuer elsewhere is used by configuration, its 401 for a wrong password included", async () => {
    const issuer = await startServing();
    const seen: string[] = [];
    const keycloak = createHttpServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      const form = new URLSearchParams(body);
      if (form.has("username")) seen.push(`${request.headers.authorization} ${form.get("username")}`);
      const right = form.get("password") === "benar";
      response.writeHead(right ? 200 : 401, { "content-type": "application/json" });
      response.end(
        JSON.stringify(
          right
            ? { access_token: "t.o.k", token_type: "Bearer", expires_in: 300 }
            : { error: "invalid_grant", error_description: "Invalid user credentials" },
        ),
      );
    });
    await new Promise<void>((resolve) => keycloak.listen(0, "127.0.0.1", resolve));
    const { port } = keycloak.address() as { port: number };
    const mesh = await start({
      LAMPID_PROFILE: "cluster",
      LAMPID_ISSUER_TOKEN_URL: `http://127.0.0.1:${port}/realms/lampid/protocol/openid-connect/token`,
      LAMPID_ISSUER_CLIENT_ID: "lampid login",
      LAMPID_ISSUER_CLIENT_SECRET: "s:e&c",
      LAMPID_ISSUER_ADMIN_CLIENT_SECRET: "x",
    });
    try {
      const answer = await mesh.auth.login({ username: "Budi", password: "benar" });
      assert.deepEqual([answer.accessToken, answer.expiresIn], ["t.o.k", 300]);
      assert.equal(seen[0], `Basic ${btoa("lampid+login:s%3Ae%26c")} Budi`);
      const wrong = await refused(mesh.auth.login({ username: "Budi", password: "salah" }));
      assert.equal(wrong.code, Code.Unauthenticated);
      keycloak.closeAllConnections();
      await new Promise((resolve) => keycloak.close(resolve));
      const gone = await refused(mesh.auth.login({ username: "Budi", password: "benar" }));
      assert.equal(gone.code, Code.Unavailable);
    } finally {
      await mesh.stop();
      await issuer.stop();
    }
  });

  test("switched off, the demo accounts of an earlier start no longer log in, nor does the machine client", async () => {
    const mesh = await startServing({ LAMPID_DEMO_ACCOUNTS: "false" });
    try {
      const { code } = await refused(mesh.auth.login({ username: "operator", password: "rahasia" }));
      assert.equal(code, Code.Unauthenticated);
      const answer = await fetch(`${mesh.issuerUrl}/token`, {
        method: "POST",
        headers: { authorization: `Basic ${btoa("mitra:rahasia")}` },
        body: new URLSearchParams({ grant_type: "client_credentials" }),
      });
      assert.equal(answer.status, 401);
    } finally {
      await mesh.stop();
    }
    const changed = await startServing({ LAMPID_DEMO_PASSWORD: "kata-sandi-lain" });
    try {
      await changed.auth.login({ username: "operator", password: "kata-sandi-lain" });
      const { code } = await refused(changed.auth.login({ username: "operator", password: "rahasia" }));
      assert.equal(code, Code.Unauthenticated);
    } finally {
      await changed.stop();
    }
  });

  test("the default password is refused beyond loopback, by the variable's name", async () => {
    await assert.rejects(start({ LAMPID_HOST: "0.0.0.0" }), (cause) => {
      assert.ok(cause instanceof ConfigError);
      assert.match(cause.message, /LAMPID_DEMO_PASSWORD/);
      return true;
    });
  });
});
