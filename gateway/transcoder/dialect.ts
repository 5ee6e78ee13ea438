// What a dialect of HTTP and JSON does in its own way; all else is the same for all of them.
import type { OutgoingHttpHeaders } from "node:http";
import type { Code, ConnectError } from "@connectrpc/connect";
import type { Binding, BindingOptions } from "./binding.ts";
import type { Framing } from "./framing.ts";
import type { Match, Router } from "./router.ts";
import type { Request, Response, Status } from "./status.ts";

/** A dialect. The one that the README describes is to have none. */
export interface Dialect {
  /** How rules bind. */
  readonly binding: BindingOptions;
  /** Finds the route of a request. */
  find<T extends { readonly binding: Binding }>(router: Router<T>, request: Request, path: string): Match<T>;
  /** The answer to a method that a known path does not have. */
  readonly wrongMethod: { readonly httpStatus: number; readonly status: Status };
  /** How streams are written, whatever the caller accepts. */
  readonly framing: Framing;
  readonly rawFraming: Framing;
  /** The metadata of a call. Throws a Refusal. */
  metadataOf(request: Request): Record<string, string>;
  /** Puts the metadata of an answer into its head. */
  putHeaders(head: OutgoingHttpHeaders, header: Headers): void;
  /** Sends trailing metadata after the body, if the caller takes it; called before the head goes out. */
  putTrailers(request: Request, response: Response, head: OutgoingHttpHeaders, trailer: Headers): void;
  /** What a caller may see of a failure. */
  present(error: unknown, traceId: string | undefined): ConnectError;
  /** The headers that an error has besides its metadata. */
  headersOf(code: Code, message: string): Readonly<Record<string, string>>;
}
