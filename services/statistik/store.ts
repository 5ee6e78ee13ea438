// The port to the ledger. One contract suite (test/statistik/store.contract.ts) holds for every adapter.
import type { Cell } from "./domain/ledger.ts";

/** What an event adds to a cell of the ledger. An event may tell of several cells, of each once, always the same. */
export type Count = Cell & { eventId: string };

/** The data of one store from its first day on; a store that was lost and made anew is another generation. */
export type Generation = {
  /** Opaque. */
  id: string;
  /** Whether it has counted all that was in the log when that was begun. Until then the figures are too low. */
  isComplete: boolean;
  /** How many days after its end a month stays open: it decides which cell an event is in, so all of the data have one. */
  tutupBukuHari: number;
};

export type CellQuery = {
  /** Of any level; "ID" for all there is. */
  kodeWilayah: string;
  /** So many characters of each code are kept, and what they have in common is added up: 2, 5, 8 or 13; 0 for one sum. */
  panjang: number;
  /** The months before it are added up as one, whose name is "". */
  dari: string;
  /** The last month. */
  sampai: string;
};

export type StatistikStore = {
  /**
   * Counts each event id once, however often it comes, in whatever batches; all of an event's counts come in one batch. When
   * it resolves, all of the batch is counted; when it throws, any part of it may be: apply it again, nothing counts twice. A
   * batch that can never be counted is refused before any of it is.
   */
  apply: (counts: readonly Count[]) => Promise<void>;
  /** By code, month and component; what has come to nothing is left out. */
  cells: (query: CellQuery) => Promise<Cell[]>;
  /** What this store's data is called; a new or emptied store makes itself ready and takes a new name, and these days. */
  generation: (tutupBukuHari: number) => Promise<Generation>;
  /** Notes that the log is counted; without effect when this generation is gone. */
  markComplete: (generationId: string) => Promise<void>;
};
