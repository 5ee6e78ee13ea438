// The demo accounts of the embedded profile, seeded at every start and disabled when they are switched off.
import type { Database, Sql } from "#chassis/database.ts";
import type { PasswordHasher } from "./password-hash.ts";

/** Wilayah: 32.01 is Kabupaten Bogor, 32.01.01 Cibinong, 32.01.02 Gunung Putri; 32.04 is Kabupaten Bandung, 32.04.37 Soreang. */
export const demoAccounts = [
  { username: "operator", role: "operator", wilayah: "32.01.01.1006" },
  { username: "operator2", role: "operator", wilayah: "32.01.02.2001" },
  { username: "operator3", role: "operator", wilayah: "32.04.37.2001" },
  { username: "supervisor", role: "supervisor", wilayah: "32.01.01" },
  { username: "supervisor2", role: "supervisor", wilayah: "32.01.02" },
  { username: "supervisor3", role: "supervisor", wilayah: "32.04.37" },
  { username: "kota", role: "admin_kota", wilayah: "32.01" },
  { username: "kota2", role: "admin_kota", wilayah: "32.04" },
  { username: "pusat", role: "admin_pusat", wilayah: "ID" },
  { username: "auditor", role: "auditor", wilayah: "ID" },
] as const;

export const DEFAULT_DEMO_PASSWORD = "rahasia";

/** Makes the accounts, or gives them the password, role and wilayah that they should have. Ids stay. */
export async function seedDemoAccounts(
  database: Pick<Database, "transaction" | "query">,
  hasher: PasswordHasher,
  password: string,
): Promise<void> {
  const hash = (await currentHash(database, hasher, password)) ?? (await hasher.hash(password));
  await database.transaction(async (sql) => {
    for (const { username, role, wilayah } of demoAccounts) {
      await sql.query(
        // An account of that name which a person made is theirs.
        `insert into account (username, role, wilayah, password_hash, demo) values ($1, $2, $3, $4, true)
         on conflict (username) do update
           set role = excluded.role, wilayah = excluded.wilayah, password_hash = excluded.password_hash,
               disabled_at = null, updated_at = now()
           where account.demo and (account.role, account.wilayah, account.password_hash, account.disabled_at)
             is distinct from (excluded.role, excluded.wilayah, excluded.password_hash, null)`,
        [username, role, wilayah, hash],
      );
    }
  });
}

/** A mesh that once ran with demo accounts must not keep their well-known password. */
export async function disableDemoAccounts(sql: Sql): Promise<void> {
  await sql.query(
    "update account set disabled_at = now(), updated_at = now() where demo and disabled_at is null",
  );
}

/**
 * The hash in use, if it fits. They all share one, for they share one known password: a start costs one scrypt instead
 * of seven.
 */
async function currentHash(sql: Sql, hasher: PasswordHasher, password: string): Promise<string | undefined> {
  const { rows } = await sql.query<{ password_hash: string }>(
    "select password_hash from account where demo order by username limit 1",
  );
  const found = rows[0]?.password_hash;
  return found !== undefined && (await hasher.verify(password, found)) ? found : undefined;
}
