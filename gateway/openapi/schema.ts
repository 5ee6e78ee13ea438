// Messages, enums and fields as JSON Schema, in the form that ProtoJSON gives them.
import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescOneof,
  type JsonObject,
  ScalarType,
} from "@bufbuild/protobuf";
import { hasOwnJson } from "../transcoder/field.ts";
import type { CommentOf } from "./comment.ts";
import { type Constraint, constraintOf, isDemanded, merge, rulesOf } from "./constraint.ts";
import type { JsonSchema } from "./document.ts";
import type { OptionsOf } from "./option.ts";

export interface Schemas {
  /** The schema of a message: a reference, or what stands for a well-known type. Enters it into `components`. */
  message(message: DescMessage): JsonSchema;
  /**
   * The schema of a message without the fields that something else binds, named by dotted proto names. A component of
   * its own, for two methods may leave out different fields.
   */
  messageWithout(message: DescMessage, paths: readonly string[]): JsonSchema;
  /** The schema of a field with its rules, its comment and whether it is deprecated. */
  field(field: DescField): JsonSchema;
  /** The same without what belongs to a property: for a parameter, or a body that is one field. */
  value(field: DescField): JsonSchema;
  /** Whether a request without the field is refused. */
  isRequired(field: DescField): boolean;
  /** The text for people: comment, what rules say that no keyword can, the other members of its oneof. */
  describe(field: DescField): string | undefined;
  constraint(field: DescField): Constraint;
  /** All that was referred to so far, by name. */
  components(): Record<string, JsonSchema>;
}

export interface SchemaDeps {
  readonly commentOf: CommentOf;
  readonly optionsOf: OptionsOf;
}

/** The component of google.rpc.Status; it has a fixed form, for errors have it also where no contract imports it. */
export const statusRef = "#/components/schemas/google.rpc.Status";

export function createSchemas({ commentOf, optionsOf }: SchemaDeps): Schemas {
  const components = new Map<string, JsonSchema>();
  const constraints = new Map<DescField, Constraint>();
  addStatus();

  return {
    message,
    messageWithout,
    field,
    value,
    isRequired,
    describe,
    constraint,
    components: () => Object.fromEntries([...components].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
  function message(type: DescMessage): JsonSchema {
    if (type.typeName === "google.rpc.Status") {
      return { $ref: statusRef };
    }
    if (hasOwnJson(type) || type.typeName === "google.protobuf.Empty") {
      return wellKnown(type);
    }
    return refer(type.typeName, () => objectSchema(type, type.fields, []));
  }

  function messageWithout(type: DescMessage, paths: readonly string[]): JsonSchema {
    if (paths.length === 0 || hasOwnJson(type)) {
      return message(type);
    }
    const taken = type.fields.filter((each) => paths.includes(each.name));
    const takenOneofs = taken.flatMap(({ oneof }) => oneof ?? []);
    const left = type.fields.filter(
      // A oneof that the path has filled takes no other member.
      (each) => !taken.includes(each) && !(each.oneof !== undefined && takenOneofs.includes(each.oneof)),
    );
    if (left.length === type.fields.length && !paths.some((path) => path.includes("."))) {
      return message(type);
    }
    const name = `${type.typeName}.Without.${[...paths].sort().join(".")}`;
    return refer(name, () => objectSchema(type, left, paths));
  }

  function objectSchema(
    type: DescMessage,
    fields: readonly DescField[],
    without: readonly string[],
  ): JsonSchema {
    const properties: Record<string, JsonSchema> = {};
    const required: string[] = [];
    for (const each of fields) {
      const below = without
        .filter((path) => path.startsWith(`${each.name}.`))
        .map((path) => path.slice(each.name.length + 1));
      properties[each.jsonName] =
        below.length > 0 && each.fieldKind === "message"
          ? decorate(messageWithout(each.message, below), each)
          : field(each);
      if (isRequired(each)) {
        required.push(each.jsonName);
      }
    }
    const schema: JsonSchema = { type: "object", title: type.name };
    const description = [commentOf(type), ...messageNotes(type)].filter(Boolean).join("\n\n");
    if (description !== "") schema.description = description;
    if (type.deprecated) schema.deprecated = true;
    if (fields.length > 0) schema.properties = properties;
    if (required.length > 0) schema.required = required;
    addOneofs(schema, choicesOf(type, fields));
    return schema;
  }

  function messageNotes(type: DescMessage): string[] {
    const rules = (optionsOf(type)["[buf.validate.message]"] ?? {}) as JsonObject;
    return [
      ...((rules.cel ?? []) as JsonObject[]).map((rule) => String(rule.message || rule.expression)),
      ...((rules.celExpression ?? []) as string[]).map((expression) => `Must satisfy \`${expression}\`.`),
    ];
  }

  /** The oneofs of a message, and those that are rules only. */
  function choicesOf(type: DescMessage, fields: readonly DescField[]): Choice[] {
    const choices: Choice[] = [];
    for (const oneof of type.oneofs) {
      const members = oneof.fields.filter((each) => fields.includes(each));
      const rules = optionsOf(oneof)["[buf.validate.oneof]"] as JsonObject | undefined;
      choices.push({ members: members.map(({ jsonName }) => jsonName), required: rules?.required === true });
    }
    const rules = (optionsOf(type)["[buf.validate.message]"] ?? {}) as JsonObject;
    for (const rule of (rules.oneof ?? []) as JsonObject[]) {
      const names = rule.fields as string[];
      const members = fields.filter(({ name }) => names.includes(name));
      choices.push({ members: members.map(({ jsonName }) => jsonName), required: rule.required === true });
    }
    return choices;
  }

  function field(each: DescField): JsonSchema {
    return decorate(value(each), each);
  }

  /** Adds what is said about a property rather than about its value. */
  function decorate(schema: JsonSchema, each: DescField): JsonSchema {
    const said: JsonSchema = {};
    const description = describe(each);
    if (description !== undefined) said.description = description;
    const behavior = behaviorOf(each);
    if (behavior.includes("OUTPUT_ONLY")) said.readOnly = true;
    if (behavior.includes("INPUT_ONLY")) said.writeOnly = true;
    if (each.deprecated) said.deprecated = true;
    if (Object.keys(said).length === 0) {
      return schema;
    }
    // Beside a $ref many tools overlook what else is there, although 3.1 allows it.
    return schema.$ref === undefined ? { ...schema, ...said } : { allOf: [schema], ...said };
  }

  function value(each: DescField): JsonSchema {
    const { keywords } = constraint(each);
    switch (each.fieldKind) {
      case "scalar":
        return scalarValue(each.scalar, keywords);
      case "enum":
        return enumValue(each.enum, keywords);
      case "message":
        return hasOwnJson(each.message) ? merge(wellKnown(each.message), keywords) : message(each.message);
      case "list": {
        const rules = (rulesOf(each, optionsOf).repeated ?? {}) as JsonObject;
        const items = constraintOf((rules.items ?? {}) as JsonObject, each).keywords;
        return { type: "array", items: element(each, items), ...keywords };
      }
      case "map": {
        const rules = (rulesOf(each, optionsOf).map ?? {}) as JsonObject;
        const keys = constraintOf((rules.keys ?? {}) as JsonObject, each).keywords;
        const values = constraintOf((rules.values ?? {}) as JsonObject, each).keywords;
        const names = merge(keyNames(each.mapKey), keys);
        return {
          type: "object",
          ...(Object.keys(names).length === 0 ? {} : { propertyNames: { type: "string", ...names } }),
          additionalProperties: element(each, values),
          ...keywords,
        };
      }
    }
  }

  /** An element of a list, or a value of a map. */
  function element(each: DescField, keywords: JsonSchema): JsonSchema {
    if (each.message !== undefined) {
      return hasOwnJson(each.message) ? merge(wellKnown(each.message), keywords) : message(each.message);
    }
    return each.enum === undefined ? scalarValue(each.scalar!, keywords) : enumValue(each.enum, keywords);
  }

  function enumValue(type: DescEnum, keywords: JsonSchema): JsonSchema {
    if (type.typeName === "google.protobuf.NullValue") {
      return { type: "null" };
    }
    if (keywords.enum !== undefined) {
      return { type: "string", enum: keywords.enum };
    }
    return refer(type.typeName, () => {
      const values = type.values.map((each) => {
        const comment = commentOf(each).replace(/\s+/g, " ");
        return `- \`${each.name}\`${comment === "" ? "" : `: ${comment}`}`;
      });
      const schema: JsonSchema = {
        type: "string",
        title: type.name,
        description: [commentOf(type), values.join("\n")].filter(Boolean).join("\n\n"),
        enum: type.values.map((each) => each.name),
      };
      if (type.deprecated) schema.deprecated = true;
      return schema;
    });
  }

  function wellKnown(type: DescMessage): JsonSchema {
    const name = type.typeName.slice("google.protobuf.".length);
    const wrapped = wrapperTypes[name];
    if (wrapped !== undefined) {
      const { type: own, anyOf, ...rest } = scalarValue(wrapped, {});
      return anyOf === undefined
        ? { ...rest, type: [own as string, "null"] }
        : { anyOf: [...anyOf, { type: "null" }] };
    }
    switch (name) {
      case "Timestamp":
        return { type: "string", format: "date-time" };
      case "Duration":
        // Seconds; the format "duration" of JSON Schema is that of ISO 8601.
        return { type: "string", pattern: "^-?[0-9]+(\\.[0-9]{1,9})?s$" };
      case "FieldMask":
        // Names of fields, separated by commas.
        return { type: "string" };
      case "Struct":
        return { type: "object", additionalProperties: true };
      case "ListValue":
        return { type: "array", items: {} };
      case "Value":
        return {};
      case "Any":
        return refer(type.typeName, () => anySchema);
      default:
        return { type: "object" };
    }
  }

  function isRequired(each: DescField): boolean {
    return (
      behaviorOf(each).includes("REQUIRED") || isDemanded(each, rulesOf(each, optionsOf), constraint(each))
    );
  }

  function describe(each: DescField): string | undefined {
    const notes = [...constraint(each).notes];
    const { oneof } = each;
    if (oneof !== undefined && oneof.fields.length > 1) {
      notes.push(describeOneof(oneof, each));
    }
    if (each.message?.typeName === "google.protobuf.FieldMask") {
      notes.push("Names of fields, separated by commas.");
    }
    const text = [commentOf(each), notes.join(" ")].filter(Boolean).join("\n\n");
    return text === "" ? undefined : text;
  }

  function describeOneof(oneof: DescOneof, each: DescField): string {
    const others = oneof.fields.filter((other) => other !== each).map(({ jsonName }) => `\`${jsonName}\``);
    return `Excludes ${others.join(", ")}.`;
  }

  function constraint(each: DescField): Constraint {
    let found = constraints.get(each);
    if (found === undefined) {
      found = constraintOf(rulesOf(each, optionsOf), each);
      constraints.set(each, found);
    }
    return found;
  }

  function behaviorOf(each: DescField): readonly string[] {
    return (optionsOf(each)["[google.api.field_behavior]"] ?? []) as string[];
  }

  /** Refers to a component, and makes it first; the name is taken before, for messages may contain themselves. */
  function refer(name: string, make: () => JsonSchema): JsonSchema {
    if (!components.has(name)) {
      components.set(name, {});
      components.set(name, make());
    }
    return { $ref: `#/components/schemas/${name}` };
  }

  function addStatus(): void {
    components.set("google.rpc.Status", {
      type: "object",
      title: "Status",
      description: "An error: what every answer that is not a success holds.",
      properties: {
        code: {
          type: "integer",
          format: "int32",
          description: "google.rpc.Code, such as 3 for INVALID_ARGUMENT.",
        },
        message: { type: "string", description: "What is wrong, for developers, in English." },
        details: {
          type: "array",
          description:
            "Typed details: google.rpc.ErrorInfo with a reason to switch on, google.rpc.BadRequest with the fields " +
            "that are wrong, google.rpc.RetryInfo with how long to wait.",
          items: refer("google.protobuf.Any", () => anySchema),
        },
      },
      required: ["code", "message"],
    });
  }
}

interface Choice {
  readonly members: readonly string[];
  readonly required: boolean;
}

/** At most one member; exactly one where a rule says so. */
function addOneofs(schema: JsonSchema, choices: readonly Choice[]): void {
  const excluded: JsonSchema[] = [];
  const demanded: JsonSchema[] = [];
  for (const { members, required } of choices) {
    for (const [index, member] of members.entries()) {
      for (const other of members.slice(index + 1)) {
        // The properties are there for tools that want every required property declared beside.
        excluded.push({ required: [member, other], properties: { [member]: {}, [other]: {} } });
      }
    }
    if (required && members.length === 1) {
      schema.required = [...new Set([...(schema.required ?? []), members[0]!])];
    } else if (required && members.length > 1) {
      demanded.push({ anyOf: members.map((member) => ({ required: [member] })) });
    }
  }
  if (excluded.length > 0) {
    schema.not = excluded.length === 1 ? excluded[0] : { anyOf: excluded };
  }
  if (demanded.length === 1) {
    schema.anyOf = demanded[0]!.anyOf;
  } else if (demanded.length > 1) {
    schema.allOf = demanded;
  }
}

function scalarValue(type: ScalarType, keywords: JsonSchema): JsonSchema {
  switch (type) {
    case ScalarType.BOOL:
      return { type: "boolean", ...keywords };
    case ScalarType.STRING:
      return { type: "string", ...keywords };
    case ScalarType.BYTES:
      return { type: "string", format: "byte", contentEncoding: "base64", ...keywords };
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return { type: "integer", format: "int32", ...keywords };
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return merge({ type: "integer", format: "uint32", minimum: 0, maximum: 4_294_967_295 }, keywords);
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      // JSON's numbers are doubles in most readers, so ProtoJSON writes 64 bits as text.
      return merge({ type: "string", format: "int64", pattern: "^-?[0-9]+$" }, keywords);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return merge({ type: "string", format: "uint64", pattern: "^[0-9]+$" }, keywords);
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE: {
      const format = type === ScalarType.FLOAT ? "float" : "double";
      return Object.keys(keywords).length > 0
        ? { type: "number", format, ...keywords }
        : {
            anyOf: [
              { type: "number", format },
              { type: "string", enum: ["NaN", "Infinity", "-Infinity"] },
            ],
          };
    }
  }
}

/** Keys of JSON objects are text, whatever the key of the map is. */
function keyNames(type: ScalarType): JsonSchema {
  switch (type) {
    case ScalarType.STRING:
      return {};
    case ScalarType.BOOL:
      return { enum: ["true", "false"] };
    case ScalarType.UINT32:
    case ScalarType.UINT64:
    case ScalarType.FIXED32:
    case ScalarType.FIXED64:
      return { pattern: "^[0-9]+$" };
    default:
      return { pattern: "^-?[0-9]+$" };
  }
}

const wrapperTypes: Record<string, ScalarType> = {
  BoolValue: ScalarType.BOOL,
  BytesValue: ScalarType.BYTES,
  DoubleValue: ScalarType.DOUBLE,
  FloatValue: ScalarType.FLOAT,
  Int32Value: ScalarType.INT32,
  Int64Value: ScalarType.INT64,
  StringValue: ScalarType.STRING,
  UInt32Value: ScalarType.UINT32,
  UInt64Value: ScalarType.UINT64,
};

const anySchema: JsonSchema = {
  type: "object",
  title: "Any",
  description:
    "A message of the type that `@type` names, with its fields beside; a type with a JSON form of its own, or one " +
    "that is not known here, has it in `value`.",
  properties: {
    "@type": { type: "string", description: "Such as `type.googleapis.com/google.rpc.ErrorInfo`." },
  },
  required: ["@type"],
  additionalProperties: true,
};
