// Questions about processes of this machine: is that pid alive, and is it still the process we mean.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { pause } from "#chassis/backoff.ts";

const POLL_MS = 25;

/** A process as it can be found again: a pid alone may meanwhile belong to something else. */
export type ProcessId = { pid: number; startTime: string };

/** Whether a process with this pid runs; a zombie does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  // A dead child of a container's careless pid 1 stays a zombie for ever, and would be waited for just as long.
  return procStat(pid)?.[0] !== "Z";
}

/** When the process started, as an opaque text that no later process with the same pid shares; "" when unknown. */
export function startTime(pid: number): string {
  if (process.platform === "linux") return procStat(pid)?.[19] ?? "";
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { stdio: ["ignore", "pipe", "ignore"] })
      .toString()
      .trim();
  } catch {
    return "";
  }
}

export function isSameProcess({ pid, startTime: expected }: ProcessId): boolean {
  return expected !== "" && isAlive(pid) && startTime(pid) === expected;
}

/** Sends a signal; false when there is no such process (any more). */
export function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/** Waits until the condition holds; false when it did not within the time. */
export async function eventually(condition: () => boolean, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() >= deadline) return false;
    await pause(POLL_MS);
  }
  return true;
}

/** Whether the promise settles within the time; leaves no timer behind that would keep a process from ending. */
export async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const timeUp = new AbortController();
  try {
    return await Promise.race([promise.then(() => true), pause(ms, timeUp.signal).then(() => false)]);
  } finally {
    timeUp.abort();
  }
}

/** Every process whose working directory is the given one (Linux; elsewhere none are found). */
export function processesIn(directory: string): number[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      try {
        return pid > 0 && readlinkSync(`/proc/${pid}/cwd`) === directory && isAlive(pid);
      } catch {
        return false;
      }
    });
}

/** The command line of a process, "" when unknown. */
export function commandLine(pid: number): string {
  try {
    if (process.platform === "linux")
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    return execFileSync("ps", ["-o", "command=", "-p", String(pid)], {
      stdio: ["ignore", "pipe", "ignore"],
    }).toString();
  } catch {
    return "";
  }
}

/** The fields of /proc/<pid>/stat from the state on (index 0 = state, 19 = start time). */
function procStat(pid: number): string[] | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name before it is in brackets and may itself hold spaces and brackets.
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}
