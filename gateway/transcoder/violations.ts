// Explains, field by field, why a JSON value is not the message it should be.
import {
  type DescField,
  type DescMessage,
  type DescOneof,
  fromJson,
  type JsonValue,
  type Registry,
  ScalarType,
} from "@bufbuild/protobuf";
import { findField, hasOwnJson } from "./field.ts";
import type { FieldViolation } from "./status.ts";

/** More are not reported: a caller fixes a few at a time, and a hostile body must not grow its answer. */
const violationsMax = 20;

/** As deep as the JSON reader itself goes. */
const depthMax = 100;

/**
 * Finds what is wrong with `json` as a `message`, after the JSON reader refused it. That reader stops at the first error
 * and words it for developers of the server; here every leaf is tried alone, so that both agree on what is allowed.
 * Linear in the size of the value: only leaves are tried, objects are walked.
 */
export function findViolations(
  message: DescMessage,
  json: JsonValue,
  prefix: string,
  registry?: Registry,
): FieldViolation[] {
  const found: FieldViolation[] = [];
  walkMessage(message, json, prefix, 0);
  return found;

  function report(field: string, reason: string, description: string): void {
    if (found.length < violationsMax) {
      found.push({ field: field === "" ? "body" : field, description, reason });
    }
  }

  function walkMessage(desc: DescMessage, value: JsonValue, path: string, depth: number): void {
    if (found.length >= violationsMax) {
      return;
    }
    if (depth >= depthMax) {
      report(path, "TOO_DEEP", `is nested deeper than ${depthMax} levels`);
      return;
    }
    if (hasOwnJson(desc)) {
      try {
        fromJson(desc, value, { registry });
      } catch {
        report(path, "INVALID_VALUE", describeMessage(desc));
      }
      return;
    }
    if (value === null || typeof value !== "object" || Array.isArray(value)) {
      report(path, "WRONG_TYPE", "must be an object");
      return;
    }
    const seen = new Set<DescField>();
    const oneofs = new Map<DescOneof, string>();
    for (const key of Object.keys(value)) {
      const field = findField(desc, key);
      if (field === undefined) {
        if (!(key.startsWith("[") && key.endsWith("]"))) {
          report(join(path, key.slice(0, 100)), "UNKNOWN_FIELD", "is not a field of this request");
        }
        continue;
      }
      const fieldPath = join(path, field.name);
      if (seen.has(field)) {
        report(fieldPath, "DUPLICATE_FIELD", "is given more than once");
      }
      seen.add(field);
      if (field.oneof !== undefined && value[key] !== null) {
        const other = oneofs.get(field.oneof);
        if (other !== undefined) {
          report(fieldPath, "ONEOF_CONFLICT", `cannot be given together with ${other}`);
        }
        oneofs.set(field.oneof, field.name);
      }
      walkField(field, key, value[key]!, fieldPath, depth);
    }
  }

  function walkField(field: DescField, key: string, value: JsonValue, path: string, depth: number): void {
    if (value === null) {
      return; // null is "not set" in ProtoJSON
    }
    switch (field.fieldKind) {
      case "message":
        walkMessage(field.message, value, path, depth + 1);
        return;
      case "list":
        if (!Array.isArray(value)) {
          report(path, "WRONG_TYPE", "must be an array");
          return;
        }
        if (field.listKind !== "message" && reads(field, key, value)) {
          return;
        }
        for (const [index, item] of value.entries()) {
          if (found.length >= violationsMax) {
            return;
          }
          const itemPath = `${path}[${index}]`;
          if (item === null) {
            report(itemPath, "WRONG_TYPE", "must not be null");
          } else if (field.listKind === "message") {
            walkMessage(field.message, item, itemPath, depth + 1);
          } else if (!reads(field, key, [item])) {
            report(itemPath, reasonOf(field, item), describeField(field, item));
          }
        }
        return;
      case "map":
        if (typeof value !== "object" || Array.isArray(value)) {
          report(path, "WRONG_TYPE", "must be an object");
          return;
        }
        for (const [entryKey, item] of Object.entries(value)) {
          if (found.length >= violationsMax) {
            return;
          }
          const itemPath = `${path}[${JSON.stringify(entryKey.slice(0, 100))}]`;
          if (item !== null && field.mapKind === "message") {
            walkMessage(field.message, item, itemPath, depth + 1);
          } else if (!reads(field, key, { [entryKey]: item })) {
            report(itemPath, reasonOf(field, item), describeField(field, item));
          }
        }
        return;
      default:
        if (!reads(field, key, value)) {
          report(path, reasonOf(field, value), describeField(field, value));
        }
    }
  }
}

function reads(field: DescField, key: string, value: JsonValue): boolean {
  try {
    fromJson(field.parent, { [key]: value });
    return true;
  } catch {
    return false;
  }
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

function reasonOf(field: DescField, value: JsonValue): string {
  const wantsText =
    field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES || field.enum !== undefined;
  return wantsText === (typeof value === "string") ? "INVALID_VALUE" : "WRONG_TYPE";
}

/** What a field of this type takes, in words for the caller. */
export function describeField(field: DescField, value?: JsonValue): string {
  if (field.message !== undefined) {
    return describeMessage(field.message);
  }
  if (field.enum !== undefined) {
    const names = field.enum.values.slice(0, 30).map((v) => v.jsonName);
    return `must be one of ${names.join(", ")}${field.enum.values.length > names.length ? ", ..." : ""}`;
  }
  switch (field.scalar) {
    case ScalarType.STRING:
      return typeof value === "string" ? "must be valid Unicode" : "must be a string";
    case ScalarType.BOOL:
      return "must be true or false";
    case ScalarType.BYTES:
      return "must be a base64 string";
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return "must be a number";
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return "must be an integer from -2147483648 to 2147483647";
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return "must be an integer from 0 to 4294967295";
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return "must be a 64-bit integer, not negative";
    default:
      return "must be a 64-bit integer";
  }
}

function describeMessage(message: DescMessage): string {
  switch (message.typeName) {
    case "google.protobuf.Timestamp":
      return "must be an RFC 3339 time such as 2026-01-31T08:30:00Z";
    case "google.protobuf.Duration":
      return "must be seconds such as 3.5s";
    case "google.protobuf.FieldMask":
      return "must be field names in lowerCamelCase, joined by commas";
    case "google.protobuf.Any":
      return 'must be an object with a known "@type"';
    case "google.protobuf.Struct":
      return "must be an object";
    case "google.protobuf.ListValue":
      return "must be an array";
  }
  const value = message.fields[0];
  return hasOwnJson(message) && value !== undefined ? describeField(value) : "must be an object";
}
