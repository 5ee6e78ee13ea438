// What went wrong in a run: whether trying again can help, and how a person is told.
import { Code, ConnectError } from "@connectrpc/connect";
import { type Backoff, backoffMs, pause } from "#chassis/backoff.ts";
import { isDatabaseUnavailable } from "#chassis/database.ts";

/** Who did not do their part. */
export type Neighbour = "hub" | "penduduk" | "database";

/** A failure with the name of who it came from. */
export class Trouble extends Error {
  readonly neighbour: Neighbour;

  constructor(neighbour: Neighbour, cause: unknown) {
    super(`trouble with ${neighbour}`, { cause });
    this.name = "Trouble";
    this.neighbour = neighbour;
  }
}

/** A run that must not go on, in words for the person who decides what to do. */
export class RunFailure extends Error {
  override name = "RunFailure";
}

/** What a repetition does not mend: the request itself is wrong, or not allowed. Everything else may pass. */
const LASTING: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.PermissionDenied,
  Code.FailedPrecondition,
  Code.OutOfRange,
  Code.Unimplemented,
]);

/** Serialisation, resources, locks taken by the administrator: PostgreSQL's classes 40, 53, 55 and 57. */
const PASSING_SQLSTATE = /^(40|53|55|57)[0-9A-Z]{3}$/;

export function isPassing(cause: unknown): boolean {
  if (cause instanceof Trouble) return isPassing(cause.cause);
  if (cause instanceof ConnectError) return !LASTING.has(cause.code);
  if (isDatabaseUnavailable(cause)) return true;
  return cause instanceof Error && "code" in cause && PASSING_SQLSTATE.test(String(cause.code));
}

const PLACES: Record<Neighbour, string> = {
  hub: "the hub",
  penduduk: "the registry (penduduk)",
  database: "the database of integrasi",
};

/** A passing trouble in one line; it quotes nothing of the other side, which may say anything. */
export function waitsFor(cause: unknown): string {
  if (!(cause instanceof Trouble)) return `waits for ${PLACES.database}`;
  const code = cause.cause instanceof ConnectError ? ` (${codeName(cause.cause.code)})` : "";
  return `waits for ${PLACES[cause.neighbour]}${code}`;
}

/** A lasting failure in one line. */
export function failedWith(cause: unknown): string {
  if (cause instanceof RunFailure) return cause.message;
  if (cause instanceof Trouble && cause.cause instanceof ConnectError) {
    const help = "see the log of integrasi, put it right, then resume this run";
    return `${PLACES[cause.neighbour]} answers ${codeName(cause.cause.code)}: ${help}`;
  }
  return "unexpected failure: see the log of integrasi, then resume this run";
}

/** "UNAVAILABLE", as gRPC writes it. */
export function codeName(code: Code): string {
  return (Code[code] ?? "UNKNOWN").replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

/** Names the neighbour of whatever `work` throws. */
export async function blame<T>(neighbour: Neighbour, work: Promise<T>): Promise<T> {
  return await work.catch((cause) => {
    throw new Trouble(neighbour, cause);
  });
}

export type Insistence = {
  backoff: Backoff;
  random: () => number;
  /** Told of each failure, and of the success that ends them (undefined). */
  onTrouble: (cause: unknown) => void;
  signal: AbortSignal;
};

/** Repeats `work` for as long as its failures pass; undefined when the signal aborts first. Throws what lasts. */
export async function insist<T>(
  work: () => Promise<T>,
  { backoff, random, onTrouble, signal }: Insistence,
): Promise<T | undefined> {
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      const result = await work();
      onTrouble(undefined);
      return result;
    } catch (cause) {
      if (signal.aborted) return undefined;
      if (!isPassing(cause)) throw cause;
      onTrouble(cause);
      await pause(backoffMs(attempt, backoff, random), signal);
    }
  }
  return undefined;
}
