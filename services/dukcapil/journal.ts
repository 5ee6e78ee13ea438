// What a hub has gone through, on disk: a line for each round of changes and each reported event, safe before it counts.
import { mkdirSync, readFileSync, truncateSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";

export type Entry =
  | { putaran: number; permil: number }
  /** `penduduk` is the message, encoded, in base64: a line of JSON could not hold every text exactly. */
  | { peristiwa: string; penduduk: string };

export type Journal = {
  /** What was there when it was opened. */
  entries: readonly Entry[];
  /** Resolves when the line is on disk. */
  append: (entry: Entry) => Promise<void>;
  close: () => Promise<void>;
};

/** Opens the journal of one hub: another seed or size is another hub, with a file of its own. */
export async function openJournal(folder: string, name: string): Promise<Journal> {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.jsonl`);
  const file = await open(path, "a");
  const text = readFileSync(path, "utf8");
  // A process that was killed may have left half a line: it was never answered.
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  if (whole.length < text.length) truncateSync(path, Buffer.byteLength(whole));
  return {
    entries: whole
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Entry),
    async append(entry) {
      await file.appendFile(`${JSON.stringify(entry)}\n`);
      await file.datasync();
    },
    close: () => file.close(),
  };
}
