// Path templates of google.api.http as paths and path parameters of OpenAPI, whose every variable is one segment.
import type { DescMessage } from "@bufbuild/protobuf";
import { resolveFieldPath } from "../transcoder/field.ts";
import type { Template, Variable } from "../transcoder/template.ts";
import { accepts } from "./constraint.ts";
import type { JsonSchema, Parameter } from "./document.ts";
import type { Examples } from "./example.ts";
import type { Schemas } from "./schema.ts";

export interface PathDeps {
  readonly schemas: Schemas;
  readonly examples: Examples;
}

export interface OpenApiPath {
  /** Such as `/v1/penduduk/{penduduk}:resend`. */
  readonly path: string;
  readonly parameters: readonly Parameter[];
}

/**
 * Turns a template into a path. A wildcard is named by the literal before it, as resource names are read
 * (`{name=penduduk/*}` gives `penduduk/{penduduk}`), and by its field where it is all that the field is. `names` holds
 * the names that a path of the same form has already: OpenAPI takes two paths that differ in names for one.
 */
export function toOpenApiPath(
  template: Template,
  input: DescMessage,
  { schemas, examples }: PathDeps,
  names: Map<string, readonly string[]>,
): OpenApiPath {
  const shape = `${template.segments.map((s) => (s.kind === "literal" ? s.value : `{${s.kind}}`)).join("/")}:${template.verb}`;
  const known = names.get(shape);
  const chosen: string[] = [];
  const parameters: Parameter[] = [];
  const parts = template.segments.map((segment, index) => {
    if (segment.kind === "literal") {
      return encodeURIComponent(segment.value).replace(/%(?:40|3A|24|26|2B|2C|3B|3D)/g, decodeURIComponent);
    }
    const variable = template.variables.find(
      ({ start, end }) => index >= start && index < (end ?? template.segments.length),
    );
    const name = known?.[chosen.length] ?? nameOf(template, index, variable, input, chosen);
    chosen.push(name);
    parameters.push(parameterOf(name, index, variable));
    return `{${name}}`;
  });
  names.set(shape, chosen);
  const verb = template.verb === "" ? "" : `:${template.verb}`;
  return { path: `/${parts.join("/")}${verb}`, parameters };

  function parameterOf(name: string, index: number, variable: Variable | undefined): Parameter {
    const isRest = template.segments[index]!.kind === "rest";
    const parameter: Parameter = { name, in: "path", required: true, schema: { type: "string" } };
    const notes: string[] = [];
    const resolved = variable === undefined ? undefined : resolveFieldPath(input, variable.path);
    if (variable !== undefined && resolved !== undefined && typeof resolved !== "string") {
      const { field } = resolved;
      const comment = schemas.describe(field);
      if (comment !== undefined) notes.push(comment);
      const [before, after] = around(template, index, variable);
      if (before === "" && after === "") {
        parameter.schema = schemas.value(field);
        parameter.example = examples.field(field, "minimal");
      } else {
        const full = `${before}{${name}}${after}`;
        notes.push(`Part of \`${field.name}\`, which becomes \`${full}\`.`);
        parameter.schema = partSchema(schemas.value(field), before, after);
        const example = partOf(String(examples.field(field, "minimal")), template, index, variable);
        if (example !== undefined && accepts(parameter.schema, example)) {
          parameter.example = example;
        }
      }
      if (field.deprecated) parameter.deprecated = true;
    }
    if (isRest) {
      notes.push("May be several segments; their slashes stay as they are.");
    }
    if (notes.length > 0) {
      parameter.description = notes.join("\n\n");
    }
    return parameter;
  }
}

/** The literals of a variable before and after one of its wildcards; other wildcards leave nothing to say about either. */
function around(template: Template, index: number, { start, end }: Variable): [string, string] {
  const segments = template.segments.slice(start, end ?? template.segments.length);
  const texts = segments.map((segment) => (segment.kind === "literal" ? segment.value : "*"));
  const before = texts.slice(0, index - start).map((text) => `${text}/`);
  const after = texts.slice(index - start + 1).map((text) => `/${text}`);
  return [before.join(""), after.join("")];
}

/** The part of a whole value that one wildcard stands for, if the value has the form of the variable. */
function partOf(
  text: string,
  template: Template,
  index: number,
  { start, end }: Variable,
): string | undefined {
  const segments = template.segments.slice(start, end ?? template.segments.length);
  const parts = text.split("/");
  const isAlike = segments.every(
    (segment, at) => parts[at] !== undefined && (segment.kind !== "literal" || segment.value === parts[at]),
  );
  if (!isAlike) {
    return undefined;
  }
  const isRest = template.segments[index]!.kind === "rest";
  return isRest ? parts.slice(index - start).join("/") : parts[index - start];
}

/** What a pattern for the whole value asks of one part: what is left of it without the literal beginning. */
function partSchema(whole: JsonSchema, before: string, after: string): JsonSchema {
  const { pattern = "" } = whole;
  const start = `^${before}`;
  const depthless = pattern.replace(/\\.|\[(?:\\.|[^\]])*\]/g, "").replace(/\([^()]*\)/g, "");
  // An alternative at the top would begin anew, without the literal.
  const isWhole =
    pattern.startsWith(start) && after === "" && !depthless.includes("|") && !before.includes("*");
  return isWhole
    ? { type: "string", pattern: `^${pattern.slice(start.length)}` }
    : { type: "string", minLength: 1 };
}

function nameOf(
  template: Template,
  index: number,
  variable: Variable | undefined,
  input: DescMessage,
  taken: readonly string[],
): string {
  const before = template.segments[index - 1];
  const end = variable?.end ?? template.segments.length;
  const isWhole = variable !== undefined && end === variable.start + 1;
  const resolved = variable === undefined ? undefined : resolveFieldPath(input, variable.path);
  const fieldName =
    resolved === undefined || typeof resolved === "string"
      ? "segment"
      : [...resolved.parents, resolved.field].map(({ jsonName }) => jsonName).join(".");
  const name =
    !isWhole && before?.kind === "literal" && /^\w+$/.test(before.value) ? singular(before.value) : fieldName;
  let unique = name;
  for (let count = 2; taken.includes(unique); count++) {
    unique = `${name}${count}`;
  }
  return unique;
}

/** An English plural in the singular; words of other languages rarely end like one. */
function singular(word: string): string {
  return word
    .replace(/ies$/, "y")
    .replace(/ves$/, "f")
    .replace(/(?<![siu])s$/, "");
}
