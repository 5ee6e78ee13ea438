// Writes messages that hold a google.protobuf.Any of a type that the registry does not know.
import {
  create,
  createFileRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  type JsonWriteOptions,
  type Message,
  type Registry,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { type Any, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

/**
 * ProtoJSON, but an Any that cannot be decoded is written as `{"@type": ..., "value": "<base64>"}` instead of failing
 * the whole answer: an upstream that was deployed first may pack types that its gateway does not have yet.
 */
export function toJsonTolerant(
  desc: DescMessage,
  message: Message,
  options: Partial<JsonWriteOptions>,
): JsonValue {
  try {
    return toJson(desc, message, options);
  } catch {
    // Only what failed pays for the copy and the walk. What is wrong for another reason fails again, and says why.
    const copy = fromBinary(desc, toBinary(desc, message));
    const opaque = new Map<string, DescMessage>();
    replaceUnknown(reflect(desc, copy), options.registry, opaque);
    return toJson(desc, copy, { ...options, registry: withOpaque(options.registry, opaque) });
  }
}

/** Wraps what is packed in unknown Anys into a message of one field `bytes value`, and collects those messages. */
function replaceUnknown(
  message: ReflectMessage,
  registry: Registry | undefined,
  opaque: Map<string, DescMessage>,
): void {
  if (message.desc.typeName === "google.protobuf.Any") {
    replaceAny(message.message as Any, registry, opaque);
    return;
  }
  for (const field of message.fields) {
    if (field.message === undefined || !message.isSet(field)) {
      continue;
    }
    if (field.fieldKind === "message") {
      replaceUnknown(message.get(field), registry, opaque);
    } else if (field.fieldKind === "list" && field.listKind === "message") {
      for (const item of message.get(field)) {
        replaceUnknown(item as ReflectMessage, registry, opaque);
      }
    } else if (field.fieldKind === "map" && field.mapKind === "message") {
      for (const item of message.get(field).values()) {
        replaceUnknown(item as ReflectMessage, registry, opaque);
      }
    }
  }
}

function replaceAny(any: Any, registry: Registry | undefined, opaque: Map<string, DescMessage>): void {
  const typeName = any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1);
  const desc = registry?.getMessage(typeName);
  if (desc !== undefined) {
    const packed = fromBinary(desc, any.value);
    replaceUnknown(reflect(desc, packed), registry, opaque);
    any.value = toBinary(desc, packed);
  } else if (typeName !== "") {
    const wrapper = opaque.get(typeName) ?? opaqueMessage(typeName);
    any.value = toBinary(wrapper, create(wrapper, { value: any.value } as never));
    opaque.set(typeName, wrapper);
  }
}

/** `message <typeName> { bytes value = 1; }`: an Any only unpacks into a message of the name that it says. */
function opaqueMessage(typeName: string): DescMessage {
  const dot = typeName.lastIndexOf(".");
  const file = fromJson(FileDescriptorProtoSchema, {
    name: "opaque.proto",
    package: typeName.slice(0, Math.max(0, dot)),
    syntax: "proto3",
    messageType: [
      {
        name: typeName.slice(dot + 1),
        field: [{ name: "value", jsonName: "value", number: 1, type: "TYPE_BYTES", label: "LABEL_OPTIONAL" }],
      },
    ],
  });
  return createFileRegistry(file, () => undefined).getMessage(typeName)!;
}

function withOpaque(registry: Registry | undefined, opaque: ReadonlyMap<string, DescMessage>): Registry {
  const getMessage = (typeName: string) => opaque.get(typeName) ?? registry?.getMessage(typeName);
  // Of a registry, writing asks for messages and extensions only.
  return {
    kind: "registry",
    [Symbol.iterator]: () => (registry ?? [])[Symbol.iterator](),
    get: (typeName) => getMessage(typeName) ?? registry?.get(typeName),
    getMessage,
    getEnum: (typeName) => registry?.getEnum(typeName),
    getExtension: (typeName) => registry?.getExtension(typeName),
    getExtensionFor: (extendee, no) => registry?.getExtensionFor(extendee, no),
    getService: (typeName) => registry?.getService(typeName),
  };
}
