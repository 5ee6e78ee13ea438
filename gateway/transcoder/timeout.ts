// The deadline that a request asks for, by the headers of three conventions.
import { badRequest, type Request } from "./status.ts";

/**
 * The time that a call may take: the smallest of X-Server-Timeout (seconds), Grpc-Timeout (gRPC over HTTP/2: up to 8
 * digits and a unit) and Connect-Timeout-Ms (up to 10 digits), capped at `maxMs`. Throws a 400 that
 * names the header for one that is malformed: a caller that means a deadline must not wait without one.
 */
export function deadlineOf(
  request: Request,
  { defaultMs, maxMs }: { readonly defaultMs: number; readonly maxMs: number },
): number {
  const { headers } = request;
  const server = headers["x-server-timeout"];
  const grpc = headers["grpc-timeout"];
  const connect = headers["connect-timeout-ms"];
  if (server === undefined && grpc === undefined && connect === undefined) {
    return defaultMs;
  }
  return Math.min(
    maxMs,
    read("X-Server-Timeout", server, seconds),
    read("Grpc-Timeout", grpc, digitsAndUnit),
    read("Connect-Timeout-Ms", connect, milliseconds),
  );
}

interface Grammar {
  readonly pattern: RegExp;
  readonly description: string;
  toMs(match: RegExpExecArray): number;
}

const seconds: Grammar = {
  pattern: /^\d{1,9}(?:\.\d{1,9})?$/,
  description: "must be seconds, such as 2.5",
  toMs: ([text]) => Number(text) * 1000,
};

const digitsAndUnit: Grammar = {
  pattern: /^(\d{1,8})([HMSmun])$/,
  description: "must be 1 to 8 digits and a unit of H, M, S, m, u or n, such as 2500m",
  toMs: ([, digits, unit]) => Number(digits) * msByUnit[unit!]!,
};

const milliseconds: Grammar = {
  pattern: /^\d{1,10}$/,
  description: "must be milliseconds of 1 to 10 digits, such as 2500",
  toMs: ([text]) => Number(text),
};

const msByUnit: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

function read(name: string, value: string | string[] | undefined, grammar: Grammar): number {
  if (value === undefined) {
    return Number.POSITIVE_INFINITY;
  }
  const match = typeof value === "string" ? grammar.pattern.exec(value) : null;
  const ms = match === null ? 0 : grammar.toMs(match);
  // All three grammars want a positive number: none has a word for "no time at all".
  if (!(ms > 0)) {
    throw badRequest(`${name} is not valid`, [
      { field: name, description: grammar.description, reason: "INVALID_VALUE" },
    ]);
  }
  return ms;
}
