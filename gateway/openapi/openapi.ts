// An OpenAPI 3.1 document from the descriptors of gRPC services, for the REST that the transcoder makes of them.
import {
  createFileRegistry,
  type DescField,
  type DescMethod,
  type DescService,
  type JsonValue,
} from "@bufbuild/protobuf";
import type { FileDescriptorSet } from "@bufbuild/protobuf/wkt";
import { createBinding, isUpload } from "../transcoder/binding.ts";
import { findField } from "../transcoder/field.ts";
import { type HttpRule, readHttpRules } from "../transcoder/rule.ts";
import { readComments, splitComment } from "./comment.ts";
import type {
  Info,
  JsonSchema,
  MediaType,
  OpenApiDocument,
  Operation,
  Parameter,
  PathItem,
  Ref,
} from "./document.ts";
import { createExamples, type ExampleKind } from "./example.ts";
import { optionReader } from "./option.ts";
import { queryParameters } from "./parameter.ts";
import { toOpenApiPath } from "./path.ts";
import { sharedNamesOf, sharedResponses, successResponse } from "./response.ts";
import { createSchemas } from "./schema.ts";

export interface OpenApiOptions {
  /** Files with source info, for comments are the text of the document; `buf build -o image.binpb` writes such a set. */
  readonly set: FileDescriptorSet;
  /** Full names of the services to describe, in the order of the document. Methods without a rule are left out. */
  readonly services: readonly string[];
  readonly info: Info;
  /** Default: the place that the document is from. */
  readonly servers?: readonly { url: string; description?: string }[];
  /** Whether "package.Service/Method" needs no token. Default: none does without. */
  readonly isPublic?: (method: string) => boolean;
  /** Full name of the method option with the HTTP status of success. Default: every success is 200. */
  readonly successStatus?: string;
  /** Full name of the method option with `since` and `sunset`, days, of a deprecated method. Default: neither is told. */
  readonly deprecation?: string;
}

/**
 * Makes the document: the same for the same input, in the order of the services and of their methods.
 * Throws RuleError for a rule that the transcoder would refuse, and Error for a service that is not in the set or two
 * rules that come to one path.
 */
export function createOpenApi(options: OpenApiOptions): OpenApiDocument {
  const registry = createFileRegistry(options.set);
  const commentOf = readComments(options.set);
  const optionsOf = optionReader(registry);
  const schemas = createSchemas({ commentOf, optionsOf });
  const examples = createExamples({ schemas, commentOf, optionsOf, files: registry.files });
  const deps = { schemas, examples, commentOf };

  const services = options.services.map(
    (name) => registry.getService(name) ?? fail(`the descriptors hold no service ${name}`),
  );
  const paths: Record<string, PathItem> = {};
  const tags: OpenApiDocument["tags"] = [];
  const pathNames = new Map<string, readonly string[]>();
  const usedShared = new Set<string>();
  const usedParameters = new Set<string>();
  let hasPrivate = false;
  for (const service of services) {
    addService(service);
  }

  const { responses, headers } = sharedResponses(usedShared);
  return {
    openapi: "3.1.1",
    info: options.info,
    servers: options.servers ?? [{ url: "/" }],
    security: [{ [bearer]: [] }],
    tags,
    paths,
    components: {
      schemas: reachable([paths, responses], schemas.components()),
      responses,
      parameters: Object.fromEntries(
        Object.entries(headerParameters).filter(([name]) => usedParameters.has(name)),
      ),
      headers,
      securitySchemes: {
        [bearer]: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description: hasPrivate ? "A signed JWT of the issuer." : "Not needed by any method here.",
        },
      },
    },
  };

  function addService(service: DescService): void {
    const isNamesake = services.some((other) => other !== service && other.name === service.name);
    const tag = isNamesake ? service.typeName : service.name;
    let isServed = false;
    for (const method of service.methods) {
      readHttpRules(method).forEach((rule, index) => {
        isServed = true;
        addRule(method, rule, tag, index);
      });
    }
    if (isServed) {
      tags.push({ name: tag, description: commentOf(service) || `The methods of ${service.typeName}.` });
    }
  }

  function addRule(method: DescMethod, rule: HttpRule, tag: string, index: number): void {
    const { path, operation } = describeRule(method, rule, tag, index);
    paths[path] ??= {};
    const item = paths[path];
    for (const httpMethod of rule.method === "*" ? anyMethods : [rule.method.toLowerCase()]) {
      const id = rule.method === "*" ? `${operation.operationId}_${httpMethod}` : operation.operationId;
      let target = item as Record<string, Operation>;
      if (!openApiMethods.has(httpMethod)) {
        item["x-additionalOperations"] ??= {};
        target = item["x-additionalOperations"] as Record<string, Operation>;
      }
      if (target[httpMethod] !== undefined) {
        fail(`${rule.method} ${rule.template} comes to ${path}, which ${target[httpMethod].operationId} has`);
      }
      target[httpMethod] = { ...operation, operationId: id };
    }
  }

  function describeRule(
    method: DescMethod,
    rule: HttpRule,
    tag: string,
    index: number,
  ): { path: string; operation: Operation } {
    const { input } = method;
    const binding = createBinding(method, rule);
    const { path, parameters: pathParameters } = toOpenApiPath(binding.template, input, deps, pathNames);
    const body = rule.body === "" || rule.body === "*" ? undefined : findField(input, rule.body);
    const fromPath = binding.template.variables.map((variable) => protoName(method, variable.path));
    const bound = [...fromPath, ...(rule.body === "" ? [] : [body?.name ?? "*"])];
    const isPublic = options.isPublic?.(`${method.parent.typeName}/${method.name}`) ?? false;
    hasPrivate ||= !isPublic;

    const headers: Ref[] = [];
    const addHeader = (name: string) => {
      usedParameters.add(name);
      headers.push({ $ref: `#/components/parameters/${name}` });
    };
    if (binding.requestIdField !== undefined) addHeader("IdempotencyKey");
    if (binding.etagPath !== undefined) addHeader("IfMatch");
    const answersEtag = binding.answerEtagPath !== undefined && method.methodKind === "unary";
    if (answersEtag && rule.method === "GET") addHeader("IfNoneMatch");
    addHeader("ServerTimeout");

    const comment = commentOf(method);
    const { summary, rest: about } = splitComment(comment);
    const rest = [about, deprecationOf(method)].filter((part) => part !== "").join("\n\n");
    const sharedNames = sharedNamesOf(comment, {
      isPublic,
      hasVariables: pathParameters.length > 0,
      isConditional: binding.etagPath !== undefined,
      isCached: answersEtag && rule.method === "GET",
    });
    for (const name of Object.values(sharedNames)) usedShared.add(name);
    if (answersEtag) usedShared.add("ETag");
    const httpStatus = successStatusOf(method);

    const operation: Operation = {
      operationId: `${tag.replaceAll(".", "_")}_${method.name}${index === 0 ? "" : `_${index + 1}`}`,
      tags: [tag],
      summary: summary || method.name,
      ...(rest === "" ? {} : { description: rest }),
      ...(method.deprecated || method.parent.deprecated ? { deprecated: true } : {}),
      ...(isPublic ? { security: [] } : {}),
      parameters: [...pathParameters, ...queryParameters(input, bound, deps), ...headers],
      ...(rule.body === "" ? {} : { requestBody: describeBody(method, body, fromPath, binding.takesRaw) }),
      responses: {
        [httpStatus]: successResponse(method, rule, httpStatus, {
          ...deps,
          isRaw: binding.writeRaw !== undefined,
          hasEtag: answersEtag,
        }),
        ...Object.fromEntries(
          Object.entries(sharedNames).map(([status, name]) => [
            status,
            { $ref: `#/components/responses/${name}` },
          ]),
        ),
      },
    };
    return { path, operation };
  }

  function describeBody(
    method: DescMethod,
    body: DescField | undefined,
    fromPath: readonly string[],
    isRaw: boolean,
  ): NonNullable<Operation["requestBody"]> {
    const { input } = method;
    const without =
      body === undefined
        ? fromPath
        : fromPath
            .filter((path) => path.startsWith(`${body.name}.`))
            .map((path) => path.slice(body.name.length + 1));
    const exampleOf = (kind: ExampleKind): JsonValue =>
      body === undefined ? examples.message(input, kind, without) : examples.field(body, kind, without);
    const whole = body === undefined ? input : body.fieldKind === "message" ? body.message : undefined;
    const schema = whole === undefined ? schemas.value(body!) : schemas.messageWithout(whole, without);
    const media: MediaType = { schema, ...bodyExamples(exampleOf("minimal"), exampleOf("full")) };
    const description = body === undefined ? "" : (schemas.describe(body) ?? "");
    return {
      ...(description === "" ? {} : { description }),
      // No body is the empty message, which is good enough where nothing is required.
      required: body === undefined ? hasRequired(schema) : schemas.isRequired(body),
      content: isRaw
        ? { "*/*": { schema: {} } }
        : isUpload(method)
          ? {
              "application/x-ndjson": media,
              "application/json": { schema: { type: "array", items: schema } },
            }
          : { "application/json": media },
    };
  }

  function hasRequired(schema: JsonSchema): boolean {
    const component = schemas.components()[schema.$ref?.split("/").at(-1) ?? ""] ?? schema;
    const hasChoice = [component, ...(component.allOf ?? [])].some(({ anyOf }) => anyOf !== undefined);
    return (component.required?.length ?? 0) > 0 || hasChoice;
  }

  /** What a reader is to know besides `deprecated: true`. */
  function deprecationOf(method: DescMethod): string {
    const told = optionsOf(method)[`[${options.deprecation}]`] as
      | { since?: string; sunset?: string }
      | undefined;
    if (told?.since === undefined) {
      return "";
    }
    const end = told.sunset === undefined ? "" : ` It may be gone from ${told.sunset} on (\`Sunset\`).`;
    return `Deprecated since ${told.since} (\`Deprecation\`).${end}`;
  }

  function successStatusOf(method: DescMethod): number {
    const status = optionsOf(method)[`[${options.successStatus}]`];
    return typeof status === "number" ? status : 200;
  }
}

const bearer = "bearer";

const openApiMethods = new Set(["get", "put", "post", "delete", "options", "head", "patch", "trace"]);

/** What a rule for every method comes to; HEAD and OPTIONS go without saying. */
const anyMethods = ["get", "put", "post", "delete", "patch"];

const headerParameters: Record<string, Parameter> = {
  IdempotencyKey: {
    name: "Idempotency-Key",
    in: "header",
    description:
      "Makes the call repeatable: the same key of the same caller gives the first answer again. Becomes `requestId` " +
      "where the body has none.",
    schema: { type: "string", minLength: 1 },
  },
  IfMatch: {
    name: "If-Match",
    in: "header",
    description:
      "The etag that the change is based on, in quotes; becomes `etag` where the request has none. A conflict is then 412 " +
      "instead of 409.",
    schema: { type: "string" },
  },
  IfNoneMatch: {
    name: "If-None-Match",
    in: "header",
    description: "The ETag of an earlier answer; if it is still current, the answer is 304 without a body.",
    schema: { type: "string" },
  },
  ServerTimeout: {
    name: "X-Server-Timeout",
    in: "header",
    description:
      "Deadline of the call in seconds, such as 2.5; longer ones than the server allows are shortened.",
    schema: { type: "number", exclusiveMinimum: 0 },
  },
};

function bodyExamples(minimal: JsonValue, full: JsonValue): Pick<MediaType, "example" | "examples"> {
  if (JSON.stringify(minimal) === JSON.stringify(full)) {
    return { example: full };
  }
  return {
    examples: {
      minimal: { summary: "What is needed", value: minimal },
      full: { summary: "Every field", value: full },
    },
  };
}

/** The components that parts of the document refer to, and those that these refer to: examples are made from others, too. */
function reachable(roots: readonly object[], all: Record<string, JsonSchema>): Record<string, JsonSchema> {
  const found = new Set<string>();
  const visit = (part: object) => {
    for (const [, name] of JSON.stringify(part).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)) {
      if (!found.has(name!)) {
        found.add(name!);
        visit(all[name!]!);
      }
    }
  };
  roots.forEach(visit);
  return Object.fromEntries(Object.entries(all).filter(([name]) => found.has(name)));
}

/** The dotted proto names of a variable, which may be written in JSON names. */
function protoName(method: DescMethod, path: readonly string[]): string {
  let message = method.input as DescMethod["input"] | undefined;
  return path
    .map((name) => {
      const field = message && findField(message, name);
      message = field?.message;
      return field?.name ?? name;
    })
    .join(".");
}

function fail(reason: string): never {
  throw new Error(reason);
}
