// Cuts a request body that carries many messages into the bytes of each, without holding more than one of them.
import { createCarry } from "./carry.ts";
import { badRequest, type Refusal } from "./status.ts";

/** One message of a body, as it was sent. */
export interface Part {
  readonly bytes: Buffer;
  /** Where it was: `line 3` or `message 3`, for whoever has to find what is wrong with it. */
  readonly place: string;
}

/** Takes a body chunk by chunk. Both throw a Refusal, after which there is nothing more to get. */
export interface Splitter {
  /** The parts that this chunk completes. */
  push(chunk: Buffer): Part[];
  /** What is left at the end of the body. */
  end(): Part[];
}

/** Lines of NDJSON; empty ones are skipped. A line larger than `maxBytes` is 413. */
export function createLineSplitter(maxBytes: number): Splitter {
  const carry = createCarry(maxBytes);
  let line = 1;
  const take = (bytes: Buffer): Part[] => (isBlank(bytes) ? [] : [{ bytes, place: `line ${line}` }]);

  return {
    push(chunk) {
      const parts: Part[] = [];
      let from = 0;
      for (let at = chunk.indexOf(lineFeed); at >= 0; at = chunk.indexOf(lineFeed, from)) {
        parts.push(...take(carry.take(chunk.subarray(from, at))));
        from = at + 1;
        line++;
      }
      carry.keep(chunk.subarray(from));
      return parts;
    },
    end: () => take(carry.take()),
  };
}

/**
 * JSON texts: the items of one array (if `takesArrays`), or texts one after the other, between which there may be space. Only where each
 * begins and ends is looked at; whoever parses them finds what is wrong within.
 */
export function createTextSplitter(maxBytes: number, takesArrays = true): Splitter {
  const carry = createCarry(maxBytes);
  let kind: "unknown" | "texts" | "array" | "closed" = "unknown";
  /** In an array: what must come before the next thing. */
  let after: "bracket" | "item" | "comma" = "bracket";
  let count = 0;
  let depth = 0;
  let isIn = false;
  let inString = false;
  let isEscaped = false;

  return {
    push(chunk) {
      const parts: Part[] = [];
      let from = 0;
      const finish = (end: number): void => {
        parts.push({ bytes: carry.take(chunk.subarray(from, end)), place: `message ${count}` });
        isIn = false;
        after = "item";
      };
      for (let at = 0; at < chunk.length; at++) {
        const byte = chunk[at]!;
        if (isIn) {
          if (inString) {
            if (isEscaped) {
              isEscaped = false;
            } else if (byte === backslash) {
              isEscaped = true;
            } else if (byte === quote) {
              inString = false;
              if (depth === 0) finish(at + 1);
            }
            continue;
          }
          if (byte === quote) {
            inString = true;
            continue;
          }
          if (byte === openBrace || byte === openBracket) {
            depth++;
            continue;
          }
          if (depth > 0) {
            if (byte === closeBrace || byte === closeBracket) {
              depth--;
              if (depth === 0) finish(at + 1);
            }
            continue;
          }
          // A number or a word: it ends where something else begins.
          if (!isSpace(byte) && byte !== comma && byte !== closeBracket) {
            continue;
          }
          finish(at);
        }
        if (isSpace(byte)) {
          continue;
        }
        if (kind === "closed") {
          throw broken("goes on after the end of the array");
        }
        if (takesArrays && kind === "unknown" && byte === openBracket) {
          kind = "array";
        } else if (kind === "array" && byte === comma && after === "item") {
          after = "comma";
        } else if (kind === "array" && byte === closeBracket && after !== "comma") {
          kind = "closed";
        } else if (kind === "array" && after === "item") {
          throw broken(`has no comma after message ${count}`);
        } else {
          kind = kind === "unknown" ? "texts" : kind;
          count++;
          from = at;
          isIn = true;
          inString = byte === quote;
          depth = byte === openBrace || byte === openBracket ? 1 : 0;
        }
      }
      if (isIn) {
        carry.keep(chunk.subarray(from));
      }
      return parts;
    },
    end() {
      if (kind === "array") {
        throw broken("is an array that is not closed");
      }
      // Also of a text that is cut off: its parser says so.
      return isIn ? [{ bytes: carry.take(), place: `message ${count}` }] : [];
    },
  };
}

/** Bytes of any type, a chunk a message: the body as it comes. */
export function createChunkSplitter(): Splitter {
  let count = 0;
  return {
    push(chunk) {
      count++;
      return [{ bytes: chunk, place: `chunk ${count}` }];
    },
    end: () => [],
  };
}

const lineFeed = 0x0a;
const quote = 0x22;
const comma = 0x2c;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === lineFeed || byte === 0x0d || byte === 0x09;
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every(isSpace);
}

function broken(description: string): Refusal {
  return badRequest("the request body is not valid JSON", [
    { field: "body", description, reason: "INVALID_JSON" },
  ]);
}
