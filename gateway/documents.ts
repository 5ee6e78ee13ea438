// Serves what does not change while the gateway runs, to anyone: contracts, their description, and the developer portal.
import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { Code } from "@connectrpc/connect";
import { answerCodings, type Coding, chooseCoding } from "./transcoder/accept.ts";
import { compressedBytesMin, encodeBody, isCompressible } from "./transcoder/content-coding.ts";
import { matchesTag } from "./transcoder/etag.ts";
import { addVary, Refusal, type Request, type Response, writeStatus } from "./transcoder/status.ts";

/** One thing at one path. */
export interface Document {
  /** Such as `/openapi.json`. */
  readonly path: string;
  readonly contentType: string;
  /** Asked once, when somebody first wants it: most are never asked for. */
  readonly make: () => string | Uint8Array;
  /** How long it may be kept. Default: five minutes, by everyone. */
  readonly cacheControl?: string;
  /** Further headers of the answer, such as a Content-Security-Policy. Default: none. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Documents {
  /** Answers a request for one of the documents; returns false, and leaves the request alone, for any other path. */
  handle(request: Request, response: Response): boolean;
}

/** For what has its version in its path. */
export const keptForGood = "public, max-age=31536000, immutable";

/**
 * Offers documents by GET and HEAD, compressed for those who take that, with an ETag of their content, so that who has one
 * is told 304. Throws for two documents at one path.
 */
export function createDocuments(documents: readonly Document[]): Documents {
  const served = new Map<string, Served>();
  for (const document of documents) {
    if (served.has(document.path)) {
      throw new Error(`two documents are at ${document.path}`);
    }
    served.set(document.path, { document, compressed: new Map() });
  }

  return {
    handle(request, response) {
      const found = served.get((request.url ?? "").split("?", 1)[0]!);
      if (found === undefined) {
        return false;
      }
      request.resume();
      if (request.method === "GET" || request.method === "HEAD") {
        answer(found, request, response as ServerResponse).catch((error: unknown) => {
          const { status, httpStatus, headers } = error instanceof Refusal ? error : broken;
          writeStatus(response, status, httpStatus, headers);
        });
      } else if (request.method === "OPTIONS") {
        (response as ServerResponse).writeHead(204, { allow }).end();
      } else {
        const status = { code: Code.Unimplemented, message: `this path allows ${allow}`, details: [] };
        writeStatus(response, status, 405, { allow });
      }
      return true;
    },
  };
}

const allow = "GET, HEAD, OPTIONS";

/** A file that was there when the gateway was installed, and is not any more. */
const broken = new Refusal(500, Code.Internal, "internal error");

interface Served {
  readonly document: Document;
  content?: { readonly bytes: Uint8Array; readonly tag: string };
  /** Promises, so that many who come at once wait for the same work. */
  readonly compressed: Map<Coding, Promise<Uint8Array>>;
}

async function answer(served: Served, request: Request, response: ServerResponse): Promise<void> {
  const { document } = served;
  served.content ??= contentOf(document);
  const { bytes, tag } = served.content;
  const isWorthIt = bytes.length >= compressedBytesMin && isCompressible(document.contentType);
  const coding = isWorthIt
    ? chooseCoding(request.headers["accept-encoding"], answerCodings).coding
    : undefined;
  // Bytes of another coding are another representation (RFC 9110, 8.8.3.3).
  const etag = coding === undefined ? `"${tag}"` : `"${tag}-${coding}"`;
  const head: Record<string, string | number> = {
    ...document.headers,
    etag,
    "cache-control": document.cacheControl ?? "public, max-age=300",
    "x-content-type-options": "nosniff",
  };
  if (isWorthIt) {
    addVary(response, head, "accept-encoding");
  }
  const known = request.headers["if-none-match"];
  if (known !== undefined && matchesTag(known, etag)) {
    response.writeHead(304, head).end();
    return;
  }
  const body = coding === undefined ? bytes : await compress(served, bytes, coding);
  if (coding !== undefined) {
    head["content-encoding"] = coding;
  }
  response.writeHead(200, { ...head, "content-type": document.contentType, "content-length": body.length });
  response.end(request.method === "HEAD" ? undefined : body);
}

function contentOf({ make }: Document): { bytes: Uint8Array; tag: string } {
  const made = make();
  const bytes = typeof made === "string" ? Buffer.from(made) : made;
  return { bytes, tag: contentTag(bytes) };
}

/** Short, and another one for other content. */
export function contentTag(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("base64url").slice(0, 22);
}

function compress({ compressed }: Served, bytes: Uint8Array, coding: Coding): Promise<Uint8Array> {
  let work = compressed.get(coding);
  if (work === undefined) {
    work = encodeBody(bytes, coding);
    compressed.set(coding, work);
  }
  return work;
}
