// What the caller of a stream wants to get: the format by its Accept header, gzip by its Accept-Encoding.
import { Code } from "@connectrpc/connect";
import { Refusal } from "./status.ts";

/** One JSON text a line, or Server-Sent Events (WHATWG HTML, 9.2). */
export type StreamFormat = "ndjson" | "sse";

export const contentTypes: Readonly<Record<StreamFormat, string>> = {
  ndjson: "application/x-ndjson",
  sse: "text/event-stream",
};

/**
 * The format of a stream by RFC 9110, 12.5.1: the higher quality wins, then the format that is named rather than covered
 * by a wildcard, then NDJSON. `application/json` is taken for NDJSON, as every line is JSON and most clients send it
 * without a thought. Throws 406 when neither is allowed.
 */
export function chooseFormat(accept: string | undefined): StreamFormat {
  if (accept === undefined || accept.trim() === "") {
    return "ndjson";
  }
  const ranges = accept.split(",").map(parseRange);
  const ndjson = preference(ranges, ["application/x-ndjson", "application/json", "application/*", "*/*"]);
  const sse = preference(ranges, ["text/event-stream", undefined, "text/*", "*/*"]);
  if (ndjson.quality === 0 && sse.quality === 0) {
    throw new Refusal(
      406,
      Code.InvalidArgument,
      `Accept must allow ${contentTypes.ndjson} or ${contentTypes.sse}`,
    );
  }
  if (ndjson.quality !== sse.quality) {
    return ndjson.quality > sse.quality ? "ndjson" : "sse";
  }
  return ndjson.rank <= sse.rank ? "ndjson" : "sse";
}

/** Whether gzip is asked for: named, or covered by "*", with a quality above 0 (RFC 9110, 12.5.3). */
export function acceptsGzip(acceptEncoding: string | string[] | undefined): boolean {
  if (typeof acceptEncoding !== "string") {
    return false;
  }
  const ranges = acceptEncoding.split(",").map(parseRange);
  return preference(ranges, ["gzip", "*"]).quality > 0;
}

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
function preference(ranges: readonly Range[], names: readonly (string | undefined)[]) {
  for (const [rank, name] of names.entries()) {
    const range = ranges.find((each) => each.name === name);
    if (range !== undefined) {
      return { quality: range.quality, rank };
    }
  }
  return { quality: 0, rank: names.length };
}
