// Where a route is at the legacy system: a path under its base URL, which nothing that a caller writes can leave.
import { decodeSegment, parseTemplate, type Template } from "../transcoder/template.ts";

/** Text and names of variables in turn: text first, and last. */
type Parts = readonly string[];

/**
 * Takes "/warga/{name}" apart. Every variable must be one of each REST path of the RPC, or the route would have requests
 * that it cannot be made for.
 */
export function parsePath(
  source: string,
  rules: readonly { readonly template: string }[],
): { parts: Parts; problem: string | undefined } {
  const parts = source.split(/\{([^{}]*)\}/);
  return { parts, problem: problemOf(source, parts, rules) };
}

function problemOf(
  source: string,
  parts: Parts,
  rules: readonly { readonly template: string }[],
): string | undefined {
  const texts = parts.filter((_, index) => index % 2 === 0);
  if (!source.startsWith("/") || !texts.every((text) => /^[A-Za-z0-9\-._~!$&'()+,;=:@/]*$/.test(text))) {
    return 'expected a path that starts with "/", of letters, digits and variables in braces, without a query';
  }
  if (texts.some(climbs)) return '"." and ".." are no part of a path here';
  for (const name of parts.filter((_, index) => index % 2 === 1)) {
    const without = rules.find(({ template }) => !variableOf(parseTemplate(template), name));
    if (without !== undefined) return `{${name}} is no variable of ${without.template}`;
  }
  return undefined;
}

/**
 * The path at the legacy system of a request that matched a template, undefined when it would leave the base URL: what a
 * server makes of "..", an encoded slash or a backslash is its own affair, so none gets there.
 */
export function legacyPath(
  { pathname }: Pick<URL, "pathname">,
  source: string | undefined,
  template: Template,
  rawPath: string,
  rawSegments: readonly string[],
): string | undefined {
  const base = pathname.replace(/\/$/, "");
  const path =
    source === undefined
      ? rawPath
      : source
          .split(/\{([^{}]*)\}/)
          .map((part, index) => (index % 2 === 0 ? part : rawValue(template, part, rawSegments)))
          .join("");
  return climbs(path) || !/^[\x21-\x7e]+$/.test(path) ? undefined : base + path;
}

/** What stands in the path for a variable, escapes and all: decoded and encoded again it could become something else. */
function rawValue(template: Template, name: string, rawSegments: readonly string[]): string {
  const variable = variableOf(template, name)!;
  return rawSegments.slice(variable.start, variable.end).join("/");
}

function variableOf(template: Template, name: string) {
  return template.variables.find(({ path }) => path.join(".") === name);
}

function climbs(path: string): boolean {
  return path.split("/").some((raw) => {
    // Twice: some servers decode twice.
    const once = decodeSegment(raw);
    const text = once === undefined ? undefined : (decodeSegment(once) ?? once);
    return text === undefined || text === "." || text === ".." || /[/\\\0;]|^\.\.?[;?#]/.test(text);
  });
}
