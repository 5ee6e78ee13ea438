// The ledger in MongoDB: a document holds a cell, its figure and the ids of the events in it, so that one update counts an event
// once or not at all (docs/decisions/0008).
import { type Collection, type Db, MongoBulkWriteError, MongoServerError, UUID } from "mongodb";
import { backoffMs, pause } from "#chassis/backoff.ts";
import { isMongoUnavailable, type Mongo, MongoUnsettled } from "#chassis/mongo.ts";
import { refuse } from "#chassis/refusal.ts";
import { NATION, provinsiOf } from "#chassis/wilayah.ts";
import type { Cell, Komponen } from "./domain/ledger.ts";
import type { Count, Generation, StatistikStore } from "./store.ts";

export const COLLECTION = "ledger";

/**
 * In a sharded cluster, a province is on one shard or a few, and every filter here names it. `_id` alone would do for
 * spreading, but its index is unique on each shard only: with it in the key, one `_id` of a province is on one shard, and
 * the guard of {@link addTo} holds.
 */
export const SHARD_KEY = { kodeProvinsi: 1, _id: 1 } as const;

/**
 * Holds all that is read for people. A document carries up to some hundred thousand ids: reading it for its figure would
 * take the whole of it off the disk. `_id` is there because a shard has to know the shard key of what it gives.
 */
export const READ_INDEX = {
  name: "cells",
  key: { kodeProvinsi: 1, kode: 1, bulan: 1, komponen: 1, jumlah: 1, _id: 1 },
} as const;

/**
 * A cell of the ledger. Which cells count an event depends on the event alone, so an id that is not in there is nowhere: the
 * guard is complete, for ever.
 */
export type Bucket = {
  /** `32.01.01.1006/2026-11/lahir` */
  _id: string;
  kodeProvinsi: string;
  kode: string;
  bulan: string;
  komponen: Komponen;
  jumlah: number;
  ids: UUID[];
};

/** The name of this data. It lies among the cells, not beside them: who drops these drops the name with them. */
type Marker = {
  _id: string;
  kodeProvinsi: string;
  generation: string;
  isComplete: boolean;
  tutupBukuHari: number;
};

/** Its province sorts before all others, so that reads begin behind it. */
const MARKER = { _id: "generation", kodeProvinsi: "" };

const DUPLICATE_KEY = 11_000;
const READ_TIMEOUT_MS = 10_000;

/** About 3 s in all: a write of another replica is confirmed sooner, or the majority is gone. */
const MAX_ROUNDS = 10;
const ROUND_BACKOFF = { baseMs: 5, maxMs: 1_000 };

export function mongoStatistikStore(mongo: Mongo): StatistikStore {
  /** The generation whose indexes this process has seen to. */
  let prepared: string | undefined;
  const buckets = async () => (await mongo.db()).collection<Bucket>(COLLECTION);
  const marker = async () => (await mongo.db()).collection<Marker>(COLLECTION);

  return {
    async apply(counts) {
      let open = sharesOf(counts);
      for (let round = 0; open.length > 0; round++) {
        if (round === MAX_ROUNDS) throw new MongoUnsettled("events are counted, but not by a majority yet");
        if (round > 1) await pause(backoffMs(round, ROUND_BACKOFF));
        const collection = await buckets();
        open = await add(collection, open);
        if (open.length > 0) open = await withoutCounted(collection, open);
      }
    },

    cells: ({ kodeWilayah, panjang, dari, sampai }) =>
      forCaller(async () => {
        const inside =
          kodeWilayah === NATION
            ? { kodeProvinsi: { $gt: MARKER.kodeProvinsi } }
            : {
                kodeProvinsi: provinsiOf(kodeWilayah),
                // The code itself, and what follows it after a dot: "/" comes after ".", and both before all digits.
                kode: { $gte: kodeWilayah, $lt: `${kodeWilayah}/` },
              };
        return await sums(await buckets(), { ...inside, bulan: { $lte: sampai } }, panjang, dari);
      }),

    async generation(tutupBukuHari) {
      const found = await readMarker(await marker());
      if (found && found.id === prepared) return found;
      // Named last: what has a name has its indexes.
      await prepare(await mongo.db());
      const named = found ?? (await makeMarker(await marker(), tutupBukuHari));
      prepared = named.id;
      return named;
    },

    async markComplete(generationId) {
      await (await marker()).updateOne(
        { ...MARKER, generation: generationId },
        { $set: { isComplete: true } },
      );
    },
  };
}

/** The events of a batch that one bucket counts. */
type Share = Omit<Bucket, "jumlah" | "ids"> & { events: Map<string, Counted> };
type Counted = { id: UUID; jumlah: number };

/** Throws for what can never be counted, before anything is written. */
function sharesOf(counts: readonly Count[]): Share[] {
  const shares = new Map<string, Share>();
  for (const { eventId, kode, bulan, komponen, jumlah } of counts) {
    const _id = `${kode}/${bulan}/${komponen}`;
    const share = shares.get(_id) ?? {
      _id,
      kodeProvinsi: provinsiOf(kode),
      kode,
      bulan,
      komponen,
      events: new Map(),
    };
    const id = new UUID(eventId);
    share.events.set(String(id), { id, jumlah });
    shares.set(_id, share);
  }
  const all = [...shares.values()];
  for (const { _id, events } of all) {
    const figures = [...events.values()].map(({ jumlah }) => jumlah);
    for (const figure of [...figures, sum(figures)]) {
      if (figure !== (figure | 0))
        throw new RangeError(`${_id} cannot be changed by ${figure}: no 32-bit integer`);
    }
  }
  return all;
}

/** Writes what can be written; gives those shares of which some event is counted already. */
async function add(collection: Collection<Bucket>, shares: readonly Share[]): Promise<Share[]> {
  try {
    // Unordered: one bucket that has counted an event must not stop the others.
    await collection.bulkWrite(shares.map(addTo), { ordered: false });
    return [];
  } catch (cause) {
    if (!(cause instanceof MongoBulkWriteError)) throw cause;
    const errors = [cause.writeErrors].flat();
    const isGuard = errors.length > 0 && errors.every(({ code }) => code === DUPLICATE_KEY);
    // What could be written is not safe yet, when a majority did not confirm it.
    if (!isGuard || cause.result.getWriteConcernError()) throw cause;
    return errors.map(({ index }) => shares[index]!);
  }
}

/**
 * Adds to a bucket that has none of these ids. If it has one, the filter finds nothing, and the upsert runs into the
 * bucket's own `_id`. The same happens to the later one of two that make the bucket at the same time; it tries again.
 */
function addTo({ _id, kodeProvinsi, kode, bulan, komponen, events }: Share) {
  const all = [...events.values()];
  const ids = all.map(({ id }) => id);
  return {
    updateOne: {
      filter: { _id, kodeProvinsi, ids: { $nin: ids } },
      update: {
        $inc: { jumlah: sum(all.map(({ jumlah }) => jumlah)) },
        $push: { ids: { $each: ids } },
        $setOnInsert: { kode, bulan, komponen },
      },
      upsert: true,
    },
  };
}

/**
 * Leaves out the events that are counted. Read from what a majority holds (the client's read concern): an id that only
 * the primary has may be lost with it, and an event that was left out for it would be lost, too.
 */
async function withoutCounted(collection: Collection<Bucket>, shares: readonly Share[]): Promise<Share[]> {
  const byId = new Map(shares.map((share) => [share._id, share]));
  const ids = shares.flatMap(({ events }) => [...events.values()].map(({ id }) => id));
  const found = collection.aggregate<Pick<Bucket, "_id" | "ids">>(
    [
      {
        $match: {
          kodeProvinsi: { $in: [...new Set(shares.map(({ kodeProvinsi }) => kodeProvinsi))] },
          _id: { $in: [...byId.keys()] },
        },
      },
      // Intersected there: a bucket's ids may be megabytes.
      { $project: { ids: { $setIntersection: [ids, "$ids"] } } },
    ],
    { maxTimeMS: READ_TIMEOUT_MS },
  );
  for await (const { _id, ids: counted } of found) {
    for (const id of counted) byId.get(_id)!.events.delete(String(id));
  }
  return shares.filter(({ events }) => events.size > 0);
}

/** Cells added up; what has come to nothing is left out. Reads the index alone. */
async function sums(
  collection: Collection<Bucket>,
  match: Record<string, unknown>,
  panjang: number,
  dari: string,
): Promise<Cell[]> {
  const kode = { $substrBytes: ["$kode", 0, panjang] };
  const bulan = { $cond: [{ $lt: ["$bulan", dari] }, "", "$bulan"] };
  const fields = { kode: "$_id.kode", bulan: "$_id.bulan", komponen: "$_id.komponen" };
  return await collection
    .aggregate<Cell>(
      [
        { $match: match },
        { $group: { _id: { kode, bulan, komponen: "$komponen" }, jumlah: { $sum: "$jumlah" } } },
        { $match: { jumlah: { $ne: 0 } } },
        { $sort: { "_id.kode": 1, "_id.bulan": 1, "_id.komponen": 1 } },
        { $project: { _id: 0, ...fields, jumlah: 1 } },
      ],
      { hint: READ_INDEX.name, maxTimeMS: READ_TIMEOUT_MS },
    )
    .toArray();
}

/** Safe to repeat, and for several replicas at once. */
async function prepare(db: Db): Promise<void> {
  const collection = db.collection(COLLECTION);
  const { msg } = await db.command({ hello: 1 });
  // What mongos calls itself.
  const isSharded = msg === "isdbgrid";
  // A collection that has documents needs the shard key's index before it can be sharded.
  await collection.createIndexes([READ_INDEX, ...(isSharded ? [{ key: SHARD_KEY }] : [])]);
  if (!isSharded) return;
  const admin = db.client.db("admin");
  // Before MongoDB 6, a database had to be opened for it.
  await admin.command({ enableSharding: db.databaseName });
  await admin.command({ shardCollection: collection.namespace, key: SHARD_KEY });
}

async function readMarker(collection: Collection<Marker>): Promise<Generation | undefined> {
  const found = await collection.findOne(MARKER);
  if (!found) return undefined;
  const { generation: id, isComplete, tutupBukuHari } = found;
  return { id, isComplete, tutupBukuHari };
}

async function makeMarker(collection: Collection<Marker>, tutupBukuHari: number): Promise<Generation> {
  const first = { generation: String(new UUID()), isComplete: false, tutupBukuHari };
  try {
    await collection.updateOne(MARKER, { $setOnInsert: first }, { upsert: true });
  } catch (cause) {
    // Of several replicas the first one names it.
    if (!(cause instanceof MongoServerError && cause.code === DUPLICATE_KEY)) throw cause;
  }
  const made = await readMarker(collection);
  if (!made) throw new MongoUnsettled("the store is named, but not for a majority yet");
  return made;
}

/** Whoever asks for figures hears that they may be had again, rather than of an internal error. */
async function forCaller<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (!isMongoUnavailable(cause)) throw cause;
    throw refuse("unavailable", "STORE_UNAVAILABLE", "the service cannot reach its database; try again", {
      retryAfterSeconds: 1,
    });
  }
}

function sum(figures: readonly number[]): number {
  return figures.reduce((total, figure) => total + figure, 0);
}
