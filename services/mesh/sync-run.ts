// Starts a run or joins one, shows how it gets on, and tells how it ended: what `npm run sync` does.
import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { Refusal, type RestClientOptions } from "./rest-client.ts";
import { type Run, syncClient } from "./sync-client.ts";
import { agrees, progressBar, progressText, reportText } from "./sync-report.ts";

export const USAGE = `usage: npm run sync [-- OPTION...]

Synchronises the registry with the Dukcapil hub, as pusat, and prints the reconciliation report. The mesh must be running.
A run goes on without this program: start it again, and it joins the run that is not over.

  --since VERSI         only rows newer than this version of the hub; "terakhir": than the last run that agreed
  --wilayah KODE        only this province, kabupaten/kota, kecamatan or kelurahan; default ID, the nation
  --dry-run             change nothing, tell what would be
  --max-quarantine P    stop when more than P of a hundred rows are bad; default: what integrasi is set to, 5
  --resume [NAME]       go on with a run that is paused or failed; default: the newest that is not over
  --json                print the run as one line of JSON in place of the report
  --help

Ends with 0 if the registry agrees with the hub (--dry-run: if every row is accounted for), 1 if not, 2 for wrong options.
Variables: LAMPID_DATA_DIR (default .lampid) names the running mesh, LAMPID_DEMO_PASSWORD (default rahasia) its password.`;

export type SyncOptions = {
  since: string | undefined;
  wilayah: string | undefined;
  isTrial: boolean;
  maxQuarantine: number | undefined;
  /** A name, or "" for the newest. */
  resume: string | undefined;
  isJson: boolean;
};

/** Wrong options, in words. */
export class UsageError extends Error {}

/** "help" when that was asked for. @throws UsageError. */
export function readOptions(args: readonly string[]): SyncOptions | "help" {
  const { values, positionals } = parsed(args);
  if (values.help) return "help";
  const { since, wilayah, resume = false, json = false, "dry-run": isTrial = false } = values;
  const percent = values["max-quarantine"];
  if (since !== undefined && !/^(\d{1,18}|terakhir)$/.test(since)) {
    throw new UsageError(`--since: expected a version or "terakhir", found "${since}"`);
  }
  if (percent !== undefined && !(/^\d{1,3}$/.test(percent) && Number(percent) <= 100)) {
    throw new UsageError(`--max-quarantine: expected 0 to 100, found "${percent}"`);
  }
  const [name = "", ...rest] = positionals;
  if (rest.length > 0 || (name !== "" && !resume))
    throw new UsageError(`unknown argument "${rest[0] ?? name}"`);
  if (resume && (since !== undefined || wilayah !== undefined || isTrial)) {
    throw new UsageError("--resume goes on with a run as it was started: only --max-quarantine goes with it");
  }
  const uuid = /^(?:sinkronisasi\/)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(name)?.[1];
  if (name !== "" && !uuid) throw new UsageError(`--resume: expected sinkronisasi/UUID, found "${name}"`);
  return {
    since,
    wilayah,
    isTrial,
    maxQuarantine: percent === undefined ? undefined : Number(percent),
    resume: resume ? (uuid ? `sinkronisasi/${uuid}` : "") : undefined,
    isJson: json,
  };
}

export type SyncDeps = Pick<RestClientOptions, "gateway" | "password" | "signal" | "backoff"> & {
  options: SyncOptions;
  /** The report. */
  print: (text: string) => void;
  /** What is said on the way. */
  say: (line: string) => void;
  /** Set on a terminal: draws the progress over itself. */
  draw?: ((line: string) => void) | undefined;
  columns: () => number;
  /** Between two lines of progress where there is no terminal. Default 5,000. */
  everyMs?: number;
  namaOf: (kode: string) => string | undefined;
};

const AT_REST = ["KEADAAN_SELESAI", "KEADAAN_GAGAL", "KEADAAN_DIBATALKAN", "KEADAAN_DIJEDA"];
const isAtRest = ({ keadaan = "" }: Run) => AT_REST.includes(keadaan);

/** The exit code. Aborting the signal leaves the run to itself. */
export async function runSync(deps: SyncDeps): Promise<number> {
  const { options, say, signal } = deps;
  const client = syncClient({
    ...deps,
    username: "pusat",
    onTrouble: (why) => say(why === undefined ? "the gateway is back" : `waiting for the gateway (${why})`),
  });
  let name: string | undefined;
  try {
    const joined = await join();
    if (joined === undefined) return 1;
    name = joined;
    const run = await follow(name);
    return conclude(run);
  } catch (cause) {
    if (signal.aborted) {
      if (name === undefined) say("stopped; a run that was started goes on: npm run sync joins it");
      else say(`${name} goes on by itself; come back to it with: npm run sync -- --resume ${name}`);
      return 1;
    }
    if (!(cause instanceof Refusal)) throw cause;
    say(`sync: ${cause.message}`);
    return 1;
  }

  async function join(): Promise<string | undefined> {
    return options.resume === undefined ? await start() : await resume(options.resume);
  }

  async function start(): Promise<string> {
    const { since, wilayah, isTrial, maxQuarantine } = options;
    const request = {
      requestId: randomUUID(),
      ...(wilayah === undefined ? {} : { kodeWilayah: wilayah }),
      ...(since === undefined ? {} : since === "terakhir" ? { sejakTerakhir: true } : { sinceVersi: since }),
      ...(isTrial ? { ujiCoba: true } : {}),
      ...(maxQuarantine === undefined ? {} : { batasKarantinaPersen: maxQuarantine }),
    };
    try {
      const started = await client.start(request);
      say(`${started} is started`);
      return started;
    } catch (cause) {
      const other = cause instanceof Refusal ? cause.metadata.sinkronisasi : undefined;
      if (!other) throw cause;
      say(`${(cause as Refusal).message}: joining ${other}`);
      return other;
    }
  }

  async function resume(wanted: string): Promise<string | undefined> {
    const { maxQuarantine } = options;
    const isResumable = ({ keadaan = "" }: Run) =>
      !["KEADAAN_SELESAI", "KEADAAN_DIBATALKAN"].includes(keadaan);
    const run = wanted === "" ? (await client.list()).find(isResumable) : await client.get(wanted);
    if (!run) {
      say("there is no run that is not over: start one with npm run sync");
      return undefined;
    }
    if (isResumable(run)) {
      const body = maxQuarantine === undefined ? {} : { batasKarantinaPersen: maxQuarantine };
      await client.resume(run.name, body);
      say(`${run.name} goes on`);
    }
    return run.name;
  }

  async function follow(of: string): Promise<Run> {
    const { draw, columns, everyMs = 5_000 } = deps;
    let saidAtMs = Number.NEGATIVE_INFINITY;
    let last: Run = { name: of };
    for await (const run of client.watch(of, isAtRest)) {
      const isNews = run.galat !== last.galat || run.keadaan !== last.keadaan;
      last = run;
      if (isAtRest(run)) break;
      if (draw) draw(progressBar(run, columns()));
      else if (isNews || performance.now() - saidAtMs >= everyMs) {
        say(progressText(run));
        saidAtMs = performance.now();
      }
    }
    return last;
  }

  function conclude(run: Run): number {
    const { print, namaOf } = deps;
    const again = `npm run sync -- --resume ${run.name}`;
    if (options.isJson) print(JSON.stringify(run));
    switch (run.keadaan) {
      case "KEADAAN_SELESAI":
        if (!options.isJson) print(reportText(run, namaOf));
        return agrees(run) ? 0 : 1;
      case "KEADAAN_GAGAL":
        say(`${run.name} has failed: ${run.galat}`);
        say(`go on with: ${again}`);
        return 1;
      case "KEADAAN_DIJEDA":
        say(`${run.name} is paused; go on with: ${again}`);
        return 1;
      default:
        say(`${run.name} was cancelled; what was merged stays`);
        return 1;
    }
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        since: { type: "string" },
        wilayah: { type: "string" },
        "dry-run": { type: "boolean" },
        "max-quarantine": { type: "string" },
        resume: { type: "boolean" },
        json: { type: "boolean" },
        help: { type: "boolean" },
      },
    });
  } catch (cause) {
    throw new UsageError((cause as Error).message.split(/[.\n]/)[0]);
  }
}
