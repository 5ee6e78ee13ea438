// The head of an answer: what its writer says, and what is said in every answer to a request, whoever writes it.
import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Response } from "./status.ts";

const common = Symbol("headers of every answer to this request");

type WithCommon = Response & { [common]?: Readonly<Record<string, string>> };

/**
 * Headers for the answer to a request, whoever will write it by {@link writeHead}. Node's setHeader does the same for more: where it has
 * been called, Node checks and copies each header of the head, too (2.4 us of some 80 a request).
 */
export function setCommonHeaders(response: Response, headers: Readonly<Record<string, string>>): void {
  (response as WithCommon)[common] = headers;
}

/** Writes the head; what it says itself holds over what is common. */
export function writeHead(response: Response, httpStatus: number, head: OutgoingHttpHeaders): ServerResponse {
  const also = (response as WithCommon)[common];
  const whole = also === undefined ? head : { ...also, ...head };
  return (response as ServerResponse).writeHead(httpStatus, whole);
}
