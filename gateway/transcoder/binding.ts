// Binds one HTTP rule to one method: path, query and body to the input message, an output message to the body or a line of it.
import {
  create,
  type DescField,
  type DescMessage,
  type DescMethod,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
  mergeFromJson,
  type Registry,
  toJson,
} from "@bufbuild/protobuf";
import { parseBody, parseFirst, textOf } from "./body.ts";
import { findEtagPath } from "./etag.ts";
import {
  type FieldPath,
  findField,
  fitsUrl,
  hasOwnJson,
  isSet,
  messageIn,
  resolveFieldPath,
  setField,
  setMessageField,
  textToJson,
} from "./field.ts";
import { createHttpBody, isHttpBody, type RawBody, rawBodyOf } from "./http-body.ts";
import { createQueryReader, type QueryReader } from "./query.ts";
import { type HttpRule, RuleError } from "./rule.ts";
import { badRequest, type FieldViolation } from "./status.ts";
import { parseTemplate, type Template, type Variable, variableValue } from "./template.ts";
import { toJsonTolerant } from "./unknown-any.ts";
import { addNulls } from "./unpopulated.ts";
import { describeField, findViolations } from "./violations.ts";

/** A rule, compiled. */
export interface Binding {
  readonly method: DescMethod;
  readonly httpMethod: string;
  readonly template: Template;
  /** Whether the rule reads a body at all. */
  readonly hasBody: boolean;
  /** The string field `request_id` of the input, if it has one. */
  readonly requestIdField: DescField | undefined;
  /** Whether the body is a google.api.HttpBody: bytes of any type instead of JSON. */
  readonly takesRaw: boolean;
  /** The string field `etag` of the input, or else of the message in its body. */
  readonly etagPath: FieldPath | undefined;
  /** The string field `etag` of the output, or else of the message that the answer is. */
  readonly answerEtagPath: FieldPath | undefined;
  /** Makes the input message; throws a Refusal. The type of the body matters only where it `takesRaw`. */
  read(
    segments: readonly string[],
    query: string,
    body: Buffer | undefined,
    contentType?: string | undefined,
  ): Message;
  /** Whether path and query mean anything to the input. */
  readonly readsUrl: boolean;
  /** Whether a stream of messages is JSON texts whatever its type says, and an array one of them. */
  readonly textsOnly: boolean;
  /** Makes a message of a body that is a stream of them, from the body alone: what the URL says is in the first. */
  readNext(body: Buffer): Message;
  /** Makes the input message from a body that is a form; undefined where a form cannot be the body. */
  readonly readForm: ((segments: readonly string[], query: string, form: Buffer) => Message) | undefined;
  /** Makes the body of the answer, or one message of it: JSON without a line break. */
  write(output: Message): string;
  /** Makes it from a google.api.HttpBody; undefined where the answer is JSON. */
  readonly writeRaw: ((output: Message) => RawBody) | undefined;
}

export interface BindingOptions {
  readonly registry?: Registry;
  /** Write fields that hold their default, too. Default: false, as ProtoJSON. */
  readonly emitUnpopulated?: boolean;
  /**
   * Bind as grpc-gateway does: write what is not set, discard fields that are not known, read what follows the JSON of a
   * body as nothing, take repeated fields in a path with commas, and forms like queries; no entity tags.
   */
  readonly grpcGateway?: boolean;
}

/** Compiles a rule; throws RuleError. */
export function createBinding(method: DescMethod, rule: HttpRule, options: BindingOptions = {}): Binding {
  const fail = (reason: string): never => {
    throw new RuleError(method, reason);
  };
  const { input, output } = method;
  const { grpcGateway = false } = options;
  const takesStream = isUpload(method);
  if (takesStream && rule.body === "" && !grpcGateway) {
    fail(`a ${method.methodKind} method needs a body: its messages come in it`);
  }
  if (rule.method === "") {
    fail("the rule has no HTTP method");
  }
  const template = parse(rule.template, fail, grpcGateway);
  const parseJson = grpcGateway ? parseFirst : parseBody;
  const pathSetters = template.variables.map((variable) =>
    createPathSetter(input, variable, fail, grpcGateway),
  );
  // A field of a field, which http.proto does not know, is grpc-gateway's own.
  const bodyPath =
    rule.body === "" || rule.body === "*" || (rule.body.includes(".") && !grpcGateway)
      ? undefined
      : resolveFieldPath(input, rule.body.split("."));
  const { field: body, parents: bodyParents } =
    typeof bodyPath === "object" ? bodyPath : { field: undefined, parents: [] };
  if (body === undefined && rule.body !== "" && rule.body !== "*") {
    fail(`body: no field "${rule.body}" in ${input.typeName}`);
  }
  const inPath = template.variables.map((v) => v.path.join("."));
  const bound = [
    ...inPath,
    ...(rule.body === "" ? [] : [typeof bodyPath === "object" ? bodyPath.name : "*"]),
  ];
  const queryReader: QueryReader = createQueryReader(input, bound, "query", grpcGateway);
  const takesRaw =
    rule.body === "*"
      ? isHttpBody(input)
      : bodyParents.length === 0 && body?.fieldKind === "message" && isHttpBody(body.message);
  const requestId = input.fields.find((field) => field.name === "request_id");
  const fillMask =
    rule.method === "PATCH" && !takesStream
      ? createMaskFiller(input, body, template, grpcGateway)
      : undefined;

  // Passing a registry makes protobuf-es look for extensions in every message, so it is passed where an Any can be.
  const inputRegistry = mayHoldAny(input) ? options.registry : undefined;
  const readOptions = { registry: inputRegistry, ignoreUnknownFields: grpcGateway };

  return {
    method,
    httpMethod: rule.method,
    template,
    hasBody: rule.body !== "",
    requestIdField:
      requestId?.fieldKind === "scalar" && requestId.scalar === stringType ? requestId : undefined,
    takesRaw,
    etagPath: grpcGateway ? undefined : findEtagPath(input, body),
    answerEtagPath: grpcGateway ? undefined : findEtagPath(output, findField(output, rule.responseBody)),
    read(segments, query, bytes, contentType) {
      let message: Message;
      let json: JsonValue | undefined;
      if (bytes === undefined) {
        message = create(input);
      } else if (takesRaw) {
        message = readRaw(bytes, contentType);
      } else if (body === undefined) {
        json = parseJson(bytes);
        message = readMessage(json);
      } else {
        message = create(input);
        if (bytes.length > 0) {
          json = parseJson(bytes);
          readBodyField(message, body, json);
        }
      }
      for (const set of pathSetters) {
        set(message, segments);
      }
      if (query !== "") {
        queryReader(message, query);
      }
      if (fillMask !== undefined && json !== undefined) {
        fillMask(message, json);
      }
      return message;
    },
    readsUrl: !(takesStream && grpcGateway),
    textsOnly: grpcGateway,
    readNext(bytes) {
      if (takesRaw) {
        return readRaw(bytes);
      }
      if (body === undefined) {
        return readMessage(parseJson(bytes));
      }
      const message = create(input);
      readBodyField(message, body, parseJson(bytes));
      return message;
    },
    readForm: createFormReader(),
    write: createWriter(output, rule.responseBody, options, fail),
    writeRaw: createRawWriter(output, rule.responseBody),
  };

  /** What is a query of a GET is a form of a POST, as HTML sends it; with a body field there is no place for one. */
  function createFormReader(): Binding["readForm"] {
    const fits = grpcGateway
      ? rule.body === ""
      : body === undefined && (rule.body !== "" || formMethods.has(rule.method));
    if (takesStream || takesRaw || !fits) {
      return undefined;
    }
    const formReader = createQueryReader(input, inPath, "form", grpcGateway);
    return (segments, query, form) => {
      const text = textOf(form);
      const message = create(input);
      for (const set of pathSetters) {
        set(message, segments);
      }
      if (rule.body === "*") {
        queryReader(message, query);
        formReader(message, text);
      } else {
        // Read as one, so that a field in both is found to be given twice.
        formReader(message, `${query}&${text}`);
      }
      return message;
    };
  }

  function readRaw(bytes: Buffer, contentType = ""): Message {
    if (body === undefined) {
      return createHttpBody(input, contentType, bytes);
    }
    const message = create(input);
    if (bytes.length > 0 || contentType !== "") {
      setMessageField(message, body, createHttpBody(body.message!, contentType, bytes));
    }
    return message;
  }

  function invalid(json: JsonValue) {
    const found = findViolations(input, json, "", inputRegistry);
    return invalidBody(grpcGateway ? found.filter(({ reason }) => reason !== "UNKNOWN_FIELD") : found);
  }

  function readMessage(json: JsonValue): Message {
    try {
      return fromJson(input, json, readOptions);
    } catch {
      throw invalid(json);
    }
  }

  function readBodyField(message: Message, field: DescField, json: JsonValue): void {
    const wrapped = [...bodyParents, field].reduceRight<JsonValue>(
      (inner, { jsonName }) => ({ [jsonName]: inner }),
      json,
    );
    try {
      mergeFromJson(input, message, wrapped, readOptions);
    } catch {
      throw invalid(wrapped);
    }
  }
}

/** Whether the body of a request is a stream of messages. */
export function isUpload({ methodKind }: DescMethod): boolean {
  return methodKind === "client_streaming" || methodKind === "bidi_streaming";
}

const stringType = 9; // ScalarType.STRING

/** Methods whose body is read at all where the rule names none; "*" may be any of them. */
const formMethods = new Set(["POST", "PUT", "PATCH", "*"]);

function invalidBody(violations: FieldViolation[]) {
  // The walk and the reader agree by construction; should they not, the caller still gets a 400 that says where.
  const found =
    violations.length > 0
      ? violations
      : [{ field: "body", description: "does not fit the request message", reason: "INVALID_VALUE" }];
  return badRequest("the request body is not valid", found);
}

function parse(source: string, fail: (reason: string) => never, colonsInVerb: boolean): Template {
  try {
    return parseTemplate(source, { colonsInVerb });
  } catch (error) {
    return fail((error as Error).message);
  }
}

type PathSetter = (message: Message, segments: readonly string[]) => void;

function createPathSetter(
  input: DescMessage,
  variable: Variable,
  fail: (reason: string) => never,
  grpcGateway: boolean,
): PathSetter {
  for (const length of variable.path.keys()) {
    const part = resolveFieldPath(input, variable.path.slice(0, length + 1));
    const isLast = length === variable.path.length - 1;
    if (
      typeof part !== "string" &&
      (part.field.fieldKind === "map" || (part.field.fieldKind === "list" && !(grpcGateway && isLast)))
    ) {
      return fail(`path variable "${variable.path.join(".")}" must not be or lie in a repeated field`);
    }
  }
  const path = resolveFieldPath(input, variable.path);
  if (typeof path === "string") {
    return fail(`path variable: ${path}`);
  }
  const { field } = path;
  if (!fitsUrl(field)) {
    return fail(`path variable "${path.name}" cannot be a message`);
  }
  const { localName } = field;
  if (field.fieldKind === "list") {
    return createListSetter(variable, path);
  }
  if (path.parents.length === 0 && field.scalar === stringType && field.oneof === undefined) {
    return (message, segments) => {
      (message as unknown as Record<string, unknown>)[localName] = variableValue(variable, segments);
    };
  }
  return (message, segments) => {
    try {
      setField(message, path, textToJson(field, variableValue(variable, segments), grpcGateway));
    } catch {
      throw badRequest("the path is not valid", [
        { field: path.name, description: describeField(field), reason: "INVALID_VALUE" },
      ]);
    }
  };
}

/** Values between commas, as grpc-gateway takes them by default. */
function createListSetter(variable: Variable, path: FieldPath): PathSetter {
  return (message, segments) => {
    const texts = variableValue(variable, segments).split(",");
    try {
      setField(
        message,
        path,
        texts.map((text) => textToJson(path.field, text, true)),
      );
    } catch {
      throw badRequest("the path is not valid", [
        { field: path.name, description: describeField(path.field), reason: "INVALID_VALUE" },
      ]);
    }
  };
}

/**
 * AIP-134: a PATCH without a mask changes the fields that its body has. Fields that the path binds are not part of it,
 * nor is the etag, which is a condition on the change (AIP-154) and not a value to store.
 */
function createMaskFiller(
  input: DescMessage,
  body: DescField | undefined,
  template: Template,
  grpcGateway: boolean,
): ((message: Message, json: JsonValue) => void) | undefined {
  const mask = input.fields.find(
    (field) => field.fieldKind === "message" && field.message.typeName === "google.protobuf.FieldMask",
  );
  if (
    mask === undefined ||
    mask.name !== "update_mask" ||
    body?.fieldKind !== "message" ||
    hasOwnJson(body.message) ||
    isHttpBody(body.message)
  ) {
    return undefined;
  }
  const resource = body.message;
  const fromPath = new Set(
    template.variables.filter((v) => v.path[0] === body.name).map((v) => v.path.slice(1).join(".")),
  );
  const maskPath: FieldPath = { name: mask.name, parents: [], field: mask };
  return (message, json) => {
    if (isSet(message, maskPath)) {
      return;
    }
    const paths: string[] = [];
    collectPaths(resource, json as JsonObject, "", paths, grpcGateway);
    const given = paths.filter((path) => path !== "etag" && !fromPath.has(path));
    const target = message as unknown as Record<string, unknown>;
    target[mask.localName] = create(mask.message!, { paths: given } as never);
  };
}

function collectPaths(
  message: DescMessage,
  json: JsonObject,
  prefix: string,
  paths: string[],
  intoStructs: boolean,
): void {
  for (const key of Object.keys(json)) {
    const field = findField(message, key);
    if (field === undefined) {
      continue; // an extension: it has no path
    }
    const value = json[key];
    const path = prefix + field.name;
    if (
      field.fieldKind === "message" &&
      !hasOwnJson(field.message) &&
      typeof value === "object" &&
      value !== null &&
      Object.keys(value).length > 0
    ) {
      collectPaths(field.message, value as JsonObject, `${path}.`, paths, intoStructs);
    } else if (intoStructs && field.fieldKind === "message" && isStruct(field.message)) {
      collectKeys(value!, path, paths);
    } else {
      paths.push(path);
    }
  }
}

/** grpc-gateway names the keys within a google.protobuf.Struct, too. */
function collectKeys(value: JsonValue, path: string, paths: string[]): void {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length > 0) {
    for (const [key, inner] of Object.entries(value)) {
      collectKeys(inner, `${path}.${key}`, paths);
    }
  } else {
    paths.push(path);
  }
}

function isStruct({ typeName }: DescMessage): boolean {
  return typeName === "google.protobuf.Struct" || typeName === "google.protobuf.Value";
}

function createWriter(
  output: DescMessage,
  responseBody: string,
  options: BindingOptions,
  fail: (reason: string) => never,
): (message: Message) => string {
  const { grpcGateway = false } = options;
  const holdsAny = mayHoldAny(output);
  const writeOptions = {
    alwaysEmitImplicit: (options.emitUnpopulated ?? false) || grpcGateway,
    registry: holdsAny ? options.registry : undefined,
  };
  const writePlain = (message: Message) =>
    holdsAny ? toJsonTolerant(output, message, writeOptions) : toJson(output, message, writeOptions);
  const write = grpcGateway
    ? (message: Message) => {
        const json = writePlain(message);
        addNulls(output, message, json);
        return json;
      }
    : writePlain;
  if (responseBody === "") {
    return (message) => JSON.stringify(write(message));
  }
  const field =
    findField(output, responseBody) ??
    fail(`response_body: no field "${responseBody}" in ${output.typeName}`);
  // What stands for a field that is not set: the default of a scalar, [] or {}, and null for a message.
  const empty = toJson(output, create(output), { ...writeOptions, alwaysEmitImplicit: true }) as JsonObject;
  const unset = JSON.stringify(empty[field.jsonName] ?? null);
  return (message) => {
    const value = (write(message) as JsonObject)[field.jsonName];
    return value === undefined ? unset : JSON.stringify(value);
  };
}

function createRawWriter(output: DescMessage, responseBody: string): Binding["writeRaw"] {
  const field = responseBody === "" ? undefined : findField(output, responseBody);
  if (responseBody === "") {
    return isHttpBody(output) ? rawBodyOf : undefined;
  }
  return field?.fieldKind === "message" && isHttpBody(field.message)
    ? (message) => rawBodyOf(messageIn(message, field))
    : undefined;
}

/** Whether a google.protobuf.Any or an extension can occur anywhere in the message. */
function mayHoldAny(message: DescMessage, seen = new Set<DescMessage>()): boolean {
  if (seen.has(message)) {
    return false;
  }
  seen.add(message);
  return (
    message.typeName === "google.protobuf.Any" ||
    message.proto.extensionRange.length > 0 ||
    message.fields.some((field) => field.message !== undefined && mayHoldAny(field.message, seen))
  );
}
