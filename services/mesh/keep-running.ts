// Starts something again whenever it ends, a little later each time: the same for the services and for PostgreSQL.
import { backoffMs, pause } from "#chassis/backoff.ts";
import { CONFIG_EXIT_CODE } from "#chassis/config.ts";

const BACKOFF = { baseMs: 200, maxMs: 10_000 };
/** Whatever lived this long is well: when it ends, the delays begin again at the shortest. */
const WELL_AFTER_MS = 60_000;

export type Exit = { code: number | null; signal: NodeJS.Signals | null };

export type Running = {
  pid: number;
  exited: Promise<Exit>;
  /** The last thing it said, for the one line that says why it ended. */
  lastLine(): string;
  /** For what takes a while to start, and may be wanted no more when it has. */
  stop?(): Promise<void>;
};

export type Keeper = ReturnType<typeof keepRunning>;

export type KeepRunningOptions = {
  name: string;
  start: () => Running | Promise<Running>;
  /** One that has been started already. */
  first?: Running;
  report: (line: string) => void;
  onStart?: (running: Running) => void;
  /** `attempt`: how often in a row it has ended by now, 0 for an end that was asked for. */
  onExit?: (running: Running | undefined, attempt: number) => void;
  /** It ended for a bad configuration: starting it again would not help. */
  onFatal: (line: string) => void;
  /** Longest wait before it is started again. Default 10 s. */
  maxDelayMs?: number;
  now?: () => number;
  random?: () => number;
};

export function keepRunning(options: KeepRunningOptions) {
  const { name, start, first, report, onStart, onExit, onFatal } = options;
  const { now = () => performance.now(), random = Math.random, maxDelayMs = BACKOFF.maxMs } = options;
  const released = new AbortController();
  let running: Running | undefined;
  let restarts = 0;
  let isRestartAsked = false;

  async function loop(): Promise<void> {
    for (let attempt = 0, next = first; !released.signal.aborted; next = undefined) {
      const startedAt = now();
      let why: string;
      try {
        running = next ?? (await start());
        if (released.signal.aborted) void running.stop?.();
        onStart?.(running);
        const exit = await running.exited;
        why = describe(exit);
        if (exit.code === CONFIG_EXIT_CODE && !released.signal.aborted) {
          const line = running.lastLine();
          running = undefined;
          return onFatal(line || `${name} exited (${why})`);
        }
      } catch (error) {
        why = (error as Error).message;
      }
      const ended = running;
      running = undefined;
      if (now() - startedAt >= WELL_AFTER_MS) attempt = 0;
      const wasAsked = isRestartAsked;
      isRestartAsked = false;
      if (!wasAsked) attempt++;
      onExit?.(ended, wasAsked ? 0 : attempt);
      if (released.signal.aborted) return;
      restarts++;
      if (wasAsked) continue;
      const delayMs = backoffMs(attempt - 1, { ...BACKOFF, maxMs: maxDelayMs }, random);
      report(`${name} exited (${why}), restart ${attempt} in ${(delayMs / 1000).toFixed(1)} s`);
      await pause(delayMs, released.signal);
    }
  }

  const done = loop();
  return {
    /** What runs now, undefined between an end and the next start. */
    running: () => running,
    restarts: () => restarts,
    /** The next end is followed by a start at once, and counts as no failure. */
    expectRestart(): void {
      isRestartAsked = true;
    },
    /** From now on an end is an end. */
    release(): void {
      released.abort();
    },
    /** Resolves when nothing runs and nothing will. */
    done,
  };
}

/** "signal SIGKILL" or "code 1". */
export function describe({ code, signal }: Exit): string {
  return signal ? `signal ${signal}` : `code ${code}`;
}
