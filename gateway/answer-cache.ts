// Keeps answers of reads that the contracts let be kept: one call for all who ask at once, and something to say in an outage.
import { createHash } from "node:crypto";
import {
  create,
  type DescMethod,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  getOption,
  hasOption,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport, type UnaryResponse } from "@connectrpc/connect";
import { cache_stale_seconds } from "#gen/lampid/option/v1/http_pb.ts";
import { isRead } from "./retry.ts";

/** What of a caller an answer may depend on, besides being let in at all. */
export interface CacheCaller {
  readonly subject: string;
  readonly role?: string;
  readonly wilayah?: string;
  readonly scopes?: readonly string[];
}

/** hit: not asked. joined: another's call. asked: a call of its own. stale: an old answer, since the upstream gave none. */
export type CacheOutcome = "hit" | "joined" | "asked" | "stale";

export interface CacheOptions {
  /** Which methods' answers are kept, and for how long one may be given in an outage: {@link cacheableOf}. */
  readonly staleMs: ReadonlyMap<DescMethod, number>;
  /** Who an Authorization header speaks for, as far as it is valid now. Whoever is nobody goes past the cache. */
  readonly callerOf: (authorization: string) => CacheCaller | undefined | Promise<CacheCaller | undefined>;
  /** Where answers are kept; upstreams may share it. */
  readonly store: AnswerStore;
  /** How long an answer is given without asking. 0: every call asks, or joins one that does. */
  readonly freshMs: number;
  /** Deadline of a call to the upstream, which is made for all who ask for the same. */
  readonly callMs: number;
  /** How long a call waits for the upstream when there is an old answer. Default: 2 s. */
  readonly patienceMs?: number;
  readonly onOutcome?: (method: DescMethod, outcome: CacheOutcome) => void;
  readonly now?: () => number;
}

/** Headers of a response that passed a cache; the upstream's own are not kept. */
export const cacheHeaders = ["age", "cache-control", "etag", "warning"] as const;

/** The methods whose answers their contracts let be kept, with how long one may be given in an outage. Throws for a bad option. */
export function cacheableOf(services: readonly DescService[]): Map<DescMethod, number> {
  const staleMs = new Map<DescMethod, number>();
  for (const method of services.flatMap(({ methods }) => methods)) {
    if (!hasOption(method, cache_stale_seconds)) {
      continue;
    }
    const seconds = getOption(method, cache_stale_seconds);
    if (!isRead(method) || method.methodKind !== "unary" || !(seconds >= 1 && seconds <= 86_400)) {
      throw new Error(
        `${method.parent.typeName}.${method.name}: cache_stale_seconds is for unary methods without side effects, 1 to 86400`,
      );
    }
    staleMs.set(method, seconds * 1000);
  }
  return staleMs;
}

/**
 * Wraps a transport, outside of bulkhead and breaker: when these refuse, an old answer is what helps.
 *
 * An answer is another caller's only if method, input, language, role, wilayah and scopes are the same: what the policy decides by
 * and, by the contract's option, all that the answer depends on. A caller whose token lacks these claims shares with its own
 * subject alone. The token is verified for each call, so what is kept is for nobody whom the service would not know.
 * Refusals are not kept.
 */
export function cacheReads(transport: Transport, options: CacheOptions): Transport {
  const { callerOf, store, freshMs, callMs, patienceMs = 2_000, onOutcome } = options;
  const { now = () => performance.now() } = options;
  const flights = new Map<string, Promise<Received>>();

  function ask(key: string, method: DescMethodUnary, header: Headers, input: Message): Promise<Received> {
    // Not by a caller's signal: others wait for it, too. It ends by its deadline, and there is one a key.
    const flight = transport
      .unary(method, undefined, callMs, header, input)
      .then(({ message }) => {
        const bytes = toBinary(method.output, message as Message);
        const answer = { bytes, etag: etagOf(bytes), atMs: now() };
        store.set(key, answer);
        return { message: message as Message, etag: answer.etag };
      })
      .finally(() => flights.delete(key));
    flights.set(key, flight);
    return flight;
  }

  async function cached(
    method: DescMethodUnary,
    staleMs: number,
    caller: CacheCaller,
    call: Parameters<Transport["unary"]>,
  ): Promise<UnaryResponse> {
    const [, signal, timeoutMs, headerInit, input] = call;
    const header = new Headers(headerInit);
    const message = create(method.input, input as never) as Message;
    // "*", which Node's fetch sends, asks for nothing.
    const key = keyOf(method, message, caller, header.get("accept-language") ?? "*");
    const kept = store.get(key);
    const ageMs = kept === undefined ? Number.POSITIVE_INFINITY : now() - kept.atMs;
    if (ageMs < freshMs) {
      onOutcome?.(method, "hit");
      return responseOf(method, opened(method, kept!), ageMs);
    }
    const spare = kept !== undefined && ageMs < freshMs + staleMs ? kept : undefined;
    const joined = flights.get(key);
    onOutcome?.(method, joined === undefined ? "asked" : "joined");
    const waitMs = Math.min(timeoutMs ?? callMs, spare === undefined ? Number.POSITIVE_INFINITY : patienceMs);
    try {
      const flight = joined ?? ask(key, method, header, message);
      return responseOf(method, await within(waitMs, flight, signal));
    } catch (error) {
      if (spare !== undefined && isOutage(error)) {
        onOutcome?.(method, "stale");
        return responseOf(method, opened(method, spare), now() - spare.atMs, true);
      }
      // The token of whose call it was has expired on the way; that says nothing of this one's.
      if (joined !== undefined && ConnectError.from(error).code === Code.Unauthenticated) {
        return await transport.unary(...call);
      }
      throw error;
    }
  }

  const unary = async (...call: Parameters<Transport["unary"]>): Promise<UnaryResponse> => {
    const method = call[0] as DescMethodUnary;
    const staleMs = options.staleMs.get(method);
    const authorization = staleMs === undefined ? null : new Headers(call[3]).get("authorization");
    const caller = authorization === null ? undefined : await nobodyOnError(() => callerOf(authorization));
    return caller === undefined
      ? await transport.unary(...call)
      : await cached(method, staleMs!, caller, call);
  };
  return { unary: unary as Transport["unary"], stream: (...call) => transport.stream(...call) };
}

/** What all who asked at once are given; nobody may change the message. */
interface Received {
  readonly message: Message;
  readonly etag: string;
}

/** What is kept: bytes, so that their bound is exact and nobody can change them. */
interface Answer {
  readonly bytes: Uint8Array;
  readonly etag: string;
  readonly atMs: number;
}

/** Answers by key, no more than so many bytes; those that were not asked for longest go first. */
export interface AnswerStore {
  readonly get: (key: string) => Answer | undefined;
  readonly set: (key: string, answer: Answer) => void;
  readonly bytes: () => number;
}

/** What an entry takes besides its message: key, entity tag and the map's own. */
const entryBytes = 512;

export function createAnswerStore(bytesMax: number): AnswerStore {
  const answers = new Map<string, Answer>();
  let bytes = 0;
  const sizeOf = (answer: Answer) => answer.bytes.length + entryBytes;

  function remove(key: string): void {
    const answer = answers.get(key);
    if (answer !== undefined) {
      bytes -= sizeOf(answer);
      answers.delete(key);
    }
  }

  return {
    get(key) {
      const answer = answers.get(key);
      if (answer !== undefined) {
        answers.delete(key);
        answers.set(key, answer);
      }
      return answer;
    },
    set(key, answer) {
      remove(key);
      // One large answer must not drive out all others.
      if (sizeOf(answer) > bytesMax / 4) return;
      answers.set(key, answer);
      bytes += sizeOf(answer);
      while (bytes > bytesMax) {
        remove(answers.keys().next().value!);
      }
    },
    bytes: () => bytes,
  };
}

function keyOf(method: DescMethod, input: Message, caller: CacheCaller, language: string): string {
  const { subject, role, wilayah, scopes } = caller;
  const isKnown = role !== undefined && wilayah !== undefined && scopes !== undefined;
  const view = isKnown ? [role, wilayah, [...scopes].sort()] : [subject];
  return createHash("sha256")
    .update(JSON.stringify([method.parent.typeName, method.name, language, view]))
    .update(toBinary(method.input, input))
    .digest("base64");
}

function etagOf(bytes: Uint8Array): string {
  return `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
}

function opened(method: DescMethodUnary, { bytes, etag }: Answer): Received {
  return { message: fromBinary(method.output, bytes), etag };
}

/** `ageMs` of a kept answer; one that has just come has none. */
function responseOf(
  method: DescMethodUnary,
  { message, etag }: Received,
  ageMs?: number,
  isStale = false,
): UnaryResponse {
  // no-cache: a browser may keep it, and asks whether it still holds, with whatever token it has then.
  const header = new Headers({ etag, "cache-control": "private, no-cache" });
  if (ageMs !== undefined) {
    header.set("age", String(Math.floor(ageMs / 1000)));
  }
  if (isStale) {
    // RFC 7234, 5.5: obsolete, and still the only words there are for it.
    header.set("warning", '110 - "Response is Stale", 111 - "Revalidation Failed"');
  }
  return { stream: false, service: method.parent, method, message, header, trailer: new Headers() } as never;
}

function isOutage(error: unknown): boolean {
  const { code } = ConnectError.from(error);
  return code === Code.Unavailable || code === Code.DeadlineExceeded;
}

/** The promise's result, unless the time is over or the caller has left before; the promise itself goes on. */
function within<T>(waitMs: number, promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => settle(() => reject(ConnectError.from(signal!.reason, Code.Canceled)));
    const onLate = () =>
      settle(() => reject(new ConnectError("the operation timed out", Code.DeadlineExceeded)));
    const timer = setTimeout(onLate, waitMs);
    const settle = (then: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      then();
    };
    signal?.addEventListener("abort", onAbort);
    promise.then(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error)),
    );
    if (signal?.aborted) onAbort();
  });
}

async function nobodyOnError<T>(find: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await find();
  } catch {
    return undefined;
  }
}
