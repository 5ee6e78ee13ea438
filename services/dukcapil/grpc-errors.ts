// What a caller is told when a call fails, on either of the hub's two servers.
import { Code, ConnectError } from "@connectrpc/connect";
import type { Metadata, ServerErrorResponse } from "@grpc/grpc-js";
import type { Logger } from "#chassis/log.ts";
import { Refused, refusalToError } from "#chassis/refusal.ts";
import { traceIdOf, traceparentFrom } from "#chassis/trace-context.ts";
import { statusFromError } from "#chassis/wire/metadata.ts";

/** Refusals as they are, everything unexpected as "internal error" with a trace id; the log has the cause. */
export function visibleError(
  cause: unknown,
  log: Logger,
  method: string,
  traceparent?: string,
): ConnectError {
  if (cause instanceof Refused) return refusalToError(cause.refusal);
  if (cause instanceof ConnectError) return cause;
  const traceId = traceIdOf(traceparentFrom(traceparent));
  log.error({ method, traceId, err: cause }, "call failed");
  return new ConnectError(`internal error (trace ${traceId})`, Code.Internal);
}

/** The same as grpc-js takes it. */
export function grpcError(
  cause: unknown,
  log: Logger,
  method: string,
  metadata?: Metadata,
): ServerErrorResponse {
  const traceparent = metadata?.get("traceparent")[0];
  const error = visibleError(cause, log, method, traceparent === undefined ? undefined : String(traceparent));
  const status = statusFromError(error, undefined);
  return Object.assign(new Error(status.details), status);
}
