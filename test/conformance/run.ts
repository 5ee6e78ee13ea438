/**
 * Runs the gRPC cases of connectconformance against a wire, as server and as client, and prints the totals.
 * `node test/conformance/run.ts [grpc-js|connect-node|transcoder]`, by default those that are in use; exits non-zero on a failure that known-failing-*.txt does not
 * name, and on a named one that passes.
 */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { wireNames } from "#chassis/wire/wire.ts";
import { findTool } from "../harness/tools.ts";

const here = import.meta.dirname;

/** The wires between services, and the transport of the transcoder, which is a client only and compresses nothing. */
const subjects = [...wireNames, "transcoder"] as const;
type Subject = (typeof subjects)[number];

const asked = process.argv.slice(2) as Subject[];
const unknown = asked.find((name) => !subjects.includes(name));
if (unknown !== undefined) {
  console.error(`conformance: unknown wire "${unknown}", expected ${subjects.join(" or ")}`);
  process.exit(2);
}

const { path: runner, skip } = findTool("connectconformance");
if (skip) {
  console.log(`conformance: SKIPPED: ${skip}`);
  process.exit(0);
}
const totals: string[] = [];
let failed = false;
for (const subject of asked.length > 0 ? asked : (["grpc-js", "transcoder"] as const)) {
  for (const mode of subject === "transcoder" ? (["client"] as const) : (["server", "client"] as const)) {
    const { status, output } = await runMode(runner, subject, mode);
    const total = /Total cases: (\d+)\s+(.*)/.exec(output);
    totals.push(`${subject} as ${mode}: ${total === null ? "no result" : `${total[1]} cases, ${total[2]}`}`);
    if (status !== 0 || total === null || total[1] === "0") {
      failed = true;
      console.error(output);
    }
  }
}
console.log(totals.join("\n"));
process.exit(failed ? 1 : 0);

function runMode(
  runner: string,
  subject: Subject,
  mode: "server" | "client",
): Promise<{ status: number | null; output: string }> {
  // Known failing must fail; known flaky may.
  const exceptions = ["known-failing", "known-flaky"].flatMap((kind) => {
    const path = join(here, `${kind}-${subject}-${mode}.txt`);
    return existsSync(path) ? [`--${kind}`, `@${path}`] : [];
  });
  const child = spawn(
    runner,
    [
      ...["--mode", mode],
      ...["--conf", join(here, subject === "transcoder" ? "transcoder.yaml" : "grpc.yaml")],
      ...exceptions,
      "--",
      process.execPath,
      join(here, `${mode}.ts`),
    ],
    { env: { ...process.env, CONFORMANCE_WIRE: subject }, stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => resolve({ status, output }));
  });
}
