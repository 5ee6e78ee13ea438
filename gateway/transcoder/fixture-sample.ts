// The descriptor of `test.v1.Sample`, a message with every kind of field, for tests that want all of them.
import type { JsonObject } from "@bufbuild/protobuf";

const scalars = [
  "double",
  "float",
  "int64",
  "uint64",
  "int32",
  "fixed64",
  "fixed32",
  "bool",
  "string",
  "bytes",
  "uint32",
  "sfixed32",
  "sfixed64",
  "sint32",
  "sint64",
  "enum",
];
const mapKeys = ["int32", "sint64", "uint64", "fixed32", "bool", "string"];
const wellKnown = [
  "Timestamp",
  "Duration",
  "FieldMask",
  "Struct",
  "Value",
  "ListValue",
  "Any",
  "BoolValue",
  "BytesValue",
  "DoubleValue",
  "FloatValue",
  "Int32Value",
  "Int64Value",
  "StringValue",
  "UInt32Value",
  "UInt64Value",
];

/**
 * Of every scalar and of an enum a field `<type>_value`, `optional_<type>`, `repeated_<type>` and `map_<type>`; maps by
 * every kind of key; `author`, `authors` and `author_map`; a oneof; every well-known type, alone and repeated; and `rest`,
 * which is a Sample again. A DescriptorProto in ProtoJSON, without JSON names.
 */
export function sampleType(): JsonObject {
  const field: JsonObject[] = [];
  const nestedType: JsonObject[] = [];
  const oneofDecl: JsonObject[] = [{ name: "choice" }];
  const type = (name: string): JsonObject =>
    name === "enum"
      ? { type: "TYPE_ENUM", typeName: ".test.v1.Genre" }
      : name.startsWith(".")
        ? { type: "TYPE_MESSAGE", typeName: name }
        : { type: `TYPE_${name.toUpperCase()}` };
  const add = (name: string, extra: JsonObject) =>
    field.push({ name, number: field.length + 1, label: "LABEL_OPTIONAL", ...extra });
  const addMap = (name: string, key: string, value: string) => {
    const entry = `${name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())}Entry`;
    nestedType.push({
      name: entry,
      options: { mapEntry: true },
      field: [
        { name: "key", number: 1, label: "LABEL_OPTIONAL", jsonName: "key", ...type(key) },
        { name: "value", number: 2, label: "LABEL_OPTIONAL", jsonName: "value", ...type(value) },
      ],
    });
    add(name, { label: "LABEL_REPEATED", ...type(`.test.v1.Sample.${entry}`) });
  };
  for (const name of scalars) {
    add(`${name}_value`, type(name));
    oneofDecl.push({ name: `_optional_${name}` });
    add(`optional_${name}`, { ...type(name), proto3Optional: true, oneofIndex: oneofDecl.length - 1 });
    add(`repeated_${name}`, { ...type(name), label: "LABEL_REPEATED" });
    addMap(`map_${name}`, "string", name);
  }
  for (const key of mapKeys) {
    addMap(`by_${key}`, key, "string");
  }
  add("author", type(".test.v1.Author"));
  add("authors", { ...type(".test.v1.Author"), label: "LABEL_REPEATED" });
  addMap("author_map", "string", ".test.v1.Author");
  add("chosen_string", { ...type("string"), oneofIndex: 0 });
  add("chosen_int64", { ...type("int64"), oneofIndex: 0 });
  add("chosen_enum", { ...type("enum"), oneofIndex: 0 });
  add("chosen_author", { ...type(".test.v1.Author"), oneofIndex: 0 });
  for (const name of wellKnown) {
    const fieldName = `wkt${name.replace(/[A-Z][a-z]+|[A-Z]+(?=[A-Z]|$)/g, (part) => `_${part.toLowerCase()}`)}`;
    add(fieldName, type(`.google.protobuf.${name}`));
    add(`repeated_${fieldName}`, { ...type(`.google.protobuf.${name}`), label: "LABEL_REPEATED" });
  }
  add("rest", type(".test.v1.Sample"));
  return { name: "Sample", oneofDecl, field, nestedType } as JsonObject;
}
