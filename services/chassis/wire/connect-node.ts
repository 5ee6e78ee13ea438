/** The fallback wire: the same interfaces on Connect's own Node packages, slower but independent of grpc-js. */

import {
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import {
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type Interceptor,
  type ServiceImpl,
} from "@connectrpc/connect";
import {
  compressionGzip,
  connectNodeAdapter,
  createGrpcTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { observed } from "./observed.ts";
import { rawBytes, rawMessage } from "./raw.ts";
import {
  defaultCompressMinBytes,
  defaultMaxBytes,
  defaultMaxConcurrentCalls,
  defaultMaxConnections,
  type Keepalive,
  maxTimerMs,
  type WireServer,
  type WireServerOptions,
  type WireTransport,
  type WireTransportOptions,
} from "./types.ts";

/** Ignores `reconnect` (it connects at the next call) and `writeBufferBytes` (Node's streams hold 16 KiB). */
export function createConnectNodeTransport(options: WireTransportOptions): WireTransport {
  const { keepalive } = options;
  const sessionManager = new Http2SessionManager(
    options.baseUrl,
    keepalive && {
      pingIntervalMs: keepalive.timeMs,
      pingTimeoutMs: keepalive.timeoutMs,
      pingIdleConnection: keepalive.withoutCalls ?? false,
    },
  );
  const closed = new AbortController();
  const transport = createGrpcTransport({
    baseUrl: options.baseUrl,
    sessionManager,
    // Innermost, raw messages become ordinary ones: this wire has only its own codec.
    interceptors: [
      refuseWhen(closed.signal),
      unavailableWhenCut,
      ...(options.interceptors ?? []),
      convert(
        (message, method) => unwrap(method.input, message),
        (message, method) => (options.rawResponses?.(method) ? wrap(method.output, message) : message),
      ),
    ],
    readMaxBytes: options.readMaxBytes ?? defaultMaxBytes,
    writeMaxBytes: options.writeMaxBytes ?? defaultMaxBytes,
    acceptCompression: [compressionGzip],
    ...(options.sendCompression === "gzip" && { sendCompression: compressionGzip }),
    compressMinBytes: options.compressMinBytes ?? defaultCompressMinBytes,
    ...(options.defaultTimeoutMs !== undefined && { defaultTimeoutMs: options.defaultTimeoutMs }),
  });
  return {
    unary: transport.unary,
    stream: (...call) => observed(transport.stream(...call)),
    close() {
      closed.abort();
      sessionManager.abort();
    },
  };
}

/** Compresses a response whenever the client accepts gzip and `sendCompression` is set. */
export function createConnectNodeServer(options: WireServerOptions = {}): WireServer {
  const routes: ((router: ConnectRouter) => void)[] = [];
  const sessions = new Set<ServerHttp2Session>();
  const sockets = new Set<Socket>();
  const onInternalError = options.onInternalError ?? (() => {});
  let server: Http2Server | undefined;
  let closing: Promise<void> | undefined;

  const wireServer: WireServer = {
    service<Desc extends DescService>(desc: Desc, impl: Partial<ServiceImpl<Desc>>) {
      routes.push((router) => router.service(desc, impl));
      return wireServer;
    },
    listen({ host = "127.0.0.1", port }) {
      const handler = connectNodeAdapter({
        routes: (router) => {
          for (const route of routes) {
            route(router);
          }
        },
        connect: false,
        grpcWeb: false,
        interceptors: [
          hideInternalErrors(onInternalError),
          ...(options.interceptors ?? []),
          convert(
            (message, method) => (options.rawRequests?.(method) ? wrap(method.input, message) : message),
            (message, method) => unwrap(method.output, message),
          ),
        ],
        readMaxBytes: options.readMaxBytes ?? defaultMaxBytes,
        writeMaxBytes: options.writeMaxBytes ?? defaultMaxBytes,
        acceptCompression: [compressionGzip],
        // The only way to keep its responses uncompressed while it still reads gzip.
        compressMinBytes:
          options.sendCompression === "gzip"
            ? (options.compressMinBytes ?? defaultCompressMinBytes)
            : Number.MAX_SAFE_INTEGER,
        fallback: (req, res) => refuseUnknown(req as Http2ServerRequest, res as Http2ServerResponse),
      });
      const listening = createServer(
        { settings: { maxConcurrentStreams: options.maxConcurrentCalls ?? defaultMaxConcurrentCalls } },
        (req, res) => {
          // An answer may come before the request has ended. Nobody reads the rest then, and a client that waits for
          // flow control to send it, and the stream, would hang for ever.
          const { stream } = res;
          stream.once("finish", () => stream.removeAllListeners("data").resume());
          handler(req, res);
        },
      );
      server = listening;
      listening.maxConnections = options.maxConnections ?? defaultMaxConnections;
      listening.on("connection", (socket: Socket) => {
        sockets.add(socket);
        socket.once("close", () => sockets.delete(socket));
      });
      listening.on("session", (session) => {
        sessions.add(session);
        session.once("close", () => sessions.delete(session));
        if (options.keepalive) {
          keepAlive(session, options.keepalive);
        }
      });
      return new Promise((resolve, reject) => {
        listening.once("error", reject);
        listening.listen({ host, port }, () => {
          listening.off("error", reject);
          const address = listening.address() as AddressInfo;
          resolve({ host: address.address, port: address.port });
        });
      });
    },
    close(graceMs) {
      closing ??= drain(graceMs);
      return closing;
    },
  };
  return wireServer;

  function refuseUnknown(req: Http2ServerRequest, res: Http2ServerResponse): void {
    options.onUnknown?.(req.url);
    // The default answer is HTTP 404, which breaks clients that fall back from one gRPC service to another.
    res.writeHead(200, {
      "content-type": "application/grpc+proto",
      "grpc-status": String(Code.Unimplemented),
      "grpc-message": encodeURI(`${req.url} is not implemented`),
    });
    res.end();
  }

  async function drain(graceMs: number): Promise<void> {
    const listening = server;
    if (listening === undefined) {
      return;
    }
    const closed = new Promise<void>((resolve) => {
      listening.close(() => resolve());
    });
    for (const session of sessions) {
      session.close();
    }
    const force = setTimeout(
      () => {
        // A session that is closing would still wait for its peer to hang up.
        for (const socket of sockets) {
          socket.destroy();
        }
      },
      Math.min(graceMs, maxTimerMs),
    );
    await closed;
    clearTimeout(force);
  }
}

function refuseWhen(closed: AbortSignal): Interceptor {
  return (next) => (req) => {
    if (closed.aborted) {
      // Its session manager would open a new connection.
      return Promise.reject(new ConnectError("the transport is closed", Code.Unavailable));
    }
    return next(req);
  };
}

/** How Node says that a connection is lost; Connect makes INTERNAL, ABORTED or CANCELED of these. */
const lostConnection = new Set([
  "ECANCELED",
  "ECONNRESET",
  "EPIPE",
  "ERR_HTTP2_GOAWAY_SESSION",
  "ERR_HTTP2_INVALID_SESSION",
  "ERR_HTTP2_INVALID_STREAM",
  "ERR_HTTP2_SESSION_ERROR",
  "ERR_HTTP2_STREAM_CANCEL",
  "ERR_STREAM_PREMATURE_CLOSE",
]);

function isLostConnection(error: ConnectError): boolean {
  if (error.code === Code.Canceled) {
    return error.rawMessage.startsWith("http/2 stream closed");
  }
  if (error.rawMessage.endsWith("NGHTTP2_REFUSED_STREAM")) {
    return true;
  }
  for (let { cause } = error; cause instanceof Error; cause = cause.cause) {
    if ("code" in cause && lostConnection.has(String(cause.code))) {
      return true;
    }
  }
  return false;
}

const unavailableWhenCut: Interceptor = (next) => async (req) => {
  const translate = (error: unknown) =>
    error instanceof ConnectError && !error.isWireError && !req.signal.aborted && isLostConnection(error)
      ? new ConnectError("the connection was lost", Code.Unavailable, undefined, undefined, error)
      : error;
  try {
    const res = await next(req);
    return res.stream ? { ...res, message: mapped(res.message, (message) => message, translate) } : res;
  } catch (error) {
    throw translate(error);
  }
};

function hideInternalErrors(onInternalError: NonNullable<WireServerOptions["onInternalError"]>): Interceptor {
  return (next) => async (req) => {
    const hide = (error: unknown) => {
      if (error instanceof ConnectError) {
        // A lone surrogate makes encodeURIComponent throw where nobody answers the caller any more.
        return error.rawMessage.isWellFormed()
          ? error
          : new ConnectError(error.rawMessage.toWellFormed(), error.code, error.metadata, undefined, error);
      }
      onInternalError(error, `/${req.service.typeName}/${req.method.name}`);
      return new ConnectError("internal error", Code.Internal, undefined, undefined, error);
    };
    try {
      const res = await next(req);
      return res.stream ? { ...res, message: mapped(res.message, (message) => message, hide) } : res;
    } catch (error) {
      throw hide(error);
    }
  };
}

/**
 * Maps messages and errors. No generator: its `return` and `throw` wait for a `next` that waits for the peer, and
 * Connect ends a call through them.
 */
function mapped<T>(
  messages: AsyncIterable<T>,
  map: (message: T) => T,
  mapError: (error: unknown) => unknown = (error) => error,
): AsyncIterable<T> {
  const settle = (result: Promise<IteratorResult<T>>): Promise<IteratorResult<T>> =>
    result.then(
      (one) => (one.done === true ? one : { done: false, value: map(one.value) }),
      (error: unknown) => {
        throw mapError(error);
      },
    );
  return {
    [Symbol.asyncIterator]() {
      const iterator = messages[Symbol.asyncIterator]();
      return {
        next: () => settle(iterator.next()),
        ...(iterator.throw && { throw: (error: unknown) => settle(iterator.throw!(error)) }),
        ...(iterator.return && { return: (value: unknown) => settle(iterator.return!(value)) }),
      };
    },
  };
}

type AnyMessage = MessageShape<DescMessage>;
type Convert = (message: AnyMessage, method: DescMethod) => AnyMessage;

function convert(request: Convert, response: Convert): Interceptor {
  return (next) => async (req) => {
    const { method } = req;
    const res = await (req.stream
      ? next({ ...req, message: mapped(req.message, (message) => request(message, method)) })
      : next({ ...req, message: request(req.message, method) }));
    return res.stream
      ? { ...res, message: mapped(res.message, (message) => response(message, method)) }
      : { ...res, message: response(res.message, method) };
  };
}

function unwrap(desc: DescMessage, message: AnyMessage): AnyMessage {
  const bytes = rawBytes(message);
  return bytes === undefined ? message : fromBinary(desc, bytes);
}

function wrap(desc: DescMessage, message: AnyMessage): AnyMessage {
  return rawMessage(desc, toBinary(desc, message));
}

function keepAlive(session: ServerHttp2Session, { timeMs, timeoutMs }: Keepalive): void {
  const timer = setInterval(() => {
    const late = setTimeout(() => session.destroy(), timeoutMs);
    if (session.destroyed || !session.ping(() => clearTimeout(late))) {
      clearTimeout(late);
    }
  }, timeMs);
  timer.unref();
  session.once("close", () => clearInterval(timer));
}
