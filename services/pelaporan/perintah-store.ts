// The port to the commands that are on their way to the registry, and to the moves whose members are in transit.
import type { AppendCommand } from "./store.ts";

/** One command; what it says is in the events of its report. */
export type Perintah = {
  /** Id of the event that gave it; by it the registry takes it once. */
  id: string;
  laporan: string;
  /** Number of that event: the report's last one as long as the command waits. */
  versi: number;
  traceparent: string;
  /** Tries so far that brought no answer. */
  percobaan: number;
};

export type PerintahStore = {
  /** Commands that are to be tried now, the one given first first. */
  due: (limit: number) => Promise<Perintah[]>;
  /** A try brought no answer. `galat` says why, for a developer. */
  postpone: (id: string, delayMs: number, galat: string) => Promise<void>;
  /**
   * Appends the event that the answer is, and settles the command: both or nothing. Without effect when it is settled already.
   * Throws Refused ABORTED when another event of the report came first.
   */
  settle: (id: string, event: AppendCommand) => Promise<void>;
  /** Commands without an answer, and since when the oldest waits. */
  waiting: () => Promise<{ jumlah: number; sejak: Date | undefined }>;
};

export type PerpindahanStore = {
  /** Reports whose members are in transit since before `sejak`, and which are to be looked at now; the oldest first. */
  overdue: (sejak: Date, now: Date, limit: number) => Promise<string[]>;
  /** To be looked at again then. */
  postpone: (laporan: string, periksa: Date) => Promise<void>;
  /** They have arrived. */
  close: (laporan: string, at: Date) => Promise<void>;
};
