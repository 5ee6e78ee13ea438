// Writes what is not set, as Go's protojson does with EmitUnpopulated: null for messages, besides the defaults of the rest.
import type { DescMessage, JsonObject, JsonValue, Message } from "@bufbuild/protobuf";
import { hasOwnJson } from "./field.ts";

/** Adds `null` for every singular message that is not set, and not in a oneof; `json` has the defaults of scalars already. */
export function addNulls(desc: DescMessage, message: Message, json: JsonValue): void {
  if (hasOwnJson(desc)) {
    return;
  }
  const fields = message as unknown as Record<string, unknown>;
  const object = json as JsonObject;
  for (const field of desc.fields) {
    if (field.message === undefined) {
      continue;
    }
    const { jsonName, localName } = field;
    if (field.fieldKind === "list") {
      const items = (object[jsonName] ?? []) as JsonValue[];
      for (const [index, item] of (fields[localName] as Message[]).entries()) {
        addNulls(field.message, item, items[index]!);
      }
    } else if (field.fieldKind === "map") {
      for (const [key, item] of Object.entries(fields[localName] as Record<string, Message>)) {
        addNulls(field.message, item, (object[jsonName] as JsonObject)[key]!);
      }
    } else if (field.oneof !== undefined) {
      const oneof = fields[field.oneof.localName] as { case?: string; value?: Message };
      if (oneof.case === localName) {
        addNulls(field.message, oneof.value!, object[jsonName]!);
      }
    } else if (fields[localName] === undefined) {
      object[jsonName] = null;
    } else {
      addNulls(field.message, fields[localName] as Message, object[jsonName]!);
    }
  }
}
