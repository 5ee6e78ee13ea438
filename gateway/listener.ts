// Listens on one cleartext port for HTTP/1.1 and HTTP/2, with a bound on every wait and every size.
import http from "node:http";
import http2 from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { Code } from "@connectrpc/connect";
import { type Request, type Response, type Status, writeStatus } from "./transcoder/status.ts";

/** Bounds of a listener; every one has a default. */
export interface ListenerLimits {
  /** Open connections. Default: 10,000; more are closed at once. */
  readonly connectionsMax: number;
  /** Time to tell HTTP/1.1 from HTTP/2, that is to send the first bytes. Default: 10 s. */
  readonly prefaceTimeoutMs: number;
  /** Time to send the head of an HTTP/1.1 request. Default: 10 s. */
  readonly headTimeoutMs: number;
  /** Time to send a whole HTTP/1.1 request. Default: 60 s; handlers may be stricter. */
  readonly requestTimeoutMs: number;
  /** How long an idle HTTP/1.1 connection is kept. Default: 65 s, above the 60 s of usual load balancers. */
  readonly keepAliveMs: number;
  /** Size of a head. Default: 16 KiB; more is 431, or a reset of the stream over HTTP/2. */
  readonly headBytesMax: number;
  /** Concurrent streams of one HTTP/2 connection. Default: 250. */
  readonly streamsMax: number;
  /** An HTTP/2 connection idle this long is closed, or pinged while streams are open. Default: 2 min. */
  readonly sessionIdleMs: number;
  /** A body announced to be larger gets no "100 Continue". Default: 1 MiB. */
  readonly bodyBytesMax: number;
}

export const defaultListenerLimits: ListenerLimits = {
  connectionsMax: 10_000,
  prefaceTimeoutMs: 10_000,
  headTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  keepAliveMs: 65_000,
  headBytesMax: 16 * 1024,
  streamsMax: 250,
  sessionIdleMs: 120_000,
  bodyBytesMax: 1024 * 1024,
};

export interface ListenerDeps {
  /** Answers every request of both protocols. */
  readonly handler: (request: Request, response: Response) => void;
  readonly limits?: Partial<ListenerLimits>;
  /** Told when the handler throws. The caller has got a 500. */
  readonly onError?: (error: unknown) => void;
}

export interface Listener {
  /** Starts to listen; port 0 takes a free one. Rejects when the port is taken. */
  listen(port: number, host?: string): Promise<AddressInfo>;
  /**
   * Stops to accept, lets what runs finish for up to `graceMs` (HTTP/2 clients get GOAWAY), then destroys what is left.
   */
  close(graceMs: number): Promise<void>;
}

/**
 * Creates a listener.
 *
 * Neither `http2.createServer` (HTTP/2 only, in cleartext) nor a `net.Server` in front of an http.Server (the latter's
 * timeouts are then silently off) will do. So the http.Server listens, and a sniffer takes the place of its connection
 * listener: it reads up to the 24 bytes of the HTTP/2 preface, puts them back, and hands the socket on.
 */
export function createListener(deps: ListenerDeps): Listener {
  const limits = { ...defaultListenerLimits, ...deps.limits };
  const sockets = new Set<Socket>();
  const sessions = new Set<http2.ServerHttp2Session>();
  const responses = new WeakMap<Socket, http.ServerResponse>();
  let draining = false;

  const h1 = http.createServer({
    headersTimeout: limits.headTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveMs,
    maxHeaderSize: limits.headBytesMax,
    // How often the timeouts above are looked at; the default of 30 s would make all of them 30 s.
    connectionsCheckingInterval: Math.min(1_000, Math.max(50, limits.headTimeoutMs / 4)),
    noDelay: true,
  });
  h1.maxConnections = limits.connectionsMax;
  h1.on("request", onH1Request);
  h1.on("checkContinue", onCheckContinue);
  h1.on("clientError", onClientError);

  const h2 = http2.createServer({
    settings: {
      enablePush: false,
      maxConcurrentStreams: limits.streamsMax,
      maxHeaderListSize: limits.headBytesMax,
    },
    // Rapid reset (CVE-2023-44487): a client that resets more streams than this is cut off.
    streamResetBurst: 1_000,
    streamResetRate: 100,
    maxSessionInvalidFrames: 100,
  } as http2.ServerOptions);
  h2.on("session", onSession);
  h2.on("request", handle);
  // A broken connection is the peer's affair; without a listener it would end the process.
  h2.on("sessionError", () => {});

  const [onH1Connection] = h1.listeners("connection") as ((socket: Socket) => void)[];
  h1.removeAllListeners("connection");
  h1.on("connection", sniff);

  return { listen, close };

  function listen(port: number, host?: string): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      h1.once("error", reject);
      h1.listen(port, host, () => {
        h1.off("error", reject);
        h1.on("error", (error) => deps.onError?.(error));
        resolve(h1.address() as AddressInfo);
      });
    });
  }

  async function close(graceMs: number): Promise<void> {
    draining = true;
    const closed = new Promise<void>((resolve) => h1.close(() => resolve()));
    for (const session of sessions) {
      session.close();
    }
    // A keep-alive connection becomes idle when its answer is out, and nobody tells.
    const sweep = setInterval(() => h1.closeIdleConnections(), 20);
    const timer = setTimeout(() => {
      for (const session of sessions) {
        session.destroy();
      }
      for (const socket of sockets) {
        socket.destroy();
      }
    }, graceMs);
    await closed;
    clearInterval(sweep);
    clearTimeout(timer);
  }

  function sniff(socket: Socket): void {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    // Until a protocol has taken over, nobody else listens, and an unheard error ends the process.
    socket.on("error", ignore);
    let head: Buffer = Buffer.alloc(0);
    const timer = setTimeout(() => {
      stop();
      if (head.length > 0) {
        answerRaw(socket, 408, timeoutStatus);
      } else {
        socket.destroy();
      }
    }, limits.prefaceTimeoutMs);
    socket.on("data", onData);
    socket.once("close", stop);

    function onData(chunk: Buffer): void {
      head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
      const compared = Math.min(head.length, preface.length);
      const isPreface = preface.subarray(0, compared).equals(head.subarray(0, compared));
      if (isPreface && head.length < preface.length) {
        return;
      }
      stop();
      socket.pause();
      socket.unshift(head);
      socket.off("error", ignore);
      if (isPreface) {
        // http.Server keeps sockets half-open, which HTTP/2 does not expect: a client's FIN would leave them for ever.
        socket.allowHalfOpen = false;
        h2.emit("connection", socket);
      } else {
        onH1Connection!.call(h1, socket);
        socket.resume();
      }
    }
    function stop(): void {
      clearTimeout(timer);
      socket.off("data", onData);
      socket.off("close", stop);
    }
  }

  function onSession(session: http2.ServerHttp2Session): void {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    session.on("error", ignore);
    if (draining) {
      session.close();
    }
    let streams = 0;
    session.on("stream", (stream) => {
      streams++;
      stream.once("close", () => streams--);
    });
    session.setTimeout(limits.sessionIdleMs);
    // A callback given to setTimeout would be called once, and the connection could idle for ever after.
    session.on("timeout", () => {
      if (streams === 0) {
        session.close();
        return;
      }
      // A quiet stream is legitimate, a dead peer is not: a ping tells them apart.
      const timer = setTimeout(() => session.destroy(), 10_000);
      const sent = session.ping((error) => {
        clearTimeout(timer);
        if (error) {
          session.destroy();
        } else {
          session.setTimeout(limits.sessionIdleMs);
        }
      });
      if (!sent) {
        clearTimeout(timer);
        session.destroy();
      }
    });
  }

  function onH1Request(request: http.IncomingMessage, response: http.ServerResponse): void {
    responses.set(request.socket, response);
    if (draining) {
      response.shouldKeepAlive = false;
    }
    handle(request, response);
  }

  function onCheckContinue(request: http.IncomingMessage, response: http.ServerResponse): void {
    if (!(Number(request.headers["content-length"]) > limits.bodyBytesMax)) {
      response.writeContinue();
    }
    onH1Request(request, response);
  }

  function handle(request: Request, response: Response): void {
    try {
      deps.handler(request, response);
    } catch (error) {
      deps.onError?.(error);
      writeStatus(response, { code: Code.Internal, message: "internal error", details: [] }, 500);
    }
  }

  function onClientError(error: Error & { code?: string }, socket: Socket): void {
    const response = responses.get(socket);
    const answering = response?.headersSent === true && !response.writableFinished;
    if (!socket.writable || error.code === "ECONNRESET" || answering) {
      socket.destroy();
      return;
    }
    switch (error.code) {
      case "HPE_HEADER_OVERFLOW":
        answerRaw(socket, 431, {
          code: Code.ResourceExhausted,
          message: `the request head is larger than ${limits.headBytesMax} bytes`,
          details: [],
        });
        return;
      case "ERR_HTTP_REQUEST_TIMEOUT":
        answerRaw(socket, 408, timeoutStatus);
        return;
      default:
        answerRaw(socket, 400, {
          code: Code.InvalidArgument,
          message: "the request is not valid HTTP",
          details: [],
        });
    }
  }
}

/** The first bytes of every HTTP/2 connection (RFC 9113, 3.4). */
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** How long the rest of a refused request is read and discarded, so that the answer is not lost to a RST. */
const lingerMs = 1_000;

const timeoutStatus: Status = {
  code: Code.DeadlineExceeded,
  message: "the request was not complete in time",
  details: [],
};

const answered = new WeakSet<Socket>();

/** Answers on a socket whose request could not be parsed, and closes it. */
function answerRaw(socket: Socket, httpStatus: number, status: Status): void {
  // The parser reports each further chunk of a broken request as a new error.
  if (answered.has(socket)) {
    return;
  }
  answered.add(socket);
  const body = JSON.stringify(status);
  socket.on("error", ignore);
  socket.end(
    `HTTP/1.1 ${httpStatus} ${http.STATUS_CODES[httpStatus]}\r\n` +
      "Content-Type: application/json\r\n" +
      `Content-Length: ${Buffer.byteLength(body)}\r\n` +
      "Connection: close\r\n\r\n" +
      body,
  );
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once("close", () => clearTimeout(timer));
}

function ignore(): void {}
