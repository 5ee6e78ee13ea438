// An append-only log file with a bound: at the limit it becomes `<name>.1`, replacing the one before.
import { chownSync, closeSync, fstatSync, openSync, renameSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** Two files of this size at most per process: a mesh that runs for months must not fill the disk of its kecamatan. */
const MAX_BYTES = 10 * 1024 * 1024;
const TAIL_BYTES = 8 * 1024;

export type LogFile = ReturnType<typeof openLogFile>;

export function openLogFile(path: string, maxBytes: number = MAX_BYTES) {
  let { fd, bytes } = open(path);
  let tail = Buffer.alloc(0);
  let closed = false;

  return {
    path,

    /** Writes at once; a full disk costs log lines, never the mesh. */
    write(chunk: Buffer | string): void {
      const data = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
      tail = Buffer.concat([tail, data.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES);
      if (closed) return;
      try {
        if (bytes > 0 && bytes + data.length > maxBytes) {
          closeSync(fd);
          closed = true;
          renameSync(path, `${path}.1`);
          ({ fd, bytes } = open(path));
          closed = false;
        }
        bytes += writeSync(fd, data);
      } catch {
        // Nowhere to say it: this is the log.
      }
    },

    /** The last line written since opening that is not empty, "" when there was none. */
    lastLine(): string {
      return tail.toString("utf8").trimEnd().split("\n").at(-1)?.trim() ?? "";
    },

    /** The last few KiB written since opening. */
    tail: () => tail.toString("utf8"),

    close(): void {
      if (!closed) closeSync(fd);
      closed = true;
    },
  };
}

function open(path: string): { fd: number; bytes: number } {
  const fd = openSync(path, "a", 0o640);
  adopt(path);
  return { fd, bytes: fstatSync(fd).size };
}

/** As root: gives a file to the owner of its folder, who may run the mesh himself next time. */
export function adopt(path: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(dirname(path));
  if (uid !== 0) chownSync(path, uid, gid);
}
