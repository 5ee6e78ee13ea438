// Options of descriptors as JSON, read with the definitions that come along in the same file descriptor set.
import {
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescOneof,
  type FileRegistry,
  type JsonObject,
  toJson,
} from "@bufbuild/protobuf";
import {
  FieldOptionsSchema,
  MessageOptionsSchema,
  MethodOptionsSchema,
  OneofOptionsSchema,
} from "@bufbuild/protobuf/wkt";

/**
 * The options of a descriptor in ProtoJSON; an extension has the key `[its.full.name]`. No generated code is needed for
 * the extensions: whoever uses one imports its file, so the set holds it.
 */
export type OptionsOf = (desc: DescField | DescMessage | DescMethod | DescOneof) => JsonObject;

/** Options read through a registry of the set that the descriptors are from. */
export function optionReader(registry: FileRegistry): OptionsOf {
  const known = new Map<object, JsonObject>();
  return (desc) => {
    let options = known.get(desc);
    if (options === undefined) {
      options = read(desc);
      known.set(desc, options);
    }
    return options;
  };

  function read(desc: DescField | DescMessage | DescMethod | DescOneof): JsonObject {
    const { options } = desc.proto;
    switch (options?.$typeName) {
      case "google.protobuf.FieldOptions":
        return toJson(FieldOptionsSchema, options, { registry }) as JsonObject;
      case "google.protobuf.MessageOptions":
        return toJson(MessageOptionsSchema, options, { registry }) as JsonObject;
      case "google.protobuf.MethodOptions":
        return toJson(MethodOptionsSchema, options, { registry }) as JsonObject;
      case "google.protobuf.OneofOptions":
        return toJson(OneofOptionsSchema, options, { registry }) as JsonObject;
      case undefined:
        return {};
    }
  }
}
