// What `npm run reconcile` prints for a person.
import type { Report } from "./reconcile.ts";

const COLUMNS = ["wilayah", "month", "figure", "registry", "events", "ledger"] as const;

export function reportText(report: Report): string {
  const { wilayah, isClean, events, cells, kecamatan, differences, unreadable } = report;
  const compared = `${wilayah}: ${number(events)} events in the log; ${number(cells)} cells and ${number(kecamatan)} kecamatan compared`;
  if (isClean) return `${compared}: registry, events and ledger agree`;
  const rows = differences.map(({ kode, bulan, komponen, registry, events: told, ledger }) => [
    kode,
    bulan || "-",
    komponen,
    registry === undefined ? "-" : number(registry),
    number(told),
    number(ledger),
  ]);
  return [
    `${compared}: ${number(differences.length)} differ`,
    ...(rows.length > 0 ? table([[...COLUMNS], ...rows]) : []),
    ...unreadable.map(({ id, type, reason }) => `event ${id} (${type}) is counted nowhere: ${reason}`),
  ].join("\n");
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = COLUMNS.map((_, n) => Math.max(...rows.map((row) => row[n]!.length)));
  return rows.map((row) =>
    row
      .map((cell, n) => (n < 3 ? cell.padEnd(widths[n]!) : cell.padStart(widths[n]!)))
      .join("  ")
      .trimEnd(),
  );
}

const number = (value: number) => value.toLocaleString("en-US");
