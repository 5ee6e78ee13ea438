// `npm run check`: everything that can be said about the tree without starting it. All steps run, then it fails if one did.
import { spawnSync } from "node:child_process";
import { delimiter, join } from "node:path";
import { ROOT } from "../services/mesh/processes.ts";

const bin = join(ROOT, "node_modules/.bin");
const steps: [name: string, command: string, args: string[]][] = [
  ["package-lock.json", process.execPath, [".ci/complete-lock.mjs", "--check"]],
  [
    "format and lint (biome)",
    join(bin, "biome"),
    ["ci", "--error-on-warnings", `--colors=${process.stdout.isTTY ? "force" : "off"}`, "."],
  ],
  ["types (tsc)", join(bin, "tsc"), ["-p", "."]],
  ["contracts and policy", process.execPath, ["proto/tools/contracts.ts", "check"]],
];

const failed: string[] = [];
for (const [name, command, args] of steps) {
  const startedAt = performance.now();
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` };
  const { status } = spawnSync(command, args, { cwd: ROOT, env, stdio: "inherit" });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`${status === 0 ? "ok    " : "FAILED"} ${name} (${seconds} s)`);
  if (status !== 0) failed.push(name);
}
if (failed.length > 0) {
  console.error(`check failed: ${failed.join(", ")}`);
  process.exit(1);
}
