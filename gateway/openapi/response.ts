// Answers: of success, plain or as a stream, and those that methods share, most of them errors.
import type { DescMethod, JsonValue } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { findField } from "../transcoder/field.ts";
import type { HttpRule } from "../transcoder/rule.ts";
import { httpStatusOf } from "../transcoder/status.ts";
import { type CommentOf, splitComment } from "./comment.ts";
import type { JsonSchema, MediaType, OpenApiDocument, Response } from "./document.ts";
import type { Examples } from "./example.ts";
import { type Schemas, statusRef } from "./schema.ts";

export interface ResponseDeps {
  readonly schemas: Schemas;
  readonly examples: Examples;
  readonly commentOf: CommentOf;
}

/** What a binding says of its answer. */
export interface AnswerFacts {
  /** It is a google.api.HttpBody: bytes of any type. */
  readonly isRaw: boolean;
  /** It has an ETag header. */
  readonly hasEtag: boolean;
}

/** The answer of a method that succeeds, by one of its rules. */
export function successResponse(
  method: DescMethod,
  rule: HttpRule,
  httpStatus: number,
  { schemas, examples, commentOf, isRaw, hasEtag }: ResponseDeps & AnswerFacts,
): Response {
  const { output } = method;
  const field = rule.responseBody === "" ? undefined : findField(output, rule.responseBody);
  const comment = splitComment(commentOf(field ?? output)).summary || "Success";
  if (httpStatus === 204 || httpStatus === 205) {
    return { description: comment };
  }
  if (isRaw) {
    return { description: comment, content: { "*/*": { schema: {} } } };
  }
  const schema = field === undefined ? schemas.message(output) : schemas.value(field);
  const example = field === undefined ? examples.message(output, "answer") : examples.field(field, "answer");
  if (method.methodKind === "unary" || method.methodKind === "client_streaming") {
    return {
      description: comment,
      ...(hasEtag ? { headers: { ETag: { $ref: "#/components/headers/ETag" } } } : {}),
      content: { "application/json": { schema, example } },
    };
  }
  return {
    description: `${comment}, a message at a time. ${streamWords}`,
    content: streamContent(schema, example),
  };
}

/** Names of shared responses by HTTP status: what the comment of a method names, and what can always happen. */
export function sharedNamesOf(
  comment: string,
  facts: {
    readonly isPublic: boolean;
    readonly hasVariables: boolean;
    readonly isConditional: boolean;
    readonly isCached: boolean;
  },
): Record<string, SharedName> {
  const statuses = new Set<number>([400, 429, 503]);
  if (!facts.isPublic) {
    statuses.add(401).add(403);
  }
  if (facts.hasVariables) statuses.add(404);
  if (facts.isConditional) statuses.add(409).add(412);
  if (facts.isCached) statuses.add(304);
  for (const [name] of comment.matchAll(/\b[A-Z]+(?:_[A-Z]+)*\b/g)) {
    const code = codeByName.get(name);
    if (code !== undefined) statuses.add(httpStatusOf(code));
  }
  const named = [...statuses]
    .sort((a, b) => a - b)
    .flatMap((status) => (shared[status] === undefined ? [] : [[status, shared[status].name] as const]));
  return { ...Object.fromEntries(named), default: "Error" };
}

export type SharedName = string;

/** The shared responses and headers, without those that no operation refers to. */
export function sharedResponses(used: ReadonlySet<SharedName>): {
  responses: Record<string, Response>;
  headers: OpenApiDocument["components"]["headers"];
} {
  const responses: Record<string, Response> = {};
  const headers: OpenApiDocument["components"]["headers"] = {};
  if (used.has("ETag")) {
    headers.ETag = sharedHeaders.ETag!;
  }
  for (const { name, description, example, header } of Object.values(shared)) {
    if (!used.has(name)) {
      continue;
    }
    responses[name] = {
      description,
      ...(header === undefined ? {} : { headers: { [header]: { $ref: `#/components/headers/${header}` } } }),
      ...(example === undefined ? {} : { content: statusContent({ details: [], ...example }) }),
    };
    if (header !== undefined) {
      headers[header] = sharedHeaders[header]!;
    }
  }
  responses.Error = {
    description: "Any other error, by the table of google.rpc.Code.",
    content: statusContent({ code: Code.Internal, message: "internal error", details: [] }),
  };
  return { responses, headers };
}

const codeByName = new Map(
  Object.entries(Code).flatMap(([name, code]) =>
    typeof code === "number"
      ? [[name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase(), code] as const]
      : [],
  ),
);

const streamWords =
  "What fails before the first message is an error like any other; of what fails later, the answer itself tells.";

function streamContent(schema: JsonSchema, example: JsonValue): Record<string, MediaType> {
  const line = JSON.stringify(example);
  return {
    "application/x-ndjson": {
      schema: {
        description:
          'One JSON text a line; this is the schema of a line. A failure on the way is a last line `{"error": ...}` with ' +
          "a google.rpc.Status, and the answer is cut off, so that it is not taken for a whole one.",
        anyOf: [schema, { type: "object", properties: { error: { $ref: statusRef } }, required: ["error"] }],
      },
      example,
    },
    "application/json": {
      schema: {
        type: "array",
        description:
          "Every message in one array. A failure on the way cuts it off: it is not closed, and so is no JSON.",
        items: schema,
      },
      example: [example],
    },
    "text/event-stream": {
      schema: {
        type: "string",
        description:
          "Server-Sent Events: `data: <json>` for each message, in the form that a line of NDJSON has; `event: end` after " +
          "the last; `event: error` with a google.rpc.Status if it fails on the way. An EventSource connects again by " +
          "itself: close it at either.",
      },
      example: `data: ${line}\n\nevent: end\ndata: {}\n\n`,
    },
  };
}

function statusContent(example: JsonValue): Record<string, MediaType> {
  return { "application/json": { schema: { $ref: statusRef }, example } };
}

interface SharedEntry {
  readonly name: SharedName;
  readonly description: string;
  /** A google.rpc.Status; undefined for an answer without a body. */
  readonly example?: { readonly code: Code; readonly message: string; readonly details?: JsonValue[] };
  readonly header?: string;
}

const typePrefix = "type.googleapis.com/google.rpc.";
const retryInfo = { "@type": `${typePrefix}RetryInfo`, retryDelay: "2s" };

const shared: Record<number, SharedEntry> = {
  304: {
    name: "NotModified",
    description: "What the caller has is still current.",
    header: "ETag",
  },
  400: {
    name: "BadRequest",
    description:
      "INVALID_ARGUMENT: a field is wrong, and google.rpc.BadRequest names each; or FAILED_PRECONDITION: what it is " +
      "about is not in the state for it.",
    example: {
      code: Code.InvalidArgument,
      message: "the request is not valid",
      details: [
        {
          "@type": `${typePrefix}BadRequest`,
          fieldViolations: [{ field: "name", description: "is required", reason: "REQUIRED" }],
        },
      ],
    },
  },
  401: {
    name: "Unauthenticated",
    description: "UNAUTHENTICATED: there is no token, or it is not valid.",
    example: { code: Code.Unauthenticated, message: "a valid token is needed" },
    header: "WWW-Authenticate",
  },
  403: {
    name: "PermissionDenied",
    description: "PERMISSION_DENIED: the token is good, but not for this.",
    example: { code: Code.PermissionDenied, message: "this is not allowed" },
  },
  404: {
    name: "NotFound",
    description: "NOT_FOUND: there is no such resource.",
    example: { code: Code.NotFound, message: "there is no such resource" },
  },
  409: {
    name: "Conflict",
    description: "ALREADY_EXISTS or ABORTED: it is there already, or has changed in the meantime.",
    example: { code: Code.Aborted, message: "it has changed in the meantime" },
  },
  412: {
    name: "PreconditionFailed",
    description: "ABORTED, where `If-Match` was sent: the etag is not current.",
    example: { code: Code.Aborted, message: "the etag is not current" },
  },
  429: {
    name: "TooManyRequests",
    description: "RESOURCE_EXHAUSTED: there were too many calls, or a supply is used up.",
    example: { code: Code.ResourceExhausted, message: "too many calls", details: [retryInfo] },
    header: "Retry-After",
  },
  503: {
    name: "Unavailable",
    description: "UNAVAILABLE: what answers this is away; try again later.",
    example: {
      code: Code.Unavailable,
      message: "service unavailable, try again later",
      details: [retryInfo],
    },
    header: "Retry-After",
  },
};

const sharedHeaders: OpenApiDocument["components"]["headers"] = {
  ETag: {
    description: "The etag of the answer, in quotes.",
    schema: { type: "string" },
  },
  "Retry-After": {
    description: "Whole seconds to wait, where google.rpc.RetryInfo is among the details.",
    schema: { type: "integer", minimum: 1 },
  },
  "WWW-Authenticate": {
    description: "How to authenticate (RFC 9110, 11.6.1).",
    schema: { type: "string" },
  },
};
