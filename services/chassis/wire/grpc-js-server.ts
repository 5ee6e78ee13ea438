/** A server over @grpc/grpc-js whose handlers and interceptors are Connect's. */

import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { promisify } from "node:util";
import { gzip as gzipCallback } from "node:zlib";
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextValues,
  type HandlerContext,
  type Interceptor,
  type ServiceImpl,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { createAsyncIterable } from "@connectrpc/connect/protocol";
import {
  Metadata,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  status as Status,
} from "@grpc/grpc-js";
import { Inbox } from "./inbox.ts";
import "./mend-grpc-js.ts";
import { statusFromError, toHeaders, toMetadata } from "./metadata.ts";
import { decodeMessage, encodeMessage } from "./raw.ts";
import {
  defaultCompressMinBytes,
  defaultMaxBytes,
  defaultMaxConcurrentCalls,
  defaultMaxConnections,
  defaultWriteBufferBytes,
  maxTimerMs,
  type WireServer,
  type WireServerOptions,
} from "./types.ts";

const gzip = promisify<Buffer, Buffer>(gzipCallback);

/** grpc-js removes `grpc-accept-encoding` before anyone sees it; this copy of it gets through. */
const acceptEncoding = "x-wire-accept-encoding";

/** A message costs something even when it is empty, so this is added to its size against the write buffer. */
const messageOverheadBytes = 64;

/**
 * Serves Connect handlers (`ServiceImpl`, `HandlerContext`, interceptors) to gRPC clients over cleartext HTTP/2. An
 * error that is no ConnectError reaches the caller as INTERNAL "internal error" and `onInternalError` with its cause.
 */
export function createGrpcJsServer(options: WireServerOptions = {}): WireServer {
  const plans = new Map<string, Plan>();
  const wire: Wire = {
    interceptors: options.interceptors ?? [],
    writeMaxBytes: options.writeMaxBytes ?? defaultMaxBytes,
    compressMinBytes:
      options.sendCompression === "gzip"
        ? (options.compressMinBytes ?? defaultCompressMinBytes)
        : Number.POSITIVE_INFINITY,
    writeBufferBytes: options.writeBufferBytes ?? defaultWriteBufferBytes,
    onInternalError: options.onInternalError ?? (() => {}),
  };
  const server = new Server({
    "grpc.max_receive_message_length": options.readMaxBytes ?? defaultMaxBytes,
    // Checked by this file, whose error goes through the same door as all others.
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": options.maxConcurrentCalls ?? defaultMaxConcurrentCalls,
    "grpc.enable_channelz": 0,
    ...(options.keepalive && {
      "grpc.keepalive_time_ms": options.keepalive.timeMs,
      "grpc.keepalive_timeout_ms": options.keepalive.timeoutMs,
    }),
    interceptors: [(definition, call) => new TakenOver(call, wire, plans.get(definition.path)!)],
  });
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  for (const http2Server of http2ServersOf(server)) {
    http2Server.prependListener("stream", (_stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      mendHeaders(headers);
      const path = headers[":path"];
      if (options.onUnknown !== undefined && path !== undefined && !plans.has(path)) {
        options.onUnknown(path);
      }
    });
  }
  // The sockets are ours, not grpc-js's: without channelz its forceShutdown() forgets to cut them.
  const sockets = new Set<Socket>();
  const listener = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    injector.injectConnection(socket);
  });
  listener.maxConnections = options.maxConnections ?? defaultMaxConnections;
  let closing: Promise<void> | undefined;

  const wireServer: WireServer = {
    service<Desc extends DescService>(desc: Desc, impl: Partial<ServiceImpl<Desc>>) {
      for (const method of desc.methods) {
        const path = `/${desc.typeName}/${method.name}`;
        // Every kind is registered as bidi: TakenOver runs the call, the kind is only a label to grpc-js.
        if (!server.register(path, () => {}, serialize, deserialize, "bidi")) {
          throw new Error(`${path} is already served`);
        }
        const fn = impl[method.localName as keyof typeof impl];
        plans.set(path, {
          path,
          method,
          raw: options.rawRequests?.(method) ?? false,
          impl: typeof fn === "function" ? (fn.bind(impl) as Plan["impl"]) : unimplemented(method),
        });
      }
      return wireServer;
    },
    listen({ host = "127.0.0.1", port }) {
      return new Promise((resolve, reject) => {
        listener.once("error", reject);
        listener.listen({ host, port }, () => {
          listener.off("error", reject);
          const address = listener.address() as AddressInfo;
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

  async function drain(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      // Calls back when the last socket is gone; with an error if it never listened, which is closed, too.
      listener.close(() => resolve());
    });
    const force = setTimeout(
      () => {
        for (const socket of sockets) {
          socket.destroy();
        }
      },
      Math.min(graceMs, maxTimerMs),
    );
    // GOAWAY on every connection; one closes when its last call is done.
    injector.destroy();
    await closed;
    clearTimeout(force);
  }
}

interface Wire {
  interceptors: Interceptor[];
  writeMaxBytes: number;
  compressMinBytes: number;
  writeBufferBytes: number;
  onInternalError: (error: unknown, path: string) => void;
}

type AnyMessage = MessageShape<DescMethod["input"]>;
type AnyInit = MessageInitShape<DescMethod["output"]>;

interface Plan {
  path: string;
  method: DescMethod;
  raw: boolean;
  impl: (input: unknown, context: HandlerContext) => unknown;
}

/**
 * Runs a call on grpc-js's lowest public layer, in place of its own handler: that layer hands out one message per read
 * and reports each write, which is what bounded buffering needs, and spares a Node stream per call.
 */
class TakenOver extends ServerInterceptingCall {
  readonly #call: ServerInterceptingCallInterface;
  readonly #wire: Wire;
  readonly #plan: Plan;

  constructor(call: ServerInterceptingCallInterface, wire: Wire, plan: Plan) {
    super(call);
    this.#call = call;
    this.#wire = wire;
    this.#plan = plan;
  }

  override start(): void {
    const { method } = this.#plan;
    this.#call.start(
      method.methodKind === "unary"
        ? new UnaryCall(this.#call, this.#wire, this.#plan, method as DescMethodUnary)
        : new StreamCall(this.#call, this.#wire, this.#plan, method as DescMethodStreaming),
    );
  }
}

/** What unary and streaming calls share: the context, the interceptors, and the end of the call. */
abstract class ServerCall {
  protected readonly call: ServerInterceptingCallInterface;
  protected readonly wire: Wire;
  protected readonly plan: Plan;
  protected over = false;
  #metadata: Metadata | undefined;
  #controller: AbortController | undefined;
  #reason: ConnectError | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;
  #values: ContextValues | undefined;
  #gzip = false;
  #headersSent = false;

  constructor(call: ServerInterceptingCallInterface, wire: Wire, plan: Plan) {
    this.call = call;
    this.wire = wire;
    this.plan = plan;
  }

  /** The request has begun: its headers are here. */
  abstract begin(): void;
  /** The call is over: nothing may wait for it any longer. */
  abstract stop(reason: ConnectError | undefined): void;

  onReceiveMetadata(metadata: Metadata): void {
    const accept = metadata.get(acceptEncoding);
    if (accept.length > 0) {
      this.#gzip = String(accept[0]).includes("gzip");
      metadata.remove(acceptEncoding);
    }
    this.#metadata = metadata;
    this.begin();
  }

  /** The call is over: it was answered, the caller cancelled it or is gone, or its deadline has passed. */
  onCancel(): void {
    if (!this.over) {
      this.over = true;
      const reason =
        Date.now() >= this.#deadline()
          ? new ConnectError("the operation timed out", Code.DeadlineExceeded)
          : new ConnectError("the client cancelled the call", Code.Canceled);
      this.#end(reason);
    }
  }

  /** What interceptors get. Accessors are own properties, so that `{ ...req }` copies their values. */
  protected request(stream: boolean, message: unknown): UnaryRequest | StreamRequest {
    const self = this;
    return {
      stream,
      message,
      service: this.plan.method.parent,
      method: this.plan.method,
      requestMethod: "POST",
      url: `http://${this.call.getHost()}${this.plan.path}`,
      header: toHeaders(this.#metadata!),
      get signal() {
        return self.#signal();
      },
      get contextValues() {
        self.#values ??= createContextValues();
        return self.#values;
      },
    } as UnaryRequest | StreamRequest;
  }

  /** What the handler gets; interceptors may have put other headers, values or another signal into `req`. */
  protected context(req: UnaryRequest | StreamRequest): HandlerContext {
    const self = this;
    return {
      method: this.plan.method,
      service: req.service,
      protocolName: "grpc",
      requestMethod: req.requestMethod,
      url: req.url,
      requestHeader: req.header,
      timeoutMs: () => {
        const deadline = this.#deadline();
        return deadline === Number.POSITIVE_INFINITY ? undefined : deadline - Date.now();
      },
      get signal() {
        return req.signal;
      },
      get values() {
        return req.contextValues;
      },
      get responseHeader() {
        return self.#header();
      },
      get responseTrailer() {
        return self.#trailer();
      },
    };
  }

  /** What interceptors get back; `header` and `trailer` are those of the handler's context. */
  protected response(stream: boolean, message: unknown): UnaryResponse | StreamResponse {
    const self = this;
    return {
      stream,
      message,
      service: this.plan.method.parent,
      method: this.plan.method,
      get header() {
        return self.#header();
      },
      get trailer() {
        return self.#trailer();
      },
    } as UnaryResponse | StreamResponse;
  }

  /** Takes the headers of a response that an interceptor has put in place of ours. */
  protected adopt(res: UnaryResponse | StreamResponse): void {
    this.#responseHeader = res.header;
    this.#responseTrailer = res.trailer;
  }

  protected encode(message: AnyMessage): Buffer {
    const { method } = this.plan;
    const bytes = encodeMessage(method.output, message);
    if (bytes.byteLength > this.wire.writeMaxBytes) {
      throw new ConnectError(
        `message size ${bytes.byteLength} is larger than writeMaxBytes ${this.wire.writeMaxBytes}`,
        Code.ResourceExhausted,
      );
    }
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  protected compresses(bytes: Buffer): boolean {
    return this.#gzip && bytes.byteLength >= this.wire.compressMinBytes;
  }

  /** Sends the response headers unless they are on their way; must come before the first message. */
  protected sendHeaders(): void {
    if (this.#headersSent) {
      return;
    }
    this.#headersSent = true;
    const mayCompress = this.#gzip && this.wire.compressMinBytes !== Number.POSITIVE_INFINITY;
    if (this.#responseHeader !== undefined || mayCompress) {
      const metadata = this.#responseHeader === undefined ? new Metadata() : toMetadata(this.#responseHeader);
      if (mayCompress) {
        metadata.set("grpc-encoding", "gzip");
      }
      this.call.sendMetadata(metadata);
    }
  }

  protected succeed(): void {
    if (this.over) {
      return;
    }
    let metadata: Metadata | null;
    try {
      metadata = this.#responseTrailer === undefined ? null : toMetadata(this.#responseTrailer);
    } catch (error) {
      this.fail(error);
      return;
    }
    this.over = true;
    this.call.sendStatus({ code: Status.OK, details: "", metadata });
    this.#end();
  }

  protected fail(error: unknown): void {
    if (this.over) {
      return;
    }
    const { error: visible, header, status } = this.#visible(error);
    this.over = true;
    if (header !== undefined && !this.#headersSent) {
      this.call.sendMetadata(header);
    }
    this.call.sendStatus(status);
    this.#end(visible);
  }

  #visible(error: unknown) {
    const visible = error instanceof ConnectError ? error : this.#hide(error);
    const responseHeader = this.#responseHeader;
    try {
      return {
        error: visible,
        // Headers only when the handler set some: an error without them fits into a single frame.
        header: responseHeader?.keys().next().done === false ? toMetadata(responseHeader) : undefined,
        status: statusFromError(visible, this.#responseTrailer),
      };
    } catch (unsendable) {
      const hidden = this.#hide(unsendable);
      return { error: hidden, header: undefined, status: statusFromError(hidden, undefined) };
    }
  }

  #hide(cause: unknown): ConnectError {
    this.wire.onInternalError(cause, this.plan.path);
    return new ConnectError("internal error", Code.Internal, undefined, undefined, cause);
  }

  #end(reason?: ConnectError): void {
    this.#reason = reason;
    this.stop(reason);
    // An answered call that nobody watches is the usual one, and an error is dear.
    this.#controller?.abort(reason ?? completed());
  }

  #signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.over) {
        this.#controller.abort(this.#reason ?? completed());
      }
    }
    return this.#controller.signal;
  }

  #deadline(): number {
    return Number(this.call.getDeadline());
  }

  #header(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }

  #trailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }
}

class UnaryCall extends ServerCall {
  readonly #method: DescMethodUnary;
  #bytes: Buffer | undefined;

  constructor(call: ServerInterceptingCallInterface, wire: Wire, plan: Plan, method: DescMethodUnary) {
    super(call, wire, plan);
    this.#method = method;
  }

  begin(): void {
    this.call.startRead();
  }

  stop(): void {}

  onReceiveMessage(bytes: Buffer): void {
    if (this.#bytes !== undefined) {
      this.fail(
        new ConnectError("protocol error: received extra input message for unary method", Code.Unimplemented),
      );
      return;
    }
    this.#bytes = bytes;
    this.call.startRead();
  }

  onReceiveHalfClose(): void {
    if (this.over) {
      return;
    }
    if (this.#bytes === undefined) {
      this.fail(
        new ConnectError("protocol error: missing input message for unary method", Code.Unimplemented),
      );
      return;
    }
    this.#run(this.#bytes).catch((error: unknown) => this.fail(error));
  }

  async #run(bytes: Buffer): Promise<void> {
    const { input, output } = this.#method;
    let own: UnaryResponse | undefined;
    const handle = async (req: UnaryRequest): Promise<UnaryResponse> => {
      const result = await this.plan.impl(req.message, this.context(req));
      own = this.response(false, create(output, result as AnyInit)) as UnaryResponse;
      return own;
    };
    const req = this.request(false, decodeMessage(input, bytes, this.plan.raw));
    const res = (await intercept(handle as AnyFn, this.wire.interceptors)(req)) as UnaryResponse;
    if (this.over) {
      return;
    }
    if (res !== own) {
      this.adopt(res);
    }
    const encoded = this.encode(res.message);
    const frame = this.compresses(encoded) ? new GzipFrame(await gzip(encoded)) : encoded;
    this.sendHeaders();
    // No wait for the write: the status leaves with the message, in one write to the socket.
    this.call.sendMessage(frame, () => {});
    this.succeed();
  }
}

class StreamCall extends ServerCall {
  readonly #method: DescMethodStreaming;
  readonly #inbox: Inbox<AnyMessage>;
  #inFlightBytes = 0;
  /** Ends the wait for room in the write buffer. */
  #release: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(call: ServerInterceptingCallInterface, wire: Wire, plan: Plan, method: DescMethodStreaming) {
    super(call, wire, plan);
    this.#method = method;
    this.#inbox = new Inbox(
      () => call.startRead(),
      (bytes) => decodeMessage(method.input, bytes, plan.raw),
      () => {},
    );
  }

  begin(): void {
    const deadline = Number(this.call.getDeadline());
    if (deadline !== Number.POSITIVE_INFINITY) {
      // grpc-js's own timer tells us only when the peer has read what is queued, and a stuck peer never does.
      this.#timer = setTimeout(
        () => this.fail(new ConnectError("the operation timed out", Code.DeadlineExceeded)),
        Math.max(0, deadline - Date.now()),
      );
    }
    this.call.startRead();
    this.#run().catch((error: unknown) => this.fail(error));
  }

  stop(reason: ConnectError | undefined): void {
    clearTimeout(this.#timer);
    this.#inbox.end(reason ?? completed());
    this.#release?.();
  }

  onReceiveMessage(bytes: Buffer): void {
    this.#inbox.push(bytes);
  }

  onReceiveHalfClose(): void {
    this.#inbox.end();
  }

  async #run(): Promise<void> {
    let own: StreamResponse | undefined;
    const handle = async (req: StreamRequest): Promise<StreamResponse> => {
      own = this.response(true, await this.#invoke(req)) as StreamResponse;
      return own;
    };
    const req = this.request(true, this.#inbox);
    const res = (await intercept(handle as AnyFn, this.wire.interceptors)(req)) as StreamResponse;
    if (res !== own) {
      this.adopt(res);
    }
    const messages = res.message[Symbol.asyncIterator]();
    let leave = true;
    try {
      while (!this.over) {
        leave = false;
        const result = await messages.next();
        if (result.done === true) {
          this.sendHeaders();
          this.succeed();
          return;
        }
        leave = true;
        await this.#send(result.value);
      }
    } finally {
      if (leave) {
        // The call ended before the handler did: its finally blocks must run.
        await messages.return?.();
      }
    }
  }

  async #invoke(req: StreamRequest): Promise<AsyncIterable<AnyMessage>> {
    const { methodKind, output } = this.#method;
    const context = this.context(req);
    switch (methodKind) {
      case "client_streaming": {
        const result = (await this.plan.impl(req.message, context)) as AnyInit;
        return createAsyncIterable([create(output, result)]);
      }
      case "server_streaming": {
        const input = await single(req.message);
        return normalized(output, this.plan.impl(input, context) as AsyncIterable<AnyInit>);
      }
      case "bidi_streaming":
        return normalized(output, this.plan.impl(req.message, context) as AsyncIterable<AnyInit>);
    }
  }

  async #send(message: AnyMessage): Promise<void> {
    const encoded = this.encode(message);
    const frame = this.compresses(encoded) ? new GzipFrame(await gzip(encoded)) : encoded;
    if (this.over) {
      return;
    }
    this.sendHeaders();
    const bytes = frame.byteLength + messageOverheadBytes;
    this.#inFlightBytes += bytes;
    this.call.sendMessage(frame, () => {
      this.#inFlightBytes -= bytes;
      if (this.#inFlightBytes < this.wire.writeBufferBytes) {
        this.#release?.();
      }
    });
    if (this.#inFlightBytes >= this.wire.writeBufferBytes) {
      await new Promise<void>((resolve) => {
        this.#release = resolve;
      });
    }
  }
}

/**
 * A compressed message. grpc-js's server cannot compress: it writes a zero compression flag and lets the message copy
 * itself behind it, which is the moment to set the flag.
 */
class GzipFrame {
  readonly byteLength: number;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.byteLength = bytes.byteLength;
  }

  copy(target: Buffer, start: number): void {
    target.writeUInt8(1, start - 5);
    this.#bytes.copy(target, start);
  }
}

function completed(): ConnectError {
  return new ConnectError("the call is complete", Code.Canceled);
}

type AnyFn = ReturnType<Interceptor>;

function intercept(handle: AnyFn, interceptors: Interceptor[]): AnyFn {
  let next = handle;
  for (let i = interceptors.length - 1; i >= 0; i--) {
    next = interceptors[i]!(next);
  }
  return next;
}

async function single<T>(messages: AsyncIterable<T>): Promise<T> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true) {
    throw new ConnectError(
      "protocol error: missing input message for server-streaming method",
      Code.Unimplemented,
    );
  }
  if ((await iterator.next()).done !== true) {
    throw new ConnectError(
      "protocol error: received extra input message for server-streaming method",
      Code.Unimplemented,
    );
  }
  return first.value;
}

/** Completes what a handler yields to full messages, without the extra turn of the event loop of a generator. */
function normalized(desc: DescMessage, messages: AsyncIterable<AnyInit>): AsyncIterable<AnyMessage> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = messages[Symbol.asyncIterator]();
      return {
        next: async () => {
          const result = await iterator.next();
          return result.done === true ? result : { done: false, value: create(desc, result.value) };
        },
        return: async () => {
          await iterator.return?.();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

function unimplemented(method: DescMethod): Plan["impl"] {
  return () => {
    throw new ConnectError(`${method.parent.typeName}.${method.name} is not implemented`, Code.Unimplemented);
  };
}

// The messages that grpc-js handles are bytes (or a GzipFrame); they are encoded and decoded on our side of it.
function serialize(message: Buffer): Buffer {
  return message;
}

function deserialize(bytes: Buffer): Buffer {
  return bytes;
}

/** Puts right what grpc-js would get wrong about the request headers, before it sees them. */
function mendHeaders(headers: IncomingHttpHeaders): void {
  const accept = headers["grpc-accept-encoding"];
  delete headers[acceptEncoding];
  if (accept !== undefined) {
    headers[acceptEncoding] = accept;
  }
  // It takes everything that starts with "application/grpc", so grpc-web and grpc+json too, and answers in plain gRPC.
  // Any verb would do for it, too.
  if (
    headers[":method"] !== "POST" ||
    !/^application\/grpc(\+proto)?($|;)/.test(headers["content-type"] ?? "")
  ) {
    delete headers["content-type"];
  }
  // It keeps the timeout in 32 bits: 25 days and more wrap around to a deadline in the past.
  const timeout = /^(\d{1,8})([HMS])$/.exec(String(headers["grpc-timeout"] ?? ""));
  if (
    timeout !== null &&
    Number(timeout[1]) * { H: 3600, M: 60, S: 1 }[timeout[2] as "H" | "M" | "S"] > maxTimerS
  ) {
    headers["grpc-timeout"] = `${maxTimerS}S`;
  }
}

const maxTimerS = Math.floor(maxTimerMs / 1000);

/** The HTTP/2 servers inside a grpc-js server: private, so checked, and the version is pinned. */
function http2ServersOf(server: Server): Http2Server[] {
  const servers = (server as unknown as { http2Servers?: Map<Http2Server, unknown> }).http2Servers;
  if (!(servers instanceof Map) || servers.size === 0) {
    throw new Error("this version of @grpc/grpc-js keeps its HTTP/2 servers elsewhere");
  }
  return [...servers.keys()];
}
