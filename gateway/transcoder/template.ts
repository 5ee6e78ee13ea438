// Parses the path templates of google.api.http into segments and the variables that lie over them.

/**
 * One segment of a path: a literal (already percent-decoded), `*` (exactly one segment) or `**` (the rest, also none).
 */
export type Segment =
  | { readonly kind: "literal"; readonly value: string }
  | { readonly kind: "single" }
  | { readonly kind: "rest" };

/**
 * A variable covers the segments from `start` up to `end` (exclusive); `end` is undefined when it takes the rest.
 * `multi` says that its value is made of several segments, so that an encoded slash in it must stay encoded.
 */
export interface Variable {
  readonly path: readonly string[];
  readonly start: number;
  readonly end: number | undefined;
  readonly multi: boolean;
}

/** A template such as `/v1/{name=penduduk/*}:resend`, taken apart. */
export interface Template {
  readonly source: string;
  readonly segments: readonly Segment[];
  readonly variables: readonly Variable[];
  /** Text after the last colon, or "" without a verb. */
  readonly verb: string;
}

/** Thrown for a template that the grammar in google/api/http.proto does not allow; the message says where and why. */
export class TemplateError extends Error {
  override name = "TemplateError";

  constructor(source: string, offset: number, reason: string) {
    super(`template "${source}", offset ${offset}: ${reason}`);
  }
}

/**
 * Parses a template by the grammar of google/api/http.proto:
 * `Template = "/" Segments [ Verb ]`, `Segment = "*" | "**" | LITERAL | Variable`,
 * `Variable = "{" FieldPath [ "=" Segments ] "}"`. `**` must be the last segment. A lone "/" is allowed. With
 * `colonsInVerb`, as in grpc-gateway, the verb is all that follows the first colon.
 */
export function parseTemplate(source: string, { colonsInVerb = false } = {}): Template {
  const segments: Segment[] = [];
  const variables: Variable[] = [];
  let verb = "";
  let at = 0;

  const fail = (reason: string): never => {
    throw new TemplateError(source, at, reason);
  };

  if (source[at] !== "/") {
    fail('must start with "/"');
  }
  at++;
  if (source.length > 1) {
    readSegments(false);
  }
  if (source[at] === ":") {
    at++;
    verb = readLiteral();
    while (colonsInVerb && source[at] === ":") {
      at++;
      verb += `:${readLiteral()}`;
    }
  }
  if (at < source.length) {
    fail(`unexpected "${source[at]}"`);
  }
  return { source, segments, variables, verb };

  function readSegments(inVariable: boolean): void {
    for (;;) {
      readSegment(inVariable);
      if (source[at] !== "/") {
        return;
      }
      at++;
    }
  }

  function readSegment(inVariable: boolean): void {
    if (segments.at(-1)?.kind === "rest") {
      fail('"**" must be the last segment');
    }
    if (source[at] === "{") {
      if (inVariable) {
        fail("a variable cannot lie within another");
      }
      readVariable();
    } else if (source.startsWith("**", at)) {
      at += 2;
      segments.push({ kind: "rest" });
    } else if (source[at] === "*") {
      at++;
      segments.push({ kind: "single" });
    } else {
      segments.push({ kind: "literal", value: readLiteral() });
    }
  }

  function readVariable(): void {
    at++;
    const path = [readIdent()];
    while (source[at] === ".") {
      at++;
      path.push(readIdent());
    }
    const name = path.join(".");
    if (variables.some((variable) => variable.path.join(".") === name)) {
      fail(`variable "${name}" is bound twice`);
    }
    const start = segments.length;
    if (source[at] === "=") {
      at++;
      readSegments(true);
    } else {
      segments.push({ kind: "single" });
    }
    if (source[at] !== "}") {
      fail('expected "}"');
    }
    at++;
    const rest = segments.at(-1)?.kind === "rest";
    variables.push({
      path,
      start,
      end: rest ? undefined : segments.length,
      multi: rest || segments.length - start > 1,
    });
  }

  function readIdent(): string {
    const ident = /^[A-Za-z_][A-Za-z0-9_]*/.exec(source.slice(at))?.[0] ?? fail("expected a field name");
    at += ident.length;
    return ident;
  }

  function readLiteral(): string {
    const raw =
      /^(?:[A-Za-z0-9\-._~!$&'()+,;=@]|%[0-9A-Fa-f]{2})+/.exec(source.slice(at))?.[0] ??
      fail("expected a segment");
    const literal = decodeSegment(raw) ?? fail("a percent escape is not UTF-8");
    at += raw.length;
    return literal;
  }
}

/** Percent-decodes one raw path segment; undefined when an escape is broken or does not spell UTF-8. */
export function decodeSegment(raw: string): string | undefined {
  if (!raw.includes("%")) {
    return raw;
  }
  try {
    return decodeURIComponent(raw);
  } catch {
    return undefined;
  }
}

/**
 * The value of a variable from the raw segments of a path that matched. Within a variable of several segments an
 * encoded slash keeps its escape: decoded it would be taken for a separator.
 */
export function variableValue(variable: Variable, rawSegments: readonly string[]): string {
  if (!variable.multi) {
    return decodeSegment(rawSegments[variable.start]!)!;
  }
  return rawSegments
    .slice(variable.start, variable.end)
    .map((raw) => decodeSegment(raw.replace(/%2f/gi, "%252F"))!)
    .join("/");
}
