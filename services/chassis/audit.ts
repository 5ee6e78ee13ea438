// The audit log: who did what, when; a row commits with the state it tells of, and holds ids only.
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
};

export async function appendToAudit(sql: Sql, entry: AuditEntry): Promise<void> {
  await sql.query({
    name: "audit-append",
    text: `insert into audit (created_at, subject, role, action, resource, wilayah, traceparent)
           values ($1, $2, $3, $4, $5, $6, $7)`,
    values: [
      entry.at,
      entry.subject,
      entry.role,
      entry.action,
      entry.resource,
      entry.wilayah,
      entry.traceparent,
    ],
  });
}
