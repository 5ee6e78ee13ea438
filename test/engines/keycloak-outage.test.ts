// Keycloak comes late, is killed, is frozen, or is not the one that was meant: the auth process says so and recovers by itself.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { Account_Role as Role } from "#gen/lampid/auth/v1/account_pb.ts";
import { newUsername } from "../auth/accounts.contract.ts";
import { type AuthComponent, bearer, startAuth } from "../auth/auth-component.ts";
import { askToken } from "../auth/browser.ts";
import { assertRefused, refused } from "../harness/component.ts";
import { createTestDatabase, freePort, type TestDatabase } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import {
  clusterSettings,
  type KeycloakEngine,
  keycloakMissing,
  keycloakSecrets,
  startKeycloak,
} from "./keycloak.ts";

const skip = keycloakMissing();
let keycloak: KeycloakEngine;
let database: TestDatabase;
const started: AuthComponent[] = [];

before(async () => {
  if (!skip) database = await createTestDatabase("auth");
});
afterEach(() => Promise.all(started.splice(0).map((mesh) => mesh.stop())));
after(async () => {
  await keycloak?.stop();
  await database?.drop();
});

async function start(issuerUrl: string, env: Record<string, string> = {}): Promise<AuthComponent> {
  const mesh = await startAuth(database.url, { ...clusterSettings(issuerUrl), ...env });
  started.push(mesh);
  return mesh;
}

/** Keycloak's default, which compose.yaml changes for tests with several auth processes. */
const AS_IN_A_CLUSTER = {
  KC_SPI_BRUTE_FORCE_PROTECTOR__DEFAULT_BRUTE_FORCE_DETECTOR__ALLOW_CONCURRENT_REQUESTS: "false",
};

const operator = { username: "operator", password: "rahasia" };

/** Fails unless a login is UNAVAILABLE with a word on when to try again, within `withinMs`. */
async function assertLoginUnavailable({ auth }: AuthComponent, withinMs: number): Promise<void> {
  const startedAt = performance.now();
  const error = await refused(auth.login(operator));
  assert.equal(error.code, Code.Unavailable, error.message);
  assert.ok(Number(error.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds) >= 1);
  const elapsedMs = performance.now() - startedAt;
  assert.ok(elapsedMs < withinMs, `${Math.round(elapsedMs)} ms`);
}

/** The same of the administration of accounts, which asks Keycloak several times. */
async function assertAccountsUnavailable(
  { accounts }: AuthComponent,
  token: string,
  withinMs: number,
): Promise<void> {
  const startedAt = performance.now();
  const [list, create] = await Promise.all([
    assertRefused(accounts.listAccounts({ kodeWilayah: "32.01" }, bearer(token)), "Unavailable"),
    assertRefused(
      accounts.createAccount(
        { username: newUsername(), role: Role.OPERATOR, kodeWilayah: "32.01.01.1006" },
        bearer(token),
      ),
      "Unavailable",
    ),
  ]);
  for (const error of [list, create]) {
    assert.ok(Number(error.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds) >= 1);
  }
  const elapsedMs = performance.now() - startedAt;
  assert.ok(elapsedMs < withinMs, `${Math.round(elapsedMs)} ms`);
}

/** Warnings and errors that the process has logged of its issuer. */
function complaints(mesh: AuthComponent): string[] {
  return mesh
    .takeLog()
    .filter(({ level, msg }) => level !== "info" && /issuer/.test(msg))
    .map(({ msg }) => msg);
}

describe("an auth process", { skip, timeout: 240_000 }, () => {
  test("starts before its Keycloak, and serves when that is there", async () => {
    const port = await freePort();
    const mesh = await start(`http://127.0.0.1:${port}/realms/lampid`);
    await eventually(() => mesh.health.describe().issuer === "unreachable");
    await assertLoginUnavailable(mesh, 1_000);
    keycloak = await startKeycloak({ port, environment: AS_IN_A_CLUSTER });
    await mesh.serving();
    const { accessToken } = await mesh.auth.login(operator);
    assert.equal((await mesh.auth.getMe({}, bearer(accessToken))).username, "operator");
    const said = complaints(mesh);
    assert.equal(said.length, 1, said.join("\n"));
    assert.match(said[0]!, /cannot be reached.*LAMPID_ISSUER_URL/);
  });

  test("lets forty in at once with the right password, whoever else has hung up, though Keycloak refuses a second try", async () => {
    const direct = await Promise.all(
      Array.from({ length: 10 }, () =>
        askToken(`${keycloak.issuerUrl}/protocol/openid-connect/token`, {
          grant_type: "password",
          client_id: "lampid-login",
          client_secret: keycloakSecrets().login,
          ...operator,
        }),
      ),
    );
    assert.ok(direct.some(({ body }) => body.error === "invalid_grant"));
    const mesh = await start(keycloak.issuerUrl);
    await mesh.serving();
    const impatient = Array.from({ length: 5 }, () => mesh.auth.login(operator, { timeoutMs: 1 }));
    for (const call of impatient) assert.equal((await refused(call)).code, Code.DeadlineExceeded);
    const logins = Array.from({ length: 40 }, () => mesh.auth.login(operator));
    assert.equal((await Promise.all(logins)).length, 40);
  });

  test("whose Keycloak is killed says so, goes on knowing tokens, and recovers when it is back", async () => {
    const mesh = await start(keycloak.issuerUrl);
    await mesh.serving();
    const { accessToken } = await mesh.auth.login(operator);
    await mesh.auth.getMe({}, bearer(accessToken));
    const { accessToken: admin } = await mesh.auth.login({ ...operator, username: "kota" });
    await mesh.accounts.listAccounts({ kodeWilayah: "32.01" }, bearer(admin));
    await keycloak.kill();
    await eventually(() => !mesh.health.serving(), 5_000);
    await assertLoginUnavailable(mesh, 1_000);
    await assertAccountsUnavailable(mesh, admin, 1_000);
    assert.equal((await mesh.auth.getMe({}, bearer(accessToken))).username, "operator");
    await keycloak.restart();
    await mesh.serving();
    // The keys are in Keycloak's database, so a token from before its death is still good.
    assert.equal((await mesh.auth.getMe({}, bearer(accessToken))).username, "operator");
    await mesh.auth.login(operator);
    await mesh.accounts.listAccounts({ kodeWilayah: "32.01" }, bearer(admin));
    const said = complaints(mesh);
    assert.equal(said.length, 1, said.join("\n"));
    assert.match(said[0]!, /cannot be reached.*LAMPID_ISSUER_URL/);
  });

  test("whose Keycloak is frozen answers within a bound, and recovers when it goes on", async () => {
    const mesh = await start(keycloak.issuerUrl);
    await mesh.serving();
    const { accessToken: admin } = await mesh.auth.login({ ...operator, username: "kota" });
    await mesh.auth.getMe({}, bearer(admin));
    keycloak.freeze();
    try {
      await eventually(() => !mesh.health.serving(), 5_000);
      assert.equal(mesh.health.describe().issuer, "unreachable");
      await Promise.all([assertLoginUnavailable(mesh, 4_000), assertAccountsUnavailable(mesh, admin, 4_000)]);
    } finally {
      keycloak.thaw();
    }
    await mesh.serving();
    await mesh.auth.login(operator);
  });

  test("with a wrong client secret names the setting, in one line, and does not serve", async () => {
    const mesh = await start(keycloak.issuerUrl, { LAMPID_ISSUER_CLIENT_SECRET: "salah" });
    await eventually(() => /refused/.test(mesh.health.describe()["issuer client"] ?? ""));
    assert.equal(mesh.health.serving(), false);
    const said = complaints(mesh);
    assert.equal(said.length, 1, said.join("\n"));
    assert.match(said[0]!, /refuses our client.*LAMPID_ISSUER_CLIENT_SECRET/);
    assert.doesNotMatch(said[0]!, /salah/);
  });

  test("with an unknown realm, or an issuer by another name, names the setting, in one line", async () => {
    const unknown = await start(keycloak.issuerUrl.replace("lampid", "lain"));
    const renamed = await start(keycloak.issuerUrl.replace("127.0.0.1", "localhost"));
    await eventually(() => /no such issuer/.test(unknown.health.describe().issuer ?? ""));
    await eventually(() => /another issuer/.test(renamed.health.describe().issuer ?? ""));
    for (const [mesh, problem] of [
      [unknown, /no such issuer.*LAMPID_ISSUER_URL/],
      [renamed, /calls itself.*LAMPID_ISSUER_URL/],
    ] as const) {
      assert.equal(mesh.health.serving(), false);
      const said = complaints(mesh);
      assert.equal(said.length, 1, said.join("\n"));
      assert.match(said[0]!, problem);
    }
  });
});
