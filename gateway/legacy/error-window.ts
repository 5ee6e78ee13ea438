// The new system's failures on a route within a sliding window, and what follows from them: away, probes, and back in steps.
import type { Fallback } from "./rules.ts";

/** new: as the rollout says. legacy: everything goes there. probing: a share of what the rollout says goes to the new system. */
export type RouteState = "new" | "legacy" | "probing";

/** "gone" is no answer at all: the caller left. */
export type Outcome = "good" | "failed" | "gone";

export interface Change {
  readonly state: RouteState;
  /** Calls of the window that the change is based on. */
  readonly calls: number;
  readonly failed: number;
}

export interface ErrorWindow {
  /** Undefined when a call must go to the legacy system; else it may go to the new one, and what is returned hears how it went. */
  readonly admit: () => ((outcome: Outcome) => void) | undefined;
  readonly state: () => RouteState;
}

const bucketCount = 12;

/**
 * Every how many calls one is a probe, step by step. In steps, since a system that answers a tenth of its calls has not
 * shown that it bears all of them at once, with caches that are cold; two of them, since the window goes on watching.
 */
const probeEvery = [10, 2] as const;

/** Good answers in a row that end a step. One failure ends the probing: as few callers as can be shall meet it. */
const probesPerStep = 5;

/** `now` is a clock in milliseconds that never goes back. */
export function createErrorWindow(
  fallback: Fallback,
  now: () => number,
  onChange: (change: Change) => void,
): ErrorWindow {
  const bucketMs = fallback.windowMs / bucketCount;
  let buckets: { slot: number; calls: number; failed: number }[] = [];
  let state: RouteState = "new";
  let legacySinceMs = 0;
  let step = 0;
  let seen = 0;
  let good = 0;
  let pending = 0;
  /** Grows with every change, so that what was asked before it counts no more. */
  let era = 0;

  return { state: current, admit };

  function admit(): ((outcome: Outcome) => void) | undefined {
    switch (current()) {
      case "legacy":
        return undefined;
      case "probing":
        if (seen++ % probeEvery[step]! !== 0 || pending >= probesPerStep) return undefined;
        pending++;
        return settleFor(probed);
      case "new":
        return settleFor(counted);
    }
  }

  function settleFor(hear: (outcome: Outcome) => void): (outcome: Outcome) => void {
    const mine = era;
    let isSettled = false;
    return (outcome) => {
      if (isSettled || mine !== era) return;
      isSettled = true;
      hear(outcome);
    };
  }

  function counted(outcome: Outcome): void {
    if (outcome === "gone") return;
    const slot = Math.floor(now() / bucketMs);
    buckets = buckets.filter((bucket) => bucket.slot > slot - bucketCount);
    let bucket = buckets.at(-1);
    if (bucket?.slot !== slot) {
      bucket = { slot, calls: 0, failed: 0 };
      buckets.push(bucket);
    }
    bucket.calls++;
    if (outcome === "failed") bucket.failed++;
    const { calls, failed } = total();
    if (calls >= fallback.callsMin && failed * 100 > fallback.percent * calls)
      change("legacy", calls, failed);
  }

  function probed(outcome: Outcome): void {
    pending--;
    if (outcome === "failed") change("legacy", good + 1, 1);
    else if (outcome === "good" && ++good % probesPerStep === 0 && ++step === probeEvery.length) {
      change("new", good, 0);
    }
  }

  /** No timer: whoever asks finds that the cool-down is over. */
  function current(): RouteState {
    if (state === "legacy" && now() - legacySinceMs >= fallback.coolDownMs) change("probing", 0, 0);
    return state;
  }

  function change(to: RouteState, calls: number, failed: number): void {
    state = to;
    if (to === "legacy") legacySinceMs = now();
    buckets = [];
    step = seen = good = pending = 0;
    era++;
    onChange({ state: to, calls, failed });
  }

  function total() {
    return buckets.reduce(
      (sum, { calls, failed }) => ({ calls: sum.calls + calls, failed: sum.failed + failed }),
      { calls: 0, failed: 0 },
    );
  }
}
