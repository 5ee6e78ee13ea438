// Regular expressions of contracts (RE2): as ECMAScript, which JSON Schema wants, and a text that one matches.

/** The same expression for JSON Schema (ECMA-262 with the flag "u"), or undefined if it has no such form. */
export function toEcmaPattern(re2: string): string | undefined {
  const pattern = re2
    .replace(/\(\?P</g, "(?<")
    .replace(/\\A/g, "^")
    .replace(/\\z/g, "$")
    .replace(/\[:(\^?)(\w+):\]/g, (whole, not: string, name: string) =>
      not === "" ? (posixClasses[name] ?? whole) : whole,
    );
  try {
    new RegExp(pattern, "u");
  } catch {
    return undefined;
  }
  return /\[:\^?\w+:\]/.test(pattern) ? undefined : pattern;
}

/**
 * A text that an ECMAScript pattern matches, the same one every time: of alternatives the first that is not empty, of
 * repetitions few, of a class its first letter or digits in turn. Undefined for what it does not understand (look-around,
 * back references) or cannot satisfy. `atLeast` asks for as many characters, if the pattern can be stretched.
 */
export function sampleOf(pattern: string, atLeast = 0): string | undefined {
  const expression = new RegExp(pattern, "u");
  for (const stretch of [0, 1, 2, 4, 8, 16, 32, 64, 128]) {
    let text: string;
    try {
      text = createSampler(pattern, stretch)();
    } catch (error) {
      if (error instanceof Unsupported) {
        return undefined;
      }
      throw error;
    }
    if ([...text].length >= atLeast && expression.test(text)) {
      return text;
    }
  }
  return undefined;
}

const posixClasses: Record<string, string> = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  digit: "0-9",
  lower: "a-z",
  upper: "A-Z",
  word: "0-9A-Za-z_",
  xdigit: "0-9A-Fa-f",
  space: "\\s",
};

class Unsupported extends Error {}

function createSampler(pattern: string, stretch: number): () => string {
  let at = 0;
  let digits = 0;
  const unsupported = (): never => {
    throw new Unsupported();
  };

  return () => {
    const text = readAlternatives()();
    return at < pattern.length ? unsupported() : text;
  };

  function readAlternatives(): () => string {
    const alternatives = [readSequence()];
    while (pattern[at] === "|") {
      at++;
      alternatives.push(readSequence());
    }
    return () => {
      for (const alternative of alternatives) {
        const text = alternative();
        if (text !== "") {
          return text;
        }
      }
      return "";
    };
  }

  function readSequence(): () => string {
    const parts: (() => string)[] = [];
    while (at < pattern.length && pattern[at] !== "|" && pattern[at] !== ")") {
      parts.push(readRepeated());
    }
    return () => parts.map((part) => part()).join("");
  }

  function readRepeated(): () => string {
    const atom = readAtom();
    const [whole, sign, least, comma, most] =
      /^(?:([*+?])|\{(\d+)(,?)(\d*)\})\??/.exec(pattern.slice(at)) ?? [];
    if (whole === undefined) {
      return atom;
    }
    at += whole.length;
    let count: number;
    if (sign !== undefined) {
      count = sign === "?" ? 1 : 1 + stretch;
    } else {
      const min = Number(least);
      const max = comma === "" ? min : most === "" ? Number.POSITIVE_INFINITY : Number(most);
      count = Math.min(max, max - min <= 3 ? max : Math.max(min, 1) + stretch);
    }
    return () => Array.from({ length: count }, atom).join("");
  }

  function readAtom(): () => string {
    const char = String.fromCodePoint(pattern.codePointAt(at)!);
    at += char.length;
    switch (char) {
      case "^":
      case "$":
        return () => "";
      case ".":
        return () => "a";
      case "(": {
        const kind = /^\?(?:[a-z]*:|<[A-Za-z]\w*>)/.exec(pattern.slice(at))?.[0] ?? "";
        if (pattern[at] === "?" && kind === "") {
          return unsupported();
        }
        at += kind.length;
        const inner = readAlternatives();
        at++;
        return inner;
      }
      case "[": {
        const end = endOfClass();
        const source = `[${pattern.slice(at, end)}]`;
        at = end + 1;
        return charOf(source);
      }
      case "\\": {
        const escaped = /^(?:[pP]\{[^}]+\}|u\{[0-9A-Fa-f]+\}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[\s\S])/u.exec(
          pattern.slice(at),
        )?.[0];
        if (escaped === undefined || /^[1-9bBk]$/.test(escaped)) {
          return unsupported();
        }
        at += escaped.length;
        return charOf(`\\${escaped}`);
      }
      default:
        return () => char;
    }
  }

  /** Where the class that began before `at` ends. */
  function endOfClass(): number {
    let index = at;
    while (index < pattern.length && pattern[index] !== "]") {
      index += pattern[index] === "\\" ? 2 : 1;
    }
    return index;
  }

  function charOf(source: string): () => string {
    const set = new RegExp(`^${source}$`, "u");
    const own = source.length === 2 && source[0] === "\\" ? source[1]! : "";
    const found = [...probes, own].filter((char) => char !== "" && set.test(char));
    const isDigits = "0123456789".split("").every((digit) => set.test(digit));
    if (isDigits && !set.test("k")) {
      // Digits in turn make a number that looks like one, and never a real person's.
      return () => String((digits++ % 9) + 1);
    }
    return () => found[0] ?? unsupported();
  }
}

const probes = [
  ..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -_.,:;/'\"@#+*!?()[]{}<>=&%$|~^`\\",
];
