// Makes reads again that did not reach their upstream, within a budget.
import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { type Backoff, backoffMs, pause } from "#chassis/backoff.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";

export interface RetryOptions {
  /** Tries of one call besides the first. Default: 2. */
  readonly retriesMax?: number;
  /** Wait before each. Default: 10 to 20 ms, then 20 to 40 ms. */
  readonly backoff?: Backoff;
  /** Retries for each read that is made: 0.1 is ten for a hundred. Default: 0.1. */
  readonly ratio?: number;
  /** Retries a second that there are in any case, so that a quiet gateway has some. Default: 5. */
  readonly perSecondMin?: number;
  /** Told of every retry, and of every one that the budget did not have. */
  readonly onRetry?: (method: DescMethod, outcome: "made" | "over budget") => void;
  readonly now?: () => number;
  readonly random?: () => number;
}

/**
 * Wraps a transport. A unary call of a method without side effects (idempotency_level) that fails with UNAVAILABLE is made
 * again, by the balancer below on another address; writes and streams never are. A server that says when to come back
 * (google.rpc.RetryInfo), or that it is overloaded, is left alone: its caller is told. The waits are within the deadline.
 *
 * It belongs outside of the breaker: each try is one that the breaker should know of, or the circuit of an upstream of which
 * every second try fails would stay closed; and an open circuit, which says when to come back, ends the retries.
 */
export function retryReads(transport: Transport, options: RetryOptions = {}): Transport {
  const { retriesMax = 2, ratio = 0.1, perSecondMin = 5, onRetry } = options;
  const { now = () => performance.now(), random = Math.random } = options;
  const backoff = options.backoff ?? { baseMs: 20, maxMs: 100 };
  const budget = createBudget({ ratio, perSecondMin, now });

  const unary: Transport["unary"] = async (method, signal, timeoutMs, header, input, contextValues) => {
    const startedAtMs = now();
    let leftMs = timeoutMs;
    for (let attempt = 0; ; attempt++) {
      try {
        return await transport.unary(method, signal, leftMs, header, input, contextValues);
      } catch (error) {
        if (attempt >= retriesMax || signal?.aborted || !mayRetry(error)) throw error;
        const waitMs = backoffMs(attempt, backoff, random);
        if (timeoutMs !== undefined) {
          leftMs = Math.floor(timeoutMs - (now() - startedAtMs) - waitMs);
          if (leftMs < 1) throw error;
        }
        if (!budget.take()) {
          onRetry?.(method, "over budget");
          throw error;
        }
        await pause(waitMs, signal);
        if (signal?.aborted) throw error;
        onRetry?.(method, "made");
      }
    }
  };

  return {
    unary(method, signal, timeoutMs, header, input, contextValues) {
      if (!isRead(method)) {
        return transport.unary(method, signal, timeoutMs, header, input, contextValues);
      }
      budget.earn();
      return unary(method, signal, timeoutMs, header, input, contextValues);
    },
    stream: (...call) => transport.stream(...call),
  };
}

/** Whether the contract says that calling it changes nothing. */
export function isRead(method: DescMethod): boolean {
  return method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
}

/** What may be saved up, of seconds and of calls: a burst of failures is bounded, too. */
const savedSeconds = 2;
const savedCallsRetries = 100;

/** A bucket of retries, which calls fill by `ratio` and time by `perSecondMin`. */
function createBudget({
  ratio,
  perSecondMin,
  now,
}: {
  ratio: number;
  perSecondMin: number;
  now: () => number;
}) {
  const fromTimeMax = perSecondMin * savedSeconds;
  let fromCalls = 0;
  let fromTime = fromTimeMax;
  let filledAtMs = now();
  return {
    earn(): void {
      fromCalls = Math.min(savedCallsRetries, fromCalls + ratio);
    },
    take(): boolean {
      const nowMs = now();
      fromTime = Math.min(fromTimeMax, fromTime + ((nowMs - filledAtMs) / 1000) * perSecondMin);
      filledAtMs = nowMs;
      if (fromTime >= 1) {
        fromTime--;
        return true;
      }
      // Tenths do not add up to one exactly.
      if (fromCalls >= 1 - 1e-9) {
        fromCalls--;
        return true;
      }
      return false;
    },
  };
}

function mayRetry(error: unknown): boolean {
  return (
    error instanceof ConnectError &&
    error.code === Code.Unavailable &&
    error.findDetails(RetryInfoSchema).length === 0 &&
    error.findDetails(ErrorInfoSchema).every(({ reason }) => reason !== "OVERLOADED")
  );
}
