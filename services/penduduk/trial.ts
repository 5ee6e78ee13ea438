// A transaction that leaves no trace: what a trial run and validate_only are for.
import type { Database, Sql } from "#chassis/database.ts";

/** What `work` comes to; whatever it wrote is rolled back. */
export async function inTrial<T>(db: Database, work: (sql: Sql) => Promise<T>): Promise<T> {
  const rolledBack = new Error("a trial is rolled back");
  let outcome: { value: T } | undefined;
  await db
    .transaction(async (sql) => {
      outcome = { value: await work(sql) };
      throw rolledBack;
    })
    .catch((cause) => {
      if (cause !== rolledBack) throw cause;
    });
  return outcome!.value;
}
