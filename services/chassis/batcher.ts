// Group commit: calls that arrive while the database works share the next statement. A lone call is not delayed.
import { refuse } from "./refusal.ts";

export type BatcherOptions<Item, Result> = {
  /** Handles a batch; results in the order of the items, an Error for an item that failed. A throw concerns all items. */
  run: (items: readonly Item[]) => Promise<readonly (Result | Error)[]>;
  /** Items a batch at most. */
  maxBatch: number;
  /** Batches at the same time at most: connections this may take from the pool. */
  maxInFlight: number;
  /** Items waiting at most; beyond it a call is refused as UNAVAILABLE. */
  maxQueue: number;
};

type Waiting<Item, Result> = {
  item: Item;
  resolve: (result: Result) => void;
  reject: (cause: unknown) => void;
};

export function createBatcher<Item, Result>(
  options: BatcherOptions<Item, Result>,
): (item: Item) => Promise<Result> {
  const { run, maxBatch, maxInFlight, maxQueue } = options;
  const queue: Waiting<Item, Result>[] = [];
  let inFlight = 0;
  let scheduled = false;

  function schedule(): void {
    if (scheduled || inFlight >= maxInFlight) return;
    scheduled = true;
    // After the I/O of this turn of the loop: everything the sockets delivered together goes together.
    setImmediate(() => {
      scheduled = false;
      while (queue.length > 0 && inFlight < maxInFlight) void flush(queue.splice(0, maxBatch));
    });
  }

  async function flush(batch: Waiting<Item, Result>[]): Promise<void> {
    inFlight++;
    try {
      const results = await run(batch.map(({ item }) => item));
      for (const [index, { resolve, reject }] of batch.entries()) {
        const result =
          index < results.length ? results[index]! : new Error("a batch left an item unanswered");
        if (result instanceof Error) reject(result);
        else resolve(result);
      }
    } catch (cause) {
      for (const { reject } of batch) reject(cause);
    } finally {
      inFlight--;
      if (queue.length > 0) schedule();
    }
  }

  return (item) =>
    new Promise((resolve, reject) => {
      if (queue.length >= maxQueue) {
        reject(
          refuse("unavailable", "OVERLOADED", "too many calls are waiting; try again", {
            retryAfterSeconds: 1,
          }),
        );
        return;
      }
      queue.push({ item, resolve, reject });
      schedule();
    });
}

export type LaneOptions = Pick<BatcherOptions<never, never>, "maxInFlight" | "maxQueue">;

/**
 * Lets `maxInFlight` works run at a time, the others wait their turn here and not with a connection in their hands. For
 * transactions that queue for one row: they would empty the pool, and those behind them would time out.
 */
export function createLane(options: LaneOptions): <T>(work: () => Promise<T>) => Promise<T> {
  const enter = createBatcher<() => Promise<unknown>, { done: unknown }>({
    ...options,
    maxBatch: 1,
    run: async ([work]) => [{ done: await work!() }],
  });
  return async <T>(work: () => Promise<T>) => (await enter(work)).done as T;
}
