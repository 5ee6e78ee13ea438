// The interceptor chain of every server, outermost first: traces, deadlines, refusals, authenticate, authorize, validate.
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import {
  Code,
  ConnectError,
  type Interceptor,
  type StreamRequest,
  type UnaryRequest,
} from "@connectrpc/connect";
import { context, propagation, type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { anonymous, authorizerKey, callerKey, traceparentKey } from "./caller.ts";
import { isDatabaseUnavailable } from "./database.ts";
import type { Logger } from "./log.ts";
import type { Policy } from "./policy/policy.ts";
import { type FieldViolation, Refused, refusalToError, refuse } from "./refusal.ts";
import { type IsRevoked, tokenRevoked } from "./revocations.ts";
import type { Telemetry } from "./telemetry.ts";
import type { TokenVerifier } from "./token.ts";
import { traceIdOf, traceparentFrom } from "./trace-context.ts";

export type ServerChainDeps = {
  log: Logger;
  telemetry: Telemetry;
  policy: Policy;
  verifyToken: TokenVerifier;
  /** Asked before every message of a stream that is sent: a stream may outlive its caller's rights. Default: they do not end. */
  isRevoked?: IsRevoked;
  /** Longest a unary call may take, milliseconds. */
  maxCallMs: number;
};

export function serverInterceptors(deps: ServerChainDeps): Interceptor[] {
  return [
    traces(deps.telemetry),
    deadlines(deps.maxCallMs),
    refusals(deps.log),
    authenticate(deps.policy, deps.verifyToken, deps.isRevoked),
    authorize(deps.policy),
    validate(),
  ];
}

/** Gives each call a trace context and measures it; makes a span only when something records spans. */
export function traces({
  meter,
  tracer,
  tracing,
}: Pick<Telemetry, "meter" | "tracer" | "tracing">): Interceptor {
  const duration = meter.createHistogram("rpc.server.duration", {
    unit: "ms",
    description: "Duration of a served call",
    advice: {
      explicitBucketBoundaries: [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 60_000],
    },
  });
  return (next) => async (req) => {
    const startedAt = performance.now();
    const traceparent = traceparentFrom(req.header.get("traceparent"));
    const method = methodName(req);
    const parent = tracing ? propagation.extract(context.active(), { traceparent }) : context.active();
    const attributes = { "rpc.system": "grpc" };
    const span = tracing
      ? tracer.startSpan(method, { kind: SpanKind.SERVER, attributes }, parent)
      : undefined;
    req.contextValues.set(traceparentKey, span ? traceparentOf(span) : traceparent);
    const done = (code: string) => {
      duration.record(performance.now() - startedAt, { method, code });
      if (code !== "ok" && code !== "canceled")
        span?.setStatus({ code: SpanStatusCode.ERROR, message: code });
      span?.end();
    };
    const run = async () => {
      const res = await next(req);
      // A stream is not over when its first message is: it is measured to its end.
      if (!res.stream) done("ok");
      else (res as { message: AsyncIterable<unknown> }).message = watched(res.message, done);
      return res;
    };
    try {
      return span ? await context.with(trace.setSpan(parent, span), run) : await run();
    } catch (cause) {
      done(codeName(cause));
      throw cause;
    }
  };
}

/** No unary call runs longer than the maximum, whatever its caller asked for. */
export function deadlines(maxCallMs: number): Interceptor {
  return (next) => async (req) => {
    if (req.stream) return next(req);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const refusal = () => reject(new ConnectError("the call took too long", Code.DeadlineExceeded));
      timer = setTimeout(refusal, maxCallMs);
    });
    try {
      return await Promise.race([next(req), late]);
    } finally {
      clearTimeout(timer);
    }
  };
}

/** Turns refusals into their status; everything unexpected becomes "internal error" with a trace id, and is logged. */
export function refusals(log: Logger): Interceptor {
  const translate = (cause: unknown, req: UnaryRequest | StreamRequest): ConnectError => {
    if (cause instanceof Refused) return refusalToError(cause.refusal);
    if (cause instanceof ConnectError) return cause;
    if (isDatabaseUnavailable(cause)) {
      const method = methodName(req);
      log.warn({ method, err: cause }, "the database cannot be reached");
      return refusalToError({
        kind: "unavailable",
        reason: "STORE_UNAVAILABLE",
        message: "the service cannot reach its database; try again",
        retryAfterSeconds: 1,
      });
    }
    const traceId = traceIdOf(req.contextValues.get(traceparentKey));
    log.error({ method: methodName(req), traceId, err: cause }, "call failed");
    return new ConnectError(`internal error (trace ${traceId})`, Code.Internal);
  };
  return (next) => async (req) => {
    try {
      const res = await next(req);
      if (res.stream) {
        (res as { message: AsyncIterable<unknown> }).message = translated(res.message, (cause) =>
          translate(cause, req),
        );
      }
      return res;
    } catch (cause) {
      throw translate(cause, req);
    }
  };
}

/** Verifies the token of every method that the policy does not call public; a stream ends when it is revoked, not when it expires. */
export function authenticate(
  policy: Policy,
  verifyToken: TokenVerifier,
  isRevoked: IsRevoked = () => false,
): Interceptor {
  return (next) => async (req) => {
    if (policy(methodName(req), anonymous).public) return next(req);
    const verified = verifyToken(req.header.get("authorization"));
    const caller = verified instanceof Promise ? await verified : verified;
    req.contextValues.set(callerKey, caller);
    const res = await next(req);
    if (res.stream) {
      const check = () => {
        if (isRevoked(caller)) throw tokenRevoked();
      };
      (res as { message: AsyncIterable<unknown> }).message = guarded(res.message, check);
    }
    return res;
  };
}

/** Asks the policy about the method, and hands the handler the question about the resource's wilayah. */
export function authorize(policy: Policy): Interceptor {
  return (next) => async (req) => {
    const method = methodName(req);
    const caller = req.contextValues.get(callerKey);
    const decision = policy(method, caller);
    if (!decision.admit)
      throw refuse("forbidden", "METHOD_DENIED", `role "${caller.role}" may not call ${method}`);
    if (!decision.scoped) return next(req);
    let asked = false;
    req.contextValues.set(authorizerKey, (wilayah) => {
      if (policy(method, caller, wilayah).allow) {
        asked = true;
        return;
      }
      throw refuse(
        "forbidden",
        "WILAYAH_DENIED",
        `wilayah ${wilayah || "(unknown)"} is outside ${caller.wilayah}`,
      );
    });
    const res = await next(req);
    // A handler that forgets to ask must not answer; a stream's runs when its first message is read.
    const check = () => {
      if (!asked) throw new Error(`${method} did not ask the policy about its resource`);
    };
    if (res.stream) (res as { message: AsyncIterable<unknown> }).message = guarded(res.message, check);
    else check();
    return res;
  };
}

/** Checks every message that comes in against the rules in its contract (buf.validate). */
export function validate(): Interceptor {
  const check = contractChecker();
  return (next) => (req) => {
    if (!req.stream) {
      check(req.method.input, req.message);
      return next(req);
    }
    return next({ ...req, message: tapped(req.message, (message) => check(req.method.input, message)) });
  };
}

/** Throws INVALID_ARGUMENT, field by field, for a message that breaks the rules in its contract. */
export function contractChecker(): <Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
) => void {
  const validator = createValidator({ regexMatch });
  return (schema, message) => {
    const result = validator.validate(schema, message);
    if (result.kind === "valid") return;
    if (result.kind === "error") throw result.error;
    throw refusalToError({
      kind: "invalid",
      reason: "FIELD_VIOLATION",
      message: `invalid value in: ${[...new Set(result.violations.map(fieldPath))].join(", ")}`,
      violations: result.violations.map(toFieldViolation),
    });
  };
}

const patterns = new Map<string, RegExp>();

/**
 * The engine's own regular expressions: the default one, RE2 in JavaScript, takes 400 ms to compile \p{L} at the first
 * call and three times as long afterwards. Patterns come from our contracts alone, so they are known and linear.
 */
function regexMatch(pattern: string, against: string): boolean {
  let compiled = patterns.get(pattern);
  if (!compiled) {
    compiled = new RegExp(pattern, "u");
    patterns.set(pattern, compiled);
  }
  return compiled.test(against);
}

/** "lampid.penduduk.v1.PendudukService/GetPenduduk". */
export function methodName(req: Pick<UnaryRequest | StreamRequest, "service" | "method">): string {
  return `${req.service.typeName}/${req.method.name}`;
}

function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-0${traceFlags & 1}`;
}

function toFieldViolation(violation: Violation): FieldViolation {
  return { field: fieldPath(violation), description: violation.message, reason: violation.ruleId };
}

function fieldPath(violation: Violation): string {
  return violation.field
    .map((part) => {
      if (part.kind === "list_sub") return `[${part.index}]`;
      if (part.kind === "map_sub") return `[${String(part.key)}]`;
      if (part.kind === "field" || part.kind === "oneof") return `.${part.name}`;
      return "";
    })
    .join("")
    .replace(/^\./, "");
}

function codeName(cause: unknown): string {
  return cause instanceof ConnectError ? Code[cause.code]!.toLowerCase() : "internal";
}

async function* tapped<T>(messages: AsyncIterable<T>, look: (message: T) => void): AsyncIterable<T> {
  for await (const message of messages) {
    look(message);
    yield message;
  }
}

async function* guarded<T>(messages: AsyncIterable<T>, check: () => void): AsyncIterable<T> {
  for await (const message of messages) {
    check();
    yield message;
  }
  check();
}

async function* translated<T>(
  messages: AsyncIterable<T>,
  translate: (cause: unknown) => ConnectError,
): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (cause) {
    throw translate(cause);
  }
}

async function* watched<T>(messages: AsyncIterable<T>, done: (code: string) => void): AsyncIterable<T> {
  let code = "canceled";
  try {
    yield* messages;
    code = "ok";
  } catch (cause) {
    code = codeName(cause);
    throw cause;
  } finally {
    done(code);
  }
}
