// Content codings (RFC 9110, 8.4) of request bodies and of whole answers: by zlib's threads, not on the event loop.
import type { Readable, Transform } from "node:stream";
import { promisify } from "node:util";
import {
  brotliCompress,
  brotliDecompress,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  gunzip,
  gzip,
  inflate,
  inflateRaw,
  constants as zlib,
} from "node:zlib";
import { Code } from "@connectrpc/connect";
import type { Coding } from "./accept.ts";
import { CallerGone } from "./body.ts";
import { tooLarge } from "./carry.ts";
import { badRequest, Refusal, type Request } from "./status.ts";

/** A smaller answer is not worth the time: its head and the packet that carries it are as large. */
export const compressedBytesMin = 1024;

/**
 * Undoes the coding of a request body. Throws 415 for a coding that is not known (or several), 413 when what comes out is
 * larger than `maxBytes`, of which no more is ever held, and 400 when it is broken or cut off.
 */
export async function decodeBody(body: Buffer, contentEncoding: string, maxBytes: number): Promise<Buffer> {
  const coding = contentEncoding.trim().toLowerCase();
  if (coding === "" || coding === "identity") {
    return body;
  }
  const decode = decoderOf(coding, body);
  if (decode === undefined) {
    throw unknownCoding();
  }
  try {
    return await decode(body, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
      throw tooLarge(maxBytes);
    }
    throw brokenCoding(coding);
  }
}

/** A request body that is read while it comes. */
export interface BodyStream {
  readonly body: Readable;
  /** What an error of `body` means. */
  explain(error: unknown): Error;
}

/**
 * Undoes the coding of a request body while it is read; how large it gets is for its reader to bound. Throws 415 for a coding
 * that is not known.
 */
export function decodeStream(request: Request): BodyStream {
  const coding = request.headers["content-encoding"]?.trim().toLowerCase() ?? "";
  if (coding === "" || coding === "identity") {
    return { body: request, explain: () => new CallerGone() };
  }
  const body = streamDecoderOf(coding);
  if (body === undefined) {
    throw unknownCoding();
  }
  // Not by pipeline(): that would destroy the request, and with it the connection that the refusal goes out on.
  request.pipe(body);
  request.once("close", () => request.readableEnded || body.destroy());
  return { body, explain: () => brokenCoding(coding) };
}

/** Compresses a whole answer. */
export function encodeBody(body: string | Uint8Array, coding: Coding): Promise<Buffer> {
  return coding === "br" ? brotliAsync(body, brotliOptions) : gzipAsync(body);
}

/** Whether data of this type gets smaller: pictures, archives and PDF are compressed as they are. */
export function isCompressible(contentType: string): boolean {
  return /^(?:text\/|application\/(?:[a-z0-9.-]+\+)?(?:json|xml|x-ndjson|javascript|wasm)\b|image\/(?:svg|bmp))/i.test(
    contentType,
  );
}

const gunzipAsync = promisify(gunzip);
const inflateAsync = promisify(inflate);
const inflateRawAsync = promisify(inflateRaw);
const brotliDecompressAsync = promisify(brotliDecompress);
const gzipAsync = promisify(gzip);
const brotliAsync = promisify(brotliCompress);

/** The default, 11, is for what is compressed once and served for ever. */
const brotliOptions = { params: { [zlib.BROTLI_PARAM_QUALITY]: 4 } };

function decoderOf(coding: string, body: Buffer) {
  switch (coding) {
    case "gzip":
    case "x-gzip":
      return gunzipAsync;
    case "deflate":
      // "deflate" is the zlib format (RFC 9110, 8.4.1.2), and bare deflate data what some clients send for it.
      return hasZlibHeader(body) ? inflateAsync : inflateRawAsync;
    case "br":
      return brotliDecompressAsync;
    default:
      return undefined;
  }
}

/** Of a body whose first bytes have not come yet "deflate" is what the RFC says it is. */
function streamDecoderOf(coding: string): Transform | undefined {
  switch (coding) {
    case "gzip":
    case "x-gzip":
      return createGunzip();
    case "deflate":
      return createInflate();
    case "br":
      return createBrotliDecompress();
    default:
      return undefined;
  }
}

function unknownCoding(): Refusal {
  return new Refusal(
    415,
    Code.InvalidArgument,
    "Content-Encoding must be one of gzip, deflate, br, identity",
    [],
    { "accept-encoding": "gzip, deflate, br" },
  );
}

function brokenCoding(coding: string): Refusal {
  return badRequest(`the request body is not valid ${coding}`, [
    { field: "body", description: `must be whole and valid ${coding}`, reason: "INVALID_ENCODING" },
  ]);
}

/** RFC 1950, 2.2: method 8 in the low bits, and a multiple of 31. */
function hasZlibHeader(body: Buffer): boolean {
  return body.length >= 2 && (body[0]! & 0x0f) === 8 && body.readUInt16BE(0) % 31 === 0;
}
