// A real Keycloak with our realm in front of a real auth process: who gets in, how, and what their token says.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { ErrorInfoSchema, RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { demoAccounts } from "../../services/auth/demo-accounts.ts";
import { type AuthComponent, bearer, startAuth } from "../auth/auth-component.ts";
import {
  askToken,
  authorizationQuery,
  type Browser,
  formAction,
  newVerifier,
  openBrowser,
  type Page,
  REDIRECT_URI,
  redeemCode,
} from "../auth/browser.ts";
import { refused } from "../harness/component.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { clusterSettings, keycloakAdmin, keycloakMissing, keycloakSecrets, useKeycloak } from "./keycloak.ts";

const skip = keycloakMissing();
const secrets = keycloakSecrets();
let keycloak: Awaited<ReturnType<typeof useKeycloak>>;
let database: TestDatabase;
let mesh: AuthComponent;
let endpoint: (name: "token" | "auth" | "auth/device") => string;

before(async () => {
  if (skip) return;
  keycloak = await useKeycloak();
  database = await createTestDatabase("auth");
  mesh = await startAuth(database.url, clusterSettings(keycloak.issuerUrl));
  await mesh.serving();
  endpoint = (name) => `${keycloak.issuerUrl}/protocol/openid-connect/${name}`;
});
after(async () => {
  await mesh?.stop();
  await database?.drop();
  await keycloak?.stop();
});

const login = (username: string, password = secrets.demoPassword) => mesh.auth.login({ username, password });

async function signIn(
  visit: Browser,
  username: string,
  query: URLSearchParams,
  password = secrets.demoPassword,
): Promise<Page> {
  const page = await visit(`${endpoint("auth")}?${query}`);
  return visit(formAction(page), { username, password, credentialId: "" });
}

function codeIn({ location, html }: Page): string {
  assert.ok(location.startsWith(`${REDIRECT_URI}?`), `${location} ${html.slice(0, 500)}`);
  const { code, state, iss } = Object.fromEntries(new URL(location).searchParams);
  assert.deepEqual([state, iss], ["keadaan", keycloak.issuerUrl]);
  return code!;
}

describe("on Keycloak", { skip, timeout: 240_000 }, () => {
  test("every demo account logs in and is told who it is", async () => {
    for (const { username, role, wilayah } of demoAccounts) {
      const { accessToken, tokenType, expiresIn } = await login(username);
      assert.equal(tokenType, "Bearer");
      // Keycloak counts from when it answers, not from when it signed.
      assert.ok(expiresIn > 290 && expiresIn <= 300, `${expiresIn} s`);
      const me = await mesh.auth.getMe({}, bearer(accessToken));
      assert.deepEqual([me.username, me.role, me.wilayah, me.scopes], [username, role, wilayah, ["lampid"]]);
      assert.match(me.subject, /^[0-9a-f-]{36}$/);
    }
  });

  test("an access token is an ES256 JWT of five minutes with the claims that the mesh reads", async () => {
    const { accessToken } = await login("OPERATOR");
    const { alg, typ } = decodeProtectedHeader(accessToken);
    assert.deepEqual([alg, typ], ["ES256", "at+jwt"]);
    const { iss, aud, exp, iat, preferred_username, role, wilayah, scope, ...others } =
      decodeJwt(accessToken);
    assert.deepEqual([iss, aud, exp! - iat!], [keycloak.issuerUrl, "lampid", 300]);
    assert.deepEqual(
      [preferred_username, role, wilayah, scope],
      ["operator", "operator", "32.01.01.1006", "lampid"],
    );
    // Nothing that says more of a person: no e-mail address, no name, no roles of Keycloak's own.
    assert.deepEqual(Object.keys(others).sort(), ["azp", "jti", "sid", "sub", "typ"]);
  });

  test("a wrong password and an unknown account are refused alike; after five tries a username has to wait", async () => {
    const wrong = await refused(login("supervisor2", "sandi-yang-salah"));
    const unknown = await refused(login("siapa-ini", "sandi-yang-salah"));
    for (const { code, rawMessage } of [wrong, unknown]) {
      assert.equal(code, Code.Unauthenticated);
      assert.equal(rawMessage, "username and password do not match");
    }
    assert.equal(unknown.findDetails(ErrorInfoSchema)[0]?.reason, "CREDENTIALS_INVALID");
    for (let tries = 2; tries <= 5; tries++) {
      assert.equal((await refused(login("supervisor2", "tebakan"))).code, Code.Unauthenticated);
    }
    const late = await refused(login("Supervisor2"));
    assert.equal(late.code, Code.ResourceExhausted);
    assert.ok(Number(late.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds) > 30);
    // Keycloak's own protection is the looser one: it has not locked the account by then.
    const other = await startAuth(database.url, clusterSettings(keycloak.issuerUrl));
    await other.auth.login({ username: "supervisor2", password: secrets.demoPassword });
    await other.stop();
  });

  test("a machine client gets a token with its role, the nation and its scopes", async () => {
    const credentials = {
      grant_type: "client_credentials",
      client_id: "mitra",
      client_secret: secrets.demoPassword,
    };
    const { status, body } = await askToken(endpoint("token"), credentials);
    assert.equal(status, 200);
    const me = await mesh.auth.getMe({}, bearer(body.access_token!));
    assert.deepEqual(
      [me.username, me.role, me.wilayah, [...me.scopes].sort()],
      ["mitra", "mitra", "ID", ["penduduk.export", "penduduk.verify", "statistik.read"]],
    );
    const more = await askToken(endpoint("token"), { ...credentials, scope: "lampid" });
    assert.equal(more.body.error, "invalid_scope");
    const wrong = await askToken(endpoint("token"), { ...credentials, client_secret: "salah" });
    assert.equal(wrong.status, 401);
  });

  test("the password grant is for the first-party client alone", async () => {
    const form = { grant_type: "password", username: "operator", password: secrets.demoPassword };
    const clients: Record<string, string>[] = [
      { client_id: "lampid-web" },
      { client_id: "mitra", client_secret: secrets.demoPassword },
      { client_id: "lampid-admin", client_secret: secrets.admin },
      { client_id: "lampid-login" },
      { client_id: "lampid-login", client_secret: "tebakan" },
      // Those that Keycloak makes in every realm; its admin-cli would take passwords from anybody.
      { client_id: "admin-cli" },
      { client_id: "account-console" },
      { client_id: "security-admin-console" },
    ];
    for (const client of clients) {
      const { status, body } = await askToken(endpoint("token"), { ...form, ...client });
      assert.ok(status === 400 || status === 401, `${client.client_id}: ${status}`);
      assert.match(body.error ?? "", /^(unauthorized|invalid)_client$/, client.client_id);
    }
  });

  test("no other grant works: token exchange, implicit, device code, JWT bearer, a client's own registration", async () => {
    const { accessToken } = await login("operator");
    const asLogin = { client_id: "lampid-login", client_secret: secrets.login };
    const grants: Record<string, string>[] = [
      {
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token: accessToken,
        subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
      },
      { grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion: accessToken },
      { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: "x" },
      { grant_type: "urn:openid:params:grant-type:ciba", auth_req_id: "x" },
      { grant_type: "client_credentials" },
    ];
    for (const grant of grants) {
      const { status, body } = await askToken(endpoint("token"), { ...asLogin, ...grant });
      assert.ok(status >= 400, grant.grant_type);
      assert.equal(body.access_token, undefined);
    }
    const device = await askToken(endpoint("auth/device"), { client_id: "lampid-web" });
    assert.ok(device.status >= 400);
    const query = authorizationQuery(newVerifier(), { response_type: "token", nonce: "n" });
    const implicit = await openBrowser(keycloak.url)(`${endpoint("auth")}?${query}`);
    assert.match(implicit.location, /error=unauthorized_client/);
    const registered = await fetch(`${keycloak.issuerUrl}/clients-registrations/openid-connect`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ redirect_uris: ["https://jahat.example/"] }),
    });
    assert.equal(registered.status, 403);
  });

  describe("signing in with a browser", () => {
    test("the login page, in Indonesian, leads to a code, and the code with its verifier to tokens, once", async () => {
      const visit = openBrowser(keycloak.url);
      const verifier = newVerifier();
      const page = await visit(`${endpoint("auth")}?${authorizationQuery(verifier)}`);
      assert.match(page.html, /<html[^>]* lang="id"/);
      const wrong = await visit(formAction(page), { username: "operator", password: "salah" });
      assert.equal(wrong.status, 200);
      assert.equal(wrong.location, "");
      const done = await visit(formAction(wrong), { username: "operator", password: secrets.demoPassword });
      const stolen = await redeemCode(endpoint("token"), codeIn(done), newVerifier());
      assert.equal(stolen.body.error, "invalid_grant");

      // The session is remembered, so the second code comes without a form.
      const again = await visit(`${endpoint("auth")}?${authorizationQuery(verifier)}`);
      const code = codeIn(again);
      const { status, body } = await redeemCode(endpoint("token"), code, verifier);
      assert.equal(status, 200, JSON.stringify(body));
      const me = await mesh.auth.getMe({}, bearer(body.access_token!));
      assert.deepEqual([me.username, me.wilayah], ["operator", "32.01.01.1006"]);
      assert.ok(me.scopes.includes("lampid"));
      const identity = decodeJwt(body.id_token!);
      assert.deepEqual([identity.aud, identity.preferred_username], ["lampid-web", "operator"]);
      assert.equal((await redeemCode(endpoint("token"), code, verifier)).body.error, "invalid_grant");
    });

    test("a refresh token gives new tokens, and is replaced", async () => {
      const verifier = newVerifier();
      const done = await signIn(openBrowser(keycloak.url), "pusat", authorizationQuery(verifier));
      const { body } = await redeemCode(endpoint("token"), codeIn(done), verifier);
      const refresh = (token: string) =>
        askToken(endpoint("token"), {
          grant_type: "refresh_token",
          client_id: "lampid-web",
          refresh_token: token,
        });
      const renewed = await refresh(body.refresh_token!);
      assert.equal(renewed.status, 200);
      const me = await mesh.auth.getMe({}, bearer(renewed.body.access_token!));
      assert.equal(me.role, "admin_pusat");
      assert.equal((await refresh(body.refresh_token!)).body.error, "invalid_grant");
    });

    test("no PKCE, a plain challenge, a foreign redirect: none of them gets in", async () => {
      const visit = openBrowser(keycloak.url);
      const ask = (more: Record<string, string>) =>
        visit(`${endpoint("auth")}?${authorizationQuery(newVerifier(), more)}`);
      const without = await ask({ code_challenge: "", code_challenge_method: "" });
      assert.match(without.location, /error=invalid_request.*code_challenge_method/);
      assert.match((await ask({ code_challenge_method: "plain" })).location, /error=invalid_request/);
      for (const foreign of [
        "https://jahat.example/callback",
        "http://127.0.0.1.jahat.example/callback",
        "http://127.0.0.1:51789/lain",
        "http://127.0.0.1:51789/callback/../lain",
      ]) {
        const page = await ask({ redirect_uri: foreign });
        assert.deepEqual([page.status, page.location], [400, ""], foreign);
      }
    });

    test("nobody changes their own role or wilayah, by the profile form or the account API", async () => {
      const visit = openBrowser(keycloak.url);
      const verifier = newVerifier();
      const query = authorizationQuery(verifier, { kc_action: "UPDATE_PROFILE" });
      const profile = await signIn(visit, "operator2", query);
      const form = profile.location ? await visit(profile.location) : profile;
      assert.match(form.html, /32\.01\.02\.2001/);
      const sent = { username: "operator2", email: "", role: "admin_pusat", wilayah: "ID" };
      const done = await visit(formAction(form), sent);
      const settled = done.location
        ? done
        : await signIn(openBrowser(keycloak.url), "operator2", authorizationQuery(verifier));
      const { body } = await redeemCode(endpoint("token"), codeIn(settled), verifier);
      const me = await mesh.auth.getMe({}, bearer(body.access_token!));
      assert.deepEqual([me.role, me.wilayah], ["operator", "32.01.02.2001"]);

      const account = await fetch(`${keycloak.issuerUrl}/account/`, {
        method: "POST",
        headers: { authorization: `Bearer ${body.access_token}`, "content-type": "application/json" },
        body: JSON.stringify({
          username: "operator2",
          attributes: { role: ["admin_pusat"], wilayah: ["ID"] },
        }),
      });
      assert.ok([401, 403, 404].includes(account.status), `the account API answered ${account.status}`);
      const after = await mesh.auth.getMe({}, bearer((await login("operator2")).accessToken));
      assert.deepEqual([after.role, after.wilayah], ["operator", "32.01.02.2001"]);
    });
  });

  test("a token of another realm, for another audience, or of another kind is refused", async () => {
    const { username, password } = keycloakAdmin();
    const master = await askToken(`${keycloak.url}/realms/master/protocol/openid-connect/token`, {
      grant_type: "password",
      client_id: "admin-cli",
      username,
      password,
    });
    const admin = await askToken(endpoint("token"), {
      grant_type: "client_credentials",
      client_id: "lampid-admin",
      client_secret: secrets.admin,
    });
    const verifier = newVerifier();
    const done = await signIn(openBrowser(keycloak.url), "kota", authorizationQuery(verifier));
    const { body } = await redeemCode(endpoint("token"), codeIn(done), verifier);
    const tokens = {
      "of the realm master": master.body.access_token,
      "for no audience": admin.body.access_token,
      "an ID token": body.id_token,
      "a refresh token": body.refresh_token,
    };
    for (const [what, token] of Object.entries(tokens)) {
      assert.ok(token, what);
      const { code } = await refused(mesh.auth.getMe({}, bearer(token)));
      assert.equal(code, Code.Unauthenticated, what);
    }
    await mesh.auth.getMe({}, bearer(body.access_token!));
  });
});
