// In which paths two JSON values differ. Paths alone, never values: these are answers about persons.

export type DifferenceKind = "only new" | "only legacy" | "type" | "value";

export interface Difference {
  /** "penduduk.anggota[].nama"; "$" is the whole. */
  readonly path: string;
  readonly kind: DifferenceKind;
}

type JsonObject = Record<string, unknown>;

/** More than these are not worth reading. */
const differencesMax = 50;
const depthMax = 32;

/** The order of keys does not count, that of lists does. Each path is told once. */
export function differencesOf(
  current: unknown,
  legacy: unknown,
  ignore: ReadonlySet<string> = new Set(),
): Difference[] {
  const found = new Map<string, Difference>();
  compare(current, legacy, "$", 0);
  return [...found.values()];

  function compare(a: unknown, b: unknown, path: string, depth: number): void {
    if (found.size >= differencesMax || Object.is(a, b)) return;
    const kind = kindOf(a);
    if (kind !== kindOf(b)) tell(path, "type");
    else if (depth >= depthMax) tell(path, "value");
    else if (kind === "array") compareLists(a as unknown[], b as unknown[], `${path}[]`, depth + 1);
    else if (kind === "object") compareObjects(a as JsonObject, b as JsonObject, path, depth + 1);
    else tell(path, "value");
  }

  function compareLists(a: unknown[], b: unknown[], inner: string, depth: number): void {
    const both = Math.min(a.length, b.length);
    for (let at = 0; at < both; at++) compare(a[at], b[at], inner, depth);
    if (a.length > both) tell(inner, "only new");
    if (b.length > both) tell(inner, "only legacy");
  }

  function compareObjects(a: JsonObject, b: JsonObject, path: string, depth: number): void {
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      if (ignore.has(key)) continue;
      const inner = path === "$" ? nameOf(key) : `${path}.${nameOf(key)}`;
      if (!Object.hasOwn(b, key)) tell(inner, "only new");
      else if (!Object.hasOwn(a, key)) tell(inner, "only legacy");
      else compare(a[key], b[key], inner, depth);
    }
  }

  function tell(path: string, kind: DifferenceKind): void {
    if (found.size < differencesMax) found.set(`${path} ${kind}`, { path, kind });
  }
}

/** A key may be data, too (a NIK, a name): only what looks like the name of a field is told. */
function nameOf(key: string): string {
  return /^[A-Za-z_@][A-Za-z0-9_]{0,39}$/.test(key) && !/\d{4}/.test(key) ? key : "*";
}

function kindOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
}
