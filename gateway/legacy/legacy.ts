// The strangler fig: for the routes that have a rule, which system answers a request, and what is learnt from the answer.
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { DescMethod, DescService, Registry } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { Refused, refusalToError, refuse } from "#chassis/refusal.ts";
import { fixedHeaders } from "../fixed-headers.ts";
import type { Caller } from "../gateway.ts";
import { CallerGone, readBody, refuseUnread } from "../transcoder/body.ts";
import { createRouter } from "../transcoder/router.ts";
import { readHttpRules } from "../transcoder/rule.ts";
import {
  badRequest,
  httpStatusOf,
  type Localize,
  localized,
  presentable,
  Refusal,
  type Request,
  type Response,
  statusOf,
  traceIdOf,
  writeStatus,
} from "../transcoder/status.ts";
import { parseTemplate, type Template } from "../transcoder/template.ts";
import { deadlineOf } from "../transcoder/timeout.ts";
import { type CapturedAnswer, captureAnswer, captureBody, createCopy } from "./capture.ts";
import {
  type Change,
  createErrorWindow,
  type ErrorWindow,
  type Outcome,
  type RouteState,
} from "./error-window.ts";
import { callInProcess } from "./in-process.ts";
import { legacyRequestHeaders } from "./message.ts";
import { isClosed, passOn } from "./pass-on.ts";
import { legacyPath } from "./path.ts";
import { callerKeyOf, type RolloutFlags } from "./rollout.ts";
import type { LegacyRule, Rules } from "./rules.ts";
import { type ShadowReport, type Shadows, shadowBytesMax } from "./shadow.ts";
import { createLegacySystem, type LegacySystem } from "./system.ts";

/** rollout: as the rule says. fallback: the new system fails. probe: whether it still does. nowhere else: legacy is down, too. */
export type Reason = "rollout" | "fallback" | "probe" | "nowhere else";

/** Who calls, as the gateway has found out. */
export interface From {
  readonly caller: Caller | undefined;
  readonly address: string;
}

/** The new system: answers a request, or says that it knows no such path. */
export type Transcode = (request: Request, response: Response) => boolean;

export interface LegacyFront {
  /** Sees to a request that a rule is about. Returns false, and leaves the request alone, when there is none. */
  readonly handle: (request: Request, response: Response, from: From, transcode: Transcode) => boolean;
  /** Takes other rules from the next request on. Routes that stay as they are keep what was learnt about them. */
  readonly update: (rules: Rules) => void;
  readonly states: () => ReadonlyMap<string, RouteState>;
  readonly report: () => Record<string, { state: RouteState; shadow?: ShadowReport }>;
  readonly close: () => void;
}

export interface LegacyDeps {
  readonly services: readonly DescService[];
  readonly registry: Registry;
  readonly flags: Pick<RolloutFlags, "isForNew">;
  readonly shadows: Shadows;
  /**
   * Throws for a caller who may not call the method. The services ask the policy themselves; a legacy system is asked
   * nothing it could not answer for anybody, so the gateway asks before it.
   */
  readonly authorize: (rpc: string, caller: Caller | undefined, authorization: string | undefined) => unknown;
  /** Value of Authorization for rules that say `gateway`. */
  readonly gatewayAuthorization?: string | undefined;
  readonly methodHeaders?: (method: DescMethod) => Readonly<Record<string, string>>;
  readonly localize?: Localize;
  readonly timeout: { readonly defaultMs: number; readonly maxMs: number };
  readonly body: { readonly maxBytes: number; readonly timeoutMs: number };
  readonly answerBytesMax: number;
  /** Milliseconds that never go back. */
  readonly now: () => number;
  readonly onChange?: (rule: LegacyRule, change: Change) => void;
  readonly onChoice?: (rpc: string, system: "new" | "legacy", reason: Reason) => void;
  readonly onCircuit?: (origin: string, state: "open" | "halfOpen" | "closed") => void;
  readonly onInternalError?: (error: unknown, call: { method: string; traceId: string | undefined }) => void;
}

interface Route {
  readonly rule: LegacyRule;
  readonly system: LegacySystem;
  readonly window: ErrorWindow | undefined;
}

interface Found {
  readonly route: Route;
  readonly template: Template;
  readonly path: string;
  readonly query: string;
  readonly segments: readonly string[];
}

export function createLegacyFront(deps: LegacyDeps): LegacyFront {
  const { shadows } = deps;
  const deadlineFloorMs = Math.min(10_000, deps.timeout.defaultMs);
  // With the paths of all RPCs, those without a rule too, or a request would be taken for another that has one.
  const router = createRouter<{ method: DescMethod; template: Template }>();
  for (const method of deps.services.flatMap(({ methods }) => methods)) {
    for (const rule of readHttpRules(method)) {
      const template = parseTemplate(rule.template);
      router.add(template, rule.method, { method, template });
    }
  }
  let routes = new Map<DescMethod, Route>();
  let systems = new Map<string, LegacySystem>();

  return {
    handle(request, response, from, transcode) {
      const found = find(request);
      if (found === undefined) return false;
      serve(found, request, response, from, transcode).catch((error) =>
        answerError(error, found.route.rule, request, response),
      );
      return true;
    },
    update(rules) {
      const before = { routes, systems };
      systems = new Map();
      routes = new Map([...rules].map(([method, rule]) => [method, routeOf(rule, before)]));
      for (const [origin, system] of before.systems) {
        if (!systems.has(origin)) system.retire();
      }
    },
    states,
    report() {
      const shadow = shadows.report();
      return Object.fromEntries([...states()].map(([rpc, state]) => [rpc, { state, shadow: shadow[rpc] }]));
    },
    close() {
      for (const system of systems.values()) system.close();
    },
  };

  function states(): ReadonlyMap<string, RouteState> {
    return new Map([...routes.values()].map(({ rule, window }) => [rule.rpc, window?.state() ?? "new"]));
  }

  function routeOf(rule: LegacyRule, before: { routes: typeof routes; systems: typeof systems }): Route {
    const { origin } = rule.baseUrl;
    let system = systems.get(origin) ?? before.systems.get(origin);
    if (system === undefined) {
      const onState = (state: "open" | "halfOpen" | "closed") => deps.onCircuit?.(origin, state);
      system = createLegacySystem({ origin, deadlineFloorMs, onState });
    }
    systems.set(origin, system);
    const old = before.routes.get(rule.method);
    const isSame =
      old !== undefined &&
      old.rule.baseUrl.href === rule.baseUrl.href &&
      JSON.stringify(old.rule.fallback) === JSON.stringify(rule.fallback);
    const window = isSame
      ? old.window
      : rule.fallback &&
        createErrorWindow(rule.fallback, deps.now, (change) => deps.onChange?.(rule, change));
    return { rule, system, window };
  }

  function find(request: Request): Found | undefined {
    if (routes.size === 0) return undefined;
    const url = request.url ?? "/";
    const mark = url.indexOf("?");
    const path = mark < 0 ? url : url.slice(0, mark);
    const match = router.find(request.method ?? "GET", path);
    const route = match.kind === "found" ? routes.get(match.value.method) : undefined;
    if (match.kind !== "found" || route === undefined) return undefined;
    const query = mark < 0 ? "" : url.slice(mark);
    return { route, template: match.value.template, path, query, segments: match.segments };
  }

  async function serve(
    found: Found,
    request: Request,
    response: Response,
    from: From,
    transcode: Transcode,
  ): Promise<void> {
    const { rule } = found.route;
    const { system, reason, settle } = await choose(found.route, from);
    deps.onChoice?.(rule.rpc, system, reason);
    // Their end would be waited for, and it has been.
    if (isClosed(response)) {
      settle?.("gone");
      throw new CallerGone();
    }
    const isCompared = reason === "rollout" && isComparable(request);
    if (system === "legacy") {
      await deps.authorize(rule.rpc, from.caller, request.headers.authorization);
      return await answerLegacy(found, request, response, from, isCompared ? transcode : undefined);
    }
    if (settle !== undefined) watch(request, response, settle);
    if (isCompared && rule.shadow !== undefined && (await isAuthorized(rule, request, from))) {
      shadowLegacy(found, request, response, from);
    }
    // The router here knows the same paths; what it does not serve after all is answered like any other.
    if (!transcode(request, response)) {
      throw new ConnectError("there is nothing at this path", Code.NotFound);
    }
  }

  async function choose(
    { rule, system, window }: Route,
    { caller, address }: From,
  ): Promise<{
    system: "new" | "legacy";
    reason: Reason;
    settle?: ((outcome: Outcome) => void) | undefined;
  }> {
    const isKnown = caller !== undefined && caller.subject !== "";
    const isForNew = await deps.flags.isForNew(rule, {
      key: callerKeyOf(isKnown ? `s:${caller.subject}` : `a:${address}`),
      wilayah: caller?.wilayah ?? "",
      role: caller?.role ?? "",
    });
    if (!isForNew) return { system: "legacy", reason: "rollout" };
    if (window === undefined) return { system: "new", reason: "rollout" };
    const settle = window.admit();
    if (settle !== undefined) {
      return { system: "new", reason: window.state() === "probing" ? "probe" : "rollout", settle };
    }
    // A system that fails one call in ten is better than one that is not there.
    return system.isOpen()
      ? { system: "new", reason: "nowhere else" }
      : { system: "legacy", reason: "fallback" };
  }

  /** Tells how a call to the new system went, by the HTTP status of its answer: streams have no rule. */
  function watch(request: Request, response: Response, settle: (outcome: Outcome) => void): void {
    response.once("close", () => {
      const { statusCode } = response;
      if (!response.headersSent) return settle("gone");
      // A caller with tiny deadlines must not move everybody's traffic.
      const isShort = statusCode === 504 && (askedMs(request) ?? 0) < deadlineFloorMs;
      settle(statusCode < 500 ? "good" : isShort ? "gone" : "failed");
    });
  }

  function askedMs(request: Request): number | undefined {
    try {
      return deadlineOf(request, deps.timeout);
    } catch {
      return undefined;
    }
  }

  async function isAuthorized({ rpc }: LegacyRule, request: Request, { caller }: From): Promise<boolean> {
    try {
      await deps.authorize(rpc, caller, request.headers.authorization);
      return true;
    } catch {
      return false;
    }
  }

  function legacyRequest({ route, template, path, query, segments }: Found, request: Request, from: From) {
    const { rule } = route;
    const target = legacyPath(rule.baseUrl, rule.path, template, path, segments);
    if (target === undefined) {
      throw badRequest("the path is not one that the legacy system is asked for", [
        {
          field: "path",
          description: "must have no dots, slashes and the like in escapes",
          reason: "INVALID_PATH",
        },
      ]);
    }
    const authorization = {
      none: undefined,
      caller: request.headers.authorization,
      gateway: deps.gatewayAuthorization,
    }[rule.authorization];
    return {
      method: request.method ?? "GET",
      path: target + query,
      headers: legacyRequestHeaders({ headers: request.headers, ...from, authorization }),
    };
  }

  async function answerLegacy(
    found: Found,
    request: Request,
    response: Response,
    from: From,
    shadow: Transcode | undefined,
  ): Promise<void> {
    const { rule, system } = found.route;
    for (const [name, value] of Object.entries(deps.methodHeaders?.(rule.method) ?? {})) {
      (response as ServerResponse).setHeader(name, value);
    }
    const startedAtMs = performance.now();
    const sent = legacyRequest(found, request, from);
    const deadlineMs = deadlineOf(request, deps.timeout);
    const body = await bodyOf(request);
    if (isClosed(response)) throw new CallerGone();
    const left = new AbortController();
    const onClose = () => left.abort();
    response.once("close", onClose);
    const isShadowed = shadow !== undefined && shadows.take(rule);
    const copy = isShadowed ? createCopy(shadowBytesMax) : undefined;
    let answered: CapturedAnswer | undefined;
    try {
      const timeoutMs = Math.max(1, deadlineMs - (performance.now() - startedAtMs));
      const answer = await system.send({ ...sent, body, timeoutMs, signal: left.signal });
      const httpStatus = answer.statusCode!;
      answered = { httpStatus, contentEncoding: undefined, body: undefined };
      await passOn(answer, response, {
        isHead: request.method === "HEAD",
        sentCaller: rule.authorization === "caller",
        bytesMax: deps.answerBytesMax,
        copy: copy?.add,
      });
      answered = { ...answered, body: copy?.whole() };
    } finally {
      response.off("close", onClose);
      if (isShadowed) {
        if (answered === undefined || left.signal.aborted) shadows.giveUp(rule);
        else shadowNew(found, request, answered, body, shadow);
      }
    }
  }

  /** The new system has answered; when it is done, the legacy one is asked the same. */
  function shadowLegacy(found: Found, request: Request, response: Response, from: From): void {
    const { rule, system } = found.route;
    if (isClosed(response) || !shadows.take(rule)) return;
    const body = captureBody(request, response, shadowBytesMax);
    let isWhole = false;
    captureAnswer(response, shadowBytesMax, (current) => {
      isWhole = true;
      const ask = async () => {
        const sent = legacyRequest(found, request, from);
        const { signal } = new AbortController();
        const sentBody = hasBody(request) ? body() : undefined;
        if (hasBody(request) && sentBody === undefined) return undefined;
        const timeoutMs = deps.timeout.defaultMs;
        const answer = await system.send({ ...sent, body: sentBody, timeoutMs, signal });
        const copy = createCopy(shadowBytesMax);
        for await (const chunk of answer) copy.add(chunk);
        return {
          current,
          legacy: { httpStatus: answer.statusCode!, contentEncoding: undefined, body: copy.whole() },
        };
      };
      void shadows.compare(rule, ask);
    });
    response.once("close", () => isWhole || shadows.giveUp(rule));
  }

  /** The legacy system has answered; the new one is asked the same, by the same way as if it had come from outside. */
  function shadowNew(
    { route, path, query }: Found,
    request: Request,
    legacy: CapturedAnswer,
    body: Buffer | undefined,
    transcode: Transcode,
  ): void {
    const ask = async () => {
      const { "accept-encoding": _, ...headers }: IncomingHttpHeaders = request.headers;
      const method = request.method ?? "GET";
      const handle = (inner: IncomingMessage, answer: ServerResponse) => transcode(inner, answer);
      const current = await callInProcess(
        handle,
        { method, url: path + query, headers, body },
        shadowBytesMax,
      );
      return current && { current, legacy };
    };
    void shadows.compare(route.rule, ask);
  }

  /** At most a megabyte, read before it is sent on: an old server may not understand a body without a length. */
  async function bodyOf(request: Request): Promise<Buffer | undefined> {
    if (hasBody(request)) return await readBody(request, deps.body);
    request.resume();
    return undefined;
  }

  function answerError(error: unknown, rule: LegacyRule, request: Request, response: Response): void {
    const { localize, registry, onInternalError } = deps;
    const traceId = traceIdOf(request.headers.traceparent);
    if (error instanceof CallerGone) return;
    if (response.headersSent) {
      onInternalError?.(error, { method: rule.rpc, traceId });
      return;
    }
    if (error instanceof Refusal) {
      const said = localized(
        error.status,
        { ...fixedHeaders, ...error.headers },
        localize,
        request,
        response,
      );
      const isUnread = (error.httpStatus === 413 || error.httpStatus === 408) && !request.readableEnded;
      if (isUnread) refuseUnread(request, response, { httpStatus: error.httpStatus, ...said }, {});
      else writeStatus(response, said.status, error.httpStatus, said.headers);
      return;
    }
    const shown = presentable(error instanceof Refused ? refusalToError(error.refusal) : error, traceId);
    if (shown.code === Code.Internal || shown.code === Code.Unavailable) {
      onInternalError?.(error, { method: rule.rpc, traceId });
    }
    const said = localized(statusOf(shown, registry), fixedHeaders, localize, request, response);
    const httpStatus = httpStatusOf(shown.code, request.headers["if-match"] !== undefined);
    writeStatus(response, said.status, httpStatus, said.headers);
  }
}

/** Asks the policy whether a caller may call a method at all; where, the legacy system is told by its headers. */
export function legacyAuthorizer(
  policy: (rpc: string, caller: Caller | undefined) => { admit: boolean; public: boolean },
  verify: (authorization: string | null) => unknown,
): LegacyDeps["authorize"] {
  return async (rpc, caller, authorization) => {
    const { admit, public: isPublic } = policy(rpc, caller);
    if (isPublic) return;
    // Says why the token is not good, or that nobody can tell just now.
    if (caller === undefined) await verify(authorization ?? null);
    if (!admit)
      throw refuse("forbidden", "METHOD_DENIED", `role "${caller?.role ?? ""}" may not call ${rpc}`);
  };
}

/** Conditional answers, and those without a body, have nothing to compare. */
function isComparable(request: Request): boolean {
  return request.method !== "HEAD" && request.headers["if-none-match"] === undefined;
}

function hasBody({ method }: Request): boolean {
  return method !== "GET" && method !== "HEAD";
}
