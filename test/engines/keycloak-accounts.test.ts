// AccountStore on a real Keycloak: the contract every adapter keeps, and AccountService from a token to a new one.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { passwordGrant } from "../../services/auth/issuer-client.ts";
import { keycloakAccountStore } from "../../services/auth/keycloak-account-store.ts";
import { adminUrlOf, keycloakAdmin } from "../../services/auth/keycloak-admin.ts";
import { liveThroughAnAccount } from "../auth/account-lifecycle.ts";
import { type AccountStoreUnderTest, accountStoreContract } from "../auth/accounts.contract.ts";
import { type AuthComponent, bearer, startAuth } from "../auth/auth-component.ts";
import { authorizationQuery, formAction, newVerifier, openBrowser, redeemCode } from "../auth/browser.ts";
import { assertRefused } from "../harness/component.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import { mitraToken } from "../harness/rest.ts";
import { clusterSettings, keycloakMissing, keycloakSecrets, useKeycloak } from "./keycloak.ts";

const skip = keycloakMissing();
const log = createLogger("test", "silent");
const secrets = keycloakSecrets();
let keycloak: Awaited<ReturnType<typeof useKeycloak>>;
let testDatabase: TestDatabase;
const opened: Database[] = [];
let underTest: AccountStoreUnderTest;

before(async () => {
  if (skip) return;
  keycloak = await useKeycloak();
  testDatabase = await createTestDatabase("auth");
  const tokenUrl = async () => `${keycloak.issuerUrl}/protocol/openid-connect/token`;
  const client = { id: "lampid-admin", secret: secrets.admin };
  const openStore = () => {
    const database = openDatabase({ url: testDatabase.url, name: "test", log });
    opened.push(database);
    const admin = keycloakAdmin({ baseUrl: adminUrlOf(keycloak.issuerUrl)!, tokenUrl, client });
    return keycloakAccountStore({ admin, database });
  };
  const grant = passwordGrant({ tokenUrl, client: () => ({ id: "lampid-login", secret: secrets.login }) });
  underTest = {
    store: openStore(),
    replica: openStore(),
    signIn: async (username, password) => (await grant({ username, password, traceparent: "" })).kind,
    async audited(traceparent) {
      const { rows } = await opened[0]!.query(
        "select action, resource from audit where traceparent = $1 order by id",
        [traceparent],
      );
      return rows;
    },
    auditsAttempts: true,
  };
});
after(async () => {
  for (const database of opened) await database.close();
  await testDatabase?.drop();
  await keycloak?.stop();
});

describe("Keycloak", { skip, timeout: 240_000 }, () => {
  accountStoreContract("Keycloak", () => underTest);

  describe("AccountService", () => {
    let mesh: AuthComponent;
    before(async () => {
      mesh = await startAuth(testDatabase.url, clusterSettings(keycloak.issuerUrl));
      await mesh.serving();
    });
    after(() => mesh?.stop());

    test("lets an account live from its first password to its suspension and back", async () => {
      const endpoint = (name: string) => `${keycloak.issuerUrl}/protocol/openid-connect/${name}`;
      await liveThroughAnAccount(mesh, {
        tokenUrl: endpoint("token"),
        async choosePassword(username, initial, chosen) {
          const visit = openBrowser(keycloak.url);
          const verifier = newVerifier();
          const login = await visit(`${endpoint("auth")}?${authorizationQuery(verifier)}`);
          const signedIn = await visit(formAction(login), { username, password: initial });
          const page = await visit(signedIn.location);
          const short = { "password-new": "pendek", "password-confirm": "pendek" };
          const refused = await visit(formAction(page), short);
          assert.equal(refused.location, "", "a password that is too short is refused");
          const done = await visit(formAction(refused), {
            "password-new": chosen,
            "password-confirm": chosen,
          });
          const code = new URL(done.location).searchParams.get("code")!;
          const { body } = await redeemCode(endpoint("token"), code, verifier);
          return { accessToken: body.access_token!, refreshToken: body.refresh_token! };
        },
      });
    });

    test("knows no account behind a client, nor one that the console made without a role", async () => {
      const kota = await mesh.auth.login({ username: "pusat", password: secrets.demoPassword });
      const { accounts } = await mesh.accounts.listAccounts(
        { kodeWilayah: "ID", pageSize: 500 },
        bearer(kota.accessToken),
      );
      assert.ok(accounts.some(({ username }) => username === "operator"));
      assert.ok(!accounts.some(({ username }) => username.startsWith("service-account")));
      const machine = await mesh.auth.getMe({}, bearer(await mitraToken(keycloak.issuerUrl)));
      const name = `accounts/${machine.subject}`;
      await assertRefused(mesh.accounts.getAccount({ name }, bearer(kota.accessToken)), "NotFound");
      await assertRefused(mesh.accounts.suspendAccount({ name }, bearer(kota.accessToken)), "NotFound");
    });

    test("with a wrong secret of its own names the setting, in one line; people sign in all the same", async () => {
      const wrong = await startAuth(testDatabase.url, {
        ...clusterSettings(keycloak.issuerUrl),
        LAMPID_ISSUER_ADMIN_CLIENT_SECRET: "salah",
      });
      try {
        await eventually(() => /refused/.test(wrong.health.describe()["issuer admin client"] ?? ""));
        await wrong.serving();
        const { accessToken } = await wrong.auth.login({ username: "kota", password: secrets.demoPassword });
        const list = wrong.accounts.listAccounts({ kodeWilayah: "32.01" }, bearer(accessToken));
        await assertRefused(list, "Internal");
        const said = wrong.takeLog().filter(({ msg }) => msg.includes("LAMPID_"));
        assert.equal(said.length, 1, JSON.stringify(said));
        assert.match(said[0]!.msg, /LAMPID_ISSUER_ADMIN_CLIENT_SECRET/);
      } finally {
        await wrong.stop();
      }
    });
  });
});
