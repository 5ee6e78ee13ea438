// The front door: REST by transcoding, and Connect, gRPC-Web and gRPC by relay, behind one rate limit and one breaker an upstream.
import type { ServerResponse } from "node:http";
import { constants, type Http2ServerRequest } from "node:http2";
import type { DescMethod, DescService, Registry } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type Transport,
} from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { v5 as uuidv5 } from "uuid";
import { type BreakerState, breakTransport } from "#chassis/breaker.ts";
import { clientAddressHeader, purposeHeader } from "#chassis/caller.ts";
import { callerAddress } from "./address.ts";
import {
  type CacheOutcome,
  cacheableOf,
  cacheHeaders,
  cacheReads,
  createAnswerStore,
} from "./answer-cache.ts";
import { type Bulkhead, limitTransport } from "./bulkhead.ts";
import type { CallCounter, Quota } from "./call-counter.ts";
import type { Cors } from "./cors.ts";
import type { Documents } from "./documents.ts";
import { fixedHeaders } from "./fixed-headers.ts";
import type { LegacyFront } from "./legacy/legacy.ts";
import { localizeError, localizeStatus } from "./messages/localize.ts";
import { createRateLimiter, rateLimitError, rateLimitHeaders } from "./rate-limit.ts";
import { relayService } from "./relay.ts";
import { retryReads } from "./retry.ts";
import { setCommonHeaders } from "./transcoder/head.ts";
import {
  httpStatusOf,
  localized,
  type Request,
  type Response,
  type Status,
  statusOf,
  writeStatus,
} from "./transcoder/status.ts";
import { createTranscoder, type Route, type SuccessStatusExtension } from "./transcoder/transcoder.ts";

/** Who a token speaks for, as far as the gateway cares. */
export interface Caller {
  readonly subject: string;
  /** Username, or the id of a client: who may have a rate limit of its own. */
  readonly username?: string;
  /** Of a caller that has all three, cached answers are shared with those that have the same; else with nobody. */
  readonly role?: string;
  readonly wilayah?: string;
  readonly scopes?: readonly string[];
}

/** A process behind the gateway. */
export interface Upstream {
  /** Short name, for metrics and messages: "penduduk". */
  readonly name: string;
  readonly services: readonly DescService[];
  readonly transport: Transport;
}

export interface GatewayLimits {
  /** Calls a minute for one caller (LAMPID_RATE_LIMIT_PER_MINUTE). Default: 100. */
  readonly callsPerMinute: number;
  /** Calls a minute of those that have a limit of their own, by username or client id. Default: nobody has. */
  readonly callsByName: ReadonlyMap<string, number>;
  /** Calls a minute of one caller to an RPC (full name), whatever the protocol. Default: no RPC has a limit of its own. */
  readonly callsByRoute: ReadonlyMap<string, number>;
  /** Size of a request body, and of a message of the other protocols. Default: 1 MiB. */
  readonly bodyBytesMax: number;
  /** Size of a message that an upstream may send through. Default: 8 MiB. */
  readonly answerBytesMax: number;
  /** Time for a request body to arrive. Default: 30 s. */
  readonly bodyTimeoutMs: number;
  /** Deadline of a call that names none. Default: 15 s. */
  readonly callDefaultMs: number;
  /** Longest deadline of a call. Default: 60 s. */
  readonly callMaxMs: number;
  /** Longest life of a stream. Default: 1 h. */
  readonly streamMaxMs: number;
  /** Unary calls to one upstream at a time (LAMPID_UPSTREAM_CALLS); what comes on top is refused. Default: 512. */
  readonly upstreamCallsMax: number;
  /** Open streams to one upstream at a time (LAMPID_UPSTREAM_STREAMS). Default: 1,000. */
  readonly upstreamStreamsMax: number;
  /** Bytes of kept answers (LAMPID_CACHE_BYTES); 0 keeps none. Default: 8 MiB. */
  readonly cacheBytesMax: number;
  /** How long a kept answer is given without asking the upstream (LAMPID_CACHE_FRESH_SECONDS). Default: not at all. */
  readonly cacheFreshMs: number;
  /** Proxies in front whose X-Forwarded-For is believed. Default: 0. */
  readonly trustedProxies: number;
}

export const defaultGatewayLimits: GatewayLimits = {
  callsPerMinute: 100,
  callsByName: new Map(),
  callsByRoute: new Map(),
  bodyBytesMax: 1024 * 1024,
  answerBytesMax: 8 * 1024 * 1024,
  bodyTimeoutMs: 30_000,
  callDefaultMs: 15_000,
  callMaxMs: 60_000,
  streamMaxMs: 3_600_000,
  upstreamCallsMax: 512,
  upstreamStreamsMax: 1_000,
  cacheBytesMax: 8 * 1024 * 1024,
  cacheFreshMs: 0,
  trustedProxies: 0,
};

export interface GatewayDeps {
  readonly upstreams: readonly Upstream[];
  /** Types of google.protobuf.Any and of error details. */
  readonly registry: Registry;
  /** Method option with the HTTP status of a successful REST answer. */
  readonly successStatus?: SuccessStatusExtension;
  /**
   * Tells who an Authorization header speaks for. Throwing or undefined means nobody: the call is then counted by
   * address, and refusing it is the service's affair.
   */
  readonly verify: (authorization: string) => Caller | undefined | Promise<Caller | undefined>;
  /** Makes the trace context of a request from its traceparent header. Default: the header is passed on as it is. */
  readonly traceparent?: (header: string | undefined) => string;
  /**
   * Methods that are for who is not known yet. Their calls count by address whatever token comes with them, and the upstream is
   * told the address. Their REST paths have no variables.
   */
  readonly signIns?: readonly DescMethod[];
  /** Adds services that the gateway answers itself: health and reflection. They are not relayed. */
  readonly routes?: (router: ConnectRouter) => void;
  /** What describes the REST routes; served to anyone, within the rate limit. */
  readonly documents?: Documents;
  readonly limits?: Partial<GatewayLimits>;
  /** Headers of every answer of a method, in every protocol: that it is deprecated. Default: none. */
  readonly methodHeaders?: (method: DescMethod) => Readonly<Record<string, string>>;
  /** Whether refusals say in the caller's language, too, what they mean (`messages/`). Default: false. */
  readonly localized?: boolean;
  /** Sees to the REST requests that an older system answers, too (`legacy/`). Default: there is none. */
  readonly legacy?: LegacyFront | undefined;
  /** Which web pages may call. Default: those of no other origin. */
  readonly cors?: Cors;
  /** Counts calls for the rate limits. Default: in memory. */
  readonly callCounter?: CallCounter;
  /** Told of every failure that a caller sees as internal or unavailable, with its cause. */
  readonly onInternalError?: (error: unknown, call: { method: string; traceId: string | undefined }) => void;
  /** Told of every relayed or transcoded call; code is google.rpc.Code. */
  readonly onCall?: (call: {
    protocol: "rest" | "rpc";
    method: string;
    code: number;
    durationMs: number;
  }) => void;
  /** Told when a circuit opens, probes or closes. */
  readonly onBreaker?: (upstream: string, state: BreakerState) => void;
  /** Told of every read that is made again, and of every one that the budget has no retry for. */
  readonly onRetry?: (upstream: string, outcome: "made" | "over budget") => void;
  /** Told of every call that an upstream was too busy for. */
  readonly onOverload?: (upstream: string) => void;
  /** Told what became of every call whose answer may be kept. */
  readonly onCache?: (method: string, outcome: CacheOutcome) => void;
  /** Told of every call that the rate limit refused. */
  readonly onRateLimited?: (known: "subject" | "address") => void;
}

export interface Gateway {
  /** Answers one request of either HTTP version; never throws. */
  readonly handle: (request: Request, response: Response) => void;
  /** The REST routes. */
  readonly routes: readonly Route[];
  /** Where the breaker of each upstream stands. */
  readonly breakers: () => Record<string, BreakerState>;
  /** Ends open streams with UNAVAILABLE; call it before the listener drains. Unary calls may finish. */
  readonly drain: () => void;
  /** Stops the timers of the breakers. The transports stay the caller's. */
  readonly close: () => void;
}

/** Composes the gateway. Throws if the contracts' HTTP rules cannot work. */
export function createGateway(deps: GatewayDeps): Gateway {
  const limits = { ...defaultGatewayLimits, ...deps.limits };
  const { callsPerMinute: perMinute, callsByName: byName, callsByRoute: byRoute } = limits;
  const rateLimiter = createRateLimiter({ perMinute, byName, byRoute }, deps.callCounter);
  const timeout = { defaultMs: limits.callDefaultMs, maxMs: limits.callMaxMs };
  const upstreams = deps.upstreams.map(({ name, services, transport }) => ({
    name,
    services,
    // Deadlines up to the default count as the upstream's failure only when nobody shortened them.
    transport: breakTransport(transport, {
      name,
      deadlineFloorMs: Math.min(10_000, limits.callDefaultMs),
      onState: deps.onBreaker,
    }),
  }));
  const cacheable =
    limits.cacheBytesMax > 0 ? cacheableOf(upstreams.flatMap(({ services }) => services)) : none;
  const moreAnswerHeaders = (method: DescMethod) => (cacheable.has(method) ? cacheHeaders : []);
  const answerStore = createAnswerStore(limits.cacheBytesMax);
  const transportByService = new Map(
    upstreams.flatMap(({ name, services, transport }) => {
      const retried = retryReads(transport, {
        onRetry: (_, outcome) => deps.onRetry?.(name, outcome),
      });
      // Outside of the breaker: being full is no failure of the upstream.
      const limited = limitTransport(retried, {
        name,
        callsMax: limits.upstreamCallsMax,
        streamsMax: limits.upstreamStreamsMax,
        onOverload: deps.onOverload,
      });
      const front = withCache(limited, services);
      return services.map((service) => [service, front] as const);
    }),
  );
  const onInternalError =
    deps.onInternalError &&
    ((error: unknown, method: DescMethod, traceId: string | undefined) =>
      deps.onInternalError!(error, { method: fullName(method), traceId }));

  const localizes = deps.localized ?? false;
  const localize = localizes ? localizeStatus : undefined;
  const drain = new AbortController();
  const transcoder = createTranscoder<Caller | undefined>({
    services: [...transportByService.keys()],
    transportFor: (service) => transportByService.get(service)!,
    registry: deps.registry,
    successStatus: deps.successStatus,
    methodHeaders: deps.methodHeaders,
    admit: (method) => transportByService.get(method.parent)?.refusalFor(method),
    requestId: (key, caller) => requestIdOf(caller?.subject ?? "", key),
    fixedHeaders,
    forwardHeaders,
    answerHeaders,
    moreAnswerHeaders,
    timeout,
    body: { maxBytes: limits.bodyBytesMax, timeoutMs: limits.bodyTimeoutMs },
    stream: {
      timeout: { defaultMs: limits.streamMaxMs, maxMs: limits.streamMaxMs },
      drainSignal: drain.signal,
    },
    localize,
    onInternalError,
    onAnswer:
      deps.onCall &&
      (({ method, code, durationMs }) =>
        deps.onCall!({ protocol: "rest", method: fullName(method), code, durationMs })),
  });

  const rpcMethods = new Map<string, DescMethod>();
  const rpc = connectNodeAdapter({
    connect: true,
    grpc: true,
    grpcWeb: true,
    readMaxBytes: limits.bodyBytesMax,
    writeMaxBytes: limits.answerBytesMax,
    jsonOptions: { registry: deps.registry },
    contextValues: (request) => createContextValues().set(addressKey, addressOf(request)),
    requestGate,
    routes(router) {
      for (const [service, transport] of transportByService) {
        relayService(router, service, transport, {
          forwardHeaders,
          answerHeaders,
          moreAnswerHeaders,
          timeout,
          streamMaxMs: limits.streamMaxMs,
          drainSignal: drain.signal,
          localize: localizes ? localizeError : undefined,
          onInternalError,
          onEnd:
            deps.onCall &&
            ((method, code, durationMs) =>
              deps.onCall!({ protocol: "rpc", method: fullName(method), code, durationMs })),
        });
      }
      deps.routes?.(router);
      for (const handler of router.handlers) {
        rpcMethods.set(handler.requestPath, handler.method);
      }
    },
  });

  const signIns = new Set(deps.signIns);
  const signInPaths = new Set<string>();
  for (const { method, template } of transcoder.routes) {
    if (signIns.has(method)) signInPaths.add(template);
  }
  for (const [path, method] of rpcMethods) {
    if (signIns.has(method)) signInPaths.add(path);
  }

  return {
    handle,
    routes: transcoder.routes,
    breakers: () => Object.fromEntries(upstreams.map(({ name, transport }) => [name, transport.state()])),
    drain: () => drain.abort(new ConnectError("the gateway is shutting down", Code.Unavailable)),
    close() {
      for (const { transport } of upstreams) {
        transport.shutdown();
      }
    },
  };

  function handle(request: Request, response: Response): void {
    try {
      if (deps.traceparent !== undefined) {
        const header = request.headers.traceparent;
        request.headers.traceparent = deps.traceparent(typeof header === "string" ? header : undefined);
      }
      if (deps.cors?.handle(request, response)) {
        return;
      }
      const url = request.url ?? "/";
      const mark = url.indexOf("?");
      const path = mark < 0 ? url : url.slice(0, mark);
      if (isSignIn(request, path)) {
        request.headers[clientAddressHeader] = addressOf(request);
      } else if (request.headers[clientAddressHeader] !== undefined) {
        delete request.headers[clientAddressHeader];
      }
      const method = rpcMethods.get(path);
      if (method !== undefined) {
        guardRpcBody(method, request, response);
        rpc(request, response);
      } else if (request.headers["content-type"]?.startsWith("application/grpc")) {
        answerUnknownRpc(request, response);
      } else if (path === "/") {
        answerIndex(request, response);
      } else {
        void transcode(request, response);
      }
    } catch (error) {
      // connect-node throws for a Host header that makes no URL; that must end the request, not the process.
      const isHost = error instanceof TypeError || error instanceof ConnectError;
      if (!isHost) {
        deps.onInternalError?.(error, { method: "", traceId: undefined });
      }
      const status = isHost
        ? { code: Code.InvalidArgument, message: "the Host header is not valid", details: [] }
        : { code: Code.Internal, message: "internal error", details: [] };
      writeStatus(response, status, isHost ? 400 : 500);
    }
  }

  async function transcode(request: Request, response: Response): Promise<void> {
    try {
      const isSignIn = request.headers[clientAddressHeader] !== undefined;
      const found = isSignIn ? undefined : callerOf(request.headers.authorization);
      const caller = found instanceof Promise ? await found : found;
      const method = byRoute.size === 0 ? undefined : transcoder.methodOf(request);
      const quota = await count(caller, () => addressOf(request), method);
      // A document may be kept and shown to others, to whom one caller's quota says nothing.
      if (!quota.isExceeded && deps.documents?.handle(request, response)) {
        return;
      }
      setCommonHeaders(response, rateLimitHeaders(quota));
      if (quota.isExceeded) {
        const refused = rateLimitError(quota);
        refuse(statusOf(refused, deps.registry), httpStatusOf(refused.code), request, response);
      } else if (
        !deps.legacy?.handle(request, response, { caller, address: addressOf(request) }, (...inner) =>
          transcoder.handle(...inner, caller),
        ) &&
        !transcoder.handle(request, response, caller)
      ) {
        const status = { code: Code.NotFound, message: "there is nothing at this path", details: [] };
        refuse(status, 404, request, response);
      }
    } catch (error) {
      deps.onInternalError?.(error, { method: "", traceId: undefined });
      writeStatus(response, { code: Code.Internal, message: "internal error", details: [] }, 500);
    }
  }

  function refuse(status: Status, httpStatus: number, request: Request, response: Response): void {
    const said = localized(status, {}, localize, request, response);
    writeStatus(response, said.status, httpStatus, said.headers);
  }

  async function requestGate(context: HandlerContext): Promise<void> {
    // A balancer's probe must not be refused for coming often.
    if (context.service.typeName === "grpc.health.v1.Health") {
      return;
    }
    const isSignIn = context.requestHeader.has(clientAddressHeader);
    const authorization = isSignIn ? null : context.requestHeader.get("authorization");
    const caller = await callerOf(authorization ?? undefined);
    const quota = await count(caller, () => context.values.get(addressKey), context.method);
    const refused = quota.isExceeded ? rateLimitError(quota) : undefined;
    const say = (error: ConnectError) => {
      if (localizes) localizeError(error, context.requestHeader.get("accept-language"));
      return error;
    };
    for (const [name, value] of Object.entries(rateLimitHeaders(quota))) {
      (refused?.metadata ?? context.responseHeader).set(name, value);
    }
    for (const [name, value] of Object.entries(deps.methodHeaders?.(context.method) ?? {})) {
      (refused?.metadata ?? context.responseHeader).set(name, value);
    }
    if (refused !== undefined) {
      throw say(refused);
    }
    const full = transportByService.get(context.service)?.refusalFor(context.method);
    if (full !== undefined) {
      throw say(full);
    }
  }

  /** Outermost: an answer that is kept helps most when an upstream is full, or its circuit open. */
  function withCache(limited: Transport & Bulkhead, services: readonly DescService[]): Transport & Bulkhead {
    if (!services.some(({ methods }) => methods.some((method) => cacheable.has(method)))) {
      return limited;
    }
    const cached = cacheReads(limited, {
      staleMs: cacheable,
      callerOf,
      store: answerStore,
      freshMs: limits.cacheFreshMs,
      callMs: limits.callDefaultMs,
      onOutcome: deps.onCache && ((method, outcome) => deps.onCache!(fullName(method), outcome)),
    });
    const refusalFor: Bulkhead["refusalFor"] = (method) =>
      cacheable.has(method) ? undefined : limited.refusalFor(method);
    return { ...cached, refusalFor };
  }

  function callerOf(authorization: string | undefined): Caller | undefined | Promise<Caller | undefined> {
    if (authorization === undefined) {
      return undefined;
    }
    try {
      const found = deps.verify(authorization);
      return found instanceof Promise ? found.catch(() => undefined) : found;
    } catch {
      return undefined;
    }
  }

  async function count(
    caller: Caller | undefined,
    address: () => string,
    method: DescMethod | undefined,
  ): Promise<Quota> {
    const known = caller !== undefined && caller.subject !== "";
    const quota = await rateLimiter.consume(
      known ? `s:${caller.subject}` : `a:${address()}`,
      caller?.username,
      byRoute.size === 0 || method === undefined ? undefined : fullName(method),
    );
    if (quota.isExceeded) {
      deps.onRateLimited?.(known ? "subject" : "address");
    }
    return quota;
  }

  function isSignIn(request: Request, path: string): boolean {
    if (signInPaths.has(path)) {
      return true;
    }
    // "/logi%6e" is the same path.
    const method = path.includes("%") && signInPaths.size > 0 ? transcoder.methodOf(request) : undefined;
    return method !== undefined && signIns.has(method);
  }

  function addressOf(request: Request): string {
    return callerAddress(request, limits.trustedProxies);
  }

  /** Bounds what connect-node leaves open about a request's body. */
  function guardRpcBody(method: DescMethod, request: Request, response: Response): void {
    if (request.httpVersionMajor < 2) {
      // connect-node stops reading at an oversized message, which destroys the request but not its connection: the next
      // request on it would wait for ever. So keep the request, and discard the rest when the answer is out.
      request[Symbol.asyncIterator] = () => request.iterator({ destroyOnReturn: false });
      response.once("finish", () => request.readableEnded || discardBody(request));
      return;
    }
    const streams = method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming";
    if (!streams) {
      // Over HTTP/1.1 the listener's request timeout ends a slow body; HTTP/2 streams have no such thing.
      const { stream } = request as Http2ServerRequest;
      const timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), limits.bodyTimeoutMs);
      request.once("end", () => clearTimeout(timer));
      request.once("close", () => clearTimeout(timer));
    }
  }
}

/** Reads what is left of a body and throws it away; its sender may go on for a while, not for ever. */
function discardBody(request: Request): void {
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > discardedBytesMax) {
      request.socket.destroy();
    }
  });
  request.resume();
}

const none: ReadonlyMap<DescMethod, number> = new Map();

const discardedBytesMax = 16 * 1024 * 1024;

/** What travels upstream: who calls, for which trace, in which language. Nothing else of the outside does. */
const forwardHeaders = [
  "authorization",
  "traceparent",
  "tracestate",
  "x-request-id",
  "accept-language",
  purposeHeader,
  clientAddressHeader,
] as const;

/** What travels back besides the message. */
const answerHeaders = ["x-request-id"] as const;

const addressKey = createContextKey<string>("unknown", { description: "network address of the caller" });

/** Namespace of this gateway's request ids (a random UUID, fixed for good: changing it forgets every key in flight). */
const requestIdNamespace = "6f0dbb8e-3a8f-4c0c-9c1f-0e1d6f5a7b21";

/**
 * RFC 9562 UUIDv5 of caller and Idempotency-Key: any text becomes the UUID that `request_id` wants, and callers cannot
 * meet each other's keys. The lengths keep "a"+"bc" and "ab"+"c" apart.
 */
export function requestIdOf(subject: string, key: string): string {
  return uuidv5(`${subject.length}:${subject}${key}`, requestIdNamespace);
}

/**
 * gRPC's answer to an unknown service or method. connect-node would answer 404, which gRPC clients take for
 * UNKNOWN or a broken proxy; grpcurl then does not fall back from reflection v1 to v1alpha.
 */
function answerUnknownRpc(request: Request, response: Response): void {
  request.resume();
  const contentType = request.headers["content-type"]!;
  (response as ServerResponse).writeHead(200, {
    "content-type": contentType.startsWith("application/grpc-web")
      ? "application/grpc-web+proto"
      : "application/grpc",
    "grpc-status": String(Code.Unimplemented),
    "grpc-message": "unknown service or method",
  });
  (response as ServerResponse).end();
}

function answerIndex(request: Request, response: Response): void {
  request.resume();
  const body = `${JSON.stringify({
    name: "e-LAMPID Mesh",
    protocols: ["REST (google.api.http)", "Connect", "gRPC-Web", "gRPC"],
    discovery: "gRPC reflection on this port",
    documentation: "/docs",
    contracts: "/contracts",
  })}\n`;
  (response as ServerResponse).writeHead(200, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  });
  (response as ServerResponse).end(body);
}

function fullName(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}
