/** Between Connect's `Headers`/`ConnectError` and grpc-js's `Metadata`/status. */

import { Code, ConnectError } from "@connectrpc/connect";
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { Metadata, type StatusObject } from "@grpc/grpc-js";

const statusDetails = "grpc-status-details-bin";

/** Names that belong to HTTP/2, gRPC or the socket: handing on a caller's headers must not hand on these. */
const reserved = new Set([
  "accept-encoding",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "date",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "user-agent",
  "grpc-accept-encoding",
  "grpc-encoding",
  "grpc-message",
  "grpc-status",
  statusDetails,
  "grpc-timeout",
]);

/** Metadata that writes binary values without padding, as gRPC asks of senders; grpc-js pads. */
class UnpaddedMetadata extends Metadata {
  override clone(): Metadata {
    const clone = new UnpaddedMetadata(this.getOptions());
    clone.merge(this);
    return clone;
  }

  override toHttp2Headers() {
    const headers = super.toHttp2Headers();
    for (const key in headers) {
      const value = headers[key];
      if (key.endsWith("-bin") && value !== undefined) {
        headers[key] = Array.isArray(value) ? value.map(unpad) : unpad(String(value));
      }
    }
    return headers;
  }
}

/** Adds the application's headers to `into`. Values of `-bin` headers are base64 in `Headers` and bytes in `Metadata`. */
export function toMetadata(headers: Headers, into: Metadata = new UnpaddedMetadata()): Metadata {
  headers.forEach((value, key) => {
    if (reserved.has(key)) {
      return;
    }
    try {
      if (key.endsWith("-bin")) {
        for (const part of value.split(",")) {
          into.add(key, Buffer.from(part.trim(), "base64"));
        }
      } else {
        into.add(key, value);
      }
    } catch (cause) {
      // gRPC carries printable ASCII only; the value may be personal data, so the message has just the name.
      throw new ConnectError(
        `header "${key}" has illegal characters`,
        Code.Internal,
        undefined,
        undefined,
        cause,
      );
    }
  });
  return into;
}

/** Adds all metadata to `into`. */
export function toHeaders(metadata: Metadata, into: Headers = new Headers()): Headers {
  const entries = metadata.toJSON();
  for (const key in entries) {
    for (const value of entries[key]!) {
      into.append(key, typeof value === "string" ? value : base64(value));
    }
  }
  return into;
}

/** The error of a call that ended with `status`; its metadata is the union of the response's headers and trailers. */
export function errorFromStatus(status: StatusObject, header: Metadata | undefined): ConnectError {
  const metadata = new Headers();
  if (header !== undefined) {
    toHeaders(header, metadata);
  }
  const [details] = status.metadata.get(statusDetails);
  if (details !== undefined) {
    status.metadata.remove(statusDetails);
  }
  toHeaders(status.metadata, metadata);
  const error = (details !== undefined && detailedError(details)) || plainError(status);
  metadata.forEach((value, key) => {
    error.metadata.append(key, value);
  });
  // Marks it as another service's: when a handler lets it through, details travel on but metadata does not.
  error.isWireError = true;
  return error;
}

/** What goes on the wire for an error: the status, and its metadata added to the trailers. */
export function statusFromError(error: ConnectError, trailer: Headers | undefined): StatusObject {
  const metadata = new UnpaddedMetadata();
  if (trailer !== undefined) {
    toMetadata(trailer, metadata);
  }
  if (!error.isWireError) {
    toMetadata(error.metadata, metadata);
  }
  if (error.details.length > 0) {
    // google.rpc.Status is private to connect; this is its public way to encode one.
    const bytes = setTrailerStatus(new Headers(), error).get(statusDetails);
    if (bytes !== null) {
      metadata.set(statusDetails, Buffer.from(bytes, "base64"));
    }
  }
  // A lone surrogate would throw a URIError inside grpc-js, where nobody catches it.
  return { code: error.code as number, details: error.rawMessage.toWellFormed(), metadata };
}

function detailedError(details: string | Buffer): ConnectError | undefined {
  const value = typeof details === "string" ? details : base64(details);
  try {
    const error = findTrailerError(new Headers({ [statusDetails]: value }));
    return error && error.code in Code
      ? new ConnectError(error.rawMessage, error.code, undefined, error.details as never)
      : undefined;
  } catch {
    // Details that do not parse must not hide the status itself.
    return undefined;
  }
}

function plainError(status: StatusObject): ConnectError {
  if ((status.code as number) in Code) {
    return new ConnectError(status.details, status.code as number as Code);
  }
  if (status.code === undefined) {
    // What grpc-js says about a response that it cannot decompress.
    return new ConnectError("protocol error: cannot decompress the response", Code.Internal);
  }
  return new ConnectError(`invalid grpc-status: ${status.code}`, Code.Unknown);
}

/** As `encodeBinaryHeader` writes it. */
function base64(bytes: Buffer): string {
  return unpad(bytes.toString("base64"));
}

function unpad(base64: string): string {
  return base64.endsWith("=") ? base64.replace(/=+$/, "") : base64;
}
