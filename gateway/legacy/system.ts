// One legacy system: connections that are kept and bounded, a bulkhead, a circuit breaker, and a deadline on every call.
import http, { type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import https from "node:https";
import { Code, ConnectError } from "@connectrpc/connect";
import CircuitBreaker from "opossum";
import { refusalToError } from "#chassis/refusal.ts";

export interface LegacyRequest {
  readonly method: string;
  /** Of the whole URL; checked already. */
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer | undefined;
  /** Of the whole call, body included. */
  readonly timeoutMs: number;
  /** Aborts when the caller has left. */
  readonly signal: AbortSignal;
}

export interface LegacySystem {
  /** Resolves with the head. Throws ConnectError for a system that cannot be reached, takes too long or has too much to do. */
  readonly send: (request: LegacyRequest) => Promise<IncomingMessage>;
  /** Whether its circuit is open. */
  readonly isOpen: () => boolean;
  /** For one that no rule names any more: calls under way may finish, its connections end by themselves. */
  readonly retire: () => void;
  readonly close: () => void;
}

export interface LegacySystemOptions {
  readonly origin: string;
  /** Calls at a time; what comes on top is refused at once. Default: 64. */
  readonly callsMax?: number;
  /** A deadline counts as the system's failure only when it was at least this long. Default: 10 s. */
  readonly deadlineFloorMs?: number;
  readonly onState?: (state: "open" | "halfOpen" | "closed") => void;
}

/** A kept connection that nobody uses ends after this. */
const idleMs = 30_000;

export function createLegacySystem({
  origin,
  callsMax = 64,
  deadlineFloorMs = 10_000,
  onState,
}: LegacySystemOptions): LegacySystem {
  const { protocol, hostname: host, port } = new URL(origin);
  const hostname = host.replace(/^\[|\]$/g, ""); // of IPv6
  const { Agent, request: open } = protocol === "https:" ? https : http;
  const agent = new Agent({ keepAlive: true, maxSockets: callsMax, maxFreeSockets: 16, timeout: idleMs });
  let pending = 0;
  const breaker = new CircuitBreaker((call: () => Promise<IncomingMessage>, _of: LegacyRequest) => call(), {
    timeout: false,
    errorThresholdPercentage: 50,
    volumeThreshold: 20,
    resetTimeout: 5_000,
    rollingPercentilesEnabled: false,
    enableSnapshots: false,
    // opossum hands the filter the arguments of the call, too; its types do not say so.
    errorFilter: ((error: unknown, _call: unknown, of: LegacyRequest) => !isFailure(error, of)) as (
      error: unknown,
    ) => boolean,
  });
  breaker.on("open", () => onState?.("open"));
  breaker.on("halfOpen", () => onState?.("halfOpen"));
  breaker.on("close", () => onState?.("closed"));

  return {
    async send(request) {
      if (pending >= callsMax) throw unavailable("LEGACY_OVERLOADED", "the legacy system has too much to do");
      pending++;
      try {
        const answer = (await breaker.fire(() => attempt(request), request)) as IncomingMessage;
        answer.once("close", () => pending--);
        return answer;
      } catch (error) {
        pending--;
        const { code } = error as { code?: unknown };
        throw code === "EOPENBREAKER" || code === "ESHUTDOWN"
          ? unavailable("LEGACY_UNAVAILABLE", "the legacy system is left alone for a while")
          : error;
      }
    },
    isOpen: () => breaker.opened,
    retire: () => breaker.shutdown(),
    close() {
      breaker.shutdown();
      agent.destroy();
    },
  };

  async function attempt(request: LegacyRequest): Promise<IncomingMessage> {
    try {
      return await once(request);
    } catch (error) {
      // A kept connection that the server closed as we took it: a request without a body that changes nothing is safe again.
      const isSafe = request.body === undefined && (request.method === "GET" || request.method === "HEAD");
      if (isSafe && error instanceof ConnectError && error.cause instanceof StaleConnection) {
        return await once(request);
      }
      throw error;
    }
  }

  function once({ method, path, headers, body, timeoutMs, signal }: LegacyRequest): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const options = { protocol, hostname, port, path, method, headers, agent, signal };
      const sent: ClientRequest = open(options);
      let answer: IncomingMessage | undefined;
      const timer = setTimeout(() => {
        const late = new ConnectError("the legacy system took too long", Code.DeadlineExceeded);
        answer?.destroy(late);
        sent.destroy(late);
      }, timeoutMs);
      sent.once("close", () => clearTimeout(timer));
      sent.once("response", (found) => {
        answer = found;
        if (found.statusCode! >= 502 && found.statusCode! <= 504) {
          // A proxy in front of it says that it is not there; that is its failure, and no answer to pass on.
          found.destroy();
          reject(unavailable("LEGACY_UNAVAILABLE", "the legacy system cannot be reached"));
        } else resolve(found);
      });
      sent.on("error", (cause) => reject(failureOf(cause, sent, signal)));
      sent.end(body);
    });
  }

  function isFailure(error: unknown, { timeoutMs, signal }: LegacyRequest): boolean {
    if (signal.aborted || !(error instanceof ConnectError)) return false;
    return (
      error.code === Code.Unavailable ||
      (error.code === Code.DeadlineExceeded && timeoutMs >= deadlineFloorMs)
    );
  }
}

class StaleConnection extends Error {
  override name = "StaleConnection";
}

function failureOf(cause: Error, sent: ClientRequest, signal: AbortSignal): unknown {
  if (signal.aborted) return new ConnectError("the caller has left", Code.Canceled);
  const code = (cause as NodeJS.ErrnoException).code;
  if (cause instanceof ConnectError || code === undefined) return cause;
  const isStale = sent.reusedSocket && code === "ECONNRESET";
  const inner = isStale ? new StaleConnection(cause.message, { cause }) : cause;
  return unavailable("LEGACY_UNAVAILABLE", "the legacy system cannot be reached", inner);
}

function unavailable(reason: string, message: string, cause?: unknown): ConnectError {
  return refusalToError({ kind: "unavailable", reason, message, retryAfterSeconds: 5 }, { cause });
}
