// A bulkhead before an upstream: one that is slow fills its own compartment, and what comes on top is refused at once.
import { create, type DescMethod } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { ERROR_DOMAIN } from "#chassis/refusal.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { untilEnd } from "./until-end.ts";

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
      return await untilEnd(
        () => transport.stream(...call),
        call[1],
        () => streams--,
      );
    },
  };
}
