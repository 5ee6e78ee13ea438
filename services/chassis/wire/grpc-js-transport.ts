/** A Connect transport over @grpc/grpc-js: typed Connect clients at the price of bare gRPC. */

import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextValues,
  type Interceptor,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { runStreamingCall, runUnaryCall } from "@connectrpc/connect/protocol";
import {
  Channel,
  type ChannelOptions,
  compressionAlgorithms,
  credentials,
  type InterceptingListener,
  type Metadata,
  status as Status,
  type StatusObject,
} from "@grpc/grpc-js";
import { Inbox } from "./inbox.ts";
import "./mend-grpc-js.ts";
import { errorFromStatus, toHeaders, toMetadata } from "./metadata.ts";
import { observed } from "./observed.ts";
import { decodeMessage, encodeMessage } from "./raw.ts";
import {
  defaultCompressMinBytes,
  defaultMaxBytes,
  defaultReconnect,
  defaultWriteBufferBytes,
  maxTimerMs,
  type WireTransport,
  type WireTransportOptions,
} from "./types.ts";

// grpc-js declares WriteFlags as a const enum, which type stripping cannot import.
const flagNoCompress = 2;

type HeadersInit = ConstructorParameters<typeof Headers>[0];

/** The byte-level call below grpc-js's own clients: no EventEmitter, no Node stream, no Error made per call. */
type GrpcCall = ReturnType<Channel["createCall"]>;

/**
 * Connects to `baseUrl` at the first call, over one HTTP/2 connection, and connects again by itself after a loss: calls
 * in between fail with UNAVAILABLE. Errors are ConnectErrors with details; a deadline ends with DEADLINE_EXCEEDED.
 */
export function createGrpcJsTransport(options: WireTransportOptions): WireTransport {
  const { origin, host } = parseBaseUrl(options.baseUrl);
  const interceptors: Interceptor[] = options.interceptors ?? [];
  const wire: Wire = {
    channel: new Channel(`dns:${host}`, credentials.createInsecure(), channelOptions(options)),
    compressMinBytes:
      options.sendCompression === "gzip" ? (options.compressMinBytes ?? defaultCompressMinBytes) : 0,
    isRaw: options.rawResponses ?? (() => false),
  };
  function request<
    I extends DescMessage,
    O extends DescMessage,
    M extends DescMethodUnary<I, O> | DescMethodStreaming<I, O>,
  >(method: M, header: HeadersInit | undefined, contextValues: ContextValues | undefined) {
    return {
      service: method.parent,
      method,
      requestMethod: "POST",
      url: origin + pathOf(method),
      header: new Headers(header),
      contextValues: contextValues ?? createContextValues(),
    };
  }
  return {
    unary<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      signal: AbortSignal | undefined,
      timeoutMs: number | undefined,
      header: HeadersInit | undefined,
      input: MessageInitShape<I>,
      contextValues?: ContextValues,
    ): Promise<UnaryResponse<I, O>> {
      const timeout = effectiveTimeoutMs(timeoutMs, options.defaultTimeoutMs);
      const deadline = deadlineAfter(timeout);
      if (interceptors.length === 0) {
        // runUnaryCall would make an AbortController and a timer for interceptors, and abort it at the end: an error
        // object with its stack for each call that goes well. grpc-js watches the deadline by itself.
        return new Promise((resolve, reject) => {
          const message = create(method.input, input);
          const req = { service: method.parent, method, message, header: new Headers(header), signal };
          new UnaryCall<I, O>(wire, req, resolve, reject).start(deadline);
        });
      }
      return runUnaryCall<I, O>({
        interceptors,
        signal,
        timeoutMs: timeout,
        req: {
          stream: false,
          message: input,
          ...request<I, O, DescMethodUnary<I, O>>(method, header, contextValues),
        },
        next: (req) =>
          new Promise((resolve, reject) => {
            new UnaryCall(wire, req, resolve, reject).start(deadline);
          }),
      });
    },
    stream<I extends DescMessage, O extends DescMessage>(
      method: DescMethodStreaming<I, O>,
      signal: AbortSignal | undefined,
      timeoutMs: number | undefined,
      header: HeadersInit | undefined,
      input: AsyncIterable<MessageInitShape<I>>,
      contextValues?: ContextValues,
    ): Promise<StreamResponse<I, O>> {
      const timeout = effectiveTimeoutMs(timeoutMs, options.defaultTimeoutMs);
      const deadline = deadlineAfter(timeout);
      const response = runStreamingCall<I, O>({
        interceptors,
        signal,
        timeoutMs: timeout,
        req: {
          stream: true,
          message: input,
          ...request<I, O, DescMethodStreaming<I, O>>(method, header, contextValues),
        },
        next: (req) =>
          new Promise((resolve, reject) => {
            new StreamCall(wire, req, resolve, reject).start(deadline);
          }),
      });
      return observed(response);
    },
    close() {
      wire.channel.close();
    },
  };
}

interface Wire {
  channel: Channel;
  compressMinBytes: number;
  isRaw: NonNullable<WireTransportOptions["rawResponses"]>;
}

/** What a unary call needs of a request. */
type Unary<I extends DescMessage, O extends DescMessage> = Pick<
  UnaryRequest<I, O>,
  "service" | "method" | "message" | "header"
> & { signal: AbortSignal | undefined };

class UnaryCall<I extends DescMessage, O extends DescMessage> implements InterceptingListener {
  readonly #wire: Wire;
  readonly #req: Unary<I, O>;
  readonly #resolve: (res: UnaryResponse<I, O>) => void;
  readonly #reject: (error: ConnectError) => void;
  readonly #abort = () => this.#cancel();
  #call: GrpcCall | undefined;
  #deadline = Number.POSITIVE_INFINITY;
  #header: Metadata | undefined;
  #bytes: Buffer | undefined;
  #error: ConnectError | undefined;

  constructor(
    wire: Wire,
    req: Unary<I, O>,
    resolve: (res: UnaryResponse<I, O>) => void,
    reject: (error: ConnectError) => void,
  ) {
    this.#wire = wire;
    this.#req = req;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  // What this throws rejects the promise around it.
  start(deadline: number): void {
    this.#deadline = deadline;
    const { method, message, header, signal } = this.#req;
    const bytes = toBuffer(encodeMessage(method.input, message));
    const metadata = toMetadata(header);
    if (signal?.aborted) {
      throw ConnectError.from(signal.reason, Code.Canceled);
    }
    signal?.addEventListener("abort", this.#abort);
    const call = openCall(this.#wire, pathOf(method), deadline);
    this.#call = call;
    call.start(metadata, this);
    call.startRead();
    call.sendMessageWithContext(writeContext(this.#wire, bytes), bytes);
    call.halfClose();
  }

  onReceiveMetadata(metadata: Metadata): void {
    this.#header = metadata;
  }

  onReceiveMessage(bytes: Buffer): void {
    if (this.#bytes !== undefined) {
      this.#error ??= new ConnectError(
        "protocol error: received extra output message for unary method",
        Code.Unimplemented,
      );
      this.#cancel();
      return;
    }
    this.#bytes = bytes;
    // Without a second read an extra message would hold back the status until the deadline.
    this.#call?.startRead();
  }

  onReceiveStatus(status: StatusObject): void {
    this.#req.signal?.removeEventListener("abort", this.#abort);
    const error = this.#error ?? failureOf(status, this.#header, this.#deadline);
    if (error !== undefined) {
      this.#reject(error);
      return;
    }
    const { service, method } = this.#req;
    if (this.#bytes === undefined) {
      this.#reject(
        new ConnectError("protocol error: missing output message for unary method", Code.Unimplemented),
      );
      return;
    }
    let message: MessageShape<O>;
    try {
      message = decodeMessage(method.output, this.#bytes, this.#wire.isRaw(method));
    } catch (error) {
      this.#reject(ConnectError.from(error));
      return;
    }
    // Made only when asked for: most callers never look. Own accessors, so that `{ ...res }` copies their values.
    let header: Headers | undefined;
    let trailer: Headers | undefined;
    const received = this.#header;
    this.#resolve({
      stream: false,
      service,
      method,
      message,
      get header() {
        header ??= received === undefined ? new Headers() : toHeaders(received);
        return header;
      },
      get trailer() {
        trailer ??= toHeaders(status.metadata);
        return trailer;
      },
    });
  }

  #cancel(): void {
    this.#call?.cancelWithStatus(Status.CANCELLED, "canceled by the client");
  }
}

class StreamCall<I extends DescMessage, O extends DescMessage> implements InterceptingListener {
  readonly #wire: Wire;
  readonly #req: StreamRequest<I, O>;
  readonly #resolve: (res: StreamResponse<I, O>) => void;
  readonly #reject: (error: ConnectError) => void;
  readonly #inbox: Inbox<MessageShape<O>>;
  readonly #trailer = new Headers();
  readonly #abort = () => this.#cancel();
  #call: GrpcCall | undefined;
  #deadline = Number.POSITIVE_INFINITY;
  #header: Metadata | undefined;
  #error: ConnectError | undefined;
  #ended = false;
  /** Ends the wait of the pump for its last message to be taken. */
  #taken: (() => void) | undefined;

  constructor(
    wire: Wire,
    req: StreamRequest<I, O>,
    resolve: (res: StreamResponse<I, O>) => void,
    reject: (error: ConnectError) => void,
  ) {
    this.#wire = wire;
    this.#req = req;
    this.#resolve = resolve;
    this.#reject = reject;
    const { output } = req.method;
    const raw = wire.isRaw(req.method);
    this.#inbox = new Inbox(
      () => this.#call?.startRead(),
      (bytes) => decodeMessage(output, bytes, raw),
      () => this.#cancel(),
    );
  }

  start(deadline: number): void {
    this.#deadline = deadline;
    const { method, header, signal } = this.#req;
    const metadata = toMetadata(header);
    if (signal.aborted) {
      throw ConnectError.from(signal.reason, Code.Canceled);
    }
    signal.addEventListener("abort", this.#abort);
    const call = openCall(this.#wire, pathOf(method), deadline);
    this.#call = call;
    call.start(metadata, this);
    call.startRead();
    void this.#pump(call);
  }

  onReceiveMetadata(metadata: Metadata): void {
    this.#header = metadata;
    this.#respond(toHeaders(metadata));
  }

  onReceiveMessage(bytes: Buffer): void {
    this.#inbox.push(bytes);
  }

  onReceiveStatus(status: StatusObject): void {
    this.#ended = true;
    this.#req.signal.removeEventListener("abort", this.#abort);
    this.#taken?.();
    const error = this.#error ?? failureOf(status, this.#header, this.#deadline);
    toHeaders(status.metadata, this.#trailer);
    if (this.#header === undefined) {
      if (error !== undefined) {
        this.#reject(error);
        return;
      }
      this.#respond(new Headers());
    }
    this.#inbox.end(error);
  }

  #respond(header: Headers): void {
    const { service, method } = this.#req;
    this.#resolve({ stream: true, service, method, header, trailer: this.#trailer, message: this.#inbox });
  }

  /** Sends the request messages one at a time: the next is asked for when the wire has taken the last. */
  async #pump(call: GrpcCall): Promise<void> {
    const { method, message } = this.#req;
    const messages = message[Symbol.asyncIterator]();
    try {
      for (;;) {
        const result = await messages.next();
        if (this.#ended) {
          break;
        }
        if (result.done === true) {
          call.halfClose();
          return;
        }
        const bytes = toBuffer(encodeMessage(method.input, result.value));
        await new Promise<void>((resolve) => {
          this.#taken = resolve;
          // grpc-js calls back at once while writeBufferBytes allow it, and else when HTTP/2 flow control does. A
          // second message before that could overtake the first in its compression filter.
          call.sendMessageWithContext(
            { ...writeContext(this.#wire, bytes), callback: () => resolve() },
            bytes,
          );
        });
        if (this.#ended) {
          break;
        }
      }
      await messages.return?.();
    } catch (error) {
      // The producer's own failure is what the reader gets, not the cancellation that follows from it.
      this.#error ??= ConnectError.from(error);
      this.#cancel();
    }
  }

  #cancel(): void {
    if (!this.#ended) {
      this.#call?.cancelWithStatus(Status.CANCELLED, "canceled by the client");
    }
  }
}

/**
 * A server resets a call at its deadline, and that may get here just before our own timer fires. The deadline is ours,
 * so it is the reason.
 */
const deadlineSlackMs = 10;

function failureOf(
  status: StatusObject,
  header: Metadata | undefined,
  deadline: number,
): ConnectError | undefined {
  if (status.code === Status.OK) {
    return undefined;
  }
  if (status.code === Status.CANCELLED && Date.now() >= deadline - deadlineSlackMs) {
    return new ConnectError("the operation timed out", Code.DeadlineExceeded);
  }
  return errorFromStatus(status, header);
}

function openCall(wire: Wire, path: string, deadline: number): GrpcCall {
  try {
    return wire.channel.createCall(path, deadline, null, null, null);
  } catch (cause) {
    throw new ConnectError("the transport is closed", Code.Unavailable, undefined, undefined, cause);
  }
}

function writeContext(wire: Wire, bytes: Buffer): { flags?: number } {
  return bytes.byteLength < wire.compressMinBytes ? { flags: flagNoCompress } : {};
}

function channelOptions(options: WireTransportOptions): ChannelOptions {
  const { keepalive, reconnect = defaultReconnect } = options;
  return {
    "grpc.max_receive_message_length": options.readMaxBytes ?? defaultMaxBytes,
    "grpc.max_send_message_length": options.writeMaxBytes ?? defaultMaxBytes,
    "grpc.default_compression_algorithm":
      options.sendCompression === "gzip" ? compressionAlgorithms.gzip : compressionAlgorithms.identity,
    "grpc.initial_reconnect_backoff_ms": reconnect.minMs,
    "grpc.max_reconnect_backoff_ms": reconnect.maxMs,
    // The bytes a call may hold for a transparent retry are also those it may write before it waits for HTTP/2.
    "grpc.per_rpc_retry_buffer_size": options.writeBufferBytes ?? defaultWriteBufferBytes,
    // A transport owns its connection; the global pool would share it with others to the same address.
    "grpc.use_local_subchannel_pool": 1,
    // Bookkeeping per call and per message that nothing here reads.
    "grpc.enable_channelz": 0,
    // http_proxy in the environment is for the outside world, not for the mesh.
    "grpc.enable_http_proxy": 0,
    "grpc.service_config_disable_resolution": 1,
    ...(keepalive && {
      "grpc.keepalive_time_ms": keepalive.timeMs,
      "grpc.keepalive_timeout_ms": keepalive.timeoutMs,
      "grpc.keepalive_permit_without_calls": keepalive.withoutCalls ? 1 : 0,
    }),
  };
}

function parseBaseUrl(baseUrl: string): { origin: string; host: string } {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (url === undefined || url.protocol !== "http:" || url.pathname !== "/") {
    throw new Error(`baseUrl must look like http://host:port, got "${baseUrl}"`);
  }
  return { origin: url.origin, host: `${url.hostname}:${url.port || "80"}` };
}

/** As in every Connect transport: undefined takes the default, zero and less mean no deadline. */
function effectiveTimeoutMs(
  timeoutMs: number | undefined,
  defaultTimeoutMs: number | undefined,
): number | undefined {
  const chosen = timeoutMs === undefined ? defaultTimeoutMs : timeoutMs;
  return chosen === undefined || chosen <= 0 ? undefined : Math.min(chosen, maxTimerMs);
}

function deadlineAfter(timeoutMs: number | undefined): number {
  return timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeoutMs;
}

function pathOf(method: DescMethodUnary | DescMethodStreaming): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
