// What an office wants to be told of, and how: the port to where it is kept, and what follows from it.
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { AuditEntry } from "#chassis/audit.ts";
import type { IdempotencyKey } from "#chassis/idempotency.ts";

export const kanalNames = ["log", "email", "sms"] as const;

export type Kanal = (typeof kanalNames)[number];

/** Without a channel, the office is not told. */
export type Aturan = { templat: string; kanal: readonly Kanal[] };

export type PreferensiRecord = {
  kodeWilayah: string;
  aturan: readonly Aturan[];
  versi: number;
  updatedAt: Date;
};

export type PreferensiStore = {
  /** Those that were ever set. */
  find: (kodeWilayah: readonly string[]) => Promise<PreferensiRecord[]>;
  /**
   * Runs a change in a transaction of its own, once per request id; a repetition gets the first answer again.
   * Throws Refused ABORTED if the id was used with another request.
   */
  idempotently: <Desc extends DescMessage>(
    key: IdempotencyKey,
    answer: Desc,
    work: (tx: PreferensiTransaction) => Promise<MessageShape<Desc>>,
  ) => Promise<MessageShape<Desc>>;
};

export type PreferensiTransaction = {
  /** Record and audit row, or neither: false when the version before this one is not the present one. */
  save: (record: PreferensiRecord, audit: AuditEntry) => Promise<boolean>;
};

/** Channels of a message to an office: what it has said of the template, or the one that the mesh is set to. */
export function kanalFor(
  templat: string,
  preferensi: PreferensiRecord | undefined,
  usual: Kanal,
): readonly Kanal[] {
  return preferensi?.aturan.find((each) => each.templat === templat)?.kanal ?? [usual];
}
