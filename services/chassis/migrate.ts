// Applies numbered SQL migrations, each once and in order, also when twenty processes try at the same time.
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";

export type MigrateOptions = {
  /** Connection of the role that owns the database. */
  url: string;
  /** Folders with `000001_name.sql`, in the order in which they are applied; the key names the set. */
  sets: Readonly<Record<string, string>>;
  log?: (line: string) => void;
};

/** Folder of the tables that every service has: outbox, inbox, audit, idempotency. */
export const chassisMigrations = fileURLToPath(new URL("./migrations", import.meta.url));

/** Any constant will do, as long as nothing else in the database uses it. */
const LOCK = 7_021_945;

/** @throws Error when an applied file was changed afterwards, or the numbers have a gap: both mean a broken release. */
export async function migrate({ url, sets, log = () => {} }: MigrateOptions): Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: "migrate" });
  // Whoever stops the server meanwhile has a reason to tell; the query in hand rejects by itself.
  client.on("error", () => {});
  await client.connect();
  try {
    // The lock is taken before the table is made: CREATE TABLE IF NOT EXISTS races with itself.
    await client.query("select pg_advisory_lock($1)", [LOCK]);
    await client.query("set client_min_messages = warning");
    await client.query(`create table if not exists migration (
      set text not null, number int not null, name text not null, sha256 text not null,
      applied_at timestamptz not null default now(), primary key (set, number))`);
    for (const [set, folder] of Object.entries(sets)) await applySet(client, set, folder, log);
  } finally {
    await client.end();
  }
}

async function applySet(
  client: pg.Client,
  set: string,
  folder: string,
  log: (line: string) => void,
): Promise<void> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".sql")).sort();
  const { rows } = await client.query("select number, sha256 from migration where set = $1", [set]);
  const applied = new Map<number, string>(rows.map((row) => [row.number, row.sha256]));
  for (const [index, file] of files.entries()) {
    const number = index + 1;
    if (!file.startsWith(`${String(number).padStart(6, "0")}_`)) {
      throw new Error(`migration ${set}/${file}: expected number ${number}`);
    }
    const text = await readFile(join(folder, file), "utf8");
    const sha256 = createHash("sha256").update(text).digest("hex");
    const before = applied.get(number);
    if (before === sha256) continue;
    if (before !== undefined)
      throw new Error(`migration ${set}/${file} was changed after it had been applied`);
    await client.query("begin");
    await client.query(text).catch((cause) => {
      throw new Error(`migration ${set}/${file} failed: ${cause.message}`, { cause });
    });
    await client.query("insert into migration (set, number, name, sha256) values ($1, $2, $3, $4)", [
      set,
      number,
      file,
      sha256,
    ]);
    await client.query("commit");
    log(`applied ${set}/${file}`);
  }
}
