// Addresses a field of a message by a dotted path, and sets it from the text of a URL.
import {
  create,
  type DescField,
  type DescMessage,
  type JsonValue,
  type Message,
  mergeFromJson,
} from "@bufbuild/protobuf";

/** A field of a message, and the singular message fields that lead to it. */
export interface FieldPath {
  /** Proto names joined by dots: what a google.rpc.BadRequest.FieldViolation names. */
  readonly name: string;
  readonly parents: readonly DescField[];
  readonly field: DescField;
}

/** Resolves a dotted path of proto or JSON names; a string is the reason why it does not lead to a field. */
export function resolveFieldPath(message: DescMessage, names: readonly string[]): FieldPath | string {
  const parents: DescField[] = [];
  let owner: DescMessage | undefined = message;
  for (const [index, name] of names.entries()) {
    const field: DescField | undefined = owner && findField(owner, name);
    if (field === undefined) {
      return `no field "${names.slice(0, index + 1).join(".")}" in ${message.typeName}`;
    }
    if (index === names.length - 1) {
      return { name: [...parents, field].map((f) => f.name).join("."), parents, field };
    }
    parents.push(field);
    owner = field.fieldKind === "message" && !hasOwnJson(field.message) ? field.message : undefined;
  }
  return "the path is empty";
}

/** The field with this proto or JSON name. */
export function findField(message: DescMessage, name: string): DescField | undefined {
  return message.fields.find((field) => field.name === name || field.jsonName === name);
}

/** Whether one value in a URL can spell this field; a repeated field takes several. */
export function fitsUrl(field: DescField, grpcGateway = false): boolean {
  switch (field.fieldKind) {
    case "scalar":
    case "enum":
      return true;
    case "message":
      return (
        urlMessages.has(field.message.typeName) || (grpcGateway && jsonMessages.has(field.message.typeName))
      );
    case "list":
      return field.listKind !== "message" || urlMessages.has(field.message.typeName);
    case "map":
      return false;
  }
}

/**
 * The JSON value that text from a URL stands for; what does not fit the type is left for the JSON reader to refuse. With
 * `grpcGateway` also by the words of Go: strconv.ParseBool, time.ParseDuration, and JSON where a message is any JSON.
 */
export function textToJson(field: DescField, text: string, grpcGateway = false): JsonValue {
  const type = field.message?.typeName;
  if (grpcGateway) {
    const value = goText(field, type, text);
    if (value !== undefined) {
      return value;
    }
  }
  if (field.scalar === boolType || type === "google.protobuf.BoolValue") {
    return text === "true" ? true : text === "false" ? false : text;
  }
  if (field.enum !== undefined) {
    return /^-?[0-9]{1,10}$/.test(text) ? Number(text) : text;
  }
  if (type === "google.protobuf.FieldMask") {
    // ProtoJSON wants lowerCamelCase paths, URLs are written with either.
    return text.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  }
  return text;
}

function goText(field: DescField, type: string | undefined, text: string): JsonValue | undefined {
  if (field.scalar === boolType || type === "google.protobuf.BoolValue") {
    return /^(?:1|t|T|TRUE|True)$/.test(text)
      ? true
      : /^(?:0|f|F|FALSE|False)$/.test(text)
        ? false
        : undefined;
  }
  if (type === "google.protobuf.Duration") {
    return goDuration(text);
  }
  if (type === "google.protobuf.Empty") {
    return text === "" || text === "{}" ? {} : undefined;
  }
  return type !== undefined && jsonMessages.has(type) ? (JSON.parse(text) as JsonValue) : undefined;
}

/** `1h30m` as `5400s`; undefined for what is no such text. */
function goDuration(text: string): string | undefined {
  if (!/^[+-]?(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) {
    return undefined;
  }
  let nanos = 0n;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g)) {
    nanos += BigInt(Math.round(Number(number) * nanosByUnit[unit!]!));
  }
  const fraction = String(nanos % 1_000_000_000n).padStart(9, "0");
  return `${text.startsWith("-") ? "-" : ""}${nanos / 1_000_000_000n}.${fraction}s`;
}

const nanosByUnit: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Sets the field (appends, if it is repeated) from a JSON value. Throws what the JSON reader throws. */
export function setField(message: Message, path: FieldPath, value: JsonValue): void {
  const owner = ownerOf(message, path);
  mergeFromJson(path.field.parent, owner, { [path.field.jsonName]: value });
}

/** The message that holds the field; creates what is missing on the way. */
export function ownerOf(message: Message, path: FieldPath): Message {
  let owner = message as Message & Record<string, unknown>;
  for (const parent of path.parents) {
    const desc = parent.message!;
    let child: unknown;
    if (parent.oneof !== undefined) {
      const oneof = owner[parent.oneof.localName] as { case?: string; value?: unknown };
      if (oneof.case !== parent.localName) {
        owner[parent.oneof.localName] = { case: parent.localName, value: create(desc) };
      }
      child = (owner[parent.oneof.localName] as { value: unknown }).value;
    } else {
      child = owner[parent.localName] ??= create(desc);
    }
    owner = child as typeof owner;
  }
  return owner;
}

/** Sets a singular message field, also one that is a member of a oneof. */
export function setMessageField(message: Message, field: DescField, value: Message): void {
  const owner = message as unknown as Record<string, unknown>;
  if (field.oneof === undefined) {
    owner[field.localName] = value;
  } else {
    owner[field.oneof.localName] = { case: field.localName, value };
  }
}

/** The message that a singular message field holds, if it is set; nothing is created. */
export function messageIn(message: Message, field: DescField): Message | undefined {
  const owner = message as unknown as Record<string, unknown>;
  if (field.oneof === undefined) {
    return owner[field.localName] as Message | undefined;
  }
  const oneof = owner[field.oneof.localName] as { case?: string; value?: unknown };
  return oneof.case === field.localName ? (oneof.value as Message) : undefined;
}

/** Whether the field holds something other than its default. */
export function isSet(message: Message, path: FieldPath): boolean {
  let owner = message as unknown as Record<string, unknown> | undefined;
  for (const field of [...path.parents, path.field]) {
    if (owner === undefined) {
      return false;
    }
    if (field.oneof !== undefined) {
      const oneof = owner[field.oneof.localName] as { case?: string; value?: unknown };
      owner = oneof.case === field.localName ? (oneof.value as Record<string, unknown>) : undefined;
    } else {
      owner = owner[field.localName] as Record<string, unknown> | undefined;
    }
  }
  const value = owner as unknown;
  return value !== undefined && value !== "" && value !== 0 && value !== false;
}

/** Whether ProtoJSON writes this message in a form of its own instead of an object of its fields. */
export function hasOwnJson(message: DescMessage): boolean {
  return (
    message.typeName.startsWith("google.protobuf.") &&
    (urlMessages.has(message.typeName) || ownJsonMessages.has(message.typeName))
  );
}

const boolType = 8; // ScalarType.BOOL

/** Messages that one string can spell. */
const urlMessages = new Set(
  [
    "Timestamp",
    "Duration",
    "FieldMask",
    "BoolValue",
    "BytesValue",
    "DoubleValue",
    "FloatValue",
    "Int32Value",
    "Int64Value",
    "StringValue",
    "UInt32Value",
    "UInt64Value",
  ].map((name) => `google.protobuf.${name}`),
);

/** Messages that grpc-gateway reads from a URL as JSON. */
const jsonMessages = new Set(["Struct", "Value", "Empty"].map((name) => `google.protobuf.${name}`));

const ownJsonMessages = new Set(
  ["Any", "Struct", "Value", "ListValue"].map((name) => `google.protobuf.${name}`),
);
