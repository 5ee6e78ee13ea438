// `npm run sync`: synchronises the registry with the Dukcapil hub, shows the progress, and prints the report.
import { resolve } from "node:path";
import { loadWilayah } from "#chassis/wilayah.ts";
import { readMeshState } from "./data-dir.ts";
import { readOptions, runSync, type SyncOptions, USAGE, UsageError } from "./sync-run.ts";

const options = optionsOf(process.argv.slice(2));
const dataDir = resolve(process.env.LAMPID_DATA_DIR || ".lampid");
const gateway = readMeshState(dataDir)?.urls.gateway;
if (!gateway) {
  console.error(`sync: no mesh is running on ${dataDir}: run npm start, or set LAMPID_DATA_DIR`);
  process.exit(1);
}

// Ctrl-C comes twice, from the terminal and from launch.mjs: two are one.
const detach = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => detach.abort());

// What is said on the way goes where it does not mix with the report.
const { stderr } = process;
const isTerminal = stderr.isTTY === true;
const clear = isTerminal ? "\r\x1b[K" : "";
const wilayah = loadWilayah();
const code = await runSync({
  gateway,
  password: process.env.LAMPID_DEMO_PASSWORD || "rahasia",
  options,
  signal: detach.signal,
  print: (text) => {
    stderr.write(clear);
    console.log(text);
  },
  say: (line) => void stderr.write(`${clear}${line}\n`),
  draw: isTerminal ? (line) => void stderr.write(`${clear}${line}`) : undefined,
  columns: () => stderr.columns ?? 80,
  namaOf: wilayah.nama,
});
// Not process.exit: what is printed may still be on its way into a pipe.
process.exitCode = code;
process.disconnect?.();

function optionsOf(args: readonly string[]): SyncOptions {
  try {
    const read = readOptions(args);
    if (read !== "help") return read;
    console.log(USAGE);
    process.exit(0);
  } catch (cause) {
    if (!(cause instanceof UsageError)) throw cause;
    console.error(`sync: ${cause.message}\n\n${USAGE}`);
    process.exit(2);
  }
}
