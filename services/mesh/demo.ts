// `npm run demo`: a whole story of births, deaths and moves through the gateway, by the demo accounts of a running mesh.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { readMeshState } from "./data-dir.ts";
import { tell } from "./demo-story.ts";
import { ROOT } from "./processes.ts";

const USAGE = `usage: npm run demo

Tells a story through the gateway of a running mesh, as its demo accounts, and prints what each step has changed: a birth that is
returned, corrected, verified and approved; a death that gives a family a new head; a family of four that moves from Cibinong to
Soreang in another kabupaten, and one of them who comes back. Ends with npm run reconcile. It can be told again and again: the
people are new each time.

Ends with 0 if all went as told and the ledger is clean, else with 1.
Variables: LAMPID_DATA_DIR (default .lampid) names the running mesh, LAMPID_DEMO_PASSWORD (default rahasia) its password.`;

const [argument] = process.argv.slice(2);
if (argument !== undefined) {
  console.log(USAGE);
  process.exit(argument === "--help" ? 0 : 2);
}
const dataDir = resolve(process.env.LAMPID_DATA_DIR || ".lampid");
const gateway = readMeshState(dataDir)?.urls.gateway;
if (!gateway) {
  console.error(`demo: no mesh is running on ${dataDir}: run npm start, or set LAMPID_DATA_DIR`);
  process.exit(1);
}

try {
  await tell({
    gateway,
    password: process.env.LAMPID_DEMO_PASSWORD || "rahasia",
    print: (line) => console.log(line),
    say: (line) => console.error(line),
  });
} catch (cause) {
  console.error(`demo: ${cause instanceof Error ? cause.message : cause}`);
  process.exit(1);
}
console.log("\nreconcile: registry, events and ledger");
const reconcile = spawn(process.execPath, [join(ROOT, "services/mesh/reconcile.ts")], { stdio: "inherit" });
const [code] = (await once(reconcile, "exit")) as [number | null];
// Not process.exit: what is printed may still be on its way into a pipe.
process.exitCode = code ?? 1;
process.disconnect?.();
