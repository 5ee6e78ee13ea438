// What the caller wants to get: the format of a stream by its Accept header, compression by its Accept-Encoding.
import { Code } from "@connectrpc/connect";
import { Refusal } from "./status.ts";

/** One JSON text a line, Server-Sent Events (WHATWG HTML, 9.2), or one JSON array. */
export type StreamFormat = "ndjson" | "sse" | "array";

/**
 * The format of a stream by RFC 9110, 12.5.1: the higher quality wins, then the format that is named rather than covered
 * by a wildcard, then the order of the list below. An array is for who names `application/json`: only whoever has all of
 * it knows that it is whole, so nobody gets one by a wildcard who could get NDJSON. Throws 406 when none is allowed.
 */
export function chooseFormat(accept: string | undefined): StreamFormat {
  if (accept === undefined || accept.trim() === "") {
    return "ndjson";
  }
  const ranges = accept.split(",").map(parseRange);
  let chosen: StreamFormat | undefined;
  let best = { quality: 0, rank: 0 };
  for (const { format, names } of formats) {
    const wish = preference(ranges, names);
    if (wish.quality > best.quality || (chosen && wish.quality === best.quality && wish.rank < best.rank)) {
      chosen = format;
      best = wish;
    }
  }
  if (chosen === undefined) {
    const allowed = formats.map(({ names }) => names[0]).join(" or ");
    throw new Refusal(406, Code.InvalidArgument, `Accept must allow ${allowed}`);
  }
  return chosen;
}

/** What ranges mean each format, the most specific first. */
const formats: readonly { readonly format: StreamFormat; readonly names: readonly string[] }[] = [
  { format: "ndjson", names: ["application/x-ndjson", "application/*", "*/*"] },
  { format: "sse", names: ["text/event-stream", "text/*", "*/*"] },
  { format: "array", names: ["application/json", "application/*", "*/*"] },
];

/** A coding that answers can have besides none. */
export type Coding = "br" | "gzip";

export interface Codings {
  /** The coding to use; undefined for none. */
  readonly coding: Coding | undefined;
  /** Whether an answer may come without one. */
  readonly identity: boolean;
}

/** A whole answer is smaller as Brotli, in about the time of gzip. */
export const answerCodings: readonly Coding[] = ["br", "gzip"];

/** A stream is flushed after each message: gzip is then the quicker, and holds less memory while the stream is open. */
export const streamCodings: readonly Coding[] = ["gzip", "br"];

/**
 * The coding of an answer by RFC 9110, 12.5.3: the higher quality wins, then the order of `codings`. None is used when
 * nobody asks for one, or when `identity` is named with a higher quality. Throws 406 when all of them are refused.
 */
export function chooseCoding(acceptEncoding: string | undefined, codings: readonly Coding[]): Codings {
  if (acceptEncoding === undefined) {
    return { coding: undefined, identity: true };
  }
  const ranges = acceptEncoding.split(",").map(parseRange);
  let coding: Coding | undefined;
  let best = 0;
  for (const each of codings) {
    const { quality } = preference(ranges, namesOf[each]);
    if (quality > best) {
      coding = each;
      best = quality;
    }
  }
  const plain = preference(ranges, ["identity", "*"]);
  // What the header does not mention at all is allowed; "*" speaks for it, but asks for a coding rather than for none.
  const isNamed = plain.rank === 0;
  const identity = plain.quality > 0 || plain.rank === 2;
  if (coding === undefined && !identity) {
    const allowed = ["identity", ...codings].join(" or ");
    throw new Refusal(406, Code.InvalidArgument, `Accept-Encoding must allow ${allowed}`);
  }
  return { coding: isNamed && plain.quality > best ? undefined : coding, identity };
}

/** `x-gzip` is an old name of gzip (RFC 9110, 8.4.1.3). */
const namesOf: Readonly<Record<Coding, readonly string[]>> = {
  br: ["br", "*"],
  gzip: ["gzip", "x-gzip", "*"],
};

interface Range {
  readonly name: string;
  readonly quality: number;
}

function parseRange(text: string): Range {
  const [name, ...parameters] = text.toLowerCase().split(";", 8);
  const weight = parameters.find((parameter) => /^\s*q\s*=/.test(parameter));
  const quality = weight === undefined ? 1 : Number(weight.slice(weight.indexOf("=") + 1));
  return { name: name!.trim(), quality: quality >= 0 && quality <= 1 ? quality : 0 };
}

/** Of the names that mean a format, the most specific first, the first that the header has; 0 when it has none. */
function preference(ranges: readonly Range[], names: readonly string[]) {
  for (const [rank, name] of names.entries()) {
    const range = ranges.find((each) => each.name === name);
    if (range !== undefined) {
      return { quality: range.quality, rank };
    }
  }
  return { quality: 0, rank: names.length };
}
