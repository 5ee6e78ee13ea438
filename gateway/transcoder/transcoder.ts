// Serves the methods of gRPC services as REST, from their google.api.http annotations alone.
import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import {
  type DescMethod,
  type DescService,
  getOption,
  hasOption,
  type Message,
  type Registry,
} from "@bufbuild/protobuf";
import type { GenExtension } from "@bufbuild/protobuf/codegenv2";
import type { MethodOptions } from "@bufbuild/protobuf/wkt";
import { Code, type Transport } from "@connectrpc/connect";
import { type Binding, createBinding, RuleError } from "./binding.ts";
import { type BodyLimits, CallerGone, checkJsonType, readBody, refuseUnread } from "./body.ts";
import { createRouter } from "./router.ts";
import { readHttpRules } from "./rule.ts";
import {
  badRequest,
  httpStatusOf,
  presentable,
  Refusal,
  type Request,
  type Response,
  statusOf,
  traceIdOf,
  writeStatus,
} from "./status.ts";

/** A method option that holds an HTTP status. */
export type SuccessStatusExtension = GenExtension<MethodOptions, number>;

/** What a transcoder is made of. `C` is whatever the caller of `handle` knows about a request. */
export interface TranscoderOptions<C = undefined> {
  /** Services whose annotated methods are served. */
  readonly services: readonly DescService[];
  /** The connection to the server of a service; asked once per method, at start. */
  readonly transportFor: (service: DescService) => Transport;
  /** Types of google.protobuf.Any and of error details. Default: none is known; unknown details keep their bytes. */
  readonly registry?: Registry;
  /** Method option with the HTTP status of success, 200 to 299. Default: every success is 200. */
  readonly successStatus?: SuccessStatusExtension;
  /** Turns an Idempotency-Key into the value of the input field `request_id`. Default: the header is ignored. */
  readonly requestId?: (key: string, context: C) => string;
  /** Request headers that travel upstream, lower case. Default: see README. */
  readonly forwardHeaders?: readonly string[];
  /** Headers of the upstream's answer that travel back, lower case. Default: x-request-id. */
  readonly answerHeaders?: readonly string[];
  /** Headers of every answer, such as `cache-control`. Default: none. */
  readonly fixedHeaders?: Readonly<Record<string, string>>;
  /** Deadline of a call: X-Server-Timeout (seconds) capped at `maxMs`. Default: 15 s, at most 60 s. */
  readonly timeout?: { readonly defaultMs: number; readonly maxMs: number };
  /** Default: 1 MiB within 30 s. */
  readonly body?: BodyLimits;
  /** Write fields that hold their default. Default: false. */
  readonly emitUnpopulated?: boolean;
  /** Told of every failure that a caller sees as internal, with its cause. */
  readonly onInternalError?: (error: unknown, method: DescMethod, traceId: string | undefined) => void;
  /** Told of every answer. */
  readonly onAnswer?: (answer: Answer) => void;
}

/** One answered request. The method tells the route: paths carry ids and must not become labels. */
export interface Answer {
  readonly method: DescMethod;
  readonly httpStatus: number;
  /** google.rpc.Code; 0 is OK. */
  readonly code: number;
  readonly durationMs: number;
}

export interface Transcoder<C = undefined> {
  /** Serves a request whose path it knows. Returns false, and leaves the request alone, when it knows no such path. */
  handle(request: Request, response: Response, context: C): boolean;
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
  const fixedHeaders = options.fixedHeaders ?? {};
  const { registry, requestId, onInternalError, onAnswer } = options;
  const router = createRouter<Endpoint>();
  const routes: Route[] = [];
  for (const service of options.services) {
    for (const method of service.methods) {
      addMethod(service, method);
    }
  }

  return { handle, routes };

  function addMethod(service: DescService, method: DescMethod): void {
    const rules = readHttpRules(method);
    if (rules.length === 0) {
      return;
    }
    const transport = options.transportFor(service);
    const successStatus = successStatusOf(method, options.successStatus);
    for (const rule of rules) {
      const binding = createBinding(method, rule, options);
      const existing = router.add(binding.template, binding.httpMethod, {
        binding,
        transport,
        successStatus,
      });
      if (existing !== undefined) {
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
    const match = router.find(request.method ?? "GET", path);
    switch (match.kind) {
      case "found": {
        const query = mark < 0 ? "" : url.slice(mark + 1);
        serve(match.value, match.segments, query, request, response, context).catch(() => {
          // Only a hook that throws gets here; a rejection that nobody hears would end the process.
          writeStatus(response, { code: Code.Internal, message: "internal error", details: [] }, 500);
        });
        return true;
      }
      case "method": {
        const allow = match.allow.join(", ");
        if (request.method === "OPTIONS") {
          (response as ServerResponse).writeHead(204, { ...fixedHeaders, allow }).end();
        } else {
          const status = { code: Code.Unimplemented, message: `this path allows ${allow}`, details: [] };
          writeStatus(response, status, 405, { ...fixedHeaders, allow });
        }
        return true;
      }
      case "escape": {
        const refusal = badRequest("the path has a broken percent escape", [
          { field: "path", description: "must be percent-encoded UTF-8", reason: "INVALID_ESCAPE" },
        ]);
        writeStatus(response, refusal.status, refusal.httpStatus, fixedHeaders);
        return true;
      }
      case "none":
        return false;
    }
  }

  async function serve(
    { binding, transport, successStatus }: Endpoint,
    segments: readonly string[],
    query: string,
    request: Request,
    response: Response,
    context: C,
  ): Promise<void> {
    const startedAtMs = performance.now();
    let code = 0;
    let httpStatus = successStatus;
    try {
      const timeoutMs = deadlineOf(request, timeout);
      let body: Buffer | undefined;
      if (binding.hasBody) {
        body = await readBody(request, bodyLimits);
        if (body.length > 0) {
          checkJsonType(request);
        }
      } else {
        request.resume(); // a body that no rule reads is discarded
      }
      const input = binding.read(segments, query, body);
      if (requestId !== undefined) {
        setRequestId(binding, input, request, requestId, context);
      }

      const leftMs = Math.max(1, Math.ceil(timeoutMs - (performance.now() - startedAtMs)));
      const headers = pickHeaders(request, forwardHeaders);
      const abort = new AbortController();
      const onClose = () => abort.abort();
      response.once("close", onClose);
      const answer = await transport
        .unary(binding.method, abort.signal, leftMs, headers, input)
        .finally(() => response.off("close", onClose));

      const json = binding.write(answer.message);
      const head: OutgoingHttpHeaders = { ...fixedHeaders };
      for (const name of answerHeaders) {
        const value = answer.header.get(name);
        if (value !== null) {
          head[name] = value;
        }
      }
      head["content-type"] = "application/json";
      head["content-length"] = Buffer.byteLength(json);
      if (!response.destroyed) {
        (response as ServerResponse).writeHead(successStatus, head);
        (response as ServerResponse).end(json);
      }
    } catch (error) {
      ({ code, httpStatus } = answerError(error, binding.method, request, response));
    }
    onAnswer?.({ method: binding.method, httpStatus, code, durationMs: performance.now() - startedAtMs });
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
      if (error.httpStatus === 413 || error.httpStatus === 408) {
        refuseUnread(request, response, error, fixedHeaders);
      } else {
        writeStatus(response, error.status, error.httpStatus, { ...fixedHeaders, ...error.headers });
      }
      return { code: error.status.code, httpStatus: error.httpStatus };
    }
    const traceId = traceIdOf(request.headers.traceparent);
    const shown = presentable(error, traceId);
    if (shown.code === Code.Internal || (shown !== error && shown.code === Code.Unavailable)) {
      onInternalError?.(error, method, traceId);
    }
    const httpStatus = httpStatusOf(shown.code, request.headers["if-match"] !== undefined);
    writeStatus(response, statusOf(shown, registry), httpStatus, fixedHeaders);
    return { code: shown.code, httpStatus };
  }
}

interface Endpoint {
  readonly binding: Binding;
  readonly transport: Transport;
  readonly successStatus: number;
}

const forwardedByDefault = ["authorization", "traceparent", "tracestate", "x-request-id", "accept-language"];

/** Printable ASCII: gRPC metadata allows no more, and a header that breaks the rule must not break the call. */
const printable = /^[\x20-\x7e]*$/;

function pickHeaders(request: Request, names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = request.headers[name];
    if (typeof value === "string" && printable.test(value)) {
      picked[name] = value;
    }
  }
  return picked;
}

function deadlineOf(request: Request, { defaultMs, maxMs }: { defaultMs: number; maxMs: number }): number {
  const header = request.headers["x-server-timeout"];
  if (header === undefined) {
    return defaultMs;
  }
  const seconds = typeof header === "string" && /^\d{1,9}(?:\.\d{1,9})?$/.test(header) ? Number(header) : 0;
  if (seconds <= 0) {
    throw badRequest("X-Server-Timeout is not valid", [
      { field: "X-Server-Timeout", description: "must be seconds, such as 2.5", reason: "INVALID_VALUE" },
    ]);
  }
  return Math.min(seconds * 1000, maxMs);
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
