// Sets message fields from the query string of a URL.
import { type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { type FieldPath, fitsUrl, ownerOf, resolveFieldPath, setField, textToJson } from "./field.ts";
import { badRequest, type FieldViolation } from "./status.ts";
import { describeField } from "./violations.ts";

/** Sets the fields that a query string (without "?") names; throws a 400 with every violation. */
export type QueryReader = (message: Message, query: string) => void;

/** Recursive messages have endless paths; beyond this many the resolution is not remembered. */
const cachedPathsMax = 500;

/**
 * A reader for the query of one binding, or for a form, which is written like one. `bound` are the fields that path and
 * body bind, "*" being all: neither can overwrite them.
 */
export function createQueryReader(
  input: DescMessage,
  bound: readonly string[],
  kind: "query" | "form" = "query",
  grpcGateway = false,
): QueryReader {
  const resolved = new Map<string, FieldPath | string>();

  return function readQuery(message, query) {
    const violations: FieldViolation[] = [];
    const values = new Map<string, { path: FieldPath; texts: string[] }>();
    for (const part of query.split("&")) {
      if (part === "") {
        continue;
      }
      const equals = part.indexOf("=");
      const name = decode(equals < 0 ? part : part.slice(0, equals));
      const text = decode(equals < 0 ? "" : part.slice(equals + 1));
      if (name === undefined || text === undefined) {
        const field = name?.slice(0, 100) ?? kind;
        violations.push({ field, description: "has a broken percent escape", reason: "INVALID_ESCAPE" });
        continue;
      }
      // grpc-gateway takes an entry of a map as `field[key]=value`.
      const entryOf = grpcGateway ? /^(.*)\[(.*)\]$/.exec(name) : null;
      const path = resolve(entryOf?.[1] ?? name);
      if (typeof path === "string") {
        if (grpcGateway) {
          continue; // it may be for somebody else
        }
        violations.push({ field: name.slice(0, 100), description: path, reason: "UNKNOWN_FIELD" });
        continue;
      }
      if (path.field.fieldKind === "map" || entryOf !== null) {
        const problem = applyEntry(message, path, entryOf?.[2], text);
        if (problem !== undefined) {
          violations.push({ field: path.name, ...problem });
        }
        continue;
      }
      const entry = values.get(path.name);
      if (entry === undefined) {
        values.set(path.name, { path, texts: [text] });
      } else {
        entry.texts.push(text);
      }
    }
    for (const { path, texts } of values.values()) {
      const problem = apply(message, path, texts, grpcGateway);
      if (problem !== undefined) {
        violations.push({ field: path.name, ...problem });
      }
    }
    if (violations.length > 0) {
      throw badRequest(`the ${kind} is not valid`, violations.slice(0, 20));
    }
  };

  function resolve(name: string): FieldPath | string {
    let path = resolved.get(name);
    if (path === undefined) {
      path = resolveUncached(name);
      // Only what resolves is remembered: unknown names are the caller's to invent.
      if (typeof path !== "string" && resolved.size < cachedPathsMax) {
        resolved.set(name, path);
      }
    }
    return path;
  }

  function resolveUncached(name: string): FieldPath | string {
    const path = resolveFieldPath(input, name.split("."));
    if (typeof path === "string") {
      return "is not a field of this request";
    }
    if (
      path.parents.some((field) => field.fieldKind !== "message") ||
      !(fitsUrl(path.field, grpcGateway) || (grpcGateway && isScalarMap(path.field)))
    ) {
      return `cannot be given in a ${kind}`;
    }
    const isBound = bound.some((b) => b === "*" || path.name === b || path.name.startsWith(`${b}.`));
    return isBound ? `is bound by the path or the body and cannot be given in the ${kind}` : path;
  }
}

function apply(
  message: Message,
  path: FieldPath,
  texts: string[],
  grpcGateway: boolean,
): { description: string; reason: string } | undefined {
  const { field } = path;
  if (field.fieldKind !== "list" && texts.length > 1) {
    return { description: "is given more than once", reason: "DUPLICATE_FIELD" };
  }
  if (field.oneof !== undefined) {
    const owner = ownerOf(message, path) as unknown as Record<string, { case?: string }>;
    const other = owner[field.oneof.localName]?.case;
    if (other !== undefined && other !== field.localName) {
      return { description: `cannot be given together with ${other}`, reason: "ONEOF_CONFLICT" };
    }
  }
  try {
    const json = texts.map((text) => textToJson(field, text, grpcGateway));
    setField(message, path, field.fieldKind === "list" ? json : json[0]!);
    return undefined;
  } catch {
    return { description: describeField(field), reason: "INVALID_VALUE" };
  }
}

/** Sets one entry of a map of scalars. */
function applyEntry(message: Message, path: FieldPath, key: string | undefined, text: string) {
  const { field } = path;
  try {
    if (field.fieldKind !== "map" || key === undefined) {
      throw new Error("not an entry of a map");
    }
    const value = field.scalar === ScalarType.BOOL ? text === "true" || text === "1" : text;
    setField(message, path, { [key]: value });
    return undefined;
  } catch {
    return { description: describeField(field), reason: "INVALID_VALUE" };
  }
}

function isScalarMap(field: DescField): boolean {
  return field.fieldKind === "map" && field.mapKind !== "message";
}

function decode(text: string): string | undefined {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) {
    return spaced;
  }
  try {
    return decodeURIComponent(spaced);
  } catch {
    return undefined;
  }
}
