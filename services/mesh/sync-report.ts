// What `npm run sync` prints: the progress of a run in one line, and the report at its end.
import type { Hasil, Report, Run } from "./sync-client.ts";

const BAR_WIDTH = 24;
const MAX_DIFFERENCES = 20;

const COLUMNS: readonly [title: string, key: keyof Hasil][] = [
  ["baru", "baru"],
  ["diperbarui", "diperbarui"],
  ["tak berubah", "takBerubah"],
  ["ditutup", "ditutup"],
  ["kedaluwarsa", "kedaluwarsa"],
  ["konflik", "konflik"],
  ["ganda", "ganda"],
  ["karantina", "dikarantina"],
];

const BREAKER: Record<string, string> = {
  PEMUTUS_SETENGAH_TERBUKA: "hub breaker half open",
  PEMUTUS_TERBUKA: "hub breaker open",
};

export const number = (value = 0) => value.toLocaleString("en-US");

/** "45.2 %  452,000 of 1,000,000  43,210/s  0:13 left  452 quarantined". */
export function progressText(run: Run): string {
  const { jumlahHub = 0, jumlah = 0, laju = 0, hasil, sisa, galat, pemutus = "" } = run;
  if (run.keadaan === "KEADAAN_MENCOCOKKAN") {
    return join([`${number(jumlah)} merged`, "comparing the registry with the hub", galat]);
  }
  if (jumlahHub === 0) return join(["asking the hub what there is", BREAKER[pemutus], galat]);
  return join([
    `${((jumlah * 100) / jumlahHub).toFixed(1)} %`,
    `${number(jumlah)} of ${number(jumlahHub)}`,
    laju > 0 ? `${number(Math.round(laju))}/s` : undefined,
    sisa === undefined ? undefined : `${clock(Number.parseFloat(sisa))} left`,
    `${number(hasil?.dikarantina)} quarantined`,
    BREAKER[pemutus],
    galat,
  ]);
}

/** The same with a bar in front, cut to the width of the terminal. */
export function progressBar(run: Run, columns: number): string {
  const { jumlahHub = 0, jumlah = 0 } = run;
  const full = jumlahHub === 0 ? 0 : Math.min(BAR_WIDTH, Math.floor((jumlah * BAR_WIDTH) / jumlahHub));
  return `[${"#".repeat(full)}${".".repeat(BAR_WIDTH - full)}] ${progressText(run)}`.slice(0, columns - 1);
}

/** @param namaOf usual name of a province. */
export function reportText(run: Run, namaOf: (kode: string) => string | undefined): string {
  const { name, kodeWilayah, ujiCoba, asOfVersi = "0", sinceVersi = "0", rekonsiliasi: report = {} } = run;
  const kind = ujiCoba ? "trial run, nothing was changed; " : "";
  const since = sinceVersi === "0" ? "all rows" : `rows newer than version ${sinceVersi}`;
  return [
    `${name}: ${kind}wilayah ${kodeWilayah}, ${since}, as of version ${asOfVersi} of the hub${duration(run)}`,
    "",
    ...table(report, namaOf),
    "",
    ...verdict(report, ujiCoba ?? false),
  ].join("\n");
}

/** Whether the run did what was asked of it. */
export function agrees({ rekonsiliasi, ujiCoba }: Run): boolean {
  return (ujiCoba ? rekonsiliasi?.jumlahCocok : rekonsiliasi?.cocok) ?? false;
}

function table(
  { provinsi = [], jumlahHub, hasil }: Report,
  namaOf: (kode: string) => string | undefined,
): string[] {
  const row = (title: string, hub = 0, of: Hasil = {}) => {
    const counts = COLUMNS.map(([, key]) => of[key] ?? 0);
    const missing = hub - counts.reduce((sum, count) => sum + count, 0);
    return [title, ...[hub, ...counts, missing].map((count) => number(count))];
  };
  const rows = [
    ["provinsi", "hub", ...COLUMNS.map(([title]) => title), "selisih"],
    ...provinsi.map(({ kodeProvinsi, jumlahHub, hasil }) =>
      row(`${kodeProvinsi} ${namaOf(kodeProvinsi) ?? ""}`.trim(), jumlahHub, hasil),
    ),
    row("total", jumlahHub, hasil),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((each) => each[column]!.length)));
  return rows.map((each) =>
    each.map((cell, n) => (n === 0 ? cell.padEnd(widths[n]!) : cell.padStart(widths[n]!))).join("  "),
  );
}

function verdict(report: Report, isTrial: boolean): string[] {
  const { jumlahCocok, sidikCocok, selisih = [], jumlahSelisih = 0, jumlahWilayah = 0 } = report;
  const lines = [
    jumlahCocok ? "every row of the hub is accounted for" : "NOT every row of the hub is accounted for",
  ];
  if (isTrial) return lines;
  if (sidikCocok)
    lines.push(`the registry has what the hub has, in each of ${number(jumlahWilayah)} kecamatan`);
  else {
    lines.push(
      `the registry does NOT have what the hub has, in ${number(jumlahSelisih)} of ${number(jumlahWilayah)} kecamatan`,
    );
    for (const { kodeWilayah, jumlahHub, jumlahRegistri } of selisih.slice(0, MAX_DIFFERENCES)) {
      lines.push(`  ${kodeWilayah}  hub ${number(jumlahHub)}  registry ${number(jumlahRegistri)}`);
    }
    if (jumlahSelisih > MAX_DIFFERENCES) lines.push("  ... GetSinkronisasi names a hundred");
  }
  return lines;
}

function duration({ createTime, endTime, jumlah = 0 }: Run): string {
  if (!createTime || !endTime) return "";
  const seconds = (Date.parse(endTime) - Date.parse(createTime)) / 1000;
  if (!(seconds > 0)) return "";
  return `; ${number(jumlah)} rows in ${seconds.toFixed(1)} s, ${number(Math.round(jumlah / seconds))} a second`;
}

function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function join(parts: readonly (string | undefined)[]): string {
  return parts.filter(Boolean).join("  ");
}
