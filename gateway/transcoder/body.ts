// Reads a request body within bounds of size and time, and parses it as JSON.
import { isUtf8 } from "node:buffer";
import type { Http2ServerResponse } from "node:http2";
import type { JsonValue } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { type Carry, createCarry, tooLarge } from "./carry.ts";
import { createTextSplitter } from "./splitter.ts";
import { badRequest, Refusal, type Request, type Response, writeStatus } from "./status.ts";

export interface BodyLimits {
  /** A larger body is refused with 413. */
  readonly maxBytes: number;
  /** A body that is not complete this long after its head is refused with 408. */
  readonly timeoutMs: number;
}

/** Thrown when the caller went away before the body was complete: there is nobody to answer. */
export class CallerGone extends Error {
  override name = "CallerGone";
}

/** After a 413, how long and how much of the rest is read and thrown away before the connection is closed. */
const lingerMs = 2_000;
const lingerBytesMax = 16 * 1024 * 1024;

/** Reads the whole body; never holds more than `maxBytes` and one chunk. */
export function readBody(request: Request, limits: BodyLimits): Promise<Buffer> {
  const announced = request.headers["content-length"];
  if (announced !== undefined && Number(announced) > limits.maxBytes) {
    return Promise.reject(tooLarge(limits.maxBytes));
  }
  if (request.destroyed) {
    return Promise.reject(new CallerGone());
  }
  // It came with its head, as short bodies do: there is nothing to wait for, and no time to keep.
  if (announced !== undefined && request.readableLength === Number(announced)) {
    return Promise.resolve(readRest(request));
  }
  return new Promise((resolve, reject) => {
    let first: Buffer | undefined;
    let more: Carry | undefined;
    const timer = setTimeout(
      () =>
        finish(
          new Refusal(
            408,
            Code.DeadlineExceeded,
            `the request body was not complete after ${limits.timeoutMs} ms`,
          ),
        ),
      limits.timeoutMs,
    );

    request.on("data", onData);
    request.on("end", onEnd);
    request.on("close", onClose);
    request.on("error", onClose);

    function onData(chunk: Buffer): void {
      try {
        if (first === undefined && chunk.length <= limits.maxBytes) {
          first = chunk;
        } else {
          if (more === undefined) {
            more = createCarry(limits.maxBytes);
            more.keep(first ?? emptyBody);
          }
          more.keep(chunk);
        }
      } catch (error) {
        finish(error as Refusal);
      }
    }
    function onEnd(): void {
      finish(undefined);
    }
    function onClose(): void {
      finish(new CallerGone());
    }
    function finish(error: Error | undefined): void {
      clearTimeout(timer);
      request.off("data", onData);
      request.off("end", onEnd);
      request.off("close", onClose);
      if (error !== undefined) {
        request.pause();
        reject(error);
      } else {
        resolve(more?.take() ?? first ?? emptyBody);
      }
    }
  });
}

/** What has arrived, which is all. */
function readRest(request: Request): Buffer {
  const chunks: Buffer[] = [];
  // More than one when somebody else listens, too (legacy/capture.ts).
  for (let chunk = request.read(); chunk !== null; chunk = request.read()) {
    chunks.push(chunk as Buffer);
  }
  // To its end, which comes by itself.
  request.resume();
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

/** Refuses a body of another type: 415. A body without a Content-Type is taken for JSON. */
export function checkJsonType(request: Request): void {
  const type = request.headers["content-type"];
  if (type === undefined || type === "application/json") {
    return;
  }
  const [essence, ...parameters] = type.toLowerCase().split(";", 8);
  const isJson = /^application\/(?:json|[a-z0-9.-]+\+json)$/.test(essence!.trim());
  const isUtf8Text = parameters.every((p) => !/^\s*charset=/.test(p) || /^\s*charset="?utf-?8"?\s*$/.test(p));
  if (!isJson || !isUtf8Text) {
    throw new Refusal(415, Code.InvalidArgument, "Content-Type must be application/json in UTF-8", [], {
      accept: "application/json",
    });
  }
}

/** Whether the body is JSON texts, one a line. */
export function isNdjsonType(request: Request): boolean {
  return /^application\/(?:x-ndjson|ndjson|jsonl)\s*(?:;\s*charset="?utf-?8"?\s*)?$/i.test(
    request.headers["content-type"]?.trim() ?? "",
  );
}

/** Whether the body is a form, in UTF-8 (WHATWG URL, 5). */
export function isFormType(request: Request): boolean {
  const type = request.headers["content-type"];
  return (
    type !== undefined &&
    /^application\/x-www-form-urlencoded\s*(?:;\s*charset="?utf-?8"?\s*)?$/i.test(type.trim())
  );
}

/** The text of a body. Broken bytes are refused: decoded to U+FFFD they would be stored as if the caller had sent that. */
export function textOf(body: Buffer): string {
  if (!isUtf8(body)) {
    throw badRequest("the request body is not UTF-8", [
      { field: "body", description: "must be UTF-8", reason: "INVALID_UTF8" },
    ]);
  }
  return body.toString("utf8");
}

/** Parses a JSON body. An empty one is the empty object. */
export function parseBody(body: Buffer): JsonValue {
  if (body.length === 0) {
    return {};
  }
  const text = textOf(body);
  try {
    return JSON.parse(text) as JsonValue;
  } catch (error) {
    // The parser's message quotes the body; only the position may go into an answer and from there into logs.
    const position = /at position (\d+)/.exec((error as Error).message)?.[1];
    throw badRequest("the request body is not valid JSON", [
      {
        field: "body",
        description:
          position === undefined ? "must be valid JSON" : `is not valid JSON at position ${position}`,
        reason: "INVALID_JSON",
      },
    ]);
  }
}

/** Like `parseBody`, but what follows the first JSON object is not looked at: Go's decoder reads no further. */
export function parseFirst(body: Buffer): JsonValue {
  try {
    return parseBody(body);
  } catch (error) {
    const [first] = body.includes("{") ? createTextSplitter(body.length).push(body) : [];
    if (first === undefined || first.bytes.length === body.length) {
      throw error;
    }
    return parseBody(first.bytes);
  }
}

/**
 * Answers a request whose body stays unread, and ends its connection. Over HTTP/1.1 the rest is read and discarded for a
 * bounded while first: closing on unread bytes sends RST, which can overtake the answer. Over HTTP/2 only the stream is
 * reset, after the answer.
 */
export function refuseUnread(
  request: Request,
  response: Response,
  refusal: Pick<Refusal, "httpStatus" | "status" | "headers">,
  fixedHeaders: Readonly<Record<string, string>>,
): void {
  if (request.httpVersionMajor >= 2) {
    const { stream } = response as Http2ServerResponse;
    response.once("finish", () => stream?.close());
    writeStatus(response, refusal.status, refusal.httpStatus, { ...fixedHeaders, ...refusal.headers });
    return;
  }
  const headers = { ...fixedHeaders, ...refusal.headers, connection: "close" };
  writeStatus(response, refusal.status, refusal.httpStatus, headers, true);
  let bytes = 0;
  // The answer is complete on the wire (it has a Content-Length); ending it closes the connection.
  const end = () => {
    clearTimeout(timer);
    request.off("data", onData);
    response.end();
  };
  const onData = (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > lingerBytesMax) {
      end();
    }
  };
  const timer = setTimeout(end, lingerMs);
  request.on("data", onData);
  request.once("end", end);
  request.once("close", end);
  request.resume();
}

/**
 * Reads what is left of a body after its answer, and throws it away, so that its connection can serve on. One that goes on
 * for too long loses it.
 */
export function discardRest(request: Request, response: Response): void {
  if (request.readableEnded || request.destroyed) {
    return;
  }
  if (request.httpVersionMajor >= 2) {
    const { stream } = response as Http2ServerResponse;
    response.writableFinished ? stream?.close() : response.once("finish", () => stream?.close());
    return;
  }
  request.unpipe();
  let bytes = 0;
  const cut = () => request.socket.destroy();
  const timer = setTimeout(cut, lingerMs);
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > lingerBytesMax) {
      cut();
    }
  });
  request.once("end", () => clearTimeout(timer));
  request.once("close", () => clearTimeout(timer));
  request.resume();
}

const emptyBody = Buffer.alloc(0);
