// Reads the google.api.http annotation of a method from its descriptor, without generated code for the annotation.
import type { DescMethod } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";

/** One HTTP binding of a method, as google.api.HttpRule says it. */
export interface HttpRule {
  /** Upper-case HTTP method; "*" for every method. */
  readonly method: string;
  readonly template: string;
  /** "" for no body, "*" for the whole message, else the name of a field. */
  readonly body: string;
  /** "" for the whole message, else the name of a field. */
  readonly responseBody: string;
}

/** Thrown at start-up for a rule that cannot work; the message names file, method (or selector) and reason. */
export class RuleError extends Error {
  override name = "RuleError";

  constructor(where: DescMethod | string, reason: string) {
    const place =
      typeof where === "string"
        ? where
        : `${where.parent.file.proto.name}: ${where.parent.typeName}.${where.name}`;
    super(`${place}: ${reason}`);
  }
}

/** google/api/http.proto: "additional_bindings ... must not contain an additional_bindings field themselves". */
export const nestedReason =
  "additional_bindings cannot have additional_bindings of their own: one level is allowed";

/**
 * The bindings of a method: its own rule first, then additional_bindings. Empty without an annotation. Throws RuleError
 * for additional_bindings within additional_bindings.
 *
 * The extension is decoded here by its numbers (google/api/http.proto). Generated code for it would tie this module to
 * one project's code generation, while the numbers are fixed for good.
 */
export function readHttpRules(method: DescMethod): HttpRule[] {
  const unknown = method.proto.options?.$unknown ?? [];
  // A message extension given in parts is the merge of its parts; decoding their concatenation does that.
  const parts = unknown.filter((field) => field.no === extensionNumber);
  if (parts.length === 0) {
    return [];
  }
  const bytes = Buffer.concat(parts.map((field) => new BinaryReader(field.data).bytes()));
  const { rule, additional } = decodeRule(bytes);
  return [
    rule,
    ...additional.map((nested) => {
      const decoded = decodeRule(nested);
      if (decoded.additional.length > 0) {
        throw new RuleError(method, nestedReason);
      }
      return decoded.rule;
    }),
  ];
}

const extensionNumber = 72295728;

const methodByNumber = new Map([
  [2, "GET"],
  [3, "PUT"],
  [4, "POST"],
  [5, "DELETE"],
  [6, "PATCH"],
]);

function decodeRule(bytes: Uint8Array): { rule: HttpRule; additional: Uint8Array[] } {
  const reader = new BinaryReader(bytes);
  const rule = { method: "", template: "", body: "", responseBody: "" };
  const additional: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const method = methodByNumber.get(number);
    if (method !== undefined) {
      rule.method = method;
      rule.template = reader.string();
    } else if (number === 7) {
      rule.body = reader.string();
    } else if (number === 8) {
      Object.assign(rule, decodeCustom(reader.bytes()));
    } else if (number === 11) {
      additional.push(reader.bytes());
    } else if (number === 12) {
      rule.responseBody = reader.string();
    } else {
      reader.skip(wireType, number);
    }
  }
  return { rule, additional };
}

/** CustomHttpPattern { string kind = 1; string path = 2; } */
function decodeCustom(bytes: Uint8Array): { method: string; template: string } {
  const reader = new BinaryReader(bytes);
  const custom = { method: "", template: "" };
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === 1) {
      custom.method = reader.string().toUpperCase();
    } else if (number === 2) {
      custom.template = reader.string();
    } else {
      reader.skip(wireType, number);
    }
  }
  return custom;
}
