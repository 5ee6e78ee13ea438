// The rules of protovalidate (buf.validate) as keywords of JSON Schema, or in words where no keyword says it.
import type { DescField, JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { JsonSchema } from "./document.ts";
import type { OptionsOf } from "./option.ts";
import { toEcmaPattern } from "./pattern.ts";

/** What the rules of one value come to. */
export interface Constraint {
  /** Keywords to add to the schema of the value. */
  readonly keywords: JsonSchema;
  /** What no keyword can say, a sentence each. */
  readonly notes: readonly string[];
  /** Values that the contract itself gives as examples, in ProtoJSON. */
  readonly examples: readonly JsonValue[];
  /** Bounds of 64-bit integers, which are strings in JSON and so have no keywords. */
  readonly range: Range;
}

export interface Range {
  readonly min?: bigint;
  readonly max?: bigint;
}

/** The rules of a field as JSON, {} without any; those that are switched off count as none. */
export function rulesOf(field: DescField, optionsOf: OptionsOf): JsonObject {
  const rules = (optionsOf(field)["[buf.validate.field]"] ?? {}) as JsonObject;
  return rules.ignore === "IGNORE_ALWAYS" ? {} : rules;
}

/** Translates the rules of one value: of a field, of an element, or of a key. */
export function constraintOf(rules: JsonObject, field: DescField): Constraint {
  const notes: string[] = [];
  let keywords: JsonSchema = {};
  let examples: JsonValue[] = [];
  let range: Range = {};
  for (const [type, value] of Object.entries(rules)) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      continue;
    }
    examples = (value.example ?? []) as JsonValue[];
    if (type === "string") {
      keywords = stringKeywords(value, notes);
    } else if (type === "bytes") {
      keywords = bytesKeywords(value, notes);
    } else if (type === "enum") {
      keywords = enumKeywords(value, field);
      examples = examples.flatMap((number) => nameOf(field, number as number) ?? []);
    } else if (type === "repeated") {
      keywords = defined({
        minItems: countOf(value.minItems),
        maxItems: countOf(value.maxItems),
        uniqueItems: value.unique === true || undefined,
      });
    } else if (type === "map") {
      keywords = defined({
        minProperties: countOf(value.minPairs),
        maxProperties: countOf(value.maxPairs),
      });
    } else if (type === "bool") {
      keywords = defined({ const: value.const });
    } else if (type === "duration" || type === "timestamp" || type === "fieldMask" || type === "any") {
      describeRules(value, notes);
    } else if (isWide(type)) {
      range = wideRange(value);
      keywords = { ...membership(value), ...(range.min === undefined || range.min < 0n ? {} : unsigned) };
      describeRules(value, notes, ["in", "notIn", "const"]);
    } else {
      keywords = numberKeywords(value);
    }
  }
  for (const cel of (rules.cel ?? []) as JsonObject[]) {
    notes.push(sentence(String(cel.message || cel.expression)));
  }
  for (const expression of (rules.celExpression ?? []) as string[]) {
    notes.push(`Must satisfy \`${expression}\`.`);
  }
  return { keywords, notes, examples, range };
}

/**
 * Whether a request without the field breaks its rules. ProtoJSON does not tell an absent field from one that holds
 * zero, unless it tracks presence; rules that refuse zero therefore demand the field.
 */
export function isDemanded(field: DescField, rules: JsonObject, { keywords, range }: Constraint): boolean {
  if (rules.required === true || field.presence === legacyRequired) {
    return true;
  }
  if (field.presence === explicit && field.fieldKind !== "list" && field.fieldKind !== "map") {
    return false;
  }
  if (rules.ignore === "IGNORE_IF_ZERO_VALUE" || field.oneof !== undefined) {
    return false;
  }
  switch (field.fieldKind) {
    case "list":
      return (keywords.minItems ?? 0) > 0;
    case "map":
      return (keywords.minProperties ?? 0) > 0;
    case "enum":
      return keywords.enum !== undefined && !keywords.enum.includes(field.enum.values[0]!.name);
    case "scalar":
      return !accepts(keywords, zeroOf(field)) || (range.min ?? 0n) > 0n || (range.max ?? 0n) < 0n;
    default:
      return false;
  }
}

/** Whether a value of JSON that is neither list nor object satisfies the keywords of a schema. */
export function accepts(schema: JsonSchema, value: JsonValue): boolean {
  if (schema.const !== undefined && schema.const !== value) return false;
  if (schema.enum !== undefined && !schema.enum.includes(value)) return false;
  if (schema.not !== undefined && accepts(schema.not, value)) return false;
  if (schema.allOf?.every((each) => accepts(each, value)) === false) return false;
  if (schema.anyOf?.some((each) => accepts(each, value)) === false) return false;
  if (typeof value === "string") {
    const length = [...value].length;
    return (
      length >= (schema.minLength ?? 0) &&
      length <= (schema.maxLength ?? Number.POSITIVE_INFINITY) &&
      (schema.pattern === undefined || new RegExp(schema.pattern, "u").test(value)) &&
      (formatPatterns[schema.format ?? ""]?.test(value) ?? true)
    );
  }
  if (typeof value === "number") {
    return (
      value >= (schema.minimum ?? value) &&
      value <= (schema.maximum ?? value) &&
      (schema.exclusiveMinimum === undefined || value > schema.exclusiveMinimum) &&
      (schema.exclusiveMaximum === undefined || value < schema.exclusiveMaximum)
    );
  }
  return true;
}

/** Joins keywords; a pattern, a choice or a bound that both have does not replace the other. */
export function merge(base: JsonSchema, more: JsonSchema): JsonSchema {
  const merged: JsonSchema = { ...base, ...more };
  if (base.pattern !== undefined && more.pattern !== undefined && base.pattern !== more.pattern) {
    // The rule's own is the narrower one: the base only says how the type is written.
    merged.pattern = more.pattern;
  }
  if (base.allOf !== undefined && more.allOf !== undefined) {
    merged.allOf = [...base.allOf, ...more.allOf];
  }
  // One bound on each side: tools refuse a schema that has both kinds.
  if (more.exclusiveMinimum !== undefined) delete merged.minimum;
  if (more.exclusiveMaximum !== undefined) delete merged.maximum;
  return merged;
}

const explicit = 1; // FeatureSet.FieldPresence.EXPLICIT
const legacyRequired = 3; // FeatureSet.FieldPresence.LEGACY_REQUIRED

const unsigned: JsonSchema = { pattern: "^[0-9]+$" };

/** Enough of the formats to tell an example that fits from one that does not. */
const formatPatterns: Record<string, RegExp> = {
  uuid: /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
  email: /^[\w.+-]+@[\w-]+(?:\.[\w-]+)+$/,
  hostname: /^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/i,
  ipv4: /^\d{1,3}(?:\.\d{1,3}){3}$/,
  ipv6: /^[0-9a-f:]*:[0-9a-f:.]*$/i,
  uri: /^[a-z][a-z0-9+.-]*:\S+$/i,
  "uri-reference": /^\S+$/,
  "date-time": /^\d{4}-\d\d-\d\dT/,
};

const stringFormats: Record<string, JsonSchema> = {
  email: { format: "email" },
  hostname: { format: "hostname" },
  ip: { anyOf: [{ format: "ipv4" }, { format: "ipv6" }] },
  ipv4: { format: "ipv4" },
  ipv6: { format: "ipv6" },
  uri: { format: "uri" },
  uriRef: { format: "uri-reference" },
  address: { anyOf: [{ format: "hostname" }, { format: "ipv4" }, { format: "ipv6" }] },
  uuid: { format: "uuid" },
  tuuid: { pattern: "^[0-9A-Fa-f]{32}$" },
  ulid: { pattern: "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$" },
  protobufFqn: { pattern: "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$" },
  protobufDotFqn: { pattern: "^\\.[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$" },
};

const stringWords: Record<string, string> = {
  ipWithPrefixlen: "Must be an IP address with the length of its prefix, such as `192.0.2.1/24`.",
  ipv4WithPrefixlen: "Must be an IPv4 address with the length of its prefix, such as `192.0.2.1/24`.",
  ipv6WithPrefixlen: "Must be an IPv6 address with the length of its prefix, such as `2001:db8::1/64`.",
  ipPrefix: "Must be an IP prefix, such as `192.0.2.0/24`.",
  ipv4Prefix: "Must be an IPv4 prefix, such as `192.0.2.0/24`.",
  ipv6Prefix: "Must be an IPv6 prefix, such as `2001:db8::/32`.",
  hostAndPort: "Must be a host and a port, such as `example.org:443`.",
};

function stringKeywords(rules: JsonObject, notes: string[]): JsonSchema {
  const patterns: string[] = [];
  if (typeof rules.pattern === "string") {
    const pattern = toEcmaPattern(rules.pattern);
    if (pattern === undefined) {
      notes.push(`Must match the RE2 expression \`${rules.pattern}\`.`);
    } else {
      patterns.push(pattern);
    }
  }
  if (typeof rules.prefix === "string") patterns.push(`^${literal(rules.prefix)}`);
  if (typeof rules.suffix === "string") patterns.push(`${literal(rules.suffix)}$`);
  if (typeof rules.contains === "string") patterns.push(literal(rules.contains));
  if (rules.wellKnownRegex === "KNOWN_REGEX_HTTP_HEADER_NAME") {
    patterns.push(rules.strict === false ? "^[^\\u0000\\n\\r]+$" : "^:?[0-9a-zA-Z!#$%&'*+\\-.^_|~`]+$");
  } else if (rules.wellKnownRegex === "KNOWN_REGEX_HTTP_HEADER_VALUE") {
    patterns.push(
      rules.strict === false ? "^[^\\u0000\\n\\r]*$" : "^[^\\u0000-\\u0008\\u000A-\\u001F\\u007F]*$",
    );
  }
  let keywords: JsonSchema = {};
  for (const [name, value] of Object.entries(rules)) {
    if (value === true && stringFormats[name] !== undefined) {
      const { pattern, ...format } = stringFormats[name];
      keywords = { ...keywords, ...format };
      if (pattern !== undefined) patterns.push(pattern);
    } else if (value === true && stringWords[name] !== undefined) {
      notes.push(stringWords[name]);
    }
  }
  const [first, ...others] = patterns;
  const length = countOf(rules.len);
  const minBytes = countOf(rules.lenBytes ?? rules.minBytes);
  return defined({
    ...membership(rules),
    ...(typeof rules.notContains === "string" ? { not: { pattern: literal(rules.notContains) } } : {}),
    ...keywords,
    // A character has one to four bytes of UTF-8.
    minLength:
      length ?? countOf(rules.minLen) ?? (minBytes === undefined ? undefined : Math.ceil(minBytes / 4)),
    maxLength: length ?? countOf(rules.maxLen) ?? countOf(rules.lenBytes ?? rules.maxBytes),
    pattern: first,
    allOf: others.length === 0 ? undefined : others.map((pattern) => ({ pattern })),
  });
}

/** Lengths are those of the bytes; base64 has four characters for three of them, the last of which may be padding. */
function bytesKeywords(rules: JsonObject, notes: string[]): JsonSchema {
  const min = countOf(rules.len ?? rules.minLen);
  const max = countOf(rules.len ?? rules.maxLen);
  if (typeof rules.pattern === "string") {
    notes.push(`The bytes must match the RE2 expression \`${rules.pattern}\`.`);
  }
  for (const [name, words] of Object.entries({
    prefix: "begin with",
    suffix: "end with",
    contains: "contain",
  })) {
    if (rules[name] !== undefined) notes.push(`The bytes must ${words} \`${rules[name]}\` (base64).`);
  }
  for (const name of ["ip", "ipv4", "ipv6", "uuid"]) {
    if (rules[name] === true)
      notes.push(`The bytes must be those of ${name === "uuid" ? "a UUID" : "an address"} (${name}).`);
  }
  return defined({
    ...membership(rules),
    minLength: min === undefined ? undefined : Math.ceil((min * 4) / 3),
    maxLength: max === undefined ? undefined : Math.ceil(max / 3) * 4,
  });
}

function enumKeywords(rules: JsonObject, field: DescField): JsonSchema {
  const only = rules.const !== undefined ? [rules.const] : (rules.in as JsonValue[] | undefined);
  const not = (rules.notIn ?? []) as JsonValue[];
  if (only === undefined && not.length === 0) {
    return {};
  }
  const values = field.enum?.values ?? [];
  return {
    enum: values
      .filter(({ number }) => (only?.includes(number) ?? true) && !not.includes(number))
      .map(({ name }) => name),
  };
}

function nameOf(field: DescField, number: number): string | undefined {
  return field.enum?.values.find((value) => value.number === number)?.name;
}

function numberKeywords(rules: JsonObject): JsonSchema {
  const number = (name: string) => (typeof rules[name] === "number" ? (rules[name] as number) : undefined);
  const lower = defined({ minimum: number("gte"), exclusiveMinimum: number("gt") });
  const upper = defined({ maximum: number("lte"), exclusiveMaximum: number("lt") });
  const low = number("gte") ?? number("gt");
  const high = number("lte") ?? number("lt");
  // A lower bound above the upper one means: outside of both.
  const isOutside = low !== undefined && high !== undefined && low > high;
  const finite: JsonSchema = rules.finite === true ? { type: "number" } : {};
  return {
    ...finite,
    ...membership(rules),
    ...(isOutside ? { anyOf: [lower, upper] } : { ...lower, ...upper }),
  };
}

function isWide(type: string): boolean {
  return /^(?:s?fixed|[su]?int)64$/.test(type.toLowerCase());
}

function wideRange(rules: JsonObject): Range {
  const number = (name: string) => (rules[name] === undefined ? undefined : BigInt(rules[name] as string));
  const above = number("gt");
  const below = number("lt");
  return defined({
    min: number("gte") ?? (above === undefined ? undefined : above + 1n),
    max: number("lte") ?? (below === undefined ? undefined : below - 1n),
  });
}

/** What has to be said in words: bounds of values that JSON writes as strings. */
function describeRules(rules: JsonObject, notes: string[], except: readonly string[] = []): void {
  for (const [name, value] of Object.entries(rules)) {
    const words = ruleWords[name];
    if (words !== undefined && !except.includes(name)) {
      const shown = value === true ? "" : ` \`${Array.isArray(value) ? value.join("`, `") : String(value)}\``;
      notes.push(`Must ${words}${shown}.`);
    }
  }
}

const ruleWords: Record<string, string> = {
  const: "be",
  lt: "be less than",
  lte: "be at most",
  gt: "be more than",
  gte: "be at least",
  ltNow: "be in the past",
  gtNow: "be in the future",
  within: "be no further from now than",
  in: "be of",
  notIn: "be none of",
};

function membership(rules: JsonObject): JsonSchema {
  const not = rules.notIn as JsonValue[] | undefined;
  return defined({
    const: rules.const,
    enum: rules.in as JsonValue[] | undefined,
    not: not === undefined || not.length === 0 ? undefined : { enum: not },
  });
}

function zeroOf(field: DescField): JsonValue {
  switch (field.scalar) {
    case 8: // BOOL
      return false;
    case 9: // STRING
    case 12: // BYTES
      return "";
    case 3: // INT64
    case 4: // UINT64
    case 6: // FIXED64
    case 16: // SFIXED64
    case 18: // SINT64
      return "0";
    default:
      return 0;
  }
}

function countOf(value: JsonValue | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

function sentence(text: string): string {
  const trimmed = text.trim();
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

function defined<T extends object>(keywords: T): T {
  return Object.fromEntries(Object.entries(keywords).filter(([, value]) => value !== undefined)) as T;
}
