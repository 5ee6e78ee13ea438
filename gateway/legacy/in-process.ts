// Calls an HTTP handler of this process without a socket: how a request of a legacy caller reaches the new system, too.
import { type IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { type CapturedAnswer, captureAnswer } from "./capture.ts";

export interface InProcessRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer | undefined;
}

/** Undefined when the handler does not know the request. */
export function callInProcess(
  handle: (request: IncomingMessage, response: ServerResponse) => boolean,
  { method, url, headers, body }: InProcessRequest,
  maxBytes: number,
): Promise<CapturedAnswer | undefined> {
  // What is written goes nowhere; the copy is taken before it is put into HTTP.
  const nowhere = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() }) as Socket;
  const request = Object.assign(new IncomingMessage(nowhere), {
    method,
    url,
    headers,
    httpVersion: "1.1",
    httpVersionMajor: 1,
    httpVersionMinor: 1,
  });
  const response = new ServerResponse(request);
  response.assignSocket(nowhere);
  if (body !== undefined && body.length > 0) request.push(body);
  request.push(null);
  return new Promise((resolve) => {
    captureAnswer(response, maxBytes, resolve);
    if (!handle(request, response)) resolve(undefined);
  });
}
