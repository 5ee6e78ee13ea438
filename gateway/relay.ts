// Relays RPCs of all four kinds to an upstream, for callers that speak Connect, gRPC-Web or gRPC.
import type {
  DescMethod,
  DescMethodStreaming,
  DescMethodUnary,
  DescService,
  Message,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type HandlerContext,
  type Transport,
} from "@connectrpc/connect";
import { createAsyncIterable } from "@connectrpc/connect/protocol";
import { presentable, traceIdOf } from "./transcoder/status.ts";

export interface RelayOptions {
  /** Request headers that travel upstream, lower case. */
  readonly forwardHeaders: readonly string[];
  /** Headers and trailers of the upstream that travel back, lower case. */
  readonly answerHeaders: readonly string[];
  /** More of them for a method; asked once per method. Default: none. */
  readonly moreAnswerHeaders?: (method: DescMethod) => readonly string[];
  /** Deadline of a unary call: what is left of the caller's, else the default, never more than the maximum. */
  readonly timeout: { readonly defaultMs: number; readonly maxMs: number };
  /** Deadline of a stream whose caller names none, and the maximum. */
  readonly streamMaxMs: number;
  /** Ends the streams that are open, so that their callers go elsewhere; unary calls may finish. */
  readonly drainSignal: AbortSignal;
  /** Adds words in the caller's language to a refusal. Default: none are added. */
  readonly localize?: (error: ConnectError, acceptLanguage: string | null) => void;
  /** Told of every failure that a caller sees as internal, with its cause. */
  readonly onInternalError?: (error: unknown, method: DescMethod, traceId: string | undefined) => void;
  /** Told of the end of every call; code 0 is OK. */
  readonly onEnd?: (method: DescMethod, code: number, durationMs: number) => void;
}

/** Registers every method of a service so that it is answered by the upstream behind `transport`. */
export function relayService(
  router: ConnectRouter,
  service: DescService,
  transport: Transport,
  options: RelayOptions,
): void {
  for (const method of service.methods) {
    const answerHeaders = [...options.answerHeaders, ...(options.moreAnswerHeaders?.(method) ?? [])];
    router.rpc(method as never, implement(method, transport, { ...options, answerHeaders }) as never);
  }
}

function implement(method: DescMethod, transport: Transport, options: RelayOptions) {
  switch (method.methodKind) {
    case "unary":
      return (request: Message, context: HandlerContext) =>
        relayUnary(method as DescMethodUnary, transport, options, request, context);
    case "server_streaming":
      return (request: Message, context: HandlerContext) =>
        relayStream(
          method as DescMethodStreaming,
          transport,
          options,
          createAsyncIterable([request]),
          context,
        );
    case "client_streaming":
      return async (requests: AsyncIterable<Message>, context: HandlerContext) => {
        let answer: Message | undefined;
        for await (const message of relayStream(
          method as DescMethodStreaming,
          transport,
          options,
          requests,
          context,
        )) {
          answer = message;
        }
        return answer ?? {};
      };
    case "bidi_streaming":
      return (requests: AsyncIterable<Message>, context: HandlerContext) =>
        relayStream(method as DescMethodStreaming, transport, options, requests, context);
  }
}

async function relayUnary(
  method: DescMethodUnary,
  transport: Transport,
  options: RelayOptions,
  request: Message,
  context: HandlerContext,
): Promise<Message> {
  const startedAtMs = performance.now();
  let code = 0;
  try {
    const { defaultMs, maxMs } = options.timeout;
    const timeoutMs = leftOf(context, defaultMs, maxMs);
    const headers = pick(context.requestHeader, options.forwardHeaders);
    const response = await transport.unary(method, context.signal, timeoutMs, headers, request);
    copy(response.header, context.responseHeader, options.answerHeaders);
    copy(response.trailer, context.responseTrailer, options.answerHeaders);
    return response.message;
  } catch (error) {
    const shown = refusal(error, method, options, context);
    code = shown.code;
    throw shown;
  } finally {
    options.onEnd?.(method, code, performance.now() - startedAtMs);
  }
}

async function* relayStream(
  method: DescMethodStreaming,
  transport: Transport,
  options: RelayOptions,
  requests: AsyncIterable<Message>,
  context: HandlerContext,
): AsyncGenerator<Message> {
  const startedAtMs = performance.now();
  const left = new AbortController();
  let messages: AsyncIterator<Message> | undefined;
  let code = 0;
  try {
    const timeoutMs = leftOf(context, options.streamMaxMs, options.streamMaxMs);
    const headers = pick(context.requestHeader, options.forwardHeaders);
    const signal = AbortSignal.any([context.signal, options.drainSignal, left.signal]);
    const response = await transport.stream(method, signal, timeoutMs, headers, requests);
    copy(response.header, context.responseHeader, options.answerHeaders);
    messages = response.message[Symbol.asyncIterator]();
    for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
      yield next.value;
    }
    messages = undefined;
    copy(response.trailer, context.responseTrailer, options.answerHeaders);
  } catch (error) {
    const shown = refusal(error, method, options, context);
    code = shown.code;
    throw shown;
  } finally {
    // Connect's streams have no return(): one that is left early must be aborted and then read once more, or its
    // deadline timer lives on.
    if (messages !== undefined) {
      left.abort();
      messages.next().catch(() => {});
    }
    options.onEnd?.(method, code, performance.now() - startedAtMs);
  }
}

/** X-Server-Timeout binds every protocol; the protocols' own deadlines are in the context. */
function leftOf(context: HandlerContext, defaultMs: number, maxMs: number): number {
  const header = context.requestHeader.get("x-server-timeout");
  const seconds = header !== null && /^\d{1,9}(?:\.\d{1,9})?$/.test(header) ? Number(header) : 0;
  const asked = seconds > 0 ? seconds * 1000 : defaultMs;
  return Math.max(1, Math.ceil(Math.min(context.timeoutMs() ?? asked, asked, maxMs)));
}

/** Details travel, metadata of the upstream only by allow-list, and what is not a refusal shows nothing. */
function refusal(
  error: unknown,
  method: DescMethod,
  { answerHeaders, localize, onInternalError }: RelayOptions,
  context: HandlerContext,
): ConnectError {
  const traceId = traceIdOf(context.requestHeader.get("traceparent"));
  const shown = presentable(error, traceId);
  const isInside = shown.code === Code.Internal || (shown !== error && shown.code === Code.Unavailable);
  if (isInside && !context.signal.aborted) {
    onInternalError?.(error, method, traceId);
  }
  const relayed = new ConnectError(shown.rawMessage, shown.code);
  copy(shown.metadata, relayed.metadata, answerHeaders);
  relayed.details = [...shown.details];
  localize?.(relayed, context.requestHeader.get("accept-language"));
  return relayed;
}

/** Printable ASCII: gRPC metadata allows no more, and a header that breaks the rule must not break the call. */
const printable = /^[\x20-\x7e]*$/;

function pick(from: Headers, names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = from.get(name);
    if (value !== null && printable.test(value)) {
      picked[name] = value;
    }
  }
  return picked;
}

function copy(from: Headers, to: Headers, names: readonly string[]): void {
  for (const name of names) {
    const value = from.get(name);
    if (value !== null) {
      to.set(name, value);
    }
  }
}
