// Query parameters: the fields that neither path nor body binds, by the rules of the transcoder's query reader.
import type { DescField, DescMessage, JsonValue } from "@bufbuild/protobuf";
import { fitsUrl, hasOwnJson } from "../transcoder/field.ts";
import type { JsonSchema, Parameter } from "./document.ts";
import type { Examples } from "./example.ts";
import type { Schemas } from "./schema.ts";

/**
 * The query parameters of a binding, by JSON names. `bound` are dotted proto names of what path and body bind, "*" being
 * all; `oneofs` that the path fills take no other member. A message that contains itself is followed once.
 */
export function queryParameters(
  input: DescMessage,
  bound: readonly string[],
  { schemas, examples }: { schemas: Schemas; examples: Examples },
): Parameter[] {
  const parameters: Parameter[] = [];
  if (!bound.includes("*")) {
    collect(input, [], []);
  }
  return parameters;

  function collect(
    message: DescMessage,
    parents: readonly DescField[],
    within: readonly DescMessage[],
  ): void {
    const nameOf = (field: DescField) => [...parents, field].map(({ name }) => name).join(".");
    const filled = message.fields
      .filter((field) => isTouched(nameOf(field)))
      .flatMap(({ oneof }) => oneof ?? []);
    for (const field of message.fields) {
      const isFilled = field.oneof !== undefined && filled.includes(field.oneof);
      if (bound.includes(nameOf(field)) || (isFilled && !isTouched(nameOf(field)))) {
        continue;
      }
      if (fitsUrl(field)) {
        parameters.push(parameterOf(field, parents));
      } else if (
        field.fieldKind === "message" &&
        !hasOwnJson(field.message) &&
        !within.includes(field.message)
      ) {
        collect(field.message, [...parents, field], [...within, message, field.message]);
      }
    }
  }

  /** Whether the field, or one in it, is bound. */
  function isTouched(name: string): boolean {
    return bound.some((each) => each === name || each.startsWith(`${name}.`));
  }

  function parameterOf(field: DescField, parents: readonly DescField[]): Parameter {
    const schema = withoutNull(schemas.value(field));
    const parameter: Parameter = {
      name: [...parents, field].map(({ jsonName }) => jsonName).join("."),
      in: "query",
      schema,
    };
    const description = schemas.describe(field);
    if (description !== undefined) parameter.description = description;
    if (parents.length === 0 && schemas.isRequired(field)) {
      parameter.required = true;
      parameter.example = examples.field(field, "minimal") as JsonValue;
    }
    if (field.deprecated || parents.some((parent) => parent.deprecated)) parameter.deprecated = true;
    return parameter;
  }
}

/** A URL has no null: what is not to be set is left out. */
function withoutNull(schema: JsonSchema): JsonSchema {
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter((type) => type !== "null");
    return { ...schema, type: types.length === 1 ? types[0] : types };
  }
  const anyOf = schema.anyOf?.filter(({ type }) => type !== "null");
  return anyOf === undefined ? schema : { ...schema, anyOf };
}
