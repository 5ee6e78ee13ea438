// The port to messages and their delivery log.

export type PesanStatus = "antre" | "terkirim" | "gagal";

export type PesanRecord = {
  id: string;
  kanal: string;
  templat: string;
  kodeWilayah: string;
  isi: string;
  status: PesanStatus;
  percobaan: number;
  kesalahan: string;
  createdAt: Date;
  deliveredAt: Date | undefined;
};

export type NewPesan = Pick<PesanRecord, "id" | "kanal" | "templat" | "kodeWilayah" | "isi" | "createdAt"> & {
  eventId: string;
};

/** What became of one try. */
export type Delivery =
  | { id: string; status: "terkirim"; at: Date }
  | { id: string; status: "antre"; kesalahan: string; nextTryAt: Date }
  | { id: string; status: "gagal"; kesalahan: string }
  /** Not tried, for its channel is left alone: it stays queued, with the tries and the error it has. */
  | { id: string; status: "tertunda"; nextTryAt: Date };

export type ListQuery = {
  /** Any level; "ID" for all. */
  kodeWilayah: string;
  status: PesanStatus | undefined;
  limit: number;
  /** Id of the last message of the page before. */
  before: string | undefined;
};

export type PesanStore = {
  /** Queues one message an event, once, however often the event comes. */
  enqueue: (messages: readonly NewPesan[]) => Promise<void>;
  /** Messages whose time has come, oldest first. */
  due: (now: Date, limit: number) => Promise<PesanRecord[]>;
  record: (deliveries: readonly Delivery[]) => Promise<void>;
  find: (id: string) => Promise<PesanRecord | undefined>;
  /** Newest first. */
  list: (query: ListQuery) => Promise<PesanRecord[]>;
  /** Puts a dead-lettered message back; false if it is not dead-lettered. */
  requeue: (id: string, now: Date) => Promise<boolean>;
};
