// One process of the mesh as a child of the supervisor: spawned, its output kept and watched for warnings.
import { spawn } from "node:child_process";
import type { Exit, Running } from "./keep-running.ts";
import type { LogFile } from "./log-file.ts";
import { nodeArguments, type ProcessSpec, ROOT } from "./processes.ts";
import type { Watchdog } from "./watchdog.ts";

/** A child's grandchild can hold its output open; nobody waits for that longer than this. */
const LAST_WORDS_MS = 250;
const MAX_LINE_BYTES = 64 * 1024;
/** More than this a second is a flood, and is left to the log file. */
const MAX_LINES_PER_SECOND = 10;

export function startChild({
  spec,
  env,
  logFile,
  watchdog,
  onLine,
  isVerbose,
}: {
  spec: ProcessSpec;
  env: Record<string, string>;
  logFile: LogFile;
  watchdog: Watchdog;
  /** A line for the person at the terminal: a warning or an error, or every line when verbose. */
  onLine: (line: string) => void;
  isVerbose: boolean;
}): Running {
  const child = spawn(process.execPath, nodeArguments(spec), {
    cwd: ROOT,
    env,
    // Its own session: Ctrl-C at the terminal is for the supervisor, which stops the processes in order.
    detached: true,
    // The channel carries nothing. It closes when the supervisor ends, and the child ends by that.
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const pid = child.pid ?? 0;
  if (pid) watchdog.add("service", pid);

  let lastError = "";
  const limited = isVerbose ? onLine : limitRate(onLine, spec.name);
  const fromStdout = lineSplitter((line) => {
    if (isVerbose || isWarning(line)) limited(readable(line));
  });
  const fromStderr = lineSplitter((line) => {
    if (line.trim() === "") return;
    lastError = line.trim();
    limited(readable(line));
  });
  child.stdout?.on("data", (chunk: Buffer) => {
    logFile.write(chunk);
    fromStdout(chunk);
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    logFile.write(chunk);
    fromStderr(chunk);
  });

  const exited = new Promise<Exit>((done) => {
    child.once("error", (error) => {
      if (child.pid !== undefined) return;
      lastError = error.message;
      done({ code: 127, signal: null });
    });
    child.once("exit", (code, signal) => {
      watchdog.remove(pid);
      const timer = setTimeout(() => done({ code, signal }), LAST_WORDS_MS);
      child.once("close", () => {
        clearTimeout(timer);
        done({ code, signal });
      });
    });
  });
  return { pid, exited, lastLine: () => lastError || readable(logFile.lastLine()) };
}

const WARNINGS = ["warn", "error", "fatal"];

function isWarning(line: string): boolean {
  // Cheap first: at full speed these are thousands of lines a second.
  const level = /^\{"level":(?:"(\w+)"|(\d+))/.exec(line);
  if (!level) return false;
  return level[1] ? WARNINGS.includes(level[1]) : Number(level[2]) >= 40;
}

/** A JSON log line as a person reads it: `warn: database is away: connect ECONNREFUSED`. */
export function readable(line: string): string {
  if (!line.startsWith("{")) return line.trimEnd();
  try {
    const { level, msg, err } = JSON.parse(line) as {
      level?: unknown;
      msg?: unknown;
      err?: { message?: unknown };
    };
    const label = { 40: "warn", 50: "error", 60: "fatal" }[Number(level)] ?? level;
    return [label, msg, err?.message].filter((part) => part !== undefined && part !== "").join(": ");
  } catch {
    return line.trimEnd();
  }
}

/** Turns chunks into lines; a line without an end is bounded. */
function lineSplitter(onLine: (line: string) => void): (chunk: Buffer) => void {
  let rest = "";
  return (chunk) => {
    const lines = (rest + chunk.toString("utf8")).split("\n");
    rest = (lines.pop() ?? "").slice(0, MAX_LINE_BYTES);
    for (const line of lines) onLine(line);
  };
}

function limitRate(onLine: (line: string) => void, name: string): (line: string) => void {
  let second = 0;
  let count = 0;
  return (line) => {
    const now = Math.floor(performance.now() / 1000);
    if (now !== second) [second, count] = [now, 0];
    count++;
    if (count <= MAX_LINES_PER_SECOND) onLine(line);
    else if (count === MAX_LINES_PER_SECOND + 1) onLine(`more of that is in log/${name}.log`);
  };
}
