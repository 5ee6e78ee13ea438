// Serves the methods of gRPC services as REST, from their google.api.http annotations alone.
import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import {
  create,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  type DescService,
  getOption,
  hasOption,
  type Message,
  type Registry,
} from "@bufbuild/protobuf";
import type { GenExtension } from "@bufbuild/protobuf/codegenv2";
import type { MethodOptions } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createAsyncIterable } from "@connectrpc/connect/protocol";
import { answerCodings, type Coding, chooseCoding, chooseFormat, streamCodings } from "./accept.ts";
import { type Binding, createBinding, isUpload } from "./binding.ts";
import {
  type BodyLimits,
  CallerGone,
  checkJsonType,
  discardRest,
  isFormType,
  readBody,
  refuseUnread,
} from "./body.ts";
import { compressedBytesMin, decodeBody, encodeBody, isCompressible } from "./content-coding.ts";
import type { Dialect } from "./dialect.ts";
import { etagHeader, fillEtag, matchesTag } from "./etag.ts";
import { type Framing, framings, rawFraming } from "./framing.ts";
import { writeHead } from "./head.ts";
import { leaveSignal } from "./leave-signal.ts";
import type { MessageSource } from "./message-source.ts";
import { createMetadataReader, putAnswerHeaders, putMetadata } from "./metadata.ts";
import { createRouter } from "./router.ts";
import { RuleError, readHttpRules } from "./rule.ts";
import { type HttpRuleConfig, readServiceConfigRules } from "./service-config.ts";
import {
  addVary,
  badRequest,
  httpStatusOf,
  type Localize,
  localized,
  presentable,
  Refusal,
  type Request,
  type Response,
  type Status,
  statusOf,
  traceIdOf,
  writeStatus,
} from "./status.ts";
import { createStreamAnswer } from "./stream-answer.ts";
import { deadlineOf } from "./timeout.ts";
import { openUpload, uploading } from "./upload.ts";

/** A method option that holds an HTTP status. */
export type SuccessStatusExtension = GenExtension<MethodOptions, number>;

/** What a transcoder is made of. `C` is whatever the caller of `handle` knows about a request. */
export interface TranscoderOptions<C = undefined> {
  /** Services whose annotated methods are served. */
  readonly services: readonly DescService[];
  /** Rules of a service config (`http.rules`): they replace the annotation of the method they select. Default: none. */
  readonly httpRules?: readonly HttpRuleConfig[];
  /** The connection to the server of a service; asked once per method, at start. */
  readonly transportFor: (service: DescService) => Transport;
  /** Types of google.protobuf.Any and of error details. Default: none is known; unknown details keep their bytes. */
  readonly registry?: Registry;
  /** Method option with the HTTP status of success, 200 to 299. Default: every success is 200. */
  readonly successStatus?: SuccessStatusExtension;
  /** Asked before a request's body is read; what it returns is what the call fails with. Default: all are admitted. */
  readonly admit?: (method: DescMethod, context: C) => ConnectError | undefined;
  /** Turns an Idempotency-Key into the value of the input field `request_id`. Default: the header is ignored. */
  readonly requestId?: (key: string, context: C) => string;
  /** Request headers that travel upstream, lower case. Default: see README. */
  readonly forwardHeaders?: readonly string[];
  /** Tell the upstream where a request came from: X-Forwarded-For, -Host and -Proto. Default: false. */
  readonly forwarded?: boolean;
  /** Headers of the upstream's answer that travel back, lower case. Default: x-request-id. */
  readonly answerHeaders?: readonly string[];
  /** More of them for a method; asked once per method, at start. An `etag` counts when the message has none. Default: none. */
  readonly moreAnswerHeaders?: (method: DescMethod) => readonly string[];
  /** Its trailers that travel back as headers of unary answers and of errors, lower case. Default: none. */
  readonly answerTrailers?: readonly string[];
  /** Headers of every answer, such as `cache-control`. Default: none. */
  readonly fixedHeaders?: Readonly<Record<string, string>>;
  /** Headers of every answer of a method, such as `deprecation`; asked once per method, at start. Default: none. */
  readonly methodHeaders?: (method: DescMethod) => Readonly<Record<string, string>>;
  /** Deadline of a call: what its headers ask for (timeout.ts) capped at `maxMs`. Default: 15 s, at most 60 s. */
  readonly timeout?: { readonly defaultMs: number; readonly maxMs: number };
  /** Also of what a compressed body unpacks to. Default: 1 MiB within 30 s. */
  readonly body?: BodyLimits;
  /**
   * Take application/x-www-form-urlencoded bodies as query parameters, where the rule's body is "*" or none. Default: false,
   * because a form is what a foreign page can send without CORS asking anybody.
   */
  readonly formBodies?: boolean;
  /** Speak like another transcoder: dialect-grpc-gateway.ts. Default: as the README says. */
  readonly dialect?: Dialect;
  /** How server-streaming methods are served. */
  readonly stream?: Partial<StreamOptions>;
  /** Write fields that hold their default. Default: false. */
  readonly emitUnpopulated?: boolean;
  /** Finds words for a refusal in the caller's language (google.rpc.LocalizedMessage). Default: none are added. */
  readonly localize?: Localize;
  /** Told of every failure that a caller sees as internal, with its cause. */
  readonly onInternalError?: (error: unknown, method: DescMethod, traceId: string | undefined) => void;
  /** Told of every answer. */
  readonly onAnswer?: (answer: Answer) => void;
}

export interface StreamOptions {
  /** Deadline of a stream: what its headers ask for, capped at `maxMs`. Default: 1 h, at most 1 h. */
  readonly timeout: { readonly defaultMs: number; readonly maxMs: number };
  /**
   * How long the head waits for the first message, so that a failure can still be an HTTP error. Default: 2 s; a stream
   * that is silent for longer begins without one, for clients and proxies do not wait for a head for ever.
   */
  readonly headWaitMs: number;
  /** How often an idle stream of Server-Sent Events says something. Default: 15 s. */
  readonly heartbeatMs: number;
  /** How long a client may take to read the error that ends its stream. Default: 5 s. */
  readonly lingerMs: number;
  /** Ends the streams that are open, with what it was aborted with; unary calls may finish. Default: none. */
  readonly drainSignal: AbortSignal | undefined;
}

export const defaultStreamOptions: StreamOptions = {
  timeout: { defaultMs: 3_600_000, maxMs: 3_600_000 },
  headWaitMs: 2_000,
  heartbeatMs: 15_000,
  lingerMs: 5_000,
  drainSignal: undefined,
};

/** One answered request. The method tells the route: paths carry ids and must not become labels. */
export interface Answer {
  readonly method: DescMethod;
  readonly httpStatus: number;
  /** google.rpc.Code; 0 is OK. Of a stream, what it ended with, whatever the HTTP status was. */
  readonly code: number;
  readonly durationMs: number;
}

export interface Transcoder<C = undefined> {
  /** Serves a request whose path it knows. Returns false, and leaves the request alone, when it knows no such path. */
  handle(request: Request, response: Response, context: C): boolean;
  /** The method that a request is for; undefined when `handle` would not call one. For who must know before. */
  methodOf(request: Request): DescMethod | undefined;
  /** What is served, for documentation and logs. */
  readonly routes: readonly Route[];
}

export interface Route {
  readonly httpMethod: string;
  readonly template: string;
  readonly method: DescMethod;
  readonly successStatus: number;
}

/**
 * Creates a transcoder. Throws RuleError, naming file, method and reason, for a rule that cannot work: a template that
 * does not parse, an unknown or repeated field, two methods on one path.
 */
export function createTranscoder<C = undefined>(options: TranscoderOptions<C>): Transcoder<C> {
  const timeout = options.timeout ?? { defaultMs: 15_000, maxMs: 60_000 };
  const bodyLimits = options.body ?? { maxBytes: 1024 * 1024, timeoutMs: 30_000 };
  const forwardHeaders = options.forwardHeaders ?? forwardedByDefault;
  const answerHeaders = options.answerHeaders ?? ["x-request-id"];
  const answerTrailers = options.answerTrailers ?? [];
  const fixedHeaders = options.fixedHeaders ?? {};
  const streaming = { ...defaultStreamOptions, ...options.stream };
  const { admit, dialect, registry, requestId, localize, onInternalError, onAnswer } = options;
  const formBodies = dialect !== undefined || (options.formBodies ?? false);
  const bindingOptions = { ...options, ...dialect?.binding };
  const configured = options.httpRules && readServiceConfigRules(options.httpRules, options.services);
  const metadataOf = dialect?.metadataOf ?? createMetadataReader(forwardHeaders, options.forwarded ?? false);
  const router = createRouter<Endpoint>();
  const routes: Route[] = [];
  for (const service of options.services) {
    for (const method of service.methods) {
      addMethod(service, method);
    }
  }

  return { handle, methodOf, routes };

  function methodOf(request: Request): DescMethod | undefined {
    const match = router.find(request.method ?? "GET", (request.url ?? "/").split("?", 1)[0]!);
    return match.kind === "found" ? match.value.binding.method : undefined;
  }

  function addMethod(service: DescService, method: DescMethod): void {
    const rules = configured?.get(method) ?? readHttpRules(method);
    if (rules.length === 0) {
      return;
    }
    const transport = options.transportFor(service);
    const successStatus = successStatusOf(method, options.successStatus);
    const moreHeaders = options.moreAnswerHeaders?.(method) ?? [];
    const headers = Object.entries(options.methodHeaders?.(method) ?? {});
    for (const rule of rules) {
      const binding = createBinding(method, rule, bindingOptions);
      const existing = router.add(
        binding.template,
        binding.httpMethod,
        {
          binding,
          transport,
          successStatus,
          moreHeaders,
          headers,
          isUpload: isUpload(method),
        },
        dialect !== undefined,
      );
      if (existing !== undefined && dialect === undefined) {
        const { name, parent } = existing.binding.method;
        throw new RuleError(
          method,
          `${rule.method} ${rule.template} is taken by ${parent.typeName}.${name} (${existing.binding.template.source})`,
        );
      }
      routes.push({ httpMethod: rule.method, template: rule.template, method, successStatus });
    }
  }

  function handle(request: Request, response: Response, context: C): boolean {
    const url = request.url ?? "/";
    const mark = url.indexOf("?");
    const path = mark < 0 ? url : url.slice(0, mark);
    const match =
      dialect === undefined
        ? router.find(request.method ?? "GET", path)
        : dialect.find(router, request, path);
    switch (match.kind) {
      case "found": {
        const query = mark < 0 ? "" : url.slice(mark + 1);
        const serving = match.value.isUpload ? serveUpload : serve;
        serving(match.value, match.segments, query, request, response, context).catch(() => {
          // Only a hook that throws gets here; a rejection that nobody hears would end the process.
          writeStatus(response, { code: Code.Internal, message: "internal error", details: [] }, 500);
        });
        return true;
      }
      case "method": {
        const allow = match.allow.join(", ");
        if (dialect !== undefined) {
          const { status, httpStatus } = dialect.wrongMethod;
          writeStatus(response, status, httpStatus, fixedHeaders);
        } else if (request.method === "OPTIONS") {
          writeHead(response, 204, { ...fixedHeaders, allow }).end();
        } else {
          const status = { code: Code.Unimplemented, message: `this path allows ${allow}`, details: [] };
          answerStatus(status, 405, { ...fixedHeaders, allow }, request, response);
        }
        return true;
      }
      case "escape": {
        const refusal = badRequest("the path has a broken percent escape", [
          { field: "path", description: "must be percent-encoded UTF-8", reason: "INVALID_ESCAPE" },
        ]);
        answerStatus(refusal.status, refusal.httpStatus, fixedHeaders, request, response);
        return true;
      }
      case "none":
        return false;
    }
  }

  async function serve(
    endpoint: Endpoint,
    segments: readonly string[],
    query: string,
    request: Request,
    response: Response,
    context: C,
  ): Promise<void> {
    const { binding } = endpoint;
    const { method } = binding;
    const startedAtMs = performance.now();
    let code = 0;
    let httpStatus = endpoint.successStatus;
    for (const [name, value] of endpoint.headers) {
      (response as ServerResponse).setHeader(name, value);
    }
    try {
      const refused = admit?.(method, context);
      if (refused !== undefined) {
        throw refused;
      }
      const { headers } = request;
      const isStream = method.methodKind === "server_streaming";
      // Refused before the call: what a caller cannot take must not be done for it either.
      const framing = isStream ? framingOf(binding, request, dialect) : undefined;
      checkCoding(headers["accept-encoding"], framing === undefined ? answerCodings : codingsOf(framing));
      const timeoutMs = deadlineOf(request, isStream ? streaming.timeout : timeout);
      const isForm = formBodies && binding.readForm !== undefined && isFormType(request);
      let body: Buffer | undefined;
      if (binding.hasBody || isForm) {
        body = await readBody(request, bodyLimits);
        if (body.length > 0) {
          if (!isForm && !binding.takesRaw && dialect === undefined) {
            checkJsonType(request);
          }
          const coding = headers["content-encoding"];
          if (coding !== undefined) {
            body = await decodeBody(body, coding, bodyLimits.maxBytes);
          }
        }
      } else {
        request.resume(); // a body that no rule reads is discarded
      }
      const input = isForm
        ? binding.readForm!(segments, query, body!)
        : binding.read(segments, query, body, headers["content-type"]);
      if (requestId !== undefined) {
        setRequestId(binding, input, request, requestId, context);
      }
      if (binding.etagPath !== undefined && headers["if-match"] !== undefined) {
        fillEtag(binding.etagPath, input, headers["if-match"]);
      }
      const leftMs = Math.max(1, Math.ceil(timeoutMs - (performance.now() - startedAtMs)));
      if (method.methodKind === "unary") {
        httpStatus = await answerUnary(endpoint, method as DescMethodUnary, input, leftMs, request, response);
      } else {
        const inputs = createAsyncIterable([input]);
        code = await answerStream(endpoint, inputs, leftMs, framing!, undefined, request, response);
      }
    } catch (error) {
      ({ code, httpStatus } = answerError(error, method, request, response));
    }
    onAnswer?.({ method, httpStatus, code, durationMs: performance.now() - startedAtMs });
  }

  /** Serves a request whose body is a stream of messages: it is read while the call runs. */
  async function serveUpload(
    endpoint: Endpoint,
    segments: readonly string[],
    query: string,
    request: Request,
    response: Response,
    context: C,
  ): Promise<void> {
    const { binding, transport } = endpoint;
    const { method } = binding;
    const startedAtMs = performance.now();
    let code = 0;
    let httpStatus = endpoint.successStatus;
    let inputs: MessageSource | undefined;
    try {
      const refused = admit?.(method, context);
      if (refused !== undefined) {
        throw refused;
      }
      const framing =
        method.methodKind === "bidi_streaming" ? framingOf(binding, request, dialect) : undefined;
      checkCoding(
        request.headers["accept-encoding"],
        framing === undefined ? answerCodings : codingsOf(framing),
      );
      const leftMs = deadlineOf(request, streaming.timeout);
      inputs = openUpload(request, binding, bodyLimits.maxBytes, (bytes, isFirst) =>
        isFirst && binding.readsUrl
          ? binding.read(segments, query, bytes, request.headers["content-type"])
          : binding.readNext(bytes),
      );
      if (framing === undefined) {
        const whole = { ...endpoint, transport: uploading(transport, inputs) };
        httpStatus = await answerUnary(
          whole,
          method as never,
          create(method.input),
          leftMs,
          request,
          response,
        );
      } else {
        code = await answerStream(endpoint, inputs, leftMs, framing, inputs.broken, request, response);
      }
    } catch (error) {
      // How a transport words what broke its input is its own affair.
      const cause = inputs?.broken.aborted ? inputs.broken.reason : error;
      ({ code, httpStatus } = answerError(cause, method, request, response));
    }
    inputs?.stop();
    if (response.writableEnded) {
      discardRest(request, response);
    }
    onAnswer?.({ method, httpStatus, code, durationMs: performance.now() - startedAtMs });
  }

  /** Calls the method and answers with its message. Returns the HTTP status. */
  async function answerUnary(
    { binding, transport, successStatus, moreHeaders }: Endpoint,
    method: DescMethodUnary,
    input: Message,
    leftMs: number,
    request: Request,
    response: Response,
  ): Promise<number> {
    const headers = metadataOf(request);
    const answer = await transport.unary(method, leaveSignal(request, response), leftMs, headers, input);

    const head: OutgoingHttpHeaders = { ...fixedHeaders };
    if (dialect === undefined) {
      putAnswerHeaders(head, answerHeaders, answer);
      putAnswerHeaders(head, moreHeaders, answer);
    } else {
      dialect.putHeaders(head, answer.header);
    }
    if (answerTrailers.length > 0) putMetadata(head, answerTrailers, answer.trailer);
    const etag =
      binding.answerEtagPath === undefined
        ? (head.etag as string | undefined)
        : etagHeader(binding.answerEtagPath, answer.message);
    if (etag !== undefined) {
      head.etag = etag;
      if (isUnchanged(request, etag)) {
        addVary(response, head, "accept-encoding"); // as the whole answer may have
        if (!response.destroyed) {
          writeHead(response, 304, head).end();
        }
        return 304;
      }
    }
    let body: string | Uint8Array;
    if (binding.writeRaw === undefined) {
      body = binding.write(answer.message);
      head["content-type"] = "application/json";
    } else {
      const { contentType, data } = binding.writeRaw(answer.message);
      body = data;
      head["content-type"] = contentType;
    }
    const bytes = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    head["content-length"] = bytes;
    const coding = answerCoding(bytes, request, head, response);
    if (coding !== undefined) {
      body = await compress(body, coding, request, head);
    }
    dialect?.putTrailers(request, response, head, answer.trailer);
    if (!response.destroyed) {
      writeHead(response, successStatus, head).end(body);
    }
    return successStatus;
  }

  /**
   * Relays a stream message by message: the next is asked for when the client has room for it. `broken` is aborted when the
   * inputs cannot go on. Throws what happens
   * before the head is out; afterwards the error is part of the answer. Returns the google.rpc.Code at the end.
   */
  async function answerStream(
    { binding, transport, successStatus }: Endpoint,
    inputs: AsyncIterable<Message>,
    leftMs: number,
    framing: Framing,
    broken: AbortSignal | undefined,
    request: Request,
    response: Response,
  ): Promise<number> {
    const { method } = binding;
    const { drainSignal, headWaitMs, heartbeatMs, lingerMs } = streaming;
    const headOnly = request.method === "HEAD";
    const over = new AbortController();
    const ends = [over.signal, drainSignal, broken].filter((each) => each !== undefined);
    const signal = AbortSignal.any(ends);
    let isGone = false;
    const onClose = () => {
      isGone = true;
      over.abort();
    };
    response.once("close", onClose);
    const { writeRaw } = binding;
    const write =
      writeRaw === undefined ? binding.write : (message: Message): Uint8Array => writeRaw(message).data;
    // The transport keeps the deadline while it is read; this does so while the client keeps us from reading.
    const deadline = setTimeout(() => over.abort(late()), leftMs);
    let messages: AsyncIterator<Message> | undefined;
    let hasBegun = false;
    const { coding } = chooseCoding(request.headers["accept-encoding"], streamCodings);
    const answer = createStreamAnswer(response, { framing, coding, headOnly, heartbeatMs, lingerMs, signal });
    try {
      const headers = metadataOf(request);
      let header = new Headers();
      const first = transport
        .stream(method as DescMethodStreaming, signal, leftMs, headers, inputs as never)
        .then((answered) => {
          header = answered.header;
          messages = answered.message[Symbol.asyncIterator]();
          return messages.next();
        });
      // Bytes have the type that the first message names: without it there is no head to send.
      let next = writeRaw !== undefined ? await first : await atMost(headWaitMs, first);
      // Written before the head is: what cannot be written at all is an HTTP error, too.
      let chunk = next === undefined || next.done === true ? undefined : write(next.value);
      hasBegun = true;
      const head = headOf(header);
      if (writeRaw !== undefined) {
        head["content-type"] =
          next?.done === false ? writeRaw(next.value).contentType : "application/octet-stream";
      }
      answer.begin(successStatus, head);
      if (headOnly) {
        return 0;
      }
      next ??= await first;
      while (next.done !== true) {
        await answer.send(chunk ?? write(next.value));
        chunk = undefined;
        next = await messages!.next();
      }
      messages = undefined;
      answer.end();
      return isGone ? Code.Canceled : 0;
    } catch (error) {
      if (isGone) {
        return Code.Canceled;
      }
      // How a transport words an abort is its own affair; why it was aborted is ours.
      const cause = signal.aborted ? signal.reason : error;
      if (!hasBegun) {
        throw cause;
      }
      if (cause instanceof Refusal) {
        await answer.fail(cause.status);
        return cause.status.code;
      }
      const shown = shownTo(request, method, cause);
      await answer.fail(localized(statusOf(shown, registry), {}, localize, request, response).status);
      return shown.code;
    } finally {
      clearTimeout(deadline);
      response.off("close", onClose);
      // Connect's streams have no return(): one that is left early must be aborted and then read once more, or its
      // deadline timer lives on.
      over.abort();
      messages?.next().catch(() => {});
    }
  }

  function headOf(header: Headers): OutgoingHttpHeaders {
    const head: OutgoingHttpHeaders = { ...fixedHeaders };
    if (dialect !== undefined) {
      dialect.putHeaders(head, header);
      return head;
    }
    putMetadata(head, answerHeaders, header);
    return head;
  }

  /** What the caller may see of a failure; the hook hears of the rest. */
  function shownTo(request: Request, method: DescMethod, error: unknown): ConnectError {
    const traceId = traceIdOf(request.headers.traceparent);
    const shown = dialect?.present(error, traceId) ?? presentable(error, traceId);
    const isDrain = error !== undefined && error === streaming.drainSignal?.reason;
    if (!isDrain && (shown.code === Code.Internal || (shown !== error && shown.code === Code.Unavailable))) {
      onInternalError?.(error, method, traceId);
    }
    return shown;
  }

  function answerError(
    error: unknown,
    method: DescMethod,
    request: Request,
    response: Response,
  ): { code: number; httpStatus: number } {
    if (error instanceof CallerGone) {
      return { code: Code.Canceled, httpStatus: 499 };
    }
    if (error instanceof Refusal) {
      // A body that is refused for what it unpacks to has been read.
      if ((error.httpStatus === 413 || error.httpStatus === 408) && !request.readableEnded) {
        const said = localized(
          error.status,
          { ...fixedHeaders, ...error.headers },
          localize,
          request,
          response,
        );
        refuseUnread(request, response, { httpStatus: error.httpStatus, ...said }, {});
      } else {
        answerStatus(
          error.status,
          error.httpStatus,
          { ...fixedHeaders, ...error.headers },
          request,
          response,
        );
      }
      return { code: error.status.code, httpStatus: error.httpStatus };
    }
    const shown = shownTo(request, method, error);
    const status = statusOf(shown, registry);
    if (dialect !== undefined) {
      const httpStatus = httpStatusOf(shown.code);
      answerInDialect(dialect, shown, status, httpStatus, method, request, response);
      return { code: shown.code, httpStatus };
    }
    const httpStatus = httpStatusOf(shown.code, request.headers["if-match"] !== undefined);
    // Of a failure, head and trailers are one.
    const head = headOf(shown.metadata);
    putMetadata(head, answerTrailers, shown.metadata);
    answerStatus(status, httpStatus, head as Record<string, string>, request, response);
    return { code: shown.code, httpStatus };
  }

  function answerStatus(
    status: Status,
    httpStatus: number,
    headers: Readonly<Record<string, string>>,
    request: Request,
    response: Response,
  ): void {
    const said = localized(status, headers, localize, request, response);
    writeStatus(response, said.status, httpStatus, said.headers);
  }
}

/** An error of an upstream, with its metadata; of a stream in the frame of one that fails later. */
function answerInDialect(
  dialect: Dialect,
  error: ConnectError,
  status: Status,
  httpStatus: number,
  method: DescMethod,
  request: Request,
  response: Response,
): void {
  if (response.headersSent || response.destroyed) {
    return;
  }
  const isStream = method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming";
  const json = JSON.stringify(status);
  const body = isStream ? dialect.framing.failure(json) : json;
  const head: OutgoingHttpHeaders = { ...dialect.headersOf(error.code, error.rawMessage) };
  dialect.putHeaders(head, error.metadata);
  // The type of a gRPC answer without a message is not among its metadata in Go.
  delete head["grpc-metadata-content-type"];
  head["content-type"] = "application/json";
  head["content-length"] = Buffer.byteLength(body);
  dialect.putTrailers(request, response, head, error.metadata);
  writeHead(response, httpStatus, head).end(body);
}

interface Endpoint {
  readonly binding: Binding;
  readonly transport: Transport;
  readonly successStatus: number;
  readonly moreHeaders: readonly string[];
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly isUpload: boolean;
}

const forwardedByDefault = ["authorization", "traceparent", "tracestate", "x-request-id", "accept-language"];

function late(): ConnectError {
  return new ConnectError("the deadline was exceeded", Code.DeadlineExceeded);
}

/** What a promise becomes, or undefined when that takes longer. */
async function atMost<T>(waitMs: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, waitMs, undefined);
  });
  return Promise.race([promise, enough]).finally(() => clearTimeout(timer));
}

/** The format of a stream for its caller; throws 406 when it takes none. */
function framingOf(binding: Binding, request: Request, dialect: Dialect | undefined): Framing {
  if (dialect !== undefined) {
    return binding.writeRaw === undefined ? dialect.framing : dialect.rawFraming;
  }
  return binding.writeRaw === undefined ? framings[chooseFormat(request.headers.accept)] : rawFraming;
}

function codingsOf(framing: Framing): readonly Coding[] {
  return framing.compresses ? streamCodings : [];
}

/** Throws 406 for a caller that takes neither a coding nor none. What has no parameters cannot refuse. */
function checkCoding(accepted: string | undefined, codings: readonly Coding[]): void {
  if (accepted?.includes(";")) {
    chooseCoding(accepted, codings);
  }
}

/** The coding for an answer of a type and size; says in its head when another caller could have got another. */
function answerCoding(
  bytes: number,
  request: Request,
  head: OutgoingHttpHeaders,
  response: Response,
): Coding | undefined {
  const accepted = request.headers["accept-encoding"];
  const isWorthIt = bytes >= compressedBytesMin && isCompressible(head["content-type"] as string);
  if (isWorthIt) {
    addVary(response, head, "accept-encoding");
  }
  if (accepted === undefined || (!isWorthIt && !accepted.includes(";"))) {
    return undefined;
  }
  const { coding, identity } = chooseCoding(accepted, answerCodings);
  return isWorthIt || !identity ? coding : undefined;
}

/** Compresses an answer, and says so in its head. */
async function compress(
  body: string | Uint8Array,
  coding: Coding,
  request: Request,
  head: OutgoingHttpHeaders,
): Promise<string | Uint8Array> {
  head["content-encoding"] = coding;
  if (request.method === "HEAD") {
    // How long it would be is not worth the work: a HEAD may go without a length (RFC 9110, 9.3.2).
    delete head["content-length"];
    return "";
  }
  const compressed = await encodeBody(body, coding);
  head["content-length"] = compressed.length;
  return compressed;
}

/** Whether the caller has this answer already: If-None-Match of a GET or HEAD names its entity tag. */
function isUnchanged(request: Request, etag: string): boolean {
  const known = request.headers["if-none-match"];
  return (
    known !== undefined && (request.method === "GET" || request.method === "HEAD") && matchesTag(known, etag)
  );
}

function setRequestId<C>(
  { requestIdField }: Binding,
  input: Message,
  request: Request,
  requestId: (key: string, context: C) => string,
  context: C,
): void {
  const key = request.headers["idempotency-key"];
  if (requestIdField === undefined || typeof key !== "string" || key === "") {
    return;
  }
  const fields = input as unknown as Record<string, unknown>;
  // What the body says wins: its id is the one that other protocols would send.
  if (!fields[requestIdField.localName]) {
    fields[requestIdField.localName] = requestId(key, context);
  }
}

function successStatusOf(method: DescMethod, extension: SuccessStatusExtension | undefined): number {
  if (extension === undefined || !hasOption(method, extension)) {
    return 200;
  }
  const status = getOption(method, extension);
  if (!(status >= 200 && status <= 299)) {
    throw new RuleError(method, `${extension.typeName} must be 200 to 299`);
  }
  return status;
}
