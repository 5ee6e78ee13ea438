// The one active runner among replicas: works on every run that is not over, and looks every half second what is wanted.
import { pause } from "#chassis/backoff.ts";
import { holdLock } from "#chassis/lock.ts";
import { overlaps } from "./domain/run.ts";
import { type JobDeps, work } from "./job.ts";
import { openProgress, type Progress } from "./progress.ts";
import type { Pemutus, RunRecord } from "./store.ts";
import { waitsFor } from "./trouble.ts";

export type RunnerDeps = JobDeps & {
  /** Where the lock is held. */
  url: string;
  /** Where the breaker towards the hub stands. */
  breaker: () => Pemutus;
  /** Resolves when somebody has changed what is wanted, or when the signal aborts. */
  woken: (signal: AbortSignal) => Promise<void>;
  signal: AbortSignal;
};

/** Runs at the same time; more would only share the same two databases. */
const MAX_RUNS = 2;
const LOOK_MS = 500;
const LOCK = "integrasi runner";

type Working = {
  /** As it was seen last. */
  run: RunRecord;
  drain: AbortController;
  done: Promise<void>;
  progress: Progress;
  /** What was written down last. */
  noted: string;
};

/** Waits for its turn among replicas, then works until the signal aborts. Rejects when the lock is lost. */
export async function runRunner(deps: RunnerDeps): Promise<void> {
  const { url, signal, log } = deps;
  await holdLock({ url, name: LOCK, key: LOCK, signal }, async (held) => {
    log.info("runner is active");
    await workWhile(held, deps);
  });
}

/** What {@link runRunner} does while it holds the lock. */
export async function workWhile(held: AbortSignal, deps: Omit<RunnerDeps, "url" | "signal">): Promise<void> {
  const { store, log, woken } = deps;
  const working = new Map<string, Working>();
  const over = new AbortController();
  const stop = AbortSignal.any([held, over.signal]);
  let hurry = () => {};

  try {
    while (!held.aborted) {
      const wanted = await store.active();
      for (const [id, { drain }] of working) {
        if (!wanted.some((run) => run.id === id)) drain.abort();
      }
      for (const run of wanted) {
        const known = working.get(run.id);
        if (known) known.run = run;
        else if (mayStart(run)) start(run);
      }
      for (const each of working.values()) await note(each);
      await rest();
    }
  } finally {
    over.abort();
    await Promise.all([...working.values()].map(({ done }) => done));
  }

  /** A run that was stopped may still be ending: until then, what shares a place with it waits. */
  function mayStart(run: RunRecord): boolean {
    return (
      working.size < MAX_RUNS &&
      [...working.values()].every((other) => !overlaps(other.run.kodeWilayah, run.kodeWilayah))
    );
  }

  function start(run: RunRecord): void {
    const { id, kodeWilayah, ujiCoba } = run;
    const drain = new AbortController();
    const progress = openProgress(run.hasil, (where, cause) => {
      const about = { sinkronisasi: id, where };
      if (cause === undefined) log.info(about, "trouble is over");
      else log.warn({ ...about, err: cause }, `run ${waitsFor(cause)}`);
    });
    log.info({ sinkronisasi: id, kodeWilayah, ujiCoba, sinceVersi: String(run.sinceVersi) }, "run goes on");
    const each: Working = { run, drain, done: Promise.resolve(), progress, noted: "" };
    const limitPercent = () => each.run.batasKarantinaPersen;
    each.done = work({ deps, signals: { stop, drain: drain.signal }, progress, limitPercent }, run)
      .catch((cause) => log.warn({ sinkronisasi: id, err: cause }, "run stopped, taking it up again"))
      .then(() => {
        working.delete(id);
        hurry();
      });
    working.set(id, each);
  }

  /** Written when it has changed only: a run that waits costs nothing. */
  async function note(each: Working): Promise<void> {
    const now = { ...each.progress.look(), pemutus: deps.breaker() };
    const text = JSON.stringify(now);
    if (text === each.noted) return;
    await store.note(each.run.id, now);
    each.noted = text;
  }

  async function rest(): Promise<void> {
    const rested = new AbortController();
    const either = AbortSignal.any([held, rested.signal]);
    const ended = new Promise<void>((resolve) => {
      hurry = resolve;
    });
    await Promise.race([pause(LOOK_MS, either), woken(either), ended]);
    rested.abort();
  }
}
