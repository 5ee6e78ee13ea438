// A Connect Transport that speaks gRPC over one HTTP/2 connection of our own, for callers that make many small calls.
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type StreamResponse,
  type Transport,
  type UnaryResponse,
} from "@connectrpc/connect";
import { codeFromHttpStatus, findTrailerError, parseContentType } from "@connectrpc/connect/protocol-grpc";
import { type AbortListener, addAbortListener, removeAbortListener } from "./abort-listeners.ts";
import { EnvelopeReader, envelope, envelopeHeadBytes } from "./envelope.ts";
import { Channel, type Waiter } from "./http2/channel.ts";
import {
  type Connection,
  type Exchange,
  type ExchangeListener,
  errorCodes,
  type Failure,
} from "./http2/connection.ts";
import { encodeHeaders, type HeaderList } from "./http2/hpack.ts";
import type { QuickAnswer } from "./metadata.ts";

export interface GrpcTransportOptions {
  /** `http://host:port`, spoken to in cleartext HTTP/2, or `https://host:port`. */
  readonly baseUrl: string;
  /** Certificates, in PEM, that the server's must lead to. Default: those that Node knows (NODE_EXTRA_CA_CERTS adds some). */
  readonly ca?: string;
  /** Deadline of calls that name none, in ms. Default: none. */
  readonly defaultTimeoutMs?: number;
  /** Largest message of an answer, in bytes; larger is RESOURCE_EXHAUSTED. Default: 4 MiB. */
  readonly readMaxBytes?: number;
  /** Bytes of an answer that may be here before they are read. Default: 256 KiB. */
  readonly windowBytes?: number;
  /** Wait between attempts to connect: from `minMs`, doubling, to `maxMs`. Default: 100 ms to 5 s. */
  readonly reconnect?: { readonly minMs: number; readonly maxMs: number };
  /** HTTP/2 PINGs while calls are open and the server is silent. Default: none. */
  readonly keepalive?: { readonly timeMs: number; readonly timeoutMs: number };
  /** Calls that may wait for the connection, or for room on it. Default: 10,000. */
  readonly waitingMax?: number;
}

export interface GrpcTransport extends Transport {
  /** Refuses new calls; calls in flight may finish. */
  close(): void;
}

type HeadersInit = ConstructorParameters<typeof Headers>[0];

/**
 * Connects at the first call, and again by itself after a loss: the calls that the loss has cut off fail with UNAVAILABLE. Calls that
 * the server has not looked at (GOAWAY, REFUSED_STREAM) are sent once more. Errors are ConnectErrors with details; a deadline ends with
 * DEADLINE_EXCEEDED. It has no interceptors, and compresses nothing: it is made for the short way between a gateway and
 * its services, where a wrapper around a Transport does the one and bandwidth the other.
 */
export function createGrpcTransport(options: GrpcTransportOptions): GrpcTransport {
  const origin = parseBaseUrl(options.baseUrl);
  const channel = new Channel({
    origin,
    windowBytes: options.windowBytes ?? 256 * 1024,
    headerBytesMax: 64 * 1024,
    reconnect: options.reconnect ?? { minMs: 100, maxMs: 5_000 },
    connectTimeoutMs: 10_000,
    waitingMax: options.waitingMax ?? 10_000,
    ...(options.ca !== undefined && { ca: options.ca }),
    ...(options.keepalive && { keepalive: options.keepalive }),
  });
  const wire: Wire = {
    channel,
    readMaxBytes: options.readMaxBytes ?? 4 * 1024 * 1024,
    headOf: createHeadCache(origin),
  };
  return {
    unary<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      signal: AbortSignal | undefined,
      timeoutMs: number | undefined,
      header: HeadersInit | undefined,
      input: MessageInitShape<I>,
    ): Promise<UnaryResponse<I, O>> {
      return new Promise((resolve, reject) => {
        const body = envelope(toBinary(method.input, create(method.input, input)));
        const timeout = timeoutMs ?? options.defaultTimeoutMs;
        new UnaryCall<I, O>(wire, method, toMetadata(header), body, signal, timeout, resolve, reject).start();
      });
    },
    stream<I extends DescMessage, O extends DescMessage>(
      method: DescMethodStreaming<I, O>,
      signal: AbortSignal | undefined,
      timeoutMs: number | undefined,
      header: HeadersInit | undefined,
      input: AsyncIterable<MessageInitShape<I>>,
    ): Promise<StreamResponse<I, O>> {
      return new Promise((resolve, reject) => {
        const timeout = timeoutMs ?? options.defaultTimeoutMs;
        new StreamCall<I, O>(
          wire,
          method,
          toMetadata(header),
          input,
          signal,
          timeout,
          resolve,
          reject,
        ).start();
      });
    },
    close: () => channel.close(),
  };
}

interface Wire {
  readonly channel: Channel;
  readonly readMaxBytes: number;
  readonly headOf: (method: DescMethod) => Buffer;
}

/** What both kinds of call have: a deadline, a signal, an exchange, and the answer's headers. */
abstract class Call<M extends DescMethod> implements Waiter, ExchangeListener, AbortListener {
  protected readonly wire: Wire;
  protected readonly method: M;
  protected readonly reader: EnvelopeReader;
  protected exchange: Exchange | undefined;
  protected header: HeaderList | undefined;
  /** Whether the caller has heard the end. */
  isOver = false;
  readonly #metadata: HeaderList;
  readonly #signal: AbortSignal | undefined;
  readonly #timeoutMs: number;
  #deadlineMs = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #isSecond = false;

  constructor(
    wire: Wire,
    method: M,
    metadata: HeaderList,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
  ) {
    this.wire = wire;
    this.method = method;
    this.reader = new EnvelopeReader(wire.readMaxBytes);
    this.#metadata = metadata;
    this.#signal = signal;
    // As in every Connect transport: zero and less mean no deadline.
    this.#timeoutMs =
      timeoutMs === undefined || timeoutMs <= 0 ? 0 : Math.min(Math.max(1, Math.ceil(timeoutMs)), timerMaxMs);
  }

  start(): void {
    const signal = this.#signal;
    if (signal !== undefined) {
      if (signal.aborted) {
        this.finish(ConnectError.from(signal.reason, Code.Canceled));
        return;
      }
      addAbortListener(signal, this);
    }
    if (this.#timeoutMs > 0) {
      this.#deadlineMs = performance.now() + this.#timeoutMs;
      this.#timer = setTimeout(onDeadline, this.#timeoutMs, this);
    }
    this.wire.channel.acquire(this);
  }

  begin(connection: Connection): void {
    let headers = this.#metadata;
    if (this.#timeoutMs > 0) {
      const leftMs = Math.max(1, Math.ceil(this.#deadlineMs - performance.now()));
      headers = ["grpc-timeout", encodeTimeout(leftMs), ...headers];
    }
    this.exchange = connection.open(this.wire.headOf(this.method), headers, this);
    this.onBegin(this.exchange);
  }

  fail(cause: Error): void {
    this.finish(unavailable(cause));
  }

  onHeaders(headers: HeaderList, isEnd: boolean): void {
    if (this.isOver) return;
    if (this.header !== undefined) {
      if (isEnd) this.finish(this.#failureIn(headers), headers);
      else this.cancel(protocolError("headers in the middle of an answer"));
      return;
    }
    if (!isEnd && headerOf(headers, ":status")?.startsWith("1")) {
      return; // 1xx: the answer is still to come
    }
    this.header = headers;
    if (isEnd) {
      this.finish(notGrpc(headers, isEnd) ?? this.#failureIn(headers), headers);
      return;
    }
    const error = notGrpc(headers, isEnd);
    if (error !== undefined) this.cancel(error);
    else this.onResponse(headers);
  }

  onFailure(failure: Failure): void {
    if (this.isOver) return;
    if (failure.kind === "refused" && !this.#isSecond && this.canRestart) {
      this.#isSecond = true;
      this.header = undefined;
      this.wire.channel.acquire(this);
    } else {
      this.finish(this.#errorOf(failure));
    }
  }

  onData(bytes: Buffer, isEnd: boolean): void {
    if (this.isOver) return;
    this.onBytes(bytes);
    if (isEnd && !this.isOver) this.finish(protocolError("the answer ended without a status"));
  }

  /** Tells the server to stop, and the caller why. */
  protected cancel(error: ConnectError): void {
    this.exchange?.reset(errorCodes.cancel);
    this.finish(error);
  }

  /** The end of the call; `error` is undefined for status OK. */
  protected finish(error: ConnectError | undefined, trailer: HeaderList = []): void {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.#timer);
    if (this.#signal !== undefined) removeAbortListener(this.#signal, this);
    this.onFinish(error ?? this.#truncation(), trailer);
  }

  onAbort(reason: unknown): void {
    this.cancel(ConnectError.from(reason, Code.Canceled));
  }

  /** The timer's: without a closure a call. */
  onDeadline(): void {
    this.cancel(timedOut());
  }

  protected abstract onBegin(exchange: Exchange): void;
  protected abstract onResponse(headers: HeaderList): void;
  protected abstract onBytes(bytes: Buffer): void;
  protected abstract onFinish(error: ConnectError | undefined, trailer: HeaderList): void;
  /** Whether all that was sent can be sent again. */
  protected abstract readonly canRestart: boolean;

  #truncation(): ConnectError | undefined {
    return this.reader.isBetween ? undefined : protocolError("the answer ended within a message");
  }

  #failureIn(trailer: HeaderList): ConnectError | undefined {
    return headerOf(trailer, "grpc-status") === "0" && headerOf(trailer, statusDetails) === undefined
      ? undefined
      : errorFromTrailer(trailer, this.header);
  }

  #errorOf(failure: Failure): ConnectError {
    switch (failure.kind) {
      case "lost":
        return unavailable(failure.cause);
      case "refused":
        return new ConnectError("the server refused the call", Code.Unavailable);
      case "reset":
        // A server resets a call at its deadline, and that may get here just before our own timer fires.
        return failure.errorCode === errorCodes.cancel &&
          performance.now() >= this.#deadlineMs - deadlineSlackMs
          ? timedOut()
          : new ConnectError(
              `the server reset the call (HTTP/2 error ${failure.errorCode})`,
              codeOfReset(failure.errorCode),
            );
    }
  }
}

type Resolve<T> = (value: T) => void;
type Reject = (error: ConnectError) => void;

class UnaryCall<I extends DescMessage, O extends DescMessage> extends Call<DescMethodUnary<I, O>> {
  protected readonly canRestart = true;
  readonly #body: Buffer;
  readonly #resolve: Resolve<UnaryResponse<I, O>>;
  readonly #reject: Reject;
  #message: MessageShape<O> | undefined;

  constructor(
    wire: Wire,
    method: DescMethodUnary<I, O>,
    metadata: HeaderList,
    body: Buffer,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    resolve: Resolve<UnaryResponse<I, O>>,
    reject: Reject,
  ) {
    super(wire, method, metadata, signal, timeoutMs);
    this.#body = body;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  protected onBegin(exchange: Exchange): void {
    exchange.send(this.#body, true);
  }

  protected onResponse(): void {}

  protected onBytes(bytes: Buffer): void {
    this.exchange!.credit(bytes.length);
    try {
      this.reader.push(bytes, this.#onMessage);
    } catch (error) {
      this.cancel(ConnectError.from(error));
    }
  }

  readonly #onMessage = (bytes: Buffer): boolean => {
    if (this.#message !== undefined) {
      const text = "protocol error: received extra output message for unary method";
      this.cancel(new ConnectError(text, Code.Unimplemented));
      return false;
    }
    this.#message = decode(this.method.output, bytes);
    return true;
  };

  protected onFinish(error: ConnectError | undefined, trailer: HeaderList): void {
    if (error !== undefined) {
      this.#reject(error);
      return;
    }
    const { method } = this;
    const message = this.#message;
    if (message === undefined) {
      const text = "protocol error: missing output message for unary method";
      this.#reject(new ConnectError(text, Code.Unimplemented));
      return;
    }
    this.#resolve(new UnaryAnswer(method, message, this.header!, trailer) as UnaryResponse<I, O>);
  }
}

/** Its headers are made when somebody asks: most callers never look. */
class UnaryAnswer<I extends DescMessage, O extends DescMessage> implements QuickAnswer {
  readonly stream = false;
  readonly service: DescMethodUnary["parent"];
  readonly method: DescMethodUnary<I, O>;
  readonly message: MessageShape<O>;
  #header: HeaderList | Headers;
  #trailer: HeaderList | Headers;

  constructor(
    method: DescMethodUnary<I, O>,
    message: MessageShape<O>,
    header: HeaderList,
    trailer: HeaderList,
  ) {
    this.service = method.parent;
    this.method = method;
    this.message = message;
    this.#header = header;
    this.#trailer = trailer;
  }

  headerValue(name: string): string | null {
    const header = this.#header;
    return header instanceof Headers ? header.get(name) : joined(header, name);
  }

  get header(): Headers {
    this.#header = toHeaders(this.#header);
    return this.#header;
  }

  get trailer(): Headers {
    this.#trailer = toHeaders(this.#trailer);
    return this.#trailer;
  }
}

class StreamCall<I extends DescMessage, O extends DescMessage> extends Call<DescMethodStreaming<I, O>> {
  protected readonly canRestart = false;
  readonly #input: AsyncIterable<MessageInitShape<I>>;
  readonly #resolve: Resolve<StreamResponse<I, O>>;
  readonly #reject: Reject;
  readonly #trailer = new Headers();
  readonly #inbox: MessageInbox<MessageShape<O>>;
  #hasResponded = false;

  constructor(
    wire: Wire,
    method: DescMethodStreaming<I, O>,
    metadata: HeaderList,
    input: AsyncIterable<MessageInitShape<I>>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    resolve: Resolve<StreamResponse<I, O>>,
    reject: Reject,
  ) {
    super(wire, method, metadata, signal, timeoutMs);
    this.#input = input;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#inbox = new MessageInbox(
      (bytes) => decode(method.output, bytes),
      (bytes) => this.exchange!.credit(bytes),
      () => this.cancel(new ConnectError("the reader has left", Code.Canceled)),
    );
  }

  protected onBegin(exchange: Exchange): void {
    void this.#pump(exchange);
  }

  protected onResponse(headers: HeaderList): void {
    this.#respond(toHeaders(headers));
  }

  protected onBytes(bytes: Buffer): void {
    this.#inbox.received(bytes.length);
    try {
      this.reader.push(bytes, this.#onMessage);
    } catch (error) {
      this.cancel(ConnectError.from(error));
    }
  }

  readonly #onMessage = (bytes: Buffer): boolean => {
    this.#inbox.push(bytes);
    return !this.isOver;
  };

  protected onFinish(error: ConnectError | undefined, trailer: HeaderList): void {
    for (const [name, value] of toHeaders(trailer)) {
      this.#trailer.append(name, value);
    }
    if (!this.#hasResponded) {
      if (error !== undefined) {
        this.#reject(error);
        return;
      }
      this.#respond(this.header === undefined ? new Headers() : toHeaders(this.header));
    }
    this.#inbox.end(error);
  }

  #respond(header: Headers): void {
    this.#hasResponded = true;
    const { method } = this;
    this.#resolve({
      stream: true,
      service: method.parent,
      method,
      header,
      trailer: this.#trailer,
      message: this.#inbox,
    });
  }

  /** Sends the messages of the request one at a time: the next is asked for when the last has left. */
  async #pump(exchange: Exchange): Promise<void> {
    const messages = this.#input[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await messages.next();
        if (this.isOver) break;
        if (next.done === true) {
          exchange.send(nothing, true);
          return;
        }
        const { input } = this.method;
        exchange.send(envelope(toBinary(input, create(input, next.value))), false);
        await exchange.sent();
        if (this.isOver) break;
      }
      await messages.return?.();
    } catch (error) {
      // The producer's own failure is what the reader gets, not the cancellation that follows from it.
      this.cancel(ConnectError.from(error));
    }
  }
}

/** Who waits for the next message. */
interface MessageReader<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

/** The messages of a stream on their way to a reader who sets the pace: flow control bounds how many wait. */
class MessageInbox<T> implements AsyncIterableIterator<T, undefined, undefined> {
  readonly #decode: (bytes: Buffer) => T;
  readonly #credit: (bytes: number) => void;
  readonly #onReturn: () => void;
  readonly #messages: Buffer[] = [];
  readonly #readers: MessageReader<T>[] = [];
  /** Bytes that came and are not credited. */
  #uncredited = 0;
  #isEnded = false;
  #error: ConnectError | undefined;

  constructor(decode: (bytes: Buffer) => T, credit: (bytes: number) => void, onReturn: () => void) {
    this.#decode = decode;
    this.#credit = credit;
    this.#onReturn = onReturn;
  }

  received(bytes: number): void {
    this.#uncredited += bytes;
    // A message may be larger than the window: who waits for it lets the rest come.
    if (this.#readers.length > 0) this.#creditUpTo(this.#uncredited);
  }

  push(bytes: Buffer): void {
    if (this.#isEnded) return;
    const reader = this.#readers.shift();
    if (reader === undefined) this.#messages.push(bytes);
    else this.#deliver(bytes, reader);
  }

  end(error: ConnectError | undefined): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#error = error;
    for (const reader of this.#readers.splice(0)) this.#settle(reader);
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => {
      const bytes = this.#messages.shift();
      if (bytes !== undefined) {
        this.#creditUpTo(bytes.length + envelopeHeadBytes);
        this.#deliver(bytes, { resolve, reject });
      } else if (this.#isEnded) {
        this.#settle({ resolve, reject });
      } else {
        this.#readers.push({ resolve, reject });
        this.#creditUpTo(this.#uncredited);
      }
    });
  }

  return(): Promise<IteratorResult<T, undefined>> {
    if (!this.#isEnded) this.#onReturn();
    this.#messages.length = 0;
    this.#error = undefined;
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #creditUpTo(bytes: number): void {
    const credited = Math.min(bytes, this.#uncredited);
    this.#uncredited -= credited;
    if (credited > 0) this.#credit(credited);
  }

  #deliver(bytes: Buffer, reader: MessageReader<T>): void {
    let value: T;
    try {
      value = this.#decode(bytes);
    } catch (error) {
      reader.reject(error);
      void this.return();
      return;
    }
    reader.resolve({ done: false, value });
  }

  #settle(reader: MessageReader<T>): void {
    const error = this.#error;
    // Once is enough: after an error an iterator is done.
    this.#error = undefined;
    if (error === undefined) reader.resolve({ done: true, value: undefined });
    else reader.reject(error);
  }
}

const nothing = new Uint8Array();
const statusDetails = "grpc-status-details-bin";
/** setTimeout fires at once above this (24.8 days). */
const timerMaxMs = 2 ** 31 - 1;
const deadlineSlackMs = 10;

function onDeadline(call: { onDeadline(): void }): void {
  call.onDeadline();
}

function decode<O extends DescMessage>(output: O, bytes: Buffer): MessageShape<O> {
  try {
    return fromBinary(output, bytes);
  } catch (cause) {
    throw new ConnectError("the answer cannot be decoded", Code.Internal, undefined, undefined, cause);
  }
}

function parseBaseUrl(baseUrl: string): URL {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.pathname !== "/") {
    throw new Error(`baseUrl must look like http://host:port, got "${baseUrl}"`);
  }
  return url;
}

/** The headers of every call of a method, encoded once. */
function createHeadCache(origin: URL): (method: DescMethod) => Buffer {
  const heads = new Map<DescMethod, Buffer>();
  return (method) => {
    let head = heads.get(method);
    if (head === undefined) {
      head = encodeHeaders([
        ...[":method", "POST"],
        ...[":scheme", origin.protocol.slice(0, -1)],
        ...[":path", `/${method.parent.typeName}/${method.name}`],
        ...[":authority", origin.host],
        ...["te", "trailers"],
        ...["content-type", "application/grpc+proto"],
        ...["user-agent", "grpc-e-lampid-transcoder/1"],
      ]);
      heads.set(method, head);
    }
    return head;
  };
}

/** Names that belong to HTTP/2 or gRPC: handing on a caller's headers must not hand on these. */
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

const printable = /^[\x20-\x7e]*$/;

function toMetadata(header: HeadersInit | undefined): HeaderList {
  if (header === undefined) return none;
  const metadata: string[] = [];
  if (Array.isArray(header) || typeof (header as Headers).forEach === "function") {
    new Headers(header).forEach((value, name) => {
      addMetadata(metadata, name, value);
    });
  } else {
    const record = header as Record<string, string>;
    for (const name in record) addMetadata(metadata, name.toLowerCase(), record[name]!);
  }
  return metadata;
}

function addMetadata(into: string[], name: string, value: string): void {
  if (reserved.has(name) || name.startsWith(":")) return;
  if (!printable.test(value)) {
    // The value may be personal data, so the message has just the name.
    throw new ConnectError(`header "${name}" has illegal characters`, Code.Internal);
  }
  // Padding is what gRPC asks senders of binary values to leave out.
  into.push(name, name.endsWith("-bin") ? value.replaceAll("=", "") : value);
}

const none: HeaderList = [];

/** Of several with one name the last, as of all headers that must stand once. */
function headerOf(headers: HeaderList, name: string): string | undefined {
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    if (headers[i] === name) return headers[i + 1];
  }
  return undefined;
}

/** All values with one name, as Headers have them. */
function joined(headers: HeaderList, name: string): string | null {
  let value: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === name) value = value === null ? headers[i + 1]! : `${value}, ${headers[i + 1]}`;
  }
  return value;
}

function toHeaders(from: HeaderList | Headers, into = new Headers()): Headers {
  if (from instanceof Headers) return from;
  for (let i = 0; i < from.length; i += 2) {
    const name = from[i]!;
    if (!name.startsWith(":")) into.append(name, from[i + 1]!);
  }
  return into;
}

/** What is wrong with the head of an answer, if it is not one of gRPC. */
function notGrpc(headers: HeaderList, isEnd: boolean): ConnectError | undefined {
  const status = headerOf(headers, ":status");
  const contentType = headerOf(headers, "content-type");
  if (status === "200" && contentType === "application/grpc") return undefined;
  if (status !== "200") {
    return new ConnectError(`HTTP ${status}`, codeFromHttpStatus(Number(status)), toHeaders(headers));
  }
  if (isEnd && contentType === undefined && headerOf(headers, "grpc-status") !== undefined) return undefined;
  if (parseContentType(contentType ?? null) === undefined) {
    return new ConnectError(`unsupported content type ${contentType}`, Code.Unknown);
  }
  const encoding = headerOf(headers, "grpc-encoding") ?? "identity";
  return encoding === "identity"
    ? undefined
    : new ConnectError(`unsupported response encoding "${encoding}"`, Code.Internal);
}

/** The error that trailers tell of; its metadata is the union of the answer's headers and trailers. */
function errorFromTrailer(trailer: HeaderList, header: HeaderList | undefined): ConnectError | undefined {
  const headers = toHeaders(trailer);
  const error = detailedError(headers) ?? plainError(headers);
  if (error !== undefined && header !== undefined && header !== trailer) toHeaders(header, error.metadata);
  return error;
}

function detailedError(trailer: Headers): ConnectError | undefined {
  try {
    const error = trailer.has(statusDetails) ? findTrailerError(trailer) : undefined;
    return error !== undefined && error.code in Code ? error : undefined;
  } catch {
    // Details that do not parse must not hide the status itself.
    return undefined;
  }
}

function plainError(trailer: Headers): ConnectError | undefined {
  const status = trailer.get("grpc-status");
  if (status === null) return protocolError("an answer without a status");
  if (status === "0") return undefined;
  const code = Number(status);
  const error =
    code in Code
      ? new ConnectError(decodeMessage(trailer.get("grpc-message") ?? ""), code, trailer)
      : new ConnectError(`invalid grpc-status: ${status}`, Code.Unknown, trailer);
  // Another service's: when a handler lets it through, details travel on but metadata does not.
  error.isWireError = true;
  return error;
}

/** Percent-encoded UTF-8; what is not decoded as well as it goes, for it is only a text for people. */
function decodeMessage(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}

function encodeTimeout(ms: number): string {
  return ms <= 99_999_999 ? `${ms}m` : `${Math.ceil(ms / 1000)}S`;
}

function protocolError(text: string): ConnectError {
  return new ConnectError(`protocol error: ${text}`, Code.Internal);
}

function timedOut(): ConnectError {
  return new ConnectError("the operation timed out", Code.DeadlineExceeded);
}

function unavailable(cause: Error): ConnectError {
  return new ConnectError(cause.message, Code.Unavailable, undefined, undefined, cause);
}

/** gRPC over HTTP/2, "HTTP2 Transport Mapping: Errors". */
function codeOfReset(errorCode: number): Code {
  switch (errorCode) {
    case errorCodes.cancel:
      return Code.Canceled;
    case errorCodes.enhanceYourCalm:
      return Code.ResourceExhausted;
    case errorCodes.inadequateSecurity:
      return Code.PermissionDenied;
    default:
      return Code.Internal;
  }
}
