// AccountService: who may administer whom, and what a caller is told. On PostgreSQL, behind the real chain and policy.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import type { Client } from "@connectrpc/connect";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import {
  type Account,
  Account_Role as Role,
  Account_Status as Status,
} from "#gen/lampid/auth/v1/account_pb.ts";
import { AccountService } from "#gen/lampid/auth/v1/account_service_pb.ts";
import { accountService } from "../../services/auth/account-service.ts";
import { newInitialPassword } from "../../services/auth/initial-password.ts";
import { passwordHasher } from "../../services/auth/password-hash.ts";
import { postgresAccountStore } from "../../services/auth/postgres-account-store.ts";
import { as, assertRefused, assertViolations, componentClient } from "../harness/component.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { liveThroughAnAccount } from "./account-lifecycle.ts";
import { newUsername } from "./accounts.contract.ts";
import { startAuth } from "./auth-component.ts";
import { authorizationQuery, newVerifier, openBrowser, redeemCode } from "./browser.ts";

const NOW = new Date("2026-11-20T03:00:00Z");
const kota = as("admin_kota", "32.01");
const pusat = as("admin_pusat", "ID");

let testDatabase: TestDatabase;
let database: Database;
let accounts: Client<typeof AccountService>;

before(async () => {
  testDatabase = await createTestDatabase("auth");
  database = openDatabase({
    url: testDatabase.url,
    name: "test",
    log: createLogger("test", "silent"),
  });
  const hasher = passwordHasher({ cost: { ln: 4, r: 8, p: 1 } });
  const implementation = accountService({
    store: postgresAccountStore({ database, hasher }),
    wilayah: loadWilayah(),
    clock: () => NOW,
    newPassword: newInitialPassword,
  });
  accounts = await componentClient(AccountService, implementation);
});
after(async () => {
  await database?.close();
  await testDatabase?.drop();
});

const operator = (over: object = {}) => ({
  username: newUsername(),
  role: Role.OPERATOR,
  kodeWilayah: "32.01.01.1006",
  ...over,
});

async function created(over: object = {}, caller = pusat): Promise<Account> {
  return (await accounts.createAccount(operator(over), caller)).account!;
}

const verbs = () => [accounts.suspendAccount, accounts.reactivateAccount, accounts.resetPassword];

async function count(table: "account" | "audit" | "idempotency"): Promise<number> {
  return (await database.query(`select count(*)::int as count from ${table}`)).rows[0].count;
}

describe("an account is made", () => {
  test("by an admin kota for an operator or a supervisor of their kota, and by an admin pusat for anyone", async () => {
    const supervisor = operator({ role: Role.SUPERVISOR, kodeWilayah: "32.01.01" });
    for (const request of [operator(), supervisor]) {
      const { account } = await accounts.createAccount(request, kota);
      assert.match(account!.name, /^accounts\/[0-9a-f-]{36}$/);
      assert.deepEqual(
        [account!.username, account!.role, account!.kodeWilayah],
        [request.username, request.role, request.kodeWilayah],
      );
    }
    await created({ role: Role.ADMIN_KOTA, kodeWilayah: "32.04" });
    await created({ role: Role.ADMIN_PUSAT, kodeWilayah: "ID" });
    await created({ role: Role.AUDITOR, kodeWilayah: "ID" });
  });

  test("by nobody else, nowhere else, in no higher role; and nothing is stored", async () => {
    const before = [await count("account"), await count("audit")];
    for (const role of ["operator", "supervisor", "auditor", "mitra", "service", ""]) {
      await assertRefused(
        accounts.createAccount(operator(), as(role, "ID")),
        "PermissionDenied",
        "METHOD_DENIED",
      );
    }
    const denied = (over: object, reason: string) =>
      assertRefused(accounts.createAccount(operator(over), kota), "PermissionDenied", reason);
    await denied({ kodeWilayah: "32.04.05.2001" }, "WILAYAH_DENIED");
    await denied({ role: Role.ADMIN_PUSAT, kodeWilayah: "ID" }, "WILAYAH_DENIED");
    await denied({ role: Role.ADMIN_KOTA, kodeWilayah: "32.01" }, "ROLE_DENIED");
    await assertRefused(accounts.createAccount(operator(), {}), "Unauthenticated");
    assert.deepEqual([await count("account"), await count("audit")], before);
  });

  test("with a wilayah of the level of its role that exists", async () => {
    for (const [role, kodeWilayah] of [
      [Role.OPERATOR, "32.01.01"],
      [Role.SUPERVISOR, "32.01.01.1006"],
      [Role.ADMIN_KOTA, "32"],
      [Role.AUDITOR, "32.01"],
      [Role.OPERATOR, "32.01.01.9999"],
      [Role.OPERATOR, "ID"],
    ] as const) {
      await assertViolations(accounts.createAccount(operator({ role, kodeWilayah }), pusat), [
        "kode_wilayah",
      ]);
    }
    for (const [field, over] of [
      ["username", { username: "ab" }],
      ["username", { username: "siti nurhaliza" }],
      ["username", { username: "sitiñ" }],
      ["username", { username: "-siti" }],
      ["username", { username: "x".repeat(65) }],
      ["role", { role: Role.UNSPECIFIED }],
      ["role", { role: 9 as Role }],
      ["kode_wilayah", { kodeWilayah: "3201" }],
      ["request_id", { requestId: "1" }],
    ] as const) {
      await assertViolations(accounts.createAccount(operator(over), pusat), [field]);
    }
  });

  test("under a username that is free, whatever its case; who may not make it learns nothing", async () => {
    const { username } = await created();
    const again = operator({ username: username.toUpperCase() });
    await assertRefused(accounts.createAccount(again, kota), "AlreadyExists", "USERNAME_TAKEN");
    const elsewhere = as("admin_kota", "32.04");
    await assertRefused(accounts.createAccount(again, elsewhere), "PermissionDenied", "WILAYAH_DENIED");
  });

  test("once per request id, also when it comes twice at the same moment", async () => {
    const request = operator({ requestId: randomUUID() });
    const answers = await Promise.all([1, 2, 3].map(() => accounts.createAccount(request, kota)));
    for (const { account } of answers) assert.deepEqual(account, answers[0]!.account);
    const other = { ...request, username: newUsername() };
    await assertRefused(accounts.createAccount(other, kota), "Aborted", "REQUEST_ID_REUSED");
  });
});

describe("an account is read", () => {
  test("inside the caller's wilayah, of whatever role", async () => {
    const admin = await created({ role: Role.ADMIN_KOTA, kodeWilayah: "32.01" });
    assert.deepEqual((await accounts.getAccount({ name: admin.name }, kota)).account, admin);
    const elsewhere = await created({ kodeWilayah: "32.04.05.2001" });
    const nations = await created({ role: Role.AUDITOR, kodeWilayah: "ID" });
    for (const { name } of [elsewhere, nations]) {
      await assertRefused(accounts.getAccount({ name }, kota), "PermissionDenied", "WILAYAH_DENIED");
    }
    await assertRefused(accounts.getAccount({ name: `accounts/${randomUUID()}` }, pusat), "NotFound");
    await assertViolations(accounts.getAccount({ name: "accounts/1" }, pusat), ["name"]);
  });

  test("in a list by username, in pages, and a page token is good for its own list alone", async () => {
    for (let n = 0; n < 3; n++) await created({ kodeWilayah: "32.01.02.2001" });
    const list = (over: object, caller = kota) =>
      accounts.listAccounts({ kodeWilayah: "32.01.02", pageSize: 2, ...over }, caller);
    const first = await list({});
    const second = await list({ pageToken: first.nextPageToken });
    const names = [...first.accounts, ...second.accounts].map(({ username }) => username);
    assert.deepEqual(names, names.toSorted());
    assert.deepEqual([names.length, second.nextPageToken], [3, ""]);
    await assertViolations(list({ kodeWilayah: "32.01", pageToken: first.nextPageToken }), ["page_token"]);
    await assertViolations(list({ pageToken: "x" }), ["page_token"]);
    await assertViolations(list({ pageSize: -1 }), ["page_size"]);
    await assertRefused(list({ kodeWilayah: "32" }), "PermissionDenied", "WILAYAH_DENIED");
    await assertRefused(list({ kodeWilayah: "ID" }), "PermissionDenied", "WILAYAH_DENIED");
    await assertRefused(list({}, as("auditor", "ID")), "PermissionDenied", "METHOD_DENIED");
  });
});

describe("an account is changed", () => {
  const update = (account: object, caller = kota, paths?: string[]) =>
    accounts.updateAccount({ account, ...(paths ? { updateMask: { paths } } : {}) } as never, caller);

  test("in its role and wilayah together, as long as they fit", async () => {
    const { name, etag } = await created();
    await assertViolations(update({ name, etag, role: Role.SUPERVISOR }), ["kode_wilayah"]);
    const change = { name, etag, role: Role.SUPERVISOR, kodeWilayah: "32.01.02" };
    const { account } = await update(change);
    assert.deepEqual([account!.role, account!.kodeWilayah], [Role.SUPERVISOR, "32.01.02"]);
    assert.notEqual(account!.etag, etag);
    await assertRefused(update(change), "Aborted", "ETAG_MISMATCH");
    const moved = await update({ name, etag: account!.etag, kodeWilayah: "32.01.01" });
    assert.equal(moved.account!.kodeWilayah, "32.01.01");
  });

  test("in the fields that the mask names, none of which can be cleared", async () => {
    const { name, etag } = await created();
    const both = { name, etag, role: Role.SUPERVISOR, kodeWilayah: "32.01.01.1007" };
    const { account } = await update(both, kota, ["kode_wilayah"]);
    assert.deepEqual([account!.role, account!.kodeWilayah], [Role.OPERATOR, "32.01.01.1007"]);
    const now = { name, etag: account!.etag };
    await assertViolations(update({ ...now, kodeWilayah: "32.01.01.1006" }, kota, ["role"]), [
      "account.role",
    ]);
    await assertViolations(update({ ...now, role: Role.OPERATOR }, kota, ["username"]), ["update_mask"]);
    await assertViolations(update(now), ["account"]);
    await assertViolations(update({ name, role: Role.OPERATOR }), ["account.etag"]);
  });

  test("neither out of the caller's wilayah, nor into it, nor above the caller", async () => {
    const own = await created();
    const foreign = await created({ kodeWilayah: "32.04.05.2001" });
    const admin = await created({ role: Role.ADMIN_KOTA, kodeWilayah: "32.01" });
    const { name, etag } = own;
    await assertRefused(
      update({ name, etag, kodeWilayah: "32.04.05.2001" }),
      "PermissionDenied",
      "WILAYAH_DENIED",
    );
    await assertRefused(
      update({ name, etag, role: Role.ADMIN_KOTA, kodeWilayah: "32.01" }),
      "PermissionDenied",
      "ROLE_DENIED",
    );
    await assertRefused(
      update({ name: foreign.name, etag: foreign.etag, kodeWilayah: "32.01.01.1006" }),
      "PermissionDenied",
      "WILAYAH_DENIED",
    );
    await assertRefused(
      update({ name: admin.name, etag: admin.etag, role: Role.OPERATOR, kodeWilayah: "32.01.01.1006" }),
      "PermissionDenied",
      "ROLE_DENIED",
    );
    assert.deepEqual((await accounts.getAccount({ name }, pusat)).account, own);
  });

  test("once per request id", async () => {
    const { name, etag } = await created();
    const requestId = randomUUID();
    const request = { requestId, account: { name, etag, kodeWilayah: "32.01.01.1007" } };
    const [first, again] = [
      await accounts.updateAccount(request, kota),
      await accounts.updateAccount(request, kota),
    ];
    assert.deepEqual(again.account, first.account);
  });
});

describe("nobody administers their own account", () => {
  test("not to change it, nor to suspend it, nor to set its password; others may", async () => {
    const own = await created({ role: Role.ADMIN_PUSAT, kodeWilayah: "ID" });
    const { name, etag } = own;
    const self = as("admin_pusat", "ID", { subject: name.slice("accounts/".length) });
    const change = { account: { name, etag, role: Role.AUDITOR } };
    await assertRefused(accounts.updateAccount(change, self), "PermissionDenied", "OWN_ACCOUNT");
    for (const call of verbs()) {
      await assertRefused(call({ name }, self), "PermissionDenied", "OWN_ACCOUNT");
    }
    assert.deepEqual((await accounts.getAccount({ name }, self)).account, own);
    await accounts.suspendAccount({ name }, pusat);
  });
});

describe("suspending and passwords", () => {
  test("are an admin kota's business for operators and supervisors of their kota alone", async () => {
    const others = [
      await created({ role: Role.ADMIN_KOTA, kodeWilayah: "32.01" }),
      await created({ kodeWilayah: "32.04.05.2001" }),
      await created({ role: Role.AUDITOR, kodeWilayah: "ID" }),
    ];
    for (const { name } of others) {
      for (const call of verbs()) await assertRefused(call({ name }, kota), "PermissionDenied");
    }
    const { name } = await created();
    for (const call of verbs()) await call({ name }, kota);
    for (const call of verbs()) {
      await assertRefused(call({ name: `accounts/${randomUUID()}` }, kota), "NotFound");
    }
  });

  test("a password is another one each time, and is kept nowhere", async () => {
    const { name } = await created();
    const passwords = await Promise.all(
      [1, 2, 3].map(async () => (await accounts.resetPassword({ name }, kota)).initialPassword),
    );
    assert.equal(new Set(passwords).size, 3);
    const stored = await Promise.all(
      ["account", "audit", "idempotency"].map(
        async (table) => (await database.query(`select x::text from ${table} x`)).rows,
      ),
    );
    const everything = JSON.stringify(stored);
    for (const password of passwords) {
      assert.ok(!everything.includes(password));
      assert.ok(!everything.includes(Buffer.from(password).toString("hex")));
    }
  });
});

test("a demo account that is switched off is let in again when it is given a password of its own", async () => {
  const { rows } = await database.query(
    `insert into account (username, role, wilayah, password_hash, demo, disabled_at)
     values ('demo-lama', 'operator', '32.01.01.1006', 'x', true, now()) returning id`,
  );
  const name = `accounts/${rows[0].id}`;
  const status = async () => (await accounts.getAccount({ name }, kota)).account!.status;
  assert.equal(await status(), Status.DITANGGUHKAN);
  const early = await accounts.reactivateAccount({ name }, kota);
  assert.equal(early.account!.status, Status.DITANGGUHKAN, "with its well-known password it is not");
  await accounts.resetPassword({ name }, kota);
  const late = await accounts.reactivateAccount({ name }, kota);
  assert.deepEqual([late.account!.status, await status()], [Status.AKTIF, Status.AKTIF]);
});

test("each change is audited with who, what and where, and commits with its row", async () => {
  const { name, etag } = await created({}, kota);
  await accounts.updateAccount({ account: { name, etag, kodeWilayah: "32.01.01.1007" } }, kota);
  await accounts.suspendAccount({ name }, kota);
  await accounts.reactivateAccount({ name }, kota);
  await accounts.resetPassword({ name }, kota);
  const { rows } = await database.query(
    "select subject, role, action, wilayah from audit where resource = $1 order by id",
    [name],
  );
  assert.deepEqual(
    rows.map(({ action }) => action.replace("lampid.auth.v1.AccountService/", "")),
    ["CreateAccount", "UpdateAccount", "SuspendAccount", "ReactivateAccount", "ResetPassword"],
  );
  for (const { subject, role, wilayah } of rows) {
    assert.deepEqual([subject, role], ["admin_kota-32.01", "admin_kota"]);
    assert.match(wilayah, /^32\.01\.01\.100[67]$/);
  }
});

test("with the embedded issuer an account lives from its first password to its suspension and back", async () => {
  const mesh = await startAuth(testDatabase.url);
  try {
    await mesh.serving();
    const tokenUrl = `${mesh.issuerUrl}/token`;
    await liveThroughAnAccount(mesh, {
      tokenUrl,
      async choosePassword(username, initial, chosen) {
        const visit = openBrowser(mesh.issuerUrl);
        const verifier = newVerifier();
        const { location } = await visit(`/auth?${authorizationQuery(verifier)}`);
        const form = { username, password: initial };
        const page = await visit(location, form);
        assert.equal(page.status, 200);
        assert.match(page.html, /Pilih kata sandi/);
        const refusals: [new_password: string, again: string, problem: RegExp][] = [
          [chosen, `${chosen}x`, /tidak sama/],
          ["pendek", "pendek", /terlalu pendek/],
          [initial, initial, /harus lain/],
        ];
        for (const [new_password, again, problem] of refusals) {
          const answer = await visit(location, { ...form, new_password, new_password_again: again });
          assert.equal(answer.status, 400);
          assert.match(answer.html, problem);
          assert.ok(!answer.html.includes(initial) && !answer.html.includes(chosen));
        }
        const done = await visit(location, { ...form, new_password: chosen, new_password_again: chosen });
        assert.equal(done.status, 303);
        const callback = await visit(done.location);
        const code = new URL(callback.location).searchParams.get("code")!;
        const { body } = await redeemCode(tokenUrl, code, verifier);
        return { accessToken: body.access_token!, refreshToken: body.refresh_token! };
      },
    });
  } finally {
    await mesh.stop();
  }
});
