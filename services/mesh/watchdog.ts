// A shell of about 1 MiB that outlives a supervisor killed with -9, just long enough to stop what that one had started.
import { type ChildProcess, spawn } from "node:child_process";
import { isAlive } from "./host-process.ts";

/** `service`: stopped with SIGTERM, first. `server`: PostgreSQL, stopped with SIGINT (fast shutdown) after the services. */
export type Watched = "service" | "server";

export type Watchdog = ReturnType<typeof startWatchdog>;

/** Tenths of a second that each kind gets before SIGKILL: together below the 10 s that a stop may take. */
const SERVICE_TENTHS = 50;
const SERVER_TENTHS = 40;

// Its standard input is the lifeline: the kernel closes it with the supervisor, whatever ended that one. (Rejected: a
// second Node process for it, 40 MiB; PR_SET_PDEATHSIG, which Node cannot set and macOS has not; relying on the children
// alone to notice, which a child with a blocked event loop does not.)
const SCRIPT = `
trap '' INT TERM HUP QUIT
service= server=
without() { r=; for p in $1; do [ "$p" = "$2" ] || r="$r $p"; done; }
left() { for p in $1; do kill -0 "$p" 2>/dev/null && return 0; done; return 1; }
each() { s=$1; for p in $2; do kill "-$s" "$p" 2>/dev/null; done; }
await() { n=0; while left "$1" && [ "$n" -lt "$2" ]; do sleep 0.1; n=$((n + 1)); done; }
while read -r op pid; do
  case $op in
    service) service="$service $pid" ;;
    server) server="$server $pid" ;;
    gone) without "$service" "$pid"; service=$r; without "$server" "$pid"; server=$r ;;
    quit) exit 0 ;;
  esac
done
each TERM "$service"; await "$service" ${SERVICE_TENTHS}; each KILL "$service"
each INT "$server"; await "$server" ${SERVER_TENTHS}; each KILL "$server"
`;

/** Starts the watchdog; it is started again when something kills it. */
export function startWatchdog() {
  const watched = new Map<number, Watched>();
  let closed = false;
  let shell = start();

  function start(): ChildProcess {
    // Its own session, so that Ctrl-C at the terminal does not reach it; "/" so that it keeps no folder in use.
    const child = spawn("/bin/sh", ["-c", SCRIPT], {
      cwd: "/",
      detached: true,
      env: { PATH: "/usr/bin:/bin" },
      stdio: ["pipe", "ignore", "ignore"],
    });
    child.unref();
    (child.stdin as unknown as { unref(): void }).unref();
    child.stdin?.on("error", () => {});
    child.on("error", () => {});
    child.on("exit", () => {
      if (!closed) shell = start();
    });
    for (const [pid, kind] of watched) child.stdin?.write(`${kind} ${pid}\n`);
    return child;
  }

  return {
    pid: () => shell.pid,
    add(kind: Watched, pid: number): void {
      watched.set(pid, kind);
      shell.stdin?.write(`${kind} ${pid}\n`);
    },
    remove(pid: number): void {
      watched.delete(pid);
      shell.stdin?.write(`gone ${pid}\n`);
    },
    /** Lets go of everything and ends, once all it watched is gone. */
    close(): void {
      closed = true;
      shell.stdin?.end("quit\n");
      if ([...watched.keys()].some(isAlive))
        throw new Error("watchdog closed while what it watches still runs");
    },
  };
}
