// How the messages of a stream, its end and its failure are written, for each format that a stream can have.
import type { StreamFormat } from "./accept.ts";

/** The way of one format. Texts go through compression where it `compresses`. */
export interface Framing {
  /** Undefined where the first message says it, as google.api.HttpBody does. */
  readonly contentType: string | undefined;
  /** Before the first message, as soon as the head is out. */
  readonly open: string;
  /** A message; `isFirst` when nothing came before it. "" is not sent. */
  frame(message: string | Uint8Array, isFirst: boolean): string | Uint8Array;
  /** After the last message of a stream that succeeded. */
  readonly close: string;
  /** What a stream that failed ends with, from a google.rpc.Status as JSON; "" where there is no place for one. */
  failure(status: string): string;
  /**
   * Whether an answer that failed is broken off instead of ended: where its end looks like that of one that succeeded, a
   * download that broke off would be taken for a short one by every client that does not look at its last line.
   */
  readonly isCut: boolean;
  /** Only where it `isCut`: what fails is then sent without an end of the compressed data. */
  readonly compresses: boolean;
  /** What is said while there is nothing to say, so that proxies keep the connection; "" for nothing. */
  readonly heartbeat: string;
}

/** How long an EventSource waits before it connects again. */
const retryMs = 3_000;

const ndjson: Framing = {
  contentType: "application/x-ndjson",
  open: "",
  frame: (message) => `${message}\n`,
  close: "",
  failure: (status) => `{"error":${status}}\n`,
  isCut: true,
  compresses: true,
  heartbeat: "",
};

/** Never closed when it failed: half an array is no JSON, so nobody can take it for the whole. */
const array: Framing = {
  contentType: "application/json",
  open: "[",
  frame: (message, isFirst) => (isFirst ? `${message}` : `,\n${message}`),
  close: "]\n",
  failure: () => "",
  isCut: true,
  compresses: true,
  heartbeat: "",
};

const sse: Framing = {
  contentType: "text/event-stream",
  open: `retry: ${retryMs}\n\n`,
  frame: (message) => `data: ${message}\n\n`,
  // An EventSource takes every end for an accident and connects again; this tells its owner to close it.
  close: "event: end\ndata: {}\n\n",
  failure: (status) => `event: error\ndata: ${status}\n\n`,
  isCut: false,
  compresses: false,
  heartbeat: ": \n\n",
};

/** The bytes of google.api.HttpBody as they come. */
export const rawFraming: Framing = {
  contentType: undefined,
  open: "",
  frame: (message) => message,
  close: "",
  failure: () => "",
  isCut: true,
  compresses: false,
  heartbeat: "",
};

export const framings: Readonly<Record<StreamFormat, Framing>> = { ndjson, array, sse };
