// Accounts of the embedded identity provider, as AccountService administers them: account, audit and answer in one transaction.
import { appendToAudit } from "#chassis/audit.ts";
import type { Database, Sql } from "#chassis/database.ts";
import { idempotently } from "#chassis/idempotency.ts";
import { refuse } from "#chassis/refusal.ts";
import { NATION } from "#chassis/wilayah.ts";
import type { AccountRecord, AccountStore, AccountTransaction } from "./account-store.ts";
import { HasherBusy, type PasswordHasher } from "./password-hash.ts";

export type PostgresAccountStoreDeps = { database: Database; hasher: PasswordHasher };

/** A demo account that is switched off signs in no more than a suspended one. */
const COLUMNS =
  "id, username, role, wilayah, coalesce(suspended_at, disabled_at) as suspended_at, created_at";

export function postgresAccountStore({ database, hasher }: PostgresAccountStoreDeps): AccountStore {
  return {
    async find(id) {
      const { rows } = await database.query(`select ${COLUMNS} from account where id = $1`, [id]);
      return rows[0] && toRecord(rows[0]);
    },

    async list({ wilayah, limit, after }) {
      const { rows } = await database.query(
        `select ${COLUMNS} from account
         where ($1 = '${NATION}' or wilayah = $1 or starts_with(wilayah, $1 || '.'))
           and ($2::text is null or username > $2)
         order by username limit $3`,
        [wilayah, after ?? null, limit + 1],
      );
      const accounts: AccountRecord[] = rows.slice(0, limit).map(toRecord);
      return { accounts, next: rows.length > limit ? accounts.at(-1)?.username : undefined };
    },

    change: ({ key, attempt, answer, work }) =>
      idempotently(database, key, answer, async (sql) => {
        const done = await work(accountTransaction(sql, hasher, attempt.at));
        await appendToAudit(sql, { ...attempt, resource: done.resource });
        return done.answer;
      }),
  };
}

function accountTransaction(sql: Sql, hasher: PasswordHasher, at: Date): AccountTransaction {
  return {
    async findForUpdate(id) {
      const { rows } = await sql.query(`select ${COLUMNS} from account where id = $1 for update`, [id]);
      return rows[0] && toRecord(rows[0]);
    },

    async create({ username, role, wilayah }) {
      const { rows } = await sql.query(
        `insert into account (username, role, wilayah, created_at, updated_at) values ($1, $2, $3, $4, $4)
         on conflict (username) do nothing returning ${COLUMNS}`,
        [username, role, wilayah, at],
      );
      return rows[0] && toRecord(rows[0]);
    },

    async update(id, { role, wilayah }) {
      await sql.query("update account set role = $2, wilayah = $3, updated_at = $4 where id = $1", [
        id,
        role,
        wilayah,
        at,
      ]);
    },

    async setSuspended(id, isSuspended) {
      // A demo account that is switched off stays so while it has its well-known password.
      await sql.query(
        `update account set suspended_at = case when $2 then coalesce(suspended_at, $3) end,
           disabled_at = case when $2 or demo then disabled_at end, updated_at = $3
         where id = $1`,
        [id, isSuspended, at],
      );
      if (isSuspended) await endSessions(sql, id);
    },

    async setInitialPassword(id, password) {
      const hash = await hasher.hash(password).catch((cause) => {
        if (!(cause instanceof HasherBusy)) throw cause;
        throw refuse("unavailable", "OVERLOADED", "too many passwords are being checked; try again", {
          retryAfterSeconds: 2,
        });
      });
      // A demo account that is given a password of its own is one no longer: the next start must not undo it.
      await sql.query(
        `update account set password_hash = $2, password_expired = true, demo = false, updated_at = $3 where id = $1`,
        [id, hash, at],
      );
      await endSessions(sql, id);
    },
  };
}

/** Sessions, codes, grants and refresh tokens; access tokens are JWTs, which are refused by the list in revocations.ts. */
async function endSessions(sql: Sql, id: string): Promise<void> {
  await sql.query("delete from oidc_state where payload ->> 'accountId' = $1", [id]);
}

// biome-ignore lint/suspicious/noExplicitAny: rows of pg are untyped; this is the one place that reads them.
function toRecord(row: any): AccountRecord {
  return {
    id: row.id,
    username: row.username,
    role: row.role,
    wilayah: row.wilayah,
    isSuspended: row.suspended_at !== null,
    createdAt: row.created_at,
  };
}
