// `npm run bench:gateway`: what REST costs above gRPC, and how Go's grpc-gateway does before the same server, in one run.
//
// Everything runs on this machine. Behind the front door (all of gateway/, with tokens and limits) stands an echo service on the wire of
// the mesh; behind `npm run transcode` and Go's grpc-gateway an echo server in Go, as are the load generators. The last line is JSON:
//   added_p50_ms           median latency through the front door, less that of direct gRPC to the same service, one caller;
//                          added_p50_4_ms: four callers at a time, which two cores no longer serve without a queue
//   throughput_ratio       calls a second through the front door, over direct gRPC to the same service, 64 callers
//   vs_grpc_gateway        calls a second of `npm run transcode`, over those of grpc-gateway before the same server, 64 callers
//   transcode_vs_grpc      the same over direct gRPC to that server, which is hard to beat: both its ends are Go's
//   req_per_cpu_s          calls of `npm run transcode`, a second of its CPU
//   export_peak_mib        most memory of the front door while it serves 1,000,000 records as NDJSON; export_base_mib: 50,000
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { PROCESSES, ROOT } from "../../services/mesh/processes.ts";
import { buildPeer } from "./peer/peer.ts";
import { measureProcess } from "./process-usage.ts";

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    repeats: { type: "string", default: "3" },
    help: { type: "boolean" },
  },
});
if (options.help) {
  console.log("usage: npm run bench:gateway -- [--seconds 5] [--repeats 3]");
  process.exit(0);
}
const seconds = Number(options.seconds);
const callersFew = [1, 4];
const callersMany = 64;

interface Load {
  readonly rps: number;
  readonly p50_ms: number;
  readonly p95_ms: number;
  readonly failed: number;
}

const { program, image } = buildPeer();
const children: ChildProcess[] = [];
try {
  await measure();
} finally {
  for (const child of children) child.kill();
}

async function measure(): Promise<void> {
  const server = await firstLine(start(program, ["serve"]));
  const goGateway = await firstLine(start(program, ["gateway", "-upstream", server]));
  const transcoder = startNode("gateway/transcoder/transcode.ts", [
    ...["--descriptors", image, "--upstream", `http://${server}`, "--port", "0"],
  ]);
  const transcode = / at http:\/\/(\S+:\d+)/.exec(await lineWith(transcoder, / at http:/))![1]!;
  const service = await firstLine(startNode("test/bench/echo-server.ts", [image]));
  // As the mesh runs it.
  const { nodeOptions = [] } = PROCESSES.find(({ name }) => name === "gateway")!;
  const front = startNode("test/bench/gateway-server.ts", [image, `http://${service}`], nodeOptions);
  const { port, token } = JSON.parse(await firstLine(front)) as { port: number; token: string };
  const door = `127.0.0.1:${port}`;

  const runs: Record<string, Load[]> = {};
  const perCpuSecond: Record<string, number[]> = {};
  for (let n = 0; n < Number(options.repeats); n++) {
    for (const callers of [...callersFew, callersMany]) {
      await run(`gRPC to the service, ${callers}`, ["grpc", "-target", service], callers);
      await run(`front door, ${callers}`, ["http", "-target", door, "-token", token], callers, front);
      await run(`gRPC to Go, ${callers}`, ["grpc", "-target", server], callers);
      await run(`grpc-gateway, ${callers}`, ["http", "-target", goGateway], callers);
      await run(`transcode, ${callers}`, ["http", "-target", transcode], callers, transcoder);
    }
  }
  console.table(
    Object.fromEntries(
      Object.entries(runs).map(([name, loads]) => [
        name,
        {
          rps: Math.round(median(loads.map(({ rps }) => rps))),
          "lowest rps": Math.round(Math.min(...loads.map(({ rps }) => rps))),
          "highest rps": Math.round(Math.max(...loads.map(({ rps }) => rps))),
          p50_ms: median(loads.map(({ p50_ms }) => p50_ms)),
          p95_ms: median(loads.map(({ p95_ms }) => p95_ms)),
        },
      ]),
    ),
  );

  const usageSmall = measureProcess(front.pid!);
  await download(door, token, 50_000);
  const { peakMib: base } = usageSmall();
  const usage = measureProcess(front.pid!);
  const lines = await download(door, token, 1_000_000);
  const { peakMib: peak, cpuSeconds } = usage();
  console.log(
    `export: ${lines} batches of 500, ${cpuSeconds.toFixed(1)} CPU s, peak ${peak} MiB (${base} MiB of 50,000)`,
  );

  const compare = (over: string, under: string, callers: number, of: (a: Load, b: Load) => number) => {
    const others = runs[`${under}, ${callers}`]!;
    return round(median(runs[`${over}, ${callers}`]!.map((load, n) => of(load, others[n]!))));
  };
  const ratio = (a: Load, b: Load) => a.rps / b.rps;
  const added = (a: Load, b: Load) => a.p50_ms - b.p50_ms;
  const [one, four] = callersFew as [number, number];
  const cpu = (name: string) => Math.round(median(perCpuSecond[`${name}, ${callersMany}`]!));
  console.log(
    JSON.stringify({
      added_p50_ms: compare("front door", "gRPC to the service", one, added),
      added_p50_4_ms: compare("front door", "gRPC to the service", four, added),
      throughput_ratio: compare("front door", "gRPC to the service", callersMany, ratio),
      vs_grpc_gateway: compare("transcode", "grpc-gateway", callersMany, ratio),
      transcode_vs_grpc: compare("transcode", "gRPC to Go", callersMany, ratio),
      transcode_added_p50_ms: compare("transcode", "gRPC to Go", one, added),
      grpc_gateway_added_p50_ms: compare("grpc-gateway", "gRPC to Go", one, added),
      req_per_cpu_s: cpu("transcode"),
      front_door_req_per_cpu_s: cpu("front door"),
      export_peak_mib: peak,
      export_base_mib: base,
    }),
  );

  /** `counted` is the process whose CPU time counts; a load warms up for a fifth of its time, which counts, too. */
  async function run(name: string, args: string[], callers: number, counted?: ChildProcess): Promise<void> {
    const usage = counted && measureProcess(counted.pid!);
    const child = start(program, [...args, "-callers", String(callers), "-seconds", String(seconds)]);
    const load = JSON.parse(await firstLine(child)) as Load;
    if (load.failed > 0) throw new Error(`${name}: ${load.failed} calls failed`);
    runs[name] ??= [];
    runs[name].push(load);
    if (usage) {
      perCpuSecond[name] ??= [];
      perCpuSecond[name].push((load.rps * seconds * 1.2) / usage().cpuSeconds);
    }
    console.log(`${name}: ${Math.round(load.rps)}/s, p50 ${load.p50_ms} ms, p95 ${load.p95_ms} ms`);
  }
}

/** Reads it all, and keeps nothing. Returns the number of lines. */
function download(host: string, token: string, jumlah: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    http
      .get(`http://${host}/v1/echo:download?jumlah=${jumlah}`, { headers }, (response) => {
        let lines = 0;
        response.on("data", (chunk: Buffer) => {
          for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++;
        });
        response.once("end", () => resolve(lines));
        response.once("error", reject);
      })
      .once("error", reject);
  });
}

function startNode(script: string, args: string[], nodeOptions: readonly string[] = []): ChildProcess {
  return start(process.execPath, [...nodeOptions, join(ROOT, script), ...args]);
}

function start(command: string, args: string[]): ChildProcess {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  return child;
}

function firstLine(child: ChildProcess): Promise<string> {
  return lineWith(child, /./);
}

async function lineWith(child: ChildProcess, pattern: RegExp): Promise<string> {
  const lines = createInterface({ input: child.stdout! });
  const ended = once(child, "exit").then(() => Promise.reject(new Error("a process ended too early")));
  ended.catch(() => {});
  const found = (async () => {
    for await (const line of lines) if (pattern.test(line)) return line;
    throw new Error("a process said nothing");
  })();
  return await Promise.race([found, ended]);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
