// People first: while they call, batches are merged one at a time, with rests between.

import { setTimeout as pause } from "node:timers/promises";
import type { DescService } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { createLane } from "#chassis/batcher.ts";

export type CourtesyOptions = {
  /** How much longer a rest is than the work before it; 0 for none, and no turns either. */
  rest: number;
  /** Milliseconds of a clock that never goes back. */
  now?: () => number;
  sleep?: (ms: number) => Promise<unknown>;
};

export type Courtesy = {
  /** Somebody calls. */
  notice: () => void;
  /** Runs `work` when it is its turn. */
  merge: <T>(work: () => Promise<T>) => Promise<T>;
};

/** Connections that merging may take from the pool; the rest is for people. */
const MERGE_LANE = { maxInFlight: 3, maxQueue: 100 };
/** More than so many calls in so long: one that looks in now and then does not slow a run down. */
const CALLS = 3;
const WINDOW_MS = 1_000;
/** However long a batch took, e.g. because PostgreSQL is slow. */
const MAX_REST_MS = 1_000;

export function createCourtesy({
  rest,
  now = () => performance.now(),
  sleep = pause,
}: CourtesyOptions): Courtesy {
  const together = createLane(MERGE_LANE);
  const alone = createLane({ ...MERGE_LANE, maxInFlight: 1 });
  /** When the last calls came. */
  const calls: number[] = [];
  let restUntil = 0;

  const peopleAreHere = () => rest > 0 && calls.length === CALLS && now() - calls[0]! < WINDOW_MS;

  return {
    notice() {
      calls.push(now());
      if (calls.length > CALLS) calls.shift();
    },
    async merge(work) {
      if (!peopleAreHere()) return together(work);
      return alone(async () => {
        const left = restUntil - now();
        if (left > 0 && peopleAreHere()) await sleep(left);
        return together(async () => {
          const startedAt = now();
          // The rest is the next one's wait: this one's acknowledgement does not wait for it.
          return work().finally(() => {
            restUntil = now() + Math.min((now() - startedAt) * rest, MAX_REST_MS);
          });
        });
      });
    },
  };
}

/** The same service; its unary calls are noticed. What streams is another machine. */
export function noticing<Desc extends DescService>(
  { method: methods }: Desc,
  implementation: ServiceImpl<Desc>,
  { notice }: Courtesy,
): ServiceImpl<Desc> {
  type Method = (...args: readonly unknown[]) => unknown;
  const noticed = ([name, method]: [string, Method]): [string, Method] =>
    methods[name]?.methodKind === "unary"
      ? [
          name,
          (...args) => {
            notice();
            return method(...args);
          },
        ]
      : [name, method];
  const entries = Object.entries(implementation as Record<string, Method>).map(noticed);
  return Object.fromEntries(entries) as ServiceImpl<Desc>;
}
