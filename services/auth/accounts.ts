// Accounts of the embedded identity provider: who may sign in, and the audit row of everyone who tried.
import { appendToAudit } from "#chassis/audit.ts";
import type { Sql } from "#chassis/database.ts";
import { foldUsername } from "./login-throttle.ts";
import type { PasswordHasher } from "./password-hash.ts";

export type Account = { id: string; username: string; role: string; wilayah: string };

export type SignIn = {
  username: string;
  password: string;
  /** Where the password was typed, as the audit names it. */
  via: "lampid.auth.v1.AuthService/Login" | "issuer/interaction";
  traceparent: string;
};

export type Accounts = {
  /** Undefined for an unknown or disabled account. */
  find: (id: string) => Promise<Account | undefined>;
  /** Undefined when username and password do not match; which of the two is wrong is nobody's business. */
  signIn: (attempt: SignIn) => Promise<Account | undefined>;
};

export type AccountsDeps = { sql: Sql; hasher: PasswordHasher; clock: () => Date };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function postgresAccounts({ sql, hasher, clock }: AccountsDeps): Accounts {
  async function byUsername(username: string): Promise<(Account & { password_hash: string }) | undefined> {
    // PostgreSQL refuses a NUL in a text; nobody is called that.
    if (username.includes("\0")) return undefined;
    const { rows } = await sql.query({
      name: "account-by-username",
      text: `select id, username, role, wilayah, password_hash from account
             where username = $1 and disabled_at is null`,
      values: [foldUsername(username)],
    });
    return rows[0];
  }

  return {
    async find(id) {
      if (!UUID.test(id)) return undefined;
      const { rows } = await sql.query<Account>({
        name: "account-by-id",
        text: "select id, username, role, wilayah from account where id = $1 and disabled_at is null",
        values: [id],
      });
      return rows[0];
    },

    async signIn({ username, password, via, traceparent }) {
      const found = await byUsername(username);
      const ok = await hasher.verify(password, found?.password_hash);
      // What was typed is never written down: people type their password into the wrong field.
      await appendToAudit(sql, {
        subject: found?.id ?? "unknown",
        role: found?.role ?? "",
        action: `${via} ${ok ? "ok" : "failed"}`,
        resource: found ? `accounts/${found.id}` : "accounts/unknown",
        wilayah: found?.wilayah ?? "",
        traceparent,
        at: clock(),
      });
      if (!ok || !found) return undefined;
      return { id: found.id, username: found.username, role: found.role, wilayah: found.wilayah };
    },
  };
}
