// Draws the status of a mesh as lines of text.
import { stripVTControlCharacters } from "node:util";
import type { ProcessStatus, StatusReport } from "./status-report.ts";

export type ScreenOptions = {
  /** Lines are cut there. */
  columns: number;
  /** With the colours of a terminal. */
  isColoured: boolean;
};

const LABEL_WIDTH = 13;

export function drawStatus(report: StatusReport, { columns, isColoured }: ScreenOptions): string[] {
  const paint = (code: number, text: string) => (isColoured ? `\u001b[${code}m${text}\u001b[0m` : text);
  const red = (text: string, isBad = true) => (isBad ? paint(31, text) : text);
  const label = (text: string) => text.padEnd(LABEL_WIDTH);
  const list = (name: string, entries: readonly string[]) => {
    const rows = entries.length > 0 ? entries : ["nothing"];
    return rows.map((entry, n) => `${label(n === 0 ? name : "")}${entry}`);
  };
  const waiting = (count: number, ageSeconds: number) =>
    count === 0 ? "0" : `${count}, the first for ${duration(ageSeconds)}`;

  const head = `mesh ${report.mesh}, ${report.isServing ? "all of it serves" : red("not all of it serves")}`;
  const stateOf = ({ state }: ProcessStatus) => (state === "serving" ? paint(32, state) : red(state));
  const table = [
    ["process", "state", "pid", "up", "memory", "calls/s", "errors", "restarts", ""],
    ...report.processes.map((each) => [
      each.name,
      stateOf(each),
      String(each.pid ?? "-"),
      each.uptimeSeconds === undefined ? "-" : duration(each.uptimeSeconds),
      each.memoryBytes === undefined ? "-" : `${Math.round(each.memoryBytes / 1024 / 1024)} MiB`,
      each.callsPerSecond === undefined ? "-" : each.callsPerSecond.toFixed(1),
      each.errorShare === undefined
        ? "-"
        : red(`${(each.errorShare * 100).toFixed(1)} %`, each.errorShare > 0),
      red(String(each.restarts), each.restarts > 0),
      red(each.reasons.join("; "), each.reasons.length > 0),
    ]),
  ];
  const broken = report.breakers.filter(({ state }) => state !== "closed");
  const { sync, pesan } = report;
  return [
    head,
    "",
    ...columnsOf(table),
    "",
    ...list(
      "bus lag",
      report.bus.map(
        ({ topic, group, lag }) => `${red(String(lag).padStart(6), lag > 0)}  ${topic} by ${group}`,
      ),
    ),
    ...list(
      "outbox",
      report.outbox.map(({ service, pending, ageSeconds }) => `${service} ${waiting(pending, ageSeconds)}`),
    ),
    ...list("breakers", [
      broken.length === 0
        ? `${report.breakers.length} closed`
        : broken.map(({ from, to, state }) => red(`${from} to ${to} ${state}`)).join(", "),
    ]),
    ...list("last sync", sync ? [`${sync.keadaan} (${sync.wilayah}), ${duration(sync.ageSeconds)} ago`] : []),
    ...list("effects", report.efek === undefined ? ["not known"] : [String(report.efek)]),
    ...list(
      "deliveries",
      report.pengiriman.map(
        ({ sistem, waiting: count, refused, ageSeconds }) =>
          `${sistem} ${waiting(count, ageSeconds)}${refused > 0 ? red(`; ${refused} refused`) : ""}`,
      ),
    ),
    ...list("messages", [pesan ? waiting(pesan.waiting, pesan.ageSeconds) : "not known"]),
    ...list(
      "reports",
      report.laporan.map(
        ({ tingkat, waiting: count, ageSeconds }) => `${tingkat} ${waiting(count, ageSeconds)}`,
      ),
    ),
  ].map((line) => cut(line, columns));
}

/** "7 s", "12 min", "3 h 20 min", "5 d 2 h". */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

const widthOf = (text: string) => stripVTControlCharacters(text).length;

function columnsOf(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => widthOf(row[column] ?? ""))));
  return rows.map((row) =>
    row
      .map((cell, column) => cell + " ".repeat(widths[column]! - widthOf(cell)))
      .join("  ")
      .trimEnd(),
  );
}

/** A line that wraps would push the head off the screen. Colours are given up where it would be cut through. */
function cut(line: string, columns: number): string {
  return widthOf(line) <= columns ? line : `${stripVTControlCharacters(line).slice(0, columns - 1)}~`;
}
