// Headers of a request as metadata of a call, and metadata of an answer as headers: by allow-lists.
import type { OutgoingHttpHeaders } from "node:http";
import { badRequest, type Request } from "./status.ts";

/** Reads the metadata of a call; throws a 400 for a `-bin` header that is not base64. */
export function createMetadataReader(
  names: readonly string[],
  forwarded: boolean,
): (request: Request) => Record<string, string> {
  const binary = names.filter((name) => name.endsWith("-bin"));
  const texts = names.filter((name) => !name.endsWith("-bin"));
  return (request) => {
    const metadata: Record<string, string> = {};
    for (const name of texts) {
      const value = request.headers[name];
      if (typeof value === "string" && printable.test(value)) {
        metadata[name] = value;
      }
    }
    for (const name of binary) {
      const value = request.headers[name];
      if (typeof value === "string") {
        metadata[name] = base64Of(name, value);
      }
    }
    return forwarded ? Object.assign(metadata, forwardedOf(request)) : metadata;
  };
}

/** Puts the named metadata into a head. Bytes (`-bin`) are base64 on either side. */
export function putMetadata(head: OutgoingHttpHeaders, names: readonly string[], metadata: Headers): void {
  for (const name of names) {
    const value = metadata.get(name);
    if (value !== null) {
      head[name] = value;
    }
  }
}

/** An answer that tells one header without making Headers of all: few of them are ever wanted (grpc-transport.ts). */
export interface QuickAnswer {
  headerValue(name: string): string | null;
}

/** The same of an answer's headers. */
export function putAnswerHeaders(
  head: OutgoingHttpHeaders,
  names: readonly string[],
  answer: { readonly header: Headers } | (QuickAnswer & { readonly header: Headers }),
): void {
  if (!("headerValue" in answer)) {
    putMetadata(head, names, answer.header);
    return;
  }
  for (const name of names) {
    const value = answer.headerValue(name);
    if (value !== null) {
      head[name] = value;
    }
  }
}

/**
 * Where a request came from, and what it asked for: what proxies before said, and the address of the last of them. Whoever
 * believes the list must know how many proxies are in front: the rest of it is the caller's word.
 */
export function forwardedOf(request: Request): Record<string, string> {
  const { headers, socket } = request;
  const said = headers["x-forwarded-for"];
  const before = typeof said === "string" && printable.test(said) ? [said] : [];
  const address = socket?.remoteAddress?.replace(/^::ffff:/, "");
  const hops = address === undefined ? before : [...before, address];
  const host = headers["x-forwarded-host"] ?? headers[":authority"] ?? headers.host;
  const proto = headers["x-forwarded-proto"] ?? (socket && "encrypted" in socket ? "https" : "http");
  return {
    ...(hops.length > 0 && { "x-forwarded-for": hops.join(", ") }),
    ...(typeof host === "string" && host !== "" && printable.test(host) && { "x-forwarded-host": host }),
    ...(typeof proto === "string" && printable.test(proto) && { "x-forwarded-proto": proto }),
  };
}

/** The value of a `-bin` header, which may be several joined by commas; throws a 400 for one that is not base64. */
export function base64Of(name: string, value: string): string {
  if (!/^[A-Za-z0-9+/]*={0,2}(?:\s*,\s*[A-Za-z0-9+/]*={0,2})*$/.test(value)) {
    throw badRequest(`the header ${name} is not valid`, [
      { field: name, description: "must be base64", reason: "INVALID_VALUE" },
    ]);
  }
  return value;
}

/** Printable ASCII: gRPC metadata allows no more, and a header that breaks the rule must not break the call. */
export const printable = /^[\x20-\x7e]*$/;
