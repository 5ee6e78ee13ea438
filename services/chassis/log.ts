// JSON logs on stdout. Lines carry ids, never a NIK, a name or a body (CONVENTIONS rule 11).
import { type DestinationStream, type Logger, pino } from "pino";

export type { Logger };

/**
 * @param level a pino level: fatal, error, warn, info, debug, trace or silent.
 * @param destination default: stdout.
 */
export function createLogger(name: string, level = "info", destination?: DestinationStream): Logger {
  const options = {
    name,
    level,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: describeError },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** What a log may say of an error: no `detail` of PostgreSQL, which quotes the values of the row. */
function describeError(cause: unknown): Record<string, unknown> {
  if (!(cause instanceof Error)) return { message: String(cause) };
  const { name, stack } = cause;
  const code = "code" in cause ? cause.code : undefined;
  const message = quotesValues(code) ? cause.message.replace(/".*"/s, '"…"') : cause.message;
  const inner = cause.cause === undefined ? undefined : describeError(cause.cause);
  return { name, message, code, stack: stack?.replace(cause.message, () => message), cause: inner };
}

/**
 * PostgreSQL's class 22 (data exception: `invalid input syntax for type date: "..."`) and what its functions raise
 * themselves (P0001). The other classes quote names of tables and constraints, which an operator needs.
 */
function quotesValues(code: unknown): boolean {
  return typeof code === "string" && /^(22[0-9A-Z]{3}|P0001)$/.test(code);
}
