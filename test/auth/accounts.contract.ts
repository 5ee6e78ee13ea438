// What every AccountStore must do, wherever the accounts are: with our own issuer in PostgreSQL, or in Keycloak.
import assert from "node:assert/strict";
import { randomInt, randomUUID } from "node:crypto";
import { before, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Refused, refuse } from "#chassis/refusal.ts";
import { CreateAccountResponseSchema } from "#gen/lampid/auth/v1/account_service_pb.ts";
import type {
  AccountRecord,
  AccountStore,
  AccountTransaction,
  NewAccount,
} from "../../services/auth/account-store.ts";

export type AccountStoreUnderTest = {
  store: AccountStore;
  /** The store of another process over the same accounts. */
  replica: AccountStore;
  /** What becomes of a sign-in with a password, as AuthService.Login does it. */
  signIn: (username: string, password: string) => Promise<"granted" | "denied" | "password_expired">;
  /** Actions and resources in the audit with this trace, in their order. */
  audited: (traceparent: string) => Promise<{ action: string; resource: string }[]>;
  /** Whether an attempt is audited before it is made. */
  auditsAttempts: boolean;
};

const NOW = new Date("2026-11-20T03:00:00Z");
const PASSWORD = "k7mp-w3ra-9xdh-tq4e";

/** Accounts that no other test and no other run has. */
export function newUsername(): string {
  return `uji-${randomUUID().slice(0, 13)}`;
}

/** A kecamatan that no other test has; the store does not ask whether it is real. */
function newKecamatan(): string {
  const two = () => String(randomInt(100)).padStart(2, "0");
  return `99.${two()}.${two()}`;
}

export function accountStoreContract(name: string, underTest: () => AccountStoreUnderTest): void {
  describe(`AccountStore: ${name}`, () => {
    let it: AccountStoreUnderTest;
    before(() => {
      it = underTest();
    });

    type Work = (tx: AccountTransaction) => Promise<AccountRecord | undefined>;
    type Options = { store?: AccountStore; requestId?: string; traceparent?: string; asked?: string };

    /** Runs a change that answers with an account; gives what the answer says of it. */
    async function change(work: Work, options: Options = {}): Promise<string> {
      const { store = it.store, requestId = "", traceparent = randomUUID(), asked = "same" } = options;
      const answer = await store.change({
        key: { subject: "penguji", requestId, fingerprint: Buffer.from(asked) },
        attempt: {
          subject: "penguji",
          role: "admin_pusat",
          action: "uji",
          resource: "accounts/new",
          wilayah: "ID",
          traceparent,
          at: NOW,
        },
        answer: CreateAccountResponseSchema,
        work: async (tx) => {
          const account = await work(tx);
          if (!account) throw refuse("alreadyExists", "USERNAME_TAKEN", "taken");
          const name = `accounts/${account.id}`;
          return { answer: create(CreateAccountResponseSchema, { account: { name } }), resource: name };
        },
      });
      return answer.account!.name.slice("accounts/".length);
    }

    async function created(over: Partial<NewAccount> = {}): Promise<AccountRecord> {
      const account = {
        username: newUsername(),
        role: "operator",
        wilayah: "32.01.01.1006",
        ...over,
      } as const;
      return (await it.store.find(await change((tx) => tx.create(account))))!;
    }

    const changed = (id: string, act: (tx: AccountTransaction) => Promise<void>) =>
      change(async (tx) => {
        const account = await tx.findForUpdate(id);
        await act(tx);
        return account;
      });

    async function reasonOf(promise: Promise<unknown>): Promise<string> {
      return await promise.then(
        () => assert.fail("it was not refused"),
        (cause) => {
          assert.ok(cause instanceof Refused, String(cause));
          return cause.refusal.reason;
        },
      );
    }

    test("an account is found as it was made, and by no other id", async () => {
      const account = { username: newUsername(), role: "supervisor", wilayah: "32.01.01" } as const;
      const id = await change((tx) => tx.create(account));
      assert.match(id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      const found = await it.store.find(id);
      assert.ok(found && found.createdAt.getTime() > 0);
      assert.deepEqual({ ...found, createdAt: 0 }, { id, ...account, isSuspended: false, createdAt: 0 });
      assert.equal(await it.store.find(randomUUID()), undefined);
      await changed(id, async (tx) => assert.equal(await tx.findForUpdate(randomUUID()), undefined));
    });

    test("a username is somebody's once, also when two processes give it at the same moment", async () => {
      const account = { username: newUsername(), role: "operator", wilayah: "32.01.01.1006" } as const;
      const tries = await Promise.allSettled(
        [it.store, it.replica, it.store, it.replica].map((store) =>
          change((tx) => tx.create(account), { store }),
        ),
      );
      assert.equal(tries.filter(({ status }) => status === "fulfilled").length, 1);
      for (const each of tries) {
        if (each.status === "rejected") assert.equal(each.reason.refusal?.reason, "USERNAME_TAKEN");
      }
    });

    test("the same request gives the first answer again, from another process and at the same moment too", async () => {
      const requestId = randomUUID();
      const account = { username: newUsername(), role: "operator", wilayah: "32.01.01.1006" } as const;
      const create = (store: AccountStore) => change((tx) => tx.create(account), { store, requestId });
      const ids = await Promise.all([create(it.store), create(it.replica), create(it.store)]);
      ids.push(await create(it.replica));
      assert.equal(new Set(ids).size, 1);
      const other = change((tx) => tx.create(account), { requestId, asked: "something else" });
      assert.equal(await reasonOf(other), "REQUEST_ID_REUSED");
    });

    test("nobody signs in before there is a password, and an initial one must be replaced first", async () => {
      const { id, username } = await created();
      assert.equal(await it.signIn(username, ""), "denied");
      assert.equal(await it.signIn(username, PASSWORD), "denied");
      await changed(id, (tx) => tx.setInitialPassword(id, PASSWORD));
      assert.equal(await it.signIn(username, PASSWORD), "password_expired");
      assert.equal(await it.signIn(username, "lain-lain-lain-lain"), "denied");
      await changed(id, (tx) => tx.setInitialPassword(id, "w3ra-k7mp-9xdh-tq4e"));
      assert.equal(await it.signIn(username, PASSWORD), "denied");
      assert.equal(await it.signIn(username, "w3ra-k7mp-9xdh-tq4e"), "password_expired");
    });

    test("a suspended account does not sign in; reactivated it does, with the password it had", async () => {
      const { id, username } = await created();
      await changed(id, (tx) => tx.setInitialPassword(id, PASSWORD));
      for (let times = 0; times < 2; times++) {
        await changed(id, (tx) => tx.setSuspended(id, true));
        assert.equal((await it.replica.find(id))?.isSuspended, true);
        assert.equal(await it.signIn(username, PASSWORD), "denied");
      }
      await changed(id, (tx) => tx.setSuspended(id, false));
      assert.equal((await it.store.find(id))?.isSuspended, false);
      assert.equal(await it.signIn(username, PASSWORD), "password_expired");
    });

    test("role and wilayah change together, and nothing else does", async () => {
      const before = await created();
      await changed(before.id, (tx) => tx.update(before.id, { role: "supervisor", wilayah: "32.01.02" }));
      assert.deepEqual(await it.store.find(before.id), {
        ...before,
        role: "supervisor",
        wilayah: "32.01.02",
      });
      await changed(before.id, (tx) => tx.setSuspended(before.id, true));
      await changed(before.id, (tx) => tx.update(before.id, { role: "operator", wilayah: before.wilayah }));
      assert.deepEqual(await it.store.find(before.id), { ...before, isSuspended: true });
    });

    test("two processes that change one account come one after the other", async () => {
      const { id } = await created();
      let running = 0;
      const work: Work = async (tx) => {
        const account = await tx.findForUpdate(id);
        running++;
        assert.equal(running, 1, "two at the same time");
        await new Promise((resolve) => setTimeout(resolve, 50));
        await tx.update(id, { role: "operator", wilayah: "32.01.01.1006" });
        running--;
        return account;
      };
      await Promise.all([it.store, it.replica, it.store].map((store) => change(work, { store })));
    });

    test("a change is audited with what it is about; one that is refused leaves the accounts as they were", async () => {
      const [done, refused] = [randomUUID(), randomUUID()];
      const { username, id } = await created();
      const change_ = (traceparent: string, work: Work) => change(work, { traceparent });
      const account = { username, role: "operator", wilayah: "32.01.01.1006" } as const;
      assert.equal(await reasonOf(change_(refused, (tx) => tx.create(account))), "USERNAME_TAKEN");
      assert.deepEqual(await it.audited(refused), []);
      await change_(done, async (tx) => {
        await tx.setSuspended(id, true);
        return tx.findForUpdate(id);
      });
      const rows = await it.audited(done);
      assert.deepEqual(rows.at(-1), { action: "uji", resource: `accounts/${id}` });
      assert.deepEqual(
        rows.slice(0, -1).map(({ action }) => action),
        it.auditsAttempts ? ["uji begun"] : [],
      );
    });

    describe("a list", () => {
      const kecamatan = newKecamatan();
      const places = [kecamatan, `${kecamatan}.1001`, `${kecamatan}.1001`, `${kecamatan}.2002`];
      const neighbour = `${kecamatan.slice(0, -1)}${(Number(kecamatan.at(-1)) + 1) % 10}.1001`;
      let accounts: AccountRecord[];
      before(async () => {
        accounts = [];
        for (const wilayah of [...places, neighbour]) accounts.push(await created({ wilayah }));
      });
      const usernames = (where: (wilayah: string) => boolean) =>
        accounts
          .filter(({ wilayah }) => where(wilayah))
          .map(({ username }) => username)
          .sort();
      const list = async (wilayah: string, limit = 100, after?: string) => {
        const page = await it.store.list({ wilayah, limit, after });
        return { ...page, usernames: page.accounts.map(({ username }) => username) };
      };

      test("holds the accounts of a wilayah and of those inside it, by username", async () => {
        const within = await list(kecamatan);
        assert.deepEqual(
          within.usernames,
          usernames((wilayah) => wilayah.startsWith(kecamatan)),
        );
        assert.equal(within.next, undefined);
        assert.deepEqual(
          within.accounts.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
          accounts.slice(0, -1).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
        );
        const leaf = `${kecamatan}.1001`;
        assert.deepEqual(
          (await list(leaf)).usernames,
          usernames((wilayah) => wilayah === leaf),
        );
        assert.deepEqual((await list(`${kecamatan}.3003`)).usernames, []);
        assert.deepEqual(
          (await list(kecamatan.slice(0, -1))).usernames,
          [],
          "a code that merely starts alike",
        );
        const all = (await list("ID", 500)).usernames;
        for (const { username } of accounts) assert.ok(all.includes(username), username);
      });

      test("comes in pages that miss nobody and repeat nobody", async () => {
        for (const limit of [1, 2, 3, 4, 5]) {
          const seen: string[] = [];
          let after: string | undefined;
          let pages = 0;
          do {
            const page = await list(kecamatan, limit, after);
            assert.ok(page.usernames.length <= limit && page.usernames.length > 0);
            seen.push(...page.usernames);
            after = page.next;
            pages++;
          } while (after !== undefined);
          assert.deepEqual(
            seen,
            usernames((wilayah) => wilayah.startsWith(kecamatan)),
          );
          assert.equal(pages, Math.ceil(4 / limit));
        }
      });

      test("goes on where it was when accounts were made meanwhile", async () => {
        const first = await list(kecamatan, 2);
        // Before the place, at it and behind it.
        for (const username of [`a-${newUsername()}`, `${first.usernames[1]}-a`, `z-${newUsername()}`]) {
          await created({ username, wilayah: "32.01.01.1006" });
        }
        const second = await list(kecamatan, 2, first.next);
        assert.deepEqual(
          [...first.usernames, ...second.usernames],
          usernames((wilayah) => wilayah.startsWith(kecamatan)),
        );
      });
    });
  });
}
