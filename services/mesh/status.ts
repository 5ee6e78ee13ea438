// `npm run status`: how a running mesh is, each second, by what its processes say of themselves on their admin ports.
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { pause } from "#chassis/backoff.ts";
import { type MeshState, readMeshState } from "./data-dir.ts";
import { parseMetrics } from "./metrics-text.ts";
import { type Health, type Look, reportOf } from "./status-report.ts";
import { drawStatus } from "./status-screen.ts";

const USAGE = `usage: npm run -s status [-- --once] [-- --json]

Shows the processes of a running mesh and what waits in it, once a second until Ctrl-C; into a pipe, once. Calls and errors a second
are those between two looks. It asks the admin ports (/readyz, /metrics) and needs no password.

  --once   two looks a second apart, then the end
  --json   a line of JSON each time, in place of a screen

Ends with 0 if all of the mesh serves, with 1 if not (the last time it was shown), with 3 if no mesh is running.
Variables: LAMPID_DATA_DIR (default .lampid) names the running mesh.`;

const EVERY_MS = 1_000;
const ANSWER_TIMEOUT_MS = 2_000;
const DEFAULT_COLUMNS = 160;
const NOT_RUNNING = 3;

const { values, isKnown } = readFlags();
if (!isKnown || values.help) {
  console.log(USAGE);
  process.exit(isKnown ? 0 : 2);
}

const dataDir = resolve(process.env.LAMPID_DATA_DIR || ".lampid");
const isScreen = process.stdout.isTTY && !values.json;
const isOnce = values.once || (!process.stdout.isTTY && !values.json);
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());
// Whoever reads it has seen enough, e.g. head.
process.stdout.on("error", () => stop.abort());

process.exitCode = await watch();
process.disconnect?.();

async function watch(): Promise<number> {
  let exitCode = NOT_RUNNING;
  let before: Look | undefined;
  while (!stop.signal.aborted) {
    const mesh = readMeshState(dataDir);
    if (!mesh) {
      console.error(`status: no mesh is running on ${dataDir}: run npm start, or set LAMPID_DATA_DIR`);
      return NOT_RUNNING;
    }
    const now = await lookAt(mesh);
    if (before || !isOnce) {
      const report = reportOf(mesh, before ?? now, now);
      exitCode = report.isServing ? 0 : 1;
      if (values.json) console.log(JSON.stringify(report));
      else
        show(
          drawStatus(report, { columns: process.stdout.columns || DEFAULT_COLUMNS, isColoured: isScreen }),
        );
      if (isOnce) break;
    }
    before = now;
    await pause(EVERY_MS, stop.signal);
  }
  return exitCode;
}

async function lookAt(mesh: MeshState): Promise<Look> {
  const asked = Object.entries(mesh.processes).filter(([, { adminPort }]) => adminPort !== undefined);
  const answers = await Promise.all(
    asked.map(async ([name, { adminPort }]) => {
      // On the host of its other port.
      const base = new URL(mesh.urls[name]!);
      base.port = String(adminPort);
      const [ready, metrics] = await Promise.all(
        ["/readyz", "/metrics"].map((path) => ask(new URL(path, base))),
      );
      return [name, { health: healthOf(ready), samples: parseMetrics(metrics ?? "") }] as const;
    }),
  );
  return { atMs: performance.now(), processes: Object.fromEntries(answers) };
}

/** 503 is an answer, too: that of a process that does not serve. */
async function ask(url: URL): Promise<string | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    return await response.text();
  } catch {
    return undefined;
  }
}

function healthOf(text: string | undefined): Health | undefined {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as Health);
  } catch {
    return undefined;
  }
}

function show(lines: readonly string[]): void {
  // Home, each line to its end, and what is left below: a screen that is cleared first would flicker.
  if (!isScreen || isOnce) console.log(lines.join("\n"));
  else {
    const rows = lines.slice(0, Math.max(1, (process.stdout.rows || 50) - 1));
    process.stdout.write(`\u001b[H${rows.map((line) => `${line}\u001b[K\n`).join("")}\u001b[J`);
  }
}

function readFlags() {
  const options = {
    once: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  } as const;
  try {
    return { ...parseArgs({ args: process.argv.slice(2), options }), isKnown: true };
  } catch {
    return { values: { once: false, json: false, help: false }, isKnown: false };
  }
}
