// Accounts of the embedded identity provider: who may sign in, and the audit row of everyone who tried.
import { appendToAudit } from "#chassis/audit.ts";
import type { Database } from "#chassis/database.ts";
import { foldUsername } from "./login-throttle.ts";
import type { PasswordHasher } from "./password-hash.ts";

export type Account = { id: string; username: string; role: string; wilayah: string };

/** Who has signed in; with an expired password they must choose another before they get anything. */
export type SignedIn = Account & { isPasswordExpired: boolean };

export type SignIn = {
  username: string;
  password: string;
  /** Where the password was typed, as the audit names it. */
  via: "lampid.auth.v1.AuthService/Login" | "issuer/interaction";
  traceparent: string;
};

export type Accounts = {
  /** Undefined for an account that is unknown, disabled or suspended. */
  find: (id: string) => Promise<Account | undefined>;
  /** Undefined when username and password do not match; which of the two is wrong is nobody's business. */
  signIn: (attempt: SignIn) => Promise<SignedIn | undefined>;
  /** Replaces an expired password by one that its owner chose; false when it is expired no more. */
  replacePassword: (account: Account, password: string, traceparent: string) => Promise<boolean>;
};

export type AccountsDeps = { database: Database; hasher: PasswordHasher; clock: () => Date };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function postgresAccounts({ database, hasher, clock }: AccountsDeps): Accounts {
  async function byUsername(
    username: string,
  ): Promise<(SignedIn & { passwordHash: string | null }) | undefined> {
    // PostgreSQL refuses a NUL in a text; nobody is called that.
    if (username.includes("\0")) return undefined;
    const { rows } = await database.query({
      name: "account-by-username",
      text: `select id, username, role, wilayah, password_hash as "passwordHash",
               password_expired as "isPasswordExpired"
             from account where username = $1 and disabled_at is null and suspended_at is null`,
      values: [foldUsername(username)],
    });
    return rows[0];
  }

  return {
    async find(id) {
      if (!UUID.test(id)) return undefined;
      const { rows } = await database.query<Account>({
        name: "account-by-id",
        text: `select id, username, role, wilayah from account
               where id = $1 and disabled_at is null and suspended_at is null`,
        values: [id],
      });
      return rows[0];
    },

    async signIn({ username, password, via, traceparent }) {
      const found = await byUsername(username);
      const ok = await hasher.verify(password, found?.passwordHash ?? undefined);
      // What was typed is never written down: people type their password into the wrong field.
      await appendToAudit(database, {
        subject: found?.id ?? "unknown",
        role: found?.role ?? "",
        action: `${via} ${ok ? "ok" : "failed"}`,
        resource: found ? `accounts/${found.id}` : "accounts/unknown",
        wilayah: found?.wilayah ?? "",
        traceparent,
        at: clock(),
      });
      if (!ok || !found) return undefined;
      const { passwordHash: _, ...signedIn } = found;
      return signedIn;
    },

    async replacePassword({ id, role, wilayah }, password, traceparent) {
      const hash = await hasher.hash(password);
      return await database.transaction(async (tx) => {
        const { rowCount } = await tx.query(
          `update account set password_hash = $2, password_expired = false, updated_at = $3
           where id = $1 and password_expired and disabled_at is null and suspended_at is null`,
          [id, hash, clock()],
        );
        if (rowCount !== 1) return false;
        await appendToAudit(tx, {
          subject: id,
          role,
          action: "issuer/interaction password replaced",
          resource: `accounts/${id}`,
          wilayah,
          traceparent,
          at: clock(),
        });
        return true;
      });
    },
  };
}
