// COPY ... FROM STDIN of bytes that are at hand, within a transaction.
import { once } from "node:events";
import { from } from "pg-copy-streams";
import type { Sql } from "#chassis/database.ts";

export async function copyIn(sql: Sql, command: string, bytes: Buffer): Promise<void> {
  const stream = sql.query(from(command));
  stream.end(bytes);
  // Rejects with the database's error; the connection is ready for the next statement either way.
  await once(stream, "finish");
}
