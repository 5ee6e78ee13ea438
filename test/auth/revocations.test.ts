// RevocationService: what the audit of either store says about tokens from before. On PostgreSQL, behind the real chain.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { appendToAudit } from "#chassis/audit.ts";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { AccountService } from "#gen/lampid/auth/v1/account_service_pb.ts";
import { type Revocation, RevocationService } from "#gen/lampid/auth/v1/revocation_service_pb.ts";
import { accountService } from "../../services/auth/account-service.ts";
import { newInitialPassword } from "../../services/auth/initial-password.ts";
import { keycloakAccountStore } from "../../services/auth/keycloak-account-store.ts";
import { type KeycloakAdmin, KeycloakRefusal } from "../../services/auth/keycloak-admin.ts";
import { passwordHasher } from "../../services/auth/password-hash.ts";
import { postgresAccountStore } from "../../services/auth/postgres-account-store.ts";
import { type RevocationServiceDeps, revocationService } from "../../services/auth/revocations.ts";
import { as, assertRefused, componentClient } from "../harness/component.ts";
import { createTestDatabase, emptyTables, type TestDatabase } from "../harness/database.ts";

const log = createLogger("test", "silent");
const pusat = as("admin_pusat", "ID");
let testDatabase: TestDatabase;
let database: Database;
let revocations: Client<typeof RevocationService>;

before(async () => {
  testDatabase = await createTestDatabase("auth");
  database = openDatabase({ url: testDatabase.url, name: "test", log });
  revocations = await clientOf();
});
after(async () => {
  await database?.close();
  await testDatabase?.drop();
});

async function clientOf(
  over: Partial<RevocationServiceDeps> = {},
): Promise<Client<typeof RevocationService>> {
  const deps = { database, tokenTtlSeconds: 300, log, sharedMs: 0, ...over };
  return await componentClient(RevocationService, revocationService(deps));
}

/** Of an account, or of `accounts/{id}`; asked without a token, as processes do. */
async function listed(name: string): Promise<Revocation | undefined> {
  const { revocations: all } = await revocations.listRevocations({});
  const subject = name.replace("accounts/", "");
  const found = all.filter((each) => each.subject === subject);
  assert.ok(found.length <= 1, "an account is listed once");
  return found[0];
}

/** A row as the stores write it, so many seconds ago. */
async function audited(id: string, action: string, secondsAgo = 0): Promise<void> {
  const at = new Date();
  await appendToAudit(database, {
    subject: "kota",
    role: "admin_kota",
    action: action.includes("/") ? action : `lampid.auth.v1.AccountService/${action}`,
    resource: `accounts/${id}`,
    wilayah: "32.01.01.1006",
    traceparent: "",
    at,
  });
  if (secondsAgo === 0) return;
  await database.query("alter table audit disable trigger audit_is_append_only");
  await database.query(
    `update audit set recorded_at = recorded_at - make_interval(secs => $2)
     where id = (select max(id) from audit where resource = $1)`,
    [`accounts/${id}`, secondsAgo],
  );
  await database.query("alter table audit enable trigger audit_is_append_only");
}

async function accountsOn(store: Parameters<typeof accountService>[0]["store"]) {
  return await componentClient(
    AccountService,
    // A clock that stands still long ago: when a change was asked for is not when it was made.
    accountService({
      store,
      wilayah: loadWilayah(),
      clock: () => new Date("2026-11-20T03:00:00Z"),
      newPassword: newInitialPassword,
    }),
  );
}

describe("on the embedded issuer's accounts", () => {
  let accounts: Client<typeof AccountService>;
  before(async () => {
    const hasher = passwordHasher({ cost: { ln: 4, r: 8, p: 1 } });
    accounts = await accountsOn(postgresAccountStore({ database, hasher }));
  });

  async function created() {
    const username = `uji-${randomUUID().slice(0, 13)}`;
    return (await accounts.createAccount({ username, role: 1, kodeWilayah: "32.01.01.1006" }, pusat))
      .account!;
  }

  test("a new account is not listed, nor one that somebody looked at or failed to change", async () => {
    const { name } = await created();
    await accounts.getAccount({ name }, pusat);
    const account = { name, etag: "lain", kodeWilayah: "32.01.01.1007" };
    await assertRefused(accounts.updateAccount({ account }, pusat), "Aborted", "ETAG_MISMATCH");
    assert.equal(await listed(name), undefined);
  });

  test("another wilayah and another password are changes, of the moment they were made", async () => {
    for (const change of [
      ({ name, etag }: { name: string; etag: string }) =>
        accounts.updateAccount({ account: { name, etag, kodeWilayah: "32.01.01.1007" } }, pusat),
      ({ name }: { name: string }) => accounts.resetPassword({ name }, pusat),
    ]) {
      const account = await created();
      const from = Date.now();
      await change(account);
      const found = await listed(account.name);
      assert.equal(found?.suspended, false);
      const at = timestampDate(found!.changeTime!).getTime();
      assert.ok(at >= from - 1 && at <= Date.now() + 1, "on the database's clock, here the same");
    }
  });

  test("a suspension holds through other changes, until the account is let in again, which is a change, too", async () => {
    const { name } = await created();
    await accounts.suspendAccount({ name }, pusat);
    assert.equal((await listed(name))?.suspended, true);
    await accounts.resetPassword({ name }, pusat);
    const suspended = await listed(name);
    assert.equal(suspended?.suspended, true);
    await accounts.reactivateAccount({ name }, pusat);
    const back = await listed(name);
    assert.equal(back?.suspended, false);
    assert.ok(timestampDate(back!.changeTime!) > timestampDate(suspended!.changeTime!));
  });
});

describe("on Keycloak's accounts", () => {
  const user = {
    username: "uji",
    enabled: true,
    createdTimestamp: 0,
    attributes: { role: ["operator"], wilayah: ["32.01.01.1006"] },
  };
  /** What Keycloak makes of a change; everything else it answers with the user that was asked for. */
  let put: () => Promise<{ status: number; body: unknown; location: string }>;
  const admin: KeycloakAdmin = {
    request: async (method, path) =>
      method === "PUT" ? put() : { status: 200, body: { ...user, id: path.split("/")[1] }, location: "" },
    whyRefused: async () => undefined,
  };
  let accounts: Client<typeof AccountService>;
  before(async () => {
    accounts = await accountsOn(keycloakAccountStore({ admin, database }));
  });

  test("a change is of the moment after Keycloak made it, and one that it may have made counts", async () => {
    const name = `accounts/${randomUUID()}`;
    let madeAt = 0;
    put = async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      madeAt = Date.now();
      return { status: 204, body: undefined, location: "" };
    };
    await accounts.suspendAccount({ name }, pusat);
    const done = await listed(name);
    assert.equal(done?.suspended, true);
    assert.ok(timestampDate(done!.changeTime!).getTime() >= madeAt - 1);

    put = async () => {
      throw new Error("the line broke");
    };
    await assert.rejects(accounts.reactivateAccount({ name }, pusat));
    const unknown = await listed(name);
    assert.equal(unknown?.suspended, true, "not let in again as far as anybody knows");
    assert.ok(timestampDate(unknown!.changeTime!) > timestampDate(done!.changeTime!));
  });

  test("a suspension that Keycloak refused, or never answered, leaves nobody suspended", async () => {
    const [refused, unanswered] = [randomUUID(), randomUUID()];
    put = async () => {
      throw new KeycloakRefusal("403", "a change");
    };
    await assert.rejects(accounts.suspendAccount({ name: `accounts/${refused}` }, pusat));
    put = async () => {
      throw new Error("the line broke");
    };
    await assert.rejects(accounts.suspendAccount({ name: `accounts/${unanswered}` }, pusat));
    for (const each of [refused, unanswered]) assert.equal((await listed(each))?.suspended, false);
  });
});

describe("the list", () => {
  test("names who is suspended and when, and nothing of who did it, where or why", async () => {
    const id = randomUUID();
    await audited(id, "SuspendAccount");
    assert.deepEqual(Object.keys((await listed(id))!).sort(), [
      "$typeName",
      "changeTime",
      "subject",
      "suspended",
    ]);
  });

  test("has what is younger than a token can be, and a margin; sign-ins are not in it", async () => {
    const [young, old, signedIn] = [randomUUID(), randomUUID(), randomUUID()];
    await audited(young, "SuspendAccount", 590);
    await audited(old, "SuspendAccount", 610);
    await audited(signedIn, "lampid.auth.v1.AuthService/Login ok");
    await audited(signedIn, "issuer/interaction password replaced");
    assert.ok(await listed(young));
    assert.deepEqual([await listed(old), await listed(signedIn)], [undefined, undefined]);
  });

  test("is bounded, keeps suspended accounts and the latest changes, and says what it left off", async () => {
    await emptyTables(database, "audit");
    const [suspended, ...changed] = Array.from({ length: 5 }, randomUUID) as [string, ...string[]];
    await audited(suspended, "SuspendAccount");
    for (const id of changed) await audited(id, "UpdateAccount");
    const short = await clientOf({ listMax: 3 });
    const answer = await short.listRevocations({});
    assert.deepEqual(
      answer.revocations.map(({ subject }) => subject),
      [suspended, changed[3], changed[2]],
    );
    assert.equal(answer.leftOff, 2);
  });

  test("is read once for all who ask at the same time, again after a while, and again after a failure", async () => {
    let reads = 0;
    let isAway = true;
    const counting = {
      query: async (...args: unknown[]) => {
        reads++;
        if (isAway) throw Object.assign(new Error("connection refused"), { code: "ECONNREFUSED" });
        return await (database.query as (...args: unknown[]) => Promise<unknown>)(...args);
      },
    } as unknown as Database;
    const shared = await clientOf({ database: counting, sharedMs: 50 });
    const ask = () => Promise.allSettled(Array.from({ length: 20 }, () => shared.listRevocations({})));
    await assertRefused(shared.listRevocations({}), "Unavailable", "STORE_UNAVAILABLE");
    isAway = false;
    reads = 0;
    await ask();
    await ask();
    assert.equal(reads, 1);
    await new Promise((resolve) => setTimeout(resolve, 60));
    await ask();
    assert.equal(reads, 2);
  });

  test("is found by its index among a hundred thousand sign-ins", async () => {
    await database.query(
      `insert into audit (created_at, subject, role, action, resource, wilayah, traceparent)
       select now(), 's', '', 'lampid.auth.v1.AuthService/Login ok', 'accounts/s', '', '' from generate_series(1, 100000)`,
    );
    await database.query("analyze audit");
    const plans: string[] = [];
    const explaining = {
      async query(query: { text: string; values: unknown[] }) {
        const { rows } = await database.query(`explain ${query.text}`, query.values);
        plans.push(rows.map((row) => row["QUERY PLAN"]).join("\n"));
        return await database.query(query);
      },
    } as unknown as Database;
    await (await clientOf({ database: explaining })).listRevocations({});
    assert.match(plans[0]!, /audit_account_change/);
  });
});
