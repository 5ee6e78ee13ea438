// Properties that hold for every template, and for every message of a type with all kinds of fields.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  clearField,
  clone,
  create,
  type DescField,
  type DescMessage,
  type FileRegistry,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
  ScalarType,
  toBinary,
  toJson,
  toJsonString,
} from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { createBinding } from "./binding.ts";
import { fitsUrl, hasOwnJson, messageIn } from "./field.ts";
import { buildRegistry, type RuleSpec } from "./fixture.ts";
import { createRouter } from "./router.ts";
import { readHttpRules } from "./rule.ts";
import { parseTemplate, variableValue } from "./template.ts";

/** Any Unicode text: no lone surrogates, which neither URLs nor protobuf can spell. */
const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string(),
  fc.constantFrom("%", "%2F", "a%zz", "..", ":x", "+"),
);
const segmentText = anyText.filter((text) => text !== "");
/** Within a variable of several segments a slash would keep its escape. */
const plainText = segmentText.filter((text) => !text.includes("/"));

/** A piece of a template, the path that it matches, and what the variable in it is then. */
interface Piece {
  readonly source: string;
  readonly path: readonly string[];
  readonly value?: string;
}

const literal = fc
  .array(
    fc.oneof(
      fc.constantFrom(..."abcXYZ019-._~!$&'()+,;=@"),
      fc.constantFrom("%20", "%3A", "%C3%A9", "%25", "%7B", "%F0%9F%98%80"),
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((parts): Piece => {
    const source = parts.join("");
    return { source, path: [decodeURIComponent(source)] };
  });
const star = (text: fc.Arbitrary<string>) => text.map((value): Piece => ({ source: "*", path: [value] }));
const rest = fc
  .array(fc.oneof(plainText, fc.constant("")), { maxLength: 4 })
  .map((path): Piece => ({ source: "**", path }));

const ident = fc.stringMatching(/^[a-z_][a-zA-Z0-9_]{0,5}$/);
const variable = (parts: fc.Arbitrary<readonly Piece[]>) =>
  fc.tuple(fc.array(ident, { minLength: 1, maxLength: 3 }), parts).map(([names, pieces]): Piece => {
    const path = pieces.flatMap((piece) => piece.path);
    return {
      source: `{${names.join(".")}=${pieces.map((piece) => piece.source).join("/")}}`,
      path,
      value: path.join("/"),
    };
  });
const short = fc
  .tuple(ident, segmentText)
  .map(([name, value]): Piece => ({ source: `{${name}}`, path: [value], value }));
const inner = fc.array(fc.oneof(literal, star(plainText)), { minLength: 2, maxLength: 4 });
const single = fc.oneof(literal, star(segmentText)).map((piece) => [piece]);

const template = fc
  .record({
    pieces: fc.array(fc.oneof(literal, star(segmentText), short, variable(inner), variable(single)), {
      maxLength: 5,
    }),
    last: fc.option(
      fc.oneof(rest, variable(rest.map((piece) => [piece])), variable(fc.tuple(literal, rest))),
    ),
    verb: fc.option(literal, { nil: undefined }),
  })
  .filter(({ pieces, last }) => pieces.length > 0 || last !== null)
  .filter(({ pieces, last }) => {
    const names = [...pieces, ...(last === null ? [] : [last])].flatMap((piece) =>
      piece.value === undefined ? [] : [/^\{([^=}]+)/.exec(piece.source)![1]],
    );
    return new Set(names).size === names.length;
  });

test("a template matches every path that it renders, and gives its variables back", () => {
  fc.assert(
    fc.property(template, ({ pieces, last, verb }) => {
      const all = last === null ? pieces : [...pieces, last];
      const colon = (text: string | undefined) => (text === undefined ? "" : `:${text}`);
      const parsed = parseTemplate(`/${all.map((piece) => piece.source).join("/")}${colon(verb?.source)}`);
      const segments = all.flatMap((piece) => piece.path).map(encodeURIComponent);
      const path = `/${segments.join("/")}${colon(verb && encodeURIComponent(verb.path[0]!))}`;
      const router = createRouter<string>();
      router.add(parsed, "GET", "it");
      const match = router.find("GET", path);
      assert.ok(match.kind === "found", path);
      // Of a path without variables the router does not even cut the segments.
      const values = parsed.variables.map((each) => variableValue(each, match.segments));
      assert.deepEqual(
        values,
        all.flatMap((piece) => piece.value ?? []),
      );
    }),
    { numRuns: 2_000 },
  );
});

/** An own property of this name would not be one in the object that a Struct is made from. */
const plainKey = fc.string().filter((key) => key !== "__proto__");

/** JSON without -0, as it comes out of a text. */
const freeJson = fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.parse(JSON.stringify(value)) as JsonValue);

const rules: RuleSpec[] = [
  { method: "POST", template: "/v1/samples", body: "*" },
  { method: "POST", template: "/v1/{string_value}/x/{author.full_name=**}:save", body: "rest" },
  { method: "GET", template: "/v1/{int64_value}/{optional_enum}/{chosen_string=a/*}" },
  { method: "PUT", template: "/v1/map/{sint32_value}", body: "author_map" },
  { method: "PUT", template: "/v1/any/{bool_value}", body: "repeated_wkt_any" },
];
const registry = buildRegistry(rules, { input: "Sample", output: "Sample" });
const methods = registry.getService("test.v1.Library")!.methods;
const sample = methods[0]!.input;
const message = arbitraryMessage(sample, registry, 2);

test("the JSON of every message is the message again: with body *, and in the answer", () => {
  const binding = createBinding(methods[0]!, readHttpRules(methods[0]!)[0]!, { registry });
  fc.assert(
    fc.property(message, (input) => {
      const json = toJsonString(sample, input, { registry });
      assertSame(binding.read([], "", Buffer.from(json)), input);
      assertSame(fromJson(sample, JSON.parse(binding.write(input)), { registry }), input);
    }),
    { numRuns: 100 },
  );
});

for (const [index, rule] of rules.entries()) {
  test(`a message spread over path, query and body is the same message: ${rule.template}`, () => {
    const method = methods[index]!;
    const binding = createBinding(method, readHttpRules(method)[0]!, { registry });
    const router = createRouter<string>();
    router.add(binding.template, binding.httpMethod, "it");
    fc.assert(
      fc.property(message, plainText, fc.array(plainText, { minLength: 1 }), (drawn, name, names) => {
        const input = clone(sample, drawn) as Message & Drawn;
        // What a path needs: a segment is not empty, a message on the way is there.
        input.stringValue ||= name;
        input.author ??= create(registry.getMessage("test.v1.Author")!) as NonNullable<Drawn["author"]>;
        input.author.fullName = names.join("/");
        if (rule.template!.includes("chosen_string")) {
          input.optionalEnum ??= 1;
          input.choice = { case: "chosenString", value: `a/${name}` };
        }
        const body = sample.fields.find((field) => field.name === rule.body);
        if (rule.body !== "*") {
          pruneForUrl(sample, input, body);
        }
        const json = toJson(sample, input, { registry, alwaysEmitImplicit: false }) as JsonObject;
        const { path, query } = spread(binding.template, input, json, rule.body ?? "");
        const match = router.find(rule.method!, path);
        assert.ok(match.kind === "found", path);
        const value = rule.body === "*" ? json : body && json[body.jsonName];
        const bytes =
          rule.body === undefined ? undefined : Buffer.from(value === undefined ? "" : JSON.stringify(value));
        assertSame(binding.read(match.segments, query, bytes), input);
      }),
      { numRuns: 100 },
    );
  });
}

/** The fields of a Sample that the paths above bind. */
interface Drawn {
  stringValue: string;
  optionalEnum?: number;
  author?: Message & { fullName: string };
  choice: { case?: string; value?: unknown };
}

/** Bytes are compared: in them NaN is equal to itself. Maps are written in the order of their keys by `sorted`. */
function assertSame(actual: Message, expected: Message): void {
  assert.deepEqual(
    Buffer.from(toBinary(sample, sorted(actual))).toString("hex"),
    Buffer.from(toBinary(sample, sorted(expected))).toString("hex"),
  );
}

/** A copy whose maps (objects in protobuf-es) have their keys in order, at every depth. */
function sorted<T>(value: T): T {
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) {
    return value;
  }
  if (Array.isArray(value)) {
    return value.map(sorted) as T;
  }
  const keys = Object.keys(value).sort();
  const copy = Object.create(Object.getPrototypeOf(value));
  for (const key of keys) {
    // Not by assignment: the key of a map may be "__proto__".
    const own = sorted((value as Record<string, unknown>)[key]);
    Object.defineProperty(copy, key, { value: own, enumerable: true, configurable: true, writable: true });
  }
  return copy;
}

/** The URL of a message: the path of the template, and all that neither path nor body has as a query. */
function spread(
  { segments, variables, verb }: ReturnType<typeof parseTemplate>,
  input: Message,
  json: JsonObject,
  body: string,
): { path: string; query: string } {
  const values: (string | undefined)[] = [];
  for (const { path, start } of variables) {
    let owner: unknown = input;
    for (const name of path) {
      const local = name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
      const fields = owner as Record<string, { case?: string; value?: unknown }>;
      owner = local === "chosenString" ? fields.choice!.value : fields[local];
    }
    const parts = path.length > 1 || path[0] === "chosen_string" ? String(owner).split("/") : [String(owner)];
    for (const [offset, part] of parts.entries()) {
      values[start + offset] = part;
    }
  }
  const raw = segments.flatMap((segment, index) =>
    segment.kind === "literal"
      ? [segment.value]
      : segment.kind === "rest"
        ? values.slice(index)
        : [values[index]!],
  );
  const path = `/${raw.map((part) => encodeURIComponent(part!)).join("/")}${verb === "" ? "" : `:${verb}`}`;
  const parameters = new URLSearchParams();
  const bound = new Set([...variables.map((each) => each.path.join(".")), body]);
  if (body !== "*") {
    addQuery(sample, json, "", bound, parameters);
  }
  return { path, query: parameters.toString() };
}

function addQuery(
  desc: DescMessage,
  json: JsonObject,
  prefix: string,
  bound: ReadonlySet<string>,
  parameters: URLSearchParams,
): void {
  for (const field of desc.fields) {
    const value = json[field.jsonName];
    const name = prefix + field.name;
    if (value === undefined || bound.has(name)) {
      continue;
    }
    if (fitsUrl(field)) {
      for (const each of Array.isArray(value) ? value : [value]) {
        parameters.append(name, String(each));
      }
    } else {
      addQuery(field.message!, value as JsonObject, `${name}.`, bound, parameters);
    }
  }
}

/** Leaves out what a query cannot spell: maps, lists of messages, free JSON, and messages with nothing in them. */
function pruneForUrl(desc: DescMessage, owner: Message, body: DescField | undefined): void {
  for (const field of desc.fields) {
    if (field === body || fitsUrl(field)) {
      continue;
    }
    const child = field.fieldKind === "message" && !hasOwnJson(field.message) && messageIn(owner, field);
    if (!child) {
      clearField(owner as never, field as never);
      continue;
    }
    pruneForUrl(field.message!, child, undefined);
    if (Object.keys(toJson(field.message!, child, { registry }) as JsonObject).length === 0) {
      clearField(owner as never, field as never);
    }
  }
}

/** Any message of a type: each field is set in about a third of them. */
function arbitraryMessage(desc: DescMessage, types: FileRegistry, depth: number): fc.Arbitrary<Message> {
  const own = arbitraryWellKnown(desc, types);
  if (own !== undefined) {
    return own;
  }
  const inits: Record<string, fc.Arbitrary<unknown>> = {};
  for (const member of desc.members) {
    if (member.kind === "oneof") {
      const cases = member.fields.map((field) =>
        arbitraryField(field, types, depth).map((value) => ({ case: field.localName, value })),
      );
      inits[member.localName] = sometimes(fc.oneof(...cases));
    } else if (member.message?.typeName !== desc.typeName || depth > 0) {
      inits[member.localName] = sometimes(arbitraryField(member, types, depth));
    }
  }
  return fc.record(inits).map((init) => create(desc, init as never));
}

function sometimes<T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
}

function arbitraryField(field: DescField, types: FileRegistry, depth: number): fc.Arbitrary<unknown> {
  const single =
    field.message !== undefined
      ? fc.constant(0).chain(() => arbitraryMessage(field.message!, types, depth - 1))
      : field.enum !== undefined
        ? fc.constantFrom(0, 1, 7)
        : arbitraryScalar(field.scalar!);
  if (field.fieldKind === "list") {
    return fc.array(single, { maxLength: 3 });
  }
  if (field.fieldKind === "map") {
    const key = arbitraryScalar(field.mapKey).map(String);
    return fc.dictionary(key, single, { maxKeys: 3 });
  }
  if (field.fieldKind === "message" && field.oneof === undefined) {
    // In a field of their own, protobuf-es keeps a wrapper as its value and a Struct as JSON.
    if (field.message.typeName.endsWith("Value") && field.message.fields[0]?.fieldKind === "scalar") {
      return arbitraryScalar(field.message.fields[0].scalar);
    }
    if (field.message.typeName === "google.protobuf.Struct") {
      return fc.dictionary(plainKey, freeJson, { maxKeys: 3 });
    }
  }
  return single;
}

function arbitraryScalar(type: ScalarType): fc.Arbitrary<unknown> {
  // JSON has no -0.
  const unsigned = (value: number) => (value === 0 ? 0 : value);
  switch (type) {
    case ScalarType.DOUBLE:
      return fc.double().map(unsigned);
    case ScalarType.FLOAT:
      return fc.float().map(unsigned);
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.STRING:
      return anyText;
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 20 });
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return fc.integer({ min: 0, max: 0xffffffff });
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return fc.integer();
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    default:
      return fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n });
  }
}

/** Well-known types whose values have rules of their own, in the bounds that ProtoJSON can spell. */
function arbitraryWellKnown(desc: DescMessage, types: FileRegistry): fc.Arbitrary<Message> | undefined {
  const nanos = fc.integer({ min: 0, max: 999_999_999 });
  const fromValue = (value: fc.Arbitrary<unknown>) => value.map((json) => fromJson(desc, json as JsonValue));
  switch (desc.typeName) {
    case "google.protobuf.Timestamp":
      return fc
        .tuple(fc.bigInt({ min: -62_135_596_800n, max: 253_402_300_799n }), nanos)
        .map(([seconds, nanos]) => create(desc, { seconds, nanos } as never));
    case "google.protobuf.Duration":
      return fc
        .tuple(fc.bigInt({ min: 0n, max: 315_576_000_000n }), nanos, fc.boolean())
        .map(([seconds, nanos, isNegative]) =>
          create(
            desc,
            (isNegative
              ? { seconds: -seconds, nanos: nanos === 0 ? 0 : -nanos }
              : { seconds, nanos }) as never,
          ),
        );
    case "google.protobuf.FieldMask":
      return fc
        .array(fc.stringMatching(/^[a-z]{1,4}(_[a-z]{1,3})?(\.[a-z]{1,4})?$/), { maxLength: 3 })
        .map((paths) => create(desc, { paths } as never));
    case "google.protobuf.Struct":
      return fromValue(fc.dictionary(plainKey, freeJson, { maxKeys: 3 }));
    case "google.protobuf.ListValue":
      return fromValue(fc.array(freeJson, { maxLength: 3 }));
    case "google.protobuf.Value":
      return fromValue(freeJson);
    case "google.protobuf.Any": {
      const author = types.getMessage("test.v1.Author")!;
      return arbitraryMessage(author, types, 1).map((packed) => anyPack(author, packed));
    }
    default:
      return undefined;
  }
}
