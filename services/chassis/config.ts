// Typed configuration: read once in main.ts, failing with one line that names the key and what it expects.

/** Thrown for a missing or malformed variable; a process that meets it exits with {@link CONFIG_EXIT_CODE}. */
export class ConfigError extends Error {
  constructor(key: string, expected: string, found?: string) {
    super(
      `${key}: expected ${expected}${found === undefined ? ", but it is not set" : `, found "${found}"`}`,
    );
    this.name = "ConfigError";
  }
}

/** EX_CONFIG of sysexits.h: the supervisor does not restart a process that ends with it. */
export const CONFIG_EXIT_CODE = 78;

/** Reads typed values out of an environment; every getter throws {@link ConfigError} for a bad value. */
export type ConfigReader = ReturnType<typeof configReader>;

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["1", true],
  ["false", false],
  ["0", false],
]);

/** @param env usually `process.env`, passed in by main.ts alone. */
export function configReader(env: Readonly<Record<string, string | undefined>>) {
  // An empty variable is an unset one: `LAMPID_X= npm start` must not mean "the empty string".
  const raw = (key: string): string | undefined => env[key] || undefined;

  function parsed<T>(
    key: string,
    fallback: T | undefined,
    expected: string,
    parse: (text: string) => T | undefined,
  ): T {
    const text = raw(key);
    if (text === undefined) {
      if (fallback === undefined) throw new ConfigError(key, expected);
      return fallback;
    }
    const value = parse(text);
    if (value === undefined) throw new ConfigError(key, expected, text);
    return value;
  }

  return {
    string: (key: string, fallback?: string) => parsed(key, fallback, "a text", (text) => text),

    optional: (key: string) => raw(key),

    integer: (key: string, range: { min: number; max: number; fallback?: number }) =>
      parsed(key, range.fallback, `an integer from ${range.min} to ${range.max}`, (text) => {
        const value = Number(text);
        return /^-?\d+$/.test(text) && value >= range.min && value <= range.max ? value : undefined;
      }),

    boolean: (key: string, fallback: boolean) =>
      parsed(key, fallback, "true or false", (text) => BOOLEANS.get(text)),

    oneOf: <T extends string>(key: string, allowed: readonly T[], fallback?: T) =>
      parsed(key, fallback, `one of ${allowed.join(", ")}`, (text) =>
        allowed.find((value) => value === text),
      ),

    /** An URL with one of the given protocols, e.g. `["http:", "https:"]`. The value is not printed: it may hold a password. */
    url: (key: string, protocols: readonly string[], fallback?: string) => {
      const expected = `a URL starting with ${protocols.map((protocol) => `${protocol}//`).join(" or ")}`;
      const text = raw(key) ?? fallback;
      if (text === undefined) throw new ConfigError(key, expected);
      if (!URL.canParse(text) || !protocols.includes(new URL(text).protocol)) {
        throw new ConfigError(key, expected, "something else");
      }
      return text;
    },
  };
}
