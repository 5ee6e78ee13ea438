// The file of the rules: read at start, and again when it changes or on SIGHUP, without a restart.
import { readFileSync, unwatchFile, watchFile } from "node:fs";
import { parseRules, type Rules, type RulesContext, RulesError } from "./rules.ts";

/** A mounted ConfigMap changes by a link to another folder, of which no file event tells: so its state is looked at. */
const lookEveryMs = 1_000;

export interface RulesFileOptions extends RulesContext {
  readonly path: string;
  readonly onRules: (rules: Rules) => void;
  /** Told why a changed file was not taken; the rules from before go on. */
  readonly onRejected: (error: RulesError) => void;
}

/** Throws RulesError when the file cannot be used at start. */
export function openRulesFile({ path, onRules, onRejected, ...context }: RulesFileOptions) {
  let text = read();
  onRules(parseRules(text, context));

  function reload(): void {
    try {
      const next = read();
      if (next === text) return;
      onRules(parseRules(next, context));
      text = next;
    } catch (error) {
      onRejected(error instanceof RulesError ? error : new RulesError([String(error)]));
    }
  }

  function read(): string {
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      throw new RulesError([`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`]);
    }
  }

  watchFile(path, { interval: lookEveryMs, persistent: false }, reload);
  process.on("SIGHUP", reload);
  return {
    close(): void {
      unwatchFile(path, reload);
      process.off("SIGHUP", reload);
    },
  };
}
