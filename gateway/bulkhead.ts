// A bulkhead before an upstream: one that is slow fills its own compartment, and what comes on top is refused at once.
import { create, type DescMethod } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { ERROR_DOMAIN } from "#chassis/refusal.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";

export interface BulkheadOptions {
  /** Name of the upstream, for the hook. */
  readonly name: string;
  /** Unary calls at a time. */
  readonly callsMax: number;
  /** Open streams at a time; they last, so they have a place of their own. */
  readonly streamsMax: number;
  /** Told of every call that was refused. */
  readonly onOverload?: (name: string) => void;
}

export interface Bulkhead {
  /** What a call of this method would be refused with now; undefined when there is room. For who has not read it yet. */
  readonly refusalFor: (method: DescMethod) => ConnectError | undefined;
}

/**
 * Wraps a transport. A call beyond the maximum fails with UNAVAILABLE, reason `OVERLOADED` and google.rpc.RetryInfo,
 * before anything is sent. An upstream that is overloaded answers no more by being asked more: it would only work on calls
 * whose callers have given up.
 */
export function limitTransport(transport: Transport, options: BulkheadOptions): Transport & Bulkhead {
  const { name, callsMax, streamsMax, onOverload } = options;
  let calls = 0;
  let streams = 0;

  function refusalFor({ methodKind }: DescMethod): ConnectError | undefined {
    if (methodKind === "unary" ? calls < callsMax : streams < streamsMax) return undefined;
    onOverload?.(name);
    const retryDelay = create(DurationSchema, { seconds: 1n });
    return new ConnectError(`${name} is overloaded, try again later`, Code.Unavailable, undefined, [
      { desc: ErrorInfoSchema, value: { reason: "OVERLOADED", domain: ERROR_DOMAIN, metadata: {} } },
      { desc: RetryInfoSchema, value: { retryDelay } },
    ]);
  }

  return {
    refusalFor,
    async unary(...call) {
      const refusal = refusalFor(call[0]);
      if (refusal) throw refusal;
      calls++;
      try {
        return await transport.unary(...call);
      } finally {
        calls--;
      }
    },
    async stream(...call) {
      const refusal = refusalFor(call[0]);
      if (refusal) throw refusal;
      streams++;
      const signal = call[1];
      let isOpen = true;
      const leave = () => {
        if (isOpen) streams--;
        isOpen = false;
        signal?.removeEventListener("abort", leave);
      };
      // Connect's streams have no return(): who leaves one early aborts it.
      signal?.addEventListener("abort", leave);
      try {
        const response = await transport.stream(...call);
        return { ...response, message: untilEnd(response.message, leave) };
      } catch (error) {
        leave();
        throw error;
      }
    },
  };
}

/** The same messages; `leave` hears of the end, and of a failure. */
function untilEnd<T>(messages: AsyncIterable<T>, leave: () => void): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = messages[Symbol.asyncIterator]();
      return {
        async next() {
          try {
            const result = await iterator.next();
            if (result.done === true) leave();
            return result;
          } catch (error) {
            leave();
            throw error;
          }
        },
      };
    },
  };
}
