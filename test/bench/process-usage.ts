// What the processes of a mesh took, from /proc (Linux): CPU seconds, and the most memory that was resident.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** By process name; PostgreSQL's is the sum of its processes. */
export type Usage = Record<string, { cpuSeconds: number; peakMib: number }>;

/** USER_HZ: 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Starts to measure; the function returned gives what was used since. */
export function measureUsage(dataDir: string): () => Usage {
  const pids = pidsOf(dataDir);
  for (const [name, pid] of pids) if (name !== "postgres") forgetPeak(pid);
  const before = new Map(pids.map(([name, pid]) => [name, cpuSecondsOf(pid)]));
  return () =>
    Object.fromEntries(
      pids.map(([name, pid]) => [
        name,
        {
          cpuSeconds: cpuSecondsOf(pid) - before.get(name)!,
          peakMib: name === "postgres" ? pssMibOf(pid) : peakMibOf(pid),
        },
      ]),
    );
}

/** The same for one process that is no mesh's. */
export function measureProcess(pid: number): () => Usage[string] {
  forgetPeak(pid);
  const before = cpuSecondsOf(pid);
  return () => ({ cpuSeconds: cpuSecondsOf(pid) - before, peakMib: peakMibOf(pid) });
}

function pidsOf(dataDir: string): [string, number][] {
  const { processes } = JSON.parse(readFileSync(join(dataDir, "mesh.json"), "utf8"));
  return Object.entries<{ pid: number }>(processes).map(([name, { pid }]) => [name, pid]);
}

/** Its own, and that of children that have ended (PostgreSQL's backends), and of those that live. */
function cpuSecondsOf(pid: number): number {
  const stat = readProc(pid, "stat");
  // A backend that has ended meanwhile: its time is its parent's now.
  if (stat === "") return 0;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = fields.slice(11, 15).reduce((sum, each) => sum + Number(each), 0);
  return ticks / TICKS_PER_SECOND + childrenOf(pid).reduce((sum, child) => sum + cpuSecondsOf(child), 0);
}

/** "" for a process that is not there any more. */
function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return "";
    throw error;
  }
}

/** Its children; not theirs. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
}

function peakMibOf(pid: number): number {
  return Math.round(Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024);
}

/** Shared buffers would count once a backend, so what is shared is divided. No peak: as it is now. */
function pssMibOf(pid: number): number {
  if (readProc(pid, "stat") === "") return 0;
  const own = Number(/^Pss:\s+(\d+)/m.exec(readProc(pid, "smaps_rollup"))?.[1] ?? 0) / 1024;
  return Math.round(own + childrenOf(pid).reduce((sum, child) => sum + pssMibOf(child), 0));
}

/** See proc(5), clear_refs; needs the same user. */
function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}
