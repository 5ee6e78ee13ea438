// Finds the route of a request path: a trie over path segments, literal before `*` before `**`, with backtracking.
import { decodeSegment, type Template } from "./template.ts";

/** What a look-up found. `segments` are the raw (still encoded) path segments, without a verb. */
export type Match<T> =
  | { readonly kind: "found"; readonly value: T; readonly segments: readonly string[] }
  /** The path is known, but not with this method; `allow` lists the methods it has. */
  | { readonly kind: "method"; readonly allow: readonly string[] }
  | { readonly kind: "none" }
  /** A percent escape of the path is broken or is not UTF-8. */
  | { readonly kind: "escape" };

export interface Router<T> {
  /** Adds a route; returns the value that already has this method and pattern, if any, and then leaves it in place, unless the new one `replaces` it. */
  add(template: Template, method: string, value: T, replaces?: boolean): T | undefined;
  /** Looks up a raw path (no query string) and an upper-case method. HEAD falls back to GET, every method to "*". */
  find(method: string, path: string): Match<T>;
}

interface Node<T> {
  readonly literals: Map<string, Node<T>>;
  single: Node<T> | undefined;
  /** Routes that end here, by verb and method. */
  readonly ends: Map<string, Map<string, T>>;
  /** Routes whose `**` starts here, by verb and method. */
  readonly rests: Map<string, Map<string, T>>;
}

const noSegments: readonly string[] = [];

/** Creates an empty router. */
export function createRouter<T>(): Router<T> {
  const root = createNode<T>();
  // Paths without a variable are most of the traffic: one look-up by the whole string, no splitting.
  const statics = new Map<string, Map<string, T>>();

  return {
    add(template, method, value, replaces = false) {
      let node = root;
      let target: Map<string, Map<string, T>> | undefined;
      for (const segment of template.segments) {
        if (segment.kind === "rest") {
          target = node.rests;
        } else if (segment.kind === "single") {
          node.single ??= createNode();
          node = node.single;
        } else {
          let next = node.literals.get(segment.value);
          if (next === undefined) {
            next = createNode();
            node.literals.set(segment.value, next);
          }
          node = next;
        }
      }
      const methods = methodsOf(target ?? node.ends, template.verb);
      const existing = methods.get(method);
      if (existing !== undefined && !replaces) {
        return existing;
      }
      methods.set(method, value);
      if (
        template.segments.every((segment) => segment.kind === "literal") &&
        !template.source.includes("%")
      ) {
        methodsOf(statics, template.source).set(method, value);
      }
      return undefined;
    },

    find(method, path) {
      const direct = statics.get(path)?.get(method);
      if (direct !== undefined) {
        return { kind: "found", value: direct, segments: noSegments };
      }
      if (path[0] !== "/") {
        return { kind: "none" };
      }
      const raw = path === "/" ? [] : path.slice(1).split("/");
      const decoded: string[] = [];
      for (const segment of raw) {
        const text = decodeSegment(segment);
        if (text === undefined) {
          return { kind: "escape" };
        }
        decoded.push(text);
      }
      const allow = new Set<string>();
      // A colon may start a verb or be part of the last segment; the verb is the more specific reading, the longer one first.
      const last = raw.at(-1);
      for (
        let colon = last?.indexOf(":") ?? -1;
        last !== undefined && colon >= 0;
        colon = last.indexOf(":", colon + 1)
      ) {
        const verb = decodeSegment(last.slice(colon + 1));
        const rawStem = [...raw.slice(0, -1), last.slice(0, colon)];
        const decodedStem = [...decoded.slice(0, -1), decodeSegment(last.slice(0, colon)) ?? ""];
        const value = verb ? walk(root, decodedStem, 0, verb, method, allow) : undefined;
        if (value !== undefined) {
          return { kind: "found", value, segments: rawStem };
        }
      }
      const value = walk(root, decoded, 0, "", method, allow);
      if (value !== undefined) {
        return { kind: "found", value, segments: raw };
      }
      return allow.size === 0 ? { kind: "none" } : { kind: "method", allow: completeAllow(allow) };
    },
  };
}

/** Bounded by the size of the trie: a node has one depth, so it is visited at most once a look-up. */
function walk<T>(
  node: Node<T>,
  path: readonly string[],
  depth: number,
  verb: string,
  method: string,
  allow: Set<string>,
): T | undefined {
  if (depth === path.length) {
    const value = choose(node.ends.get(verb), method, allow);
    if (value !== undefined) {
      return value;
    }
  } else {
    const segment = path[depth]!;
    const literal = node.literals.get(segment);
    const value = literal && walk(literal, path, depth + 1, verb, method, allow);
    if (value !== undefined) {
      return value;
    }
    if (node.single !== undefined && segment !== "") {
      const value = walk(node.single, path, depth + 1, verb, method, allow);
      if (value !== undefined) {
        return value;
      }
    }
  }
  return choose(node.rests.get(verb), method, allow);
}

function choose<T>(methods: Map<string, T> | undefined, method: string, allow: Set<string>): T | undefined {
  if (methods === undefined) {
    return undefined;
  }
  const value =
    methods.get(method) ?? (method === "HEAD" ? methods.get("GET") : undefined) ?? methods.get("*");
  if (value === undefined) {
    for (const name of methods.keys()) {
      allow.add(name);
    }
  }
  return value;
}

/** RFC 9110: a server that has GET has HEAD, and OPTIONS is answered for every known path. */
function completeAllow(allow: Set<string>): string[] {
  if (allow.has("GET")) {
    allow.add("HEAD");
  }
  allow.add("OPTIONS");
  return [...allow].sort();
}

function methodsOf<T>(byVerb: Map<string, Map<string, T>>, verb: string): Map<string, T> {
  let methods = byVerb.get(verb);
  if (methods === undefined) {
    methods = new Map();
    byVerb.set(verb, methods);
  }
  return methods;
}

function createNode<T>(): Node<T> {
  return { literals: new Map(), single: undefined, ends: new Map(), rests: new Map() };
}
