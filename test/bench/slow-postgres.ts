// Slows PostgreSQL down, from outside: its processes are stopped for most of the time (Linux).
import { childrenOf } from "./process-usage.ts";

const PERIOD_MS = 50;

/** Until the function returned is called, PostgreSQL works for one `factor`-th of the time. */
export function slowDown(postmaster: number, factor: number): () => void {
  let isStopped = false;
  const send = (signal: NodeJS.Signals) => {
    for (const pid of [postmaster, ...childrenOf(postmaster)]) {
      try {
        process.kill(pid, signal);
      } catch {
        // It has ended meanwhile.
      }
    }
  };
  const tick = () => {
    isStopped = !isStopped;
    send(isStopped ? "SIGSTOP" : "SIGCONT");
    timer = setTimeout(tick, isStopped ? PERIOD_MS * (1 - 1 / factor) : PERIOD_MS / factor);
  };
  let timer = setTimeout(tick, PERIOD_MS);
  return () => {
    clearTimeout(timer);
    send("SIGCONT");
  };
}
