// Examples of messages: what the contract itself says where it does, else values made up by its rules, always the same.
import {
  type DescField,
  type DescFile,
  type DescMessage,
  type JsonObject,
  type JsonValue,
  ScalarType,
} from "@bufbuild/protobuf";
import { hasOwnJson } from "../transcoder/field.ts";
import type { CommentOf } from "./comment.ts";
import { accepts, constraintOf, rulesOf } from "./constraint.ts";
import type { JsonSchema } from "./document.ts";
import type { OptionsOf } from "./option.ts";
import { sampleOf } from "./pattern.ts";
import type { Schemas } from "./schema.ts";

/**
 * `minimal`: what a request must have, and what its contract gives examples for. `full`: all that a request may have.
 * `answer`: all that an answer may have.
 */
export type ExampleKind = "minimal" | "full" | "answer";

export interface Examples {
  /** A message, without the fields that something else binds (dotted proto names). */
  message(message: DescMessage, kind: ExampleKind, without?: readonly string[]): JsonValue;
  /** A value of one field. */
  field(field: DescField, kind: ExampleKind, without?: readonly string[]): JsonValue;
}

export interface ExampleDeps {
  readonly schemas: Schemas;
  readonly commentOf: CommentOf;
  readonly optionsOf: OptionsOf;
  readonly files: Iterable<DescFile>;
}

export function createExamples({ schemas, commentOf, optionsOf, files }: ExampleDeps): Examples {
  const hints = collectHints();

  return {
    message: (message, kind, without = []) => messageExample(message, kind, without, []),
    field: (field, kind, without = []) => fieldExample(field, kind, without, []) ?? null,
  };

  function messageExample(
    message: DescMessage,
    kind: ExampleKind,
    without: readonly string[],
    within: readonly DescMessage[],
  ): JsonValue {
    if (message.typeName === "google.rpc.Status") {
      return { code: 5, message: "there is no such resource", details: [] };
    }
    if (hasOwnJson(message)) {
      return wellKnownExample(message, {}) ?? null;
    }
    const example: JsonObject = {};
    const filled = new Set(
      message.fields.filter(({ name }) => without.includes(name)).flatMap(({ oneof }) => oneof ?? []),
    );
    for (const field of message.fields) {
      const isBound = without.includes(field.name) || (field.oneof !== undefined && filled.has(field.oneof));
      const isWanted = kind !== "minimal" || schemas.isRequired(field) || ownCandidates(field).length > 0;
      const isDemandedOneof = field.oneof !== undefined && isOneofRequired(field);
      if (isBound || !(isWanted || isDemandedOneof) || isForeign(field, kind)) {
        continue;
      }
      const below = without
        .filter((path) => path.startsWith(`${field.name}.`))
        .map((path) => path.slice(field.name.length + 1));
      const value = fieldExample(field, kind, below, [...within, message]);
      if (value !== undefined) {
        example[field.jsonName] = value;
        if (field.oneof !== undefined) filled.add(field.oneof);
      }
    }
    return example;
  }

  /** Undefined where the message would contain itself. */
  function fieldExample(
    field: DescField,
    kind: ExampleKind,
    without: readonly string[],
    within: readonly DescMessage[],
  ): JsonValue | undefined {
    const rules = rulesOf(field, optionsOf);
    switch (field.fieldKind) {
      case "list": {
        const schema = schemas.value(field);
        const items = ((rules.repeated as JsonObject | undefined)?.items ?? {}) as JsonObject;
        const count = Math.min(Math.max(1, schema.minItems ?? 1), schema.maxItems ?? 1_000);
        const elements: JsonValue[] = [];
        for (let index = 0; index < count; index++) {
          const value = single(field, items, schema.items ?? {}, kind, without, within, index);
          if (value === undefined) return [];
          elements.push(value);
        }
        return elements;
      }
      case "map": {
        const schema = schemas.value(field);
        const of = (rules.map ?? {}) as JsonObject;
        const count = Math.min(Math.max(1, schema.minProperties ?? 1), schema.maxProperties ?? 1_000);
        const entries: [string, JsonValue][] = [];
        for (let index = 0; index < count; index++) {
          const key = textExample(schema.propertyNames ?? {}, keyWords(field), index);
          const values = (of.values ?? {}) as JsonObject;
          const elementSchema = schema.additionalProperties as JsonSchema;
          const value = single(field, values, elementSchema, kind, without, within, index);
          if (value === undefined) return {};
          entries.push([key, value]);
        }
        return Object.fromEntries(entries);
      }
      default:
        return single(field, rules, schemas.value(field), kind, without, within, 0);
    }
  }

  /** One value; `index` makes elements of a list differ. */
  function single(
    field: DescField,
    rules: JsonObject,
    schema: JsonSchema,
    kind: ExampleKind,
    without: readonly string[],
    within: readonly DescMessage[],
    index: number,
  ): JsonValue | undefined {
    const { examples, range } = constraintOf(rules, field);
    const given = examples[index] ?? (index === 0 ? undefined : examples.at(-1));
    if (given !== undefined) {
      return given;
    }
    if (field.message !== undefined) {
      if (hasOwnJson(field.message)) {
        return field.message.typeName === "google.protobuf.FieldMask"
          ? maskExample(field, rules)
          : wellKnownExample(field.message, rules, schema);
      }
      return within.includes(field.message)
        ? undefined
        : messageExample(field.message, kind, without, within);
    }
    if (field.enum !== undefined) {
      if (schema.type === "null") {
        return null;
      }
      const names = schema.enum ?? field.enum.values.map(({ name }) => name);
      const stated = names.filter((name) => name !== field.enum!.values[0]!.name);
      return stated[index % Math.max(1, stated.length)] ?? names[0] ?? null;
    }
    switch (field.scalar) {
      case ScalarType.BOOL:
        return schema.const ?? true;
      case ScalarType.STRING:
        return textExample(schema, candidatesOf(field), index);
      case ScalarType.BYTES:
        return bytesExample(schema, rules);
      case ScalarType.INT64:
      case ScalarType.SINT64:
      case ScalarType.SFIXED64:
      case ScalarType.UINT64:
      case ScalarType.FIXED64: {
        const { min = range.max !== undefined && range.max < 1n ? range.max : 1n } = range;
        const wide = String((min < 1n && (range.max ?? 1n) >= 1n ? 1n : min) + BigInt(index));
        return schema.const ?? schema.enum?.[0] ?? wide;
      }
      default:
        return numberExample(schema, index);
    }
  }

  /** What the contract says a field may be: quoted in its comment, or given for a field of its name. */
  function candidatesOf(field: DescField): string[] {
    const near = hints.get(`${field.parent.file.proto.package}/${field.name}`) ?? [];
    // A name means another resource elsewhere.
    const far = field.name === "name" ? [] : (hints.get(field.name) ?? []);
    return [...ownCandidates(field), ...near, ...far, words(field.name)];
  }

  function ownCandidates(field: DescField): string[] {
    const isText = field.scalar === ScalarType.STRING;
    return isText ? quoted(commentOf(field)).filter((text) => accepts(elementSchema(field), text)) : [];
  }

  function elementSchema(field: DescField): JsonSchema {
    const schema = schemas.value(field);
    return schema.items ?? (field.fieldKind === "map" ? (schema.additionalProperties as JsonSchema) : schema);
  }

  function collectHints(): Map<string, string[]> {
    const found = new Map<string, string[]>();
    const visit = (message: DescMessage) => {
      for (const field of message.fields) {
        if (field.scalar === ScalarType.STRING && field.fieldKind !== "map") {
          const schema = elementSchema(field);
          // What a pattern asks for in a request is what the field holds in an answer, which has no rules.
          const isPlain = schema.pattern === undefined || accepts(schema, words(field.name));
          const sample = isPlain ? undefined : sampleOf(schema.pattern!, schema.minLength);
          for (const key of [`${message.file.proto.package}/${field.name}`, field.name]) {
            const texts = [...(found.get(key) ?? []), ...ownCandidates(field), ...(sample ? [sample] : [])];
            found.set(key, texts);
          }
        }
      }
      message.nestedMessages.forEach(visit);
    };
    for (const file of files) {
      file.messages.forEach(visit);
    }
    return found;
  }

  /** Of the other direction: read only in a request, write only in an answer. */
  function isForeign(field: DescField, kind: ExampleKind): boolean {
    const behavior = (optionsOf(field)["[google.api.field_behavior]"] ?? []) as string[];
    return behavior.includes(kind === "answer" ? "INPUT_ONLY" : "OUTPUT_ONLY");
  }

  function isOneofRequired(field: DescField): boolean {
    const rules = optionsOf(field.oneof!)["[buf.validate.oneof]"] as JsonObject | undefined;
    return rules?.required === true;
  }

  /** The first field of the resource that the request carries beside the mask. */
  function maskExample(field: DescField, rules: JsonObject): string {
    const allowed = (rules.fieldMask as JsonObject | undefined)?.in as string[] | undefined;
    const resource = field.parent.fields.find(
      (each) => each.fieldKind === "message" && !hasOwnJson(each.message),
    )?.message;
    const [first] = resource?.fields.filter(({ name }) => name !== "name" && name !== "etag") ?? [];
    return allowed?.[0] ?? first?.jsonName ?? "name";
  }
}

const exampleUuid = "0f8b2f6c-5d3e-4b39-9a57-1f6d3c2b7a10";
const exampleTimeMs = Date.UTC(2026, 0, 31, 9, 30);

/** Texts in quotes, and in backticks where they have a placeholder; `{uuid}` and its like become one. */
function quoted(comment: string): string[] {
  return [...comment.matchAll(/"([^"\n]+)"|`([^`\n]*\{\w*id\}[^`\n]*)`/g)]
    .map((match) => (match[1] ?? match[2])!.replace(/\{\w*id\}/g, exampleUuid))
    .filter((text) => !/[{}]|\.\.\./.test(text));
}

/** "tempat_lahir" as "Tempat lahir". */
function words(name: string): string {
  const spaced = name.replaceAll("_", " ");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

function keyWords(field: DescField & { readonly fieldKind: "map" }): string[] {
  return field.mapKey === ScalarType.STRING ? [field.name] : ["1", "true"];
}

const textByFormat: Record<string, string> = {
  uuid: exampleUuid,
  email: "name@example.org",
  hostname: "www.example.org",
  ipv4: "192.0.2.1",
  ipv6: "2001:db8::1",
  uri: "https://example.org/",
  "uri-reference": "/path",
};

function textExample(schema: JsonSchema, candidates: readonly string[], index = 0): string {
  if (schema.const !== undefined) {
    return String(schema.const);
  }
  if (schema.enum !== undefined) {
    return String(schema.enum[index % schema.enum.length]);
  }
  const format = schema.format ?? schema.anyOf?.[0]?.format ?? "";
  const { minLength = 0, maxLength } = schema;
  const sample = schema.pattern === undefined ? undefined : sampleOf(schema.pattern, minLength);
  // Of several patterns one is a beginning and one an end, most likely.
  const parts = [schema, ...(schema.allOf ?? [])].map(({ pattern }) => sampleOf(pattern ?? "") ?? "");
  const joined = schema.allOf === undefined ? [] : [parts.join(""), parts.join("a".repeat(minLength))];
  const made = [textByFormat[format], ...candidates, sample, ...joined].filter((text) => text !== undefined);
  const stretched = made.map((text) => text.repeat(Math.ceil(minLength / Math.max(1, text.length))));
  const cut = maxLength === undefined ? [] : made.map((text) => [...text].slice(0, maxLength).join(""));
  const fitting = [...made, ...stretched, ...cut].find((text) => accepts(schema, text)) ?? sample ?? "";
  if (index === 0) {
    return fitting;
  }
  const next = [`${fitting}${index + 1}`, fitting.replace(/\d$/, String((index + 1) % 10))];
  return next.find((text) => text !== fitting && accepts(schema, text)) ?? fitting;
}

function numberExample(schema: JsonSchema, index: number): JsonValue {
  if (schema.const !== undefined || schema.enum !== undefined) {
    return schema.const ?? schema.enum?.[index % schema.enum.length] ?? 0;
  }
  const plain: JsonSchema = schema.type === undefined ? {} : schema;
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = plain;
  const bounds = [...(schema.anyOf ?? []), plain];
  const made = [
    1 + index,
    minimum === undefined ? undefined : minimum + index,
    maximum === undefined ? undefined : maximum - index,
    exclusiveMinimum === undefined ? undefined : exclusiveMinimum + 1 + index,
    exclusiveMaximum === undefined ? undefined : exclusiveMaximum - 1 - index,
    exclusiveMinimum === undefined || exclusiveMaximum === undefined
      ? undefined
      : (exclusiveMinimum + exclusiveMaximum) / 2,
    ...bounds.flatMap((each) => [
      each.minimum,
      each.maximum,
      each.exclusiveMinimum === undefined ? undefined : each.exclusiveMinimum + 1,
      each.exclusiveMaximum === undefined ? undefined : each.exclusiveMaximum - 1,
    ]),
  ];
  return made.find((number) => number !== undefined && accepts(schema, number)) ?? 0;
}

function bytesExample(schema: JsonSchema, rules: JsonObject): string {
  if (schema.const !== undefined || schema.enum !== undefined) {
    return String(schema.const ?? schema.enum?.[0]);
  }
  const of = (rules.bytes ?? {}) as JsonObject;
  const least = Number(of.len ?? of.minLen ?? 0);
  const most = Number(of.len ?? of.maxLen ?? Math.max(least, 7));
  const text = "example".repeat(Math.ceil(Math.max(least, 7) / 7));
  return Buffer.from(text.slice(0, Math.min(most, Math.max(least, 7)))).toString("base64");
}

function wellKnownExample(message: DescMessage, rules: JsonObject, schema: JsonSchema = {}): JsonValue {
  const name = message.typeName.slice("google.protobuf.".length);
  switch (name) {
    case "Timestamp":
      return timeExample((rules.timestamp ?? {}) as JsonObject);
    case "Duration":
      return durationExample((rules.duration ?? {}) as JsonObject);
    case "FieldMask":
      return "name";
    case "Struct":
      return { key: "value" };
    case "ListValue":
      return ["value"];
    case "Value":
      return "value";
    case "Any":
      return { "@type": "type.googleapis.com/google.protobuf.Duration", value: "1.500s" };
    case "BoolValue":
      return schema.const ?? true;
    case "BytesValue":
      return bytesExample(schema, rules);
    case "StringValue":
      return textExample(schema, ["Text"]);
    case "Int64Value":
    case "UInt64Value":
      return "1";
    default:
      return numberExample(schema, 0);
  }
}

function timeExample(rules: JsonObject): string {
  const at = (name: string) => (rules[name] === undefined ? undefined : Date.parse(rules[name] as string));
  const from = at("gte") ?? (at("gt") === undefined ? undefined : at("gt")! + 1_000);
  const to = at("lte") ?? (at("lt") === undefined ? undefined : at("lt")! - 1_000);
  const wished = rules.gtNow === true ? Date.UTC(2126, 0, 31, 9, 30) : exampleTimeMs;
  const fitting = Math.min(Math.max(wished, from ?? wished), to ?? Number.POSITIVE_INFINITY);
  return new Date(at("const") ?? fitting).toISOString().replace(".000Z", "Z");
}

function durationExample(rules: JsonObject): string {
  const seconds = (name: string) =>
    rules[name] === undefined ? undefined : Number.parseFloat(rules[name] as string);
  const [some] = (rules.in ?? []) as string[];
  const from = seconds("gte") ?? (seconds("gt") === undefined ? undefined : seconds("gt")! + 1);
  const to = seconds("lte") ?? (seconds("lt") === undefined ? undefined : seconds("lt")! / 2);
  const fitting = Math.min(Math.max(10, from ?? 10), to ?? Number.POSITIVE_INFINITY);
  return some ?? `${seconds("const") ?? fitting}s`;
}
