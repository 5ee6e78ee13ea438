// The audit log: who did what, when, why, with which fields; a row commits with the state it tells of, and holds no value.
import { type DescMessage, isFieldSet, type MessageShape } from "@bufbuild/protobuf";
import { createBatcher } from "./batcher.ts";
import type { Sql } from "./database.ts";

export type AuditEntry = {
  /** Account id. */
  subject: string;
  role: string;
  /** Method, e.g. "lampid.penduduk.v1.PendudukService/IssueNik". */
  action: string;
  /** Resource name. */
  resource: string;
  wilayah: string;
  traceparent: string;
  at: Date;
  /** Why, as the caller says. Default: not said. */
  keperluan?: string;
  /** Names of the fields that were read or written. Default: none of a person. */
  kolom?: readonly string[];
};

export async function appendToAudit(sql: Sql, ...entries: readonly AuditEntry[]): Promise<void> {
  await sql.query({
    name: "audit-append",
    text: `insert into audit (created_at, subject, role, action, resource, wilayah, traceparent, keperluan, kolom)
           select at, subject, role, action, resource, wilayah, traceparent, coalesce(keperluan, ''), coalesce(kolom, '{}')
           from json_to_recordset($1::json) as r(at timestamptz, subject text, role text, action text, resource text,
             wilayah text, traceparent text, keperluan text, kolom text[])`,
    values: [JSON.stringify(entries)],
  });
}

/** Rows of one reading at most; who reads more is told of as a reader of the wilayah. */
const READINGS = { maxBatch: 100, maxInFlight: 1, maxQueue: 5_000 };

/**
 * Puts readings on record, which change nothing that they could commit with: those that arrive together share a
 * statement. Await it before the answer: who was given data is on record, also if the answer never arrives.
 */
export function recordReadings(sql: Sql): (entries: readonly AuditEntry[]) => Promise<void> {
  const record = createBatcher<readonly AuditEntry[], true>({
    ...READINGS,
    async run(readings) {
      await appendToAudit(sql, ...readings.flat());
      return readings.map(() => true as const);
    },
  });
  return async (entries) => {
    if (entries.length > 0) await record(entries);
  };
}

/** Names of the fields that a message has. */
export function kolomOf<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): string[] {
  return schema.fields.filter((field) => isFieldSet(message, field)).map(({ name }) => name);
}
