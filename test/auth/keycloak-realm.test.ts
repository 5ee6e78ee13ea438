// The realm file says what the code says: accounts, roles, wilayah, passwords, and no secret.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { demoAccounts } from "../../services/auth/demo-accounts.ts";
import { ROLES, wilayahPath } from "../../services/auth/domain/account.ts";
import { MIN_PASSWORD_LENGTH } from "../../services/auth/domain/password.ts";
import { LOGIN_CLIENT_ID, WEB_CLIENT_ID } from "../../services/auth/issuer.ts";
import {
  EXPORT_FAMILY_SCOPE,
  EXPORT_FULL_SCOPE,
  EXPORT_SCOPE,
} from "../../services/penduduk/domain/export-fields.ts";
import { composeEnvironment } from "../engines/compose.ts";

const read = (path: string) =>
  readFileSync(new URL(`../../services/auth/keycloak/${path}`, import.meta.url), "utf8");
const text = read("lampid-realm.json");
const realm = JSON.parse(text);
const users = JSON.parse(read("dev/lampid-users-0.json"));
const [profile] = realm.components["org.keycloak.userprofile.UserProfileProvider"];
const { attributes } = JSON.parse(profile.config["kc.user.profile.config"][0]);
const attribute = (name: string) => attributes.find((each: { name: string }) => each.name === name);
type User = {
  username: string;
  attributes: { role: [string]; wilayah: [string]; wilayah_jalur: string[] };
};
const placeholders = (of: string) => [...of.matchAll(/\$\{(\w+)(?::([^}]*))?\}/g)];

test("the demo users of development are the demo accounts of the embedded profile", () => {
  assert.equal(users.realm, realm.realm);
  const found = users.users.map(({ username, attributes: { role, wilayah } }: User) => ({
    username,
    role: role[0],
    wilayah: wilayah[0],
  }));
  assert.deepEqual(found, demoAccounts);
  for (const { attributes: each } of users.users as User[]) {
    assert.deepEqual(each.wilayah_jalur, wilayahPath(each.wilayah[0]), each.wilayah[0]);
  }
});

test("neither file holds a secret: where one belongs there is a variable, which compose.yaml sets", () => {
  const environment = composeEnvironment("keycloak");
  for (const client of realm.clients) {
    if (client.secret !== undefined) assert.match(client.secret, /^\$\{\w+\}$/, client.clientId);
  }
  for (const [, name] of [...placeholders(text), ...placeholders(read("dev/lampid-users-0.json"))]) {
    assert.ok(environment[name!] !== undefined, `compose.yaml does not set ${name} for keycloak`);
  }
  const withoutDefault = placeholders(text).filter(([, , fallback]) => fallback === undefined);
  assert.deepEqual(withoutDefault.map(([, name]) => name).sort(), [
    "LAMPID_DOKUMEN_CLIENT_SECRET",
    "LAMPID_INTEGRASI_CLIENT_SECRET",
    "LAMPID_ISSUER_ADMIN_CLIENT_SECRET",
    "LAMPID_ISSUER_CLIENT_SECRET",
    "LAMPID_MITRA_CLIENT_SECRET",
    "LAMPID_NOTIFIKASI_CLIENT_SECRET",
    "LAMPID_PELAPORAN_CLIENT_SECRET",
  ]);
});

test("role and wilayah of a user are edited by administrators alone, and are what the contract lets through", () => {
  for (const { name, permissions, multivalued } of attributes) {
    assert.deepEqual([permissions.edit, multivalued], [["admin"], name === "wilayah_jalur"], name);
  }
  assert.deepEqual(attribute("role").validations.options.options, ROLES);
  const contract = readFileSync(
    new URL("../../proto/lampid/auth/v1/account_service.proto", import.meta.url),
    "utf8",
  );
  const patterns = [
    ...contract.matchAll(/string kode_wilayah = \d+ \[\(buf\.validate\.field\)\.string\.pattern = (".*")\]/g),
  ].map(([, pattern]) => JSON.parse(pattern!));
  assert.ok(patterns.length >= 3);
  for (const pattern of patterns) assert.equal(attribute("wilayah").validations.pattern.pattern, pattern);
  // The contract takes capitals, too, and stores them small.
  assert.equal(attribute("username").validations.pattern.pattern, "^[a-z0-9][a-z0-9._-]{2,63}$");
});

test("a password is as long here as there, and a sign-in as long as in the embedded profile", () => {
  assert.match(
    realm.passwordPolicy,
    new RegExp(`^length\\(\\$\\{LAMPID_PASSWORD_MIN_LENGTH:${MIN_PASSWORD_LENGTH}\\}\\)`),
  );
  assert.equal(realm.ssoSessionMaxLifespan, 8 * 3_600);
  assert.equal(realm.accessTokenLifespan, 300);
  assert.equal(realm.defaultSignatureAlgorithm, "ES256");
});

test("each client has the one grant it is for; those that Keycloak adds to a realm are switched off", () => {
  const flags = [
    "standardFlowEnabled",
    "implicitFlowEnabled",
    "directAccessGrantsEnabled",
    "serviceAccountsEnabled",
  ];
  const grants = Object.fromEntries(
    realm.clients.map((client: Record<string, unknown>) => [
      client.clientId,
      client.enabled === false ? "off" : flags.filter((flag) => client[flag] !== false).join(" "),
    ]),
  );
  assert.deepEqual(grants, {
    [WEB_CLIENT_ID]: "standardFlowEnabled",
    [LOGIN_CLIENT_ID]: "directAccessGrantsEnabled",
    "lampid-admin": "serviceAccountsEnabled",
    integrasi: "serviceAccountsEnabled",
    notifikasi: "serviceAccountsEnabled",
    dokumen: "serviceAccountsEnabled",
    pelaporan: "serviceAccountsEnabled",
    mitra: "serviceAccountsEnabled",
    account: "off",
    "account-console": "off",
    "admin-cli": "off",
    "security-admin-console": "off",
  });
});

test("every scope of an export can be given to a client, and the example partner is given the narrowest", () => {
  const scopes: string[] = realm.clientScopes.map(({ name }: { name: string }) => name);
  for (const scope of [EXPORT_SCOPE, EXPORT_FAMILY_SCOPE, EXPORT_FULL_SCOPE]) {
    assert.equal(scopes.filter((name) => name === scope).length, 1, scope);
  }
  const mitra = realm.clients.find(({ clientId }: { clientId: string }) => clientId === "mitra");
  assert.deepEqual(
    [...mitra.defaultClientScopes, ...mitra.optionalClientScopes].filter((name) => name.includes("export")),
    [EXPORT_SCOPE],
  );
});
