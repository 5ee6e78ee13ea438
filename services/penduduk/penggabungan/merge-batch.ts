// Merges one batch in one transaction: residents, family cards, what was put aside, event, audit row and the answer commit
// together or not at all.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { v7 as uuidv7 } from "uuid";
import { appendToAudit } from "#chassis/audit.ts";
import type { Actor } from "#chassis/caller.ts";
import type { Database, Sql } from "#chassis/database.ts";
import { appendToOutbox } from "#chassis/outbox.ts";
import { PendudukDisinkronkanSchema } from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import {
  type HasilGabung,
  HasilGabungSchema,
  BarisDisisihkan_Sebab as Sebab,
} from "#gen/lampid/penggabungan/v1/penggabungan_pb.ts";
import {
  type MergePendudukResponse,
  MergePendudukResponseSchema,
} from "#gen/lampid/penggabungan/v1/penggabungan_service_pb.ts";
import type { Order } from "../domain/merge.ts";
import { inTrial } from "../trial.ts";
import { type Batch, FAMILY_COLUMNS, goodRows, type LastFamily, rowAt } from "./batch.ts";
import { copyIn } from "./copy-in.ts";
import { asciiOf, FIELD, newHubRow } from "./hub-row.ts";
import { mergeKnown } from "./merge-known.ts";
import { findPutAside, forgetPutAside, type PutAside, putAside, rememberPutAside } from "./put-aside.ts";
import { RESIDENT_COLUMNS } from "./resident-copy.ts";

export const MERGE_METHOD = "lampid.penggabungan.v1.PenggabunganService/MergePenduduk";

/** Where a batch comes from; with its bytes' checksum, what makes it the same batch when it comes again. */
export type BatchKey = {
  sinkronisasi: string;
  bagian: string;
  dari: string;
  sampai: string;
  crc32: number;
};

export type MergeOptions = { ujiCoba: boolean; order: Order; actor: Actor };

/** The answer to a batch, and the family its last row is in, if that is known: the next batch may go on with it. */
export type Merged = { answer: MergePendudukResponse; family: LastFamily | undefined; isBlind: boolean };

/** What a batch changes, gathered while it is merged. */
export type Effects = {
  /** Residents inserted or changed. */
  written: number;
  hasil: HasilGabung;
  putAside: PutAside[];
  /** Rows that had been put aside, by their number at the hub. */
  restored: number[];
  /** Living residents more or fewer, by wilayah, as the rows name it. */
  living: Map<string, number>;
  /** Family cards by number, as far as they were looked up or made. */
  families: Map<string, Uint8Array>;
};

/** A transaction that ran into another one is repeated: with what is there now, it goes another way. */
const MAX_ATTEMPTS = 6;

/**
 * The answer to a batch, after the commit. Rows that are all expected to be new are inserted without a look; where that
 * fails, each row meets the resident of its NIK.
 */
export async function mergeBatch(
  db: Database,
  key: BatchKey,
  batch: Batch,
  options: MergeOptions,
): Promise<Merged> {
  for (let attempt = 0; ; attempt++) {
    const isBlind = attempt === 0 && batch.inserts !== undefined && !options.ujiCoba;
    try {
      return await (options.ujiCoba
        ? inTrial(db, (sql) => merge(sql, key, batch, options, false))
        : db.transaction((sql) => merge(sql, key, batch, options, isBlind)));
    } catch (cause) {
      if (attempt === MAX_ATTEMPTS - 1 || !isContention(cause, isBlind)) throw cause;
    }
  }
}

/** Whether all rows of the batch were new: then the next ones may be, too. */
export function wasAllNew({ hasil }: MergePendudukResponse): boolean {
  const { baru = 0, diperbarui = 0, takBerubah = 0, ditutup = 0 } = hasil ?? {};
  return baru + ditutup > 0 && diperbarui + takBerubah === 0;
}

async function merge(
  sql: Sql,
  key: BatchKey,
  batch: Batch,
  options: MergeOptions,
  mayBeBlind: boolean,
): Promise<Merged> {
  const { ujiCoba, actor } = options;
  const before = ujiCoba ? undefined : await findAnswer(sql, key);
  if (before) return { answer: before, family: undefined, isBlind: false };

  const effects: Effects = {
    written: 0,
    hasil: create(HasilGabungSchema),
    putAside: batch.bad.map((bad) => putAside(rowAt(newHubRow(), batch, bad.index), Sebab.KARANTINA, bad)),
    restored: [],
    living: new Map(),
    families: new Map(),
  };
  const known = ofBatch(batch, await findPutAside(sql, ...batch.ids));
  const isBlind = mayBeBlind && known.size === 0;
  if (isBlind) await insertBlindly(sql, batch, effects);
  const rest = isBlind ? batch.inserts!.rest : undefined;
  if (rest?.length !== 0) await mergeKnown(sql, batch, options, known, effects, rest);

  const { hasil, restored } = effects;
  hasil.dikarantina = batch.bad.length;
  await rememberPutAside(sql, effects.putAside);
  await forgetPutAside(sql, restored);
  const answer = create(MergePendudukResponseSchema, {
    sampai: key.sampai,
    hasil,
    disisihkan: effects.putAside.map(({ baris }) => baris),
    dipulihkan: restored.map(BigInt),
  });
  if (effects.written > 0) {
    await appendToOutbox(sql, [eventOf(key, effects, batch.at, actor)]);
    await appendToAudit(sql, {
      ...actor,
      action: MERGE_METHOD,
      resource: key.sinkronisasi,
      wilayah: key.bagian,
      at: batch.at,
    });
  }
  await sql.query({
    name: "penggabungan-jawab",
    text: `insert into penggabungan_batch (sinkronisasi, bagian, dari, crc32, jawaban) values ($1, $2, $3, $4, $5)
           on conflict (sinkronisasi, bagian, dari) do update set crc32 = excluded.crc32, jawaban = excluded.jawaban`,
    values: [
      key.sinkronisasi,
      key.bagian,
      key.dari,
      key.crc32,
      toBinary(MergePendudukResponseSchema, answer),
    ],
  });
  return { answer, family: isBlind ? undefined : lastFamily(batch, effects), isBlind };
}

function lastFamily(batch: Batch, { families }: Effects): LastFamily | undefined {
  const nomorKk = asciiOf(rowAt(newHubRow(), batch, batch.bounds.length / 2 - 1), FIELD.nomorKk);
  const id = families.get(nomorKk);
  return id && { nomorKk, id };
}

/**
 * Those that the batch brings again. Where residents have moved its numbers lie far apart, with many between them that it
 * does not have: taken for its own, they kept batches of new rows from being inserted as such.
 */
function ofBatch<T>(batch: Batch, between: ReadonlyMap<number, T>): Map<number, T> {
  const own = new Map<number, T>();
  if (between.size === 0) return own;
  const row = newHubRow();
  for (const index of goodRows(batch)) {
    const id = rowAt(row, batch, index).value[FIELD.id]!;
    const known = between.get(id);
    if (known !== undefined) own.set(id, known);
  }
  return own;
}

async function findAnswer(sql: Sql, key: BatchKey): Promise<MergePendudukResponse | undefined> {
  const { rows } = await sql.query({
    name: "penggabungan-jawaban",
    text: `select jawaban from penggabungan_batch
           where sinkronisasi = $1 and bagian = $2 and dari = $3 and crc32 = $4`,
    values: [key.sinkronisasi, key.bagian, key.dari, key.crc32],
  });
  return rows[0] && fromBinary(MergePendudukResponseSchema, rows[0].jawaban);
}

/** COPY straight into the tables. Fails with a unique violation when any of the rows is there. */
async function insertBlindly(sql: Sql, { inserts }: Batch, effects: Effects): Promise<void> {
  const { hasil, living } = effects;
  const { families, residents, rows, closed, repeated, living: born } = inserts!;
  if (families) {
    await copyIn(sql, `copy kartu_keluarga (${FAMILY_COLUMNS}) from stdin (format binary)`, families);
  }
  if (rows > 0) {
    await copyIn(sql, `copy penduduk (${RESIDENT_COLUMNS}) from stdin (format binary)`, residents);
  }
  effects.written = rows;
  hasil.baru = rows - closed;
  hasil.ditutup = closed;
  hasil.dikirimUlang = repeated;
  for (const [kode, count] of born) living.set(kode, count);
}

function eventOf({ sinkronisasi, bagian }: BatchKey, effects: Effects, at: Date, actor: Actor) {
  const selisih = [...effects.living]
    .filter(([, count]) => count !== 0)
    .map(([kodeWilayah, count]) => ({ kodeWilayah, selisih: count }))
    .sort((a, b) => (a.kodeWilayah < b.kodeWilayah ? -1 : 1));
  return {
    id: uuidv7(),
    topic: "sinkronisasi-events" as const,
    key: bagian,
    type: PendudukDisinkronkanSchema.typeName,
    subject: sinkronisasi,
    time: at.toISOString(),
    traceparent: actor.traceparent,
    data: toBinary(
      PendudukDisinkronkanSchema,
      create(PendudukDisinkronkanSchema, {
        sinkronisasi,
        selisih,
        jumlah: effects.written,
        waktu: timestampFromDate(at),
      }),
    ),
  };
}

/** Unique and foreign keys that another transaction, or the row that is already there, stands in the way of; deadlocks. */
function isContention(cause: unknown, isBlind: boolean): boolean {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  return code === "23505" || code === "40P01" || code === "40001" || (isBlind && code === "23503");
}
