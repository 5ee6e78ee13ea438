// Reads the Prometheus text format, as far as a process of the mesh writes it.
//
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format

export type Sample = { name: string; labels: Readonly<Record<string, string>>; value: number };

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? +(\S+)(?: +-?\d+)?$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)",?/g;

/** Comments, and lines that are none of it, are passed over: figures of a process are better than no figures. */
export function parseMetrics(text: string): Sample[] {
  return text.split("\n").flatMap((line) => {
    const [, name, labels = "", figure = ""] = LINE.exec(line) ?? [];
    const value = numberOf(figure);
    return name === undefined || value === undefined ? [] : [{ name, labels: labelsOf(labels), value }];
  });
}

function labelsOf(text: string): Record<string, string> {
  const pairs = [...text.matchAll(LABEL)].map(([, key = "", value = ""]) => [key, unescaped(value)]);
  return Object.fromEntries(pairs);
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, (_, char) => (char === "n" ? "\n" : char));
}

function numberOf(text: string): number | undefined {
  if (/^[+-]?Inf$/.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  const value = Number(text);
  return text === "" || Number.isNaN(value) ? undefined : value;
}
