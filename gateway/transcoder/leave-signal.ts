// Tells when a client has left before its answer was complete.
import type { Socket } from "node:net";
import type { Request, Response } from "./status.ts";

/**
 * A signal that is aborted when the client of a request has gone. Over HTTP/1.1 a client leaves by closing its connection, so that
 * all requests of one share a signal, which is made once. It may be aborted
 * after the answer, too, when nobody listens any more.
 */
export function leaveSignal(request: Request, response: Response): AbortSignal {
  if (request.httpVersionMajor >= 2) {
    const abort = new AbortController();
    response.once("close", () => abort.abort());
    return abort.signal;
  }
  const socket = request.socket as Socket;
  let signal = signals.get(socket);
  if (signal === undefined) {
    const abort = new AbortController();
    signal = abort.signal;
    signals.set(socket, signal);
    if (socket.destroyed) {
      abort.abort();
    } else {
      socket.once("close", () => abort.abort());
    }
  }
  return signal;
}

const signals = new WeakMap<Socket, AbortSignal>();
