// Writes the messages of a stream to a client, no faster than it reads them.
import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import { type Http2ServerResponse, constants as http2 } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type BrotliCompress,
  createBrotliCompress,
  createGzip,
  type Gzip,
  constants as zlib,
} from "node:zlib";
import type { Coding } from "./accept.ts";
import type { Framing } from "./framing.ts";
import { writeHead } from "./head.ts";
import { addVary, type Response, type Status } from "./status.ts";

export interface StreamAnswerOptions {
  readonly framing: Framing;
  /** How to compress, where the framing allows it. */
  readonly coding: Coding | undefined;
  /** Send the head alone: the request was a HEAD. */
  readonly headOnly: boolean;
  /** How often a client hears something while there are no messages, where the framing has words for that. */
  readonly heartbeatMs: number;
  /** How long a client may take to read the error that ends its stream. */
  readonly lingerMs: number;
  /** The end of the call, whatever the reason: nothing waits for the client any longer. */
  readonly signal: AbortSignal;
}

/** The answer to one request. Calls come one after the other; none throws, and none does anything once the client is gone. */
export interface StreamAnswer {
  /** Sends the head. */
  begin(httpStatus: number, headers: OutgoingHttpHeaders): void;
  /** Sends a message, and waits until the client has room for another. */
  send(message: string | Uint8Array): Promise<void>;
  /** All messages are sent. */
  end(): void;
  /** Sends the error that the stream ended with, so that it cannot be taken for its end. */
  fail(status: Status): Promise<void>;
}

/**
 * Between the last line and the cut: clients drop what they have received and not yet handed on when they hear of a
 * reset, and Node's do so with all that came in one packet with it.
 */
const cutDelayMs = 50;

/** A window of 256 KiB instead of 4 MiB: many streams may be open, and messages that are alike follow each other soon. */
const fastBrotli = { params: { [zlib.BROTLI_PARAM_QUALITY]: 1, [zlib.BROTLI_PARAM_LGWIN]: 18 } };

export function createStreamAnswer(response: Response, options: StreamAnswerOptions): StreamAnswer {
  const { framing, heartbeatMs, lingerMs, signal } = options;
  let compressor: Gzip | BrotliCompress | undefined;
  let flushKind = 0;
  let heartbeat: NodeJS.Timeout | undefined;
  let isFirst = true;
  let isFull = false;
  let isClosed = false;
  /** Chunks that the connection has not taken yet. */
  let inFlight = 0;
  let onTaken = () => {};

  // Whatever breaks, "close" tells of it; unheard, an error would end the process.
  response.on("error", ignore);
  response.once("close", () => {
    isClosed = true;
    stop();
  });
  response.on("drain", () => {
    isFull = false;
    compressor?.resume();
  });
  return {
    begin(httpStatus, headers) {
      if (isOver()) {
        return;
      }
      const coding = framing.compresses ? options.coding : undefined;
      const head: OutgoingHttpHeaders = {
        "cache-control": "no-store",
        ...headers,
        // Asks nginx, and what else knows the header, not to hold messages back.
        "x-accel-buffering": "no",
      };
      if (framing.contentType !== undefined) {
        head["content-type"] = framing.contentType;
        addVary(response, head, "accept, accept-encoding");
      }
      if (coding !== undefined) {
        head["content-encoding"] = coding;
      }
      writeHead(response, httpStatus, head);
      if (options.headOnly) {
        (response as ServerResponse).end();
        return;
      }
      if (coding !== undefined) {
        compressor = openCompressor(coding);
      }
      if (framing.open === "") {
        (response as ServerResponse).flushHeaders();
      } else {
        writeText(framing.open);
      }
      if (framing.heartbeat !== "") {
        heartbeat = setTimeout(beat, heartbeatMs);
      }
    },

    async send(message) {
      heartbeat?.refresh();
      const framed = framing.frame(message, isFirst);
      isFirst = false;
      if (framed.length > 0) {
        await put(framed);
      }
    },

    end() {
      if (!isOver()) {
        if (framing.close !== "") {
          writeText(framing.close);
        }
        (compressor ?? (response as ServerResponse)).end();
      }
      stop();
    },

    async fail(status) {
      clearTimeout(heartbeat);
      if (!isOver()) {
        const failure = framing.failure(JSON.stringify(status));
        if (failure !== "") {
          // The call is over, so this does not wait for room: it is the last, and short.
          writeText(failure);
        }
        if (!framing.isCut) {
          (response as ServerResponse).end();
        }
        await taken();
      }
      if (framing.isCut && !isOver()) {
        await sleep(cutDelayMs);
      }
      if (framing.isCut || inFlight > 0) {
        cut(response);
      }
      stop();
    },
  };

  function openCompressor(coding: Coding): Gzip | BrotliCompress {
    // A message is worth sending at once, so speed counts for more than size.
    const opened = coding === "br" ? createBrotliCompress(fastBrotli) : createGzip({ level: 1 });
    flushKind = coding === "br" ? zlib.BROTLI_OPERATION_FLUSH : zlib.Z_SYNC_FLUSH;
    opened.on("error", () => response.destroy());
    opened.on("data", (chunk: Buffer) => {
      write(chunk);
      if (isFull) {
        opened.pause();
      }
    });
    opened.once("end", () => (response as ServerResponse).end());
    return opened;
  }

  async function put(chunk: string | Uint8Array): Promise<void> {
    if (isOver()) {
      return;
    }
    const opened = compressor;
    if (opened === undefined) {
      write(chunk);
      if (isFull) {
        await until(
          (done) => response.once("drain", done),
          (done) => response.off("drain", done),
        );
      }
    } else {
      opened.write(chunk);
      // Called when the connection has room for what comes out: the compressor stops while nobody takes it.
      await until((done) => opened.flush(flushKind, done));
    }
  }

  /** Writes what is short and waits for nothing. */
  function writeText(text: string): void {
    compressor === undefined ? write(text) : compressor.write(text);
  }

  function write(chunk: string | Uint8Array): void {
    if (isOver()) {
      return;
    }
    inFlight++;
    const hasRoom = (response as ServerResponse).write(chunk, () => {
      inFlight--;
      onTaken();
    });
    isFull = !hasRoom;
  }

  /** Waits for something, or for the end of the call. */
  function until(on: (done: () => void) => void, off?: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        off?.(done);
        response.off("close", done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      if (signal.aborted || isOver()) {
        resolve();
        return;
      }
      signal.addEventListener("abort", done);
      response.once("close", done);
      on(done);
    });
  }

  /** Waits until the connection has taken everything, though not for ever: a client may have stopped to read. */
  function taken(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, lingerMs);
      response.once("close", done);
      onTaken = () => {
        if (inFlight === 0 && (compressor === undefined || compressor.readableLength === 0)) {
          done();
        }
      };
      if (compressor === undefined) {
        onTaken();
      } else {
        compressor.flush(flushKind, () => onTaken());
      }
      function done(): void {
        onTaken = () => {};
        clearTimeout(timer);
        response.off("close", done);
        resolve();
      }
    });
  }

  function beat(): void {
    // To a client that does not read, more would only be more to keep.
    if (!isFull) {
      writeText(framing.heartbeat);
    }
    heartbeat?.refresh();
  }

  function isOver(): boolean {
    return isClosed || response.writableEnded;
  }

  function stop(): void {
    clearTimeout(heartbeat);
    heartbeat = undefined;
    if (isClosed) {
      compressor?.destroy();
    }
  }
}

/**
 * Ends an answer so that it is not complete: without the last chunk of HTTP/1.1, by RST_STREAM of HTTP/2. Else a download
 * that broke off would look like a short one to every client that does not look at its last line.
 */
export function cut(response: Response): void {
  if ("stream" in response) {
    (response as Http2ServerResponse).stream?.close(http2.NGHTTP2_INTERNAL_ERROR);
  } else {
    response.destroy();
  }
}

function ignore(): void {}
