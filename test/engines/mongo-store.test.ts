// The counters in MongoDB: a real one by MONGO_URL, else the stand-in (mongo-wire.ts says what that one is not).
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { after, before, describe, type TestContext, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { BSON, type Collection, type Db, MongoNetworkError, UUID } from "mongodb";
import { createLogger } from "#chassis/log.ts";
import { isMongoUnavailable, type Mongo, openMongo, probeMongo } from "#chassis/mongo.ts";
import { Refused } from "#chassis/refusal.ts";
import { PendudukTerdaftarSchema } from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import { countResidents } from "../../services/statistik/consumer.ts";
import {
  type Bucket,
  COLLECTION,
  mongoStatistikStore,
  READ_INDEX,
  SHARD_KEY,
} from "../../services/statistik/mongo-store.ts";
import type { Count, StatistikStore } from "../../services/statistik/store.ts";
import { freePort } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import { residents, statistikStoreContract } from "../statistik/store.contract.ts";
import {
  type MongoWire,
  type MongoWireOptions,
  mongoMissing,
  mongoWireMissing,
  OLD_WIRE_VERSION,
  startMongoWire,
  useMongo,
} from "./mongo-wire.ts";

const HARI = 3;

describe("counters in MongoDB", { skip: mongoMissing() }, () => {
  let server: Awaited<ReturnType<typeof useMongo>>;
  let url: string;
  let processes: [Mongo, Mongo];
  let db: Db;
  let store: StatistikStore;

  before(async () => {
    server = await useMongo();
    url = databaseUrl(server.url, `test_statistik_${randomBytes(6).toString("hex")}`);
    processes = [openMongo({ url, name: "test-1" }), openMongo({ url, name: "test-2" })];
    db = await processes[0].db();
    store = mongoStatistikStore(processes[0]);
  });

  after(async () => {
    await db?.dropDatabase();
    await Promise.all((processes ?? []).map((mongo) => mongo.close()));
    await server?.stop();
  });

  statistikStoreContract("MongoDB", () => ({
    store,
    replica: mongoStatistikStore(processes[1]),
    failing: {
      halfWay: mongoStatistikStore(failing(processes[0], 0.5)),
      atTheEnd: mongoStatistikStore(failing(processes[0], 1)),
    },
    empty: async () => void (await db.dropDatabase()),
  }));

  test("a new store makes its index, and makes it again when the collection was dropped", async () => {
    const indexes = async () => (await db.collection(COLLECTION).indexes()).map(({ key }) => key);
    await store.generation(HARI);
    assert.deepEqual((await indexes())[1], READ_INDEX.key);
    await db.collection(COLLECTION).drop();
    // Events may come before anybody has noticed.
    await store.apply([count("31.01.01")]);
    await store.generation(HARI);
    assert.deepEqual((await indexes())[1], READ_INDEX.key);
  });

  test("a store whose name is taken away has a new one, and counts nothing twice: for a backup that was restored", async () => {
    const event = count("36.01.01");
    await store.apply([event]);
    const { id } = await store.generation(HARI);
    await db.collection<{ _id: string }>(COLLECTION).deleteOne({ _id: "generation" });
    const named = await store.generation(HARI);
    assert.notEqual(named.id, id);
    assert.equal(named.isComplete, false);
    await store.apply([event, count("36.01.01")]);
    assert.deepEqual(await residents(store, "36"), [{ kode: "36.01.01", jumlah: 2 }]);
  });

  test("of twenty processes that find the store new, one names it, and all take its name", async () => {
    await db.dropDatabase();
    const stores = Array.from({ length: 20 }, (_, n) => mongoStatistikStore(processes[n % 2]!));
    const generations = await Promise.all(stores.map((each) => each.generation(HARI)));
    assert.equal(new Set(generations.map(({ id }) => id)).size, 1);
  });

  async function askedForFigures(): Promise<[pipeline: object[], options: { hint?: string }][]> {
    const { asked, mongo } = recording(processes[0]);
    const reader = mongoStatistikStore(mongo);
    await residents(reader, "ID", 2);
    await residents(reader, "32.01");
    return asked.map(({ args }) => args as [object[], object]);
  }

  test("figures are read from the index alone: a bucket's ids stay on the disk", async () => {
    for (const [pipeline, options] of await askedForFigures()) {
      assert.equal(options.hint, READ_INDEX.name);
      const [match, group] = pipeline as [{ $match: object }, { $group: object }];
      const fields = [...Object.keys(match.$match), ...fieldsIn(group)];
      for (const field of fields) assert.ok(field in READ_INDEX.key, field);
    }
  });

  const noPlans = process.env.MONGO_URL
    ? false
    : "a real MongoDB only (MONGO_URL): the stand-in has no plans";
  test("the plan for figures opens no document", { skip: noPlans }, async () => {
    await store.generation(HARI);
    for (const [pipeline, options] of await askedForFigures()) {
      const plan = await db.collection(COLLECTION).aggregate(pipeline, options).explain("queryPlanner");
      assert.match(JSON.stringify(plan), /PROJECTION_COVERED/);
      assert.doesNotMatch(JSON.stringify(plan), /"FETCH"|"COLLSCAN"/);
    }
  });

  test("every statement names its province, so that mongos asks one shard and _id is unique there", async () => {
    assert.equal(Object.keys(SHARD_KEY)[0], "kodeProvinsi");
    const { asked, mongo } = recording(processes[0]);
    const recorded = mongoStatistikStore(mongo);
    const { id } = await recorded.generation(HARI);
    await recorded.markComplete(id);
    const batch = [count("33.01.01"), count("33.02.01")];
    for (let n = 0; n < 2; n++) await recorded.apply(batch);
    await residents(recorded, "ID", 2);
    await residents(recorded, "33");
    assert.deepEqual(new Set(asked.map(({ method }) => method)), new Set(METHODS));
    const filters = asked.flatMap(({ method, args: [first] }) => {
      if (method === "bulkWrite") return (first as Updates).map(({ updateOne }) => updateOne.filter);
      return method === "aggregate" ? [(first as [{ $match: object }])[0].$match] : [first as object];
    });
    for (const filter of filters) assert.ok("kodeProvinsi" in filter, JSON.stringify(filter));
  });

  test("a sharded cluster is told the shard key, once the key has an index", async () => {
    const told: object[] = [];
    const indexed: object[] = [];
    const admin = { db: () => ({ command: async (command: object) => void told.push(command) }) };
    const mongos: Mongo = {
      ...processes[0],
      async db() {
        const real = await processes[0].db();
        return overriding(real, {
          client: admin,
          command: async () => ({ msg: "isdbgrid" }),
          collection: (name: string) =>
            overriding(real.collection(name), {
              createIndexes: async (indexes: object[]) => void indexed.push(...indexes),
            }),
        });
      },
    };
    await mongoStatistikStore(mongos).generation(HARI);
    assert.deepEqual(told, [
      { enableSharding: db.databaseName },
      { shardCollection: `${db.databaseName}.${COLLECTION}`, key: SHARD_KEY },
    ]);
    assert.deepEqual(indexed, [READ_INDEX, { key: SHARD_KEY }]);
  });

  test("nothing about a person is kept: codes, figures and ids of events", async () => {
    await db.dropDatabase();
    const event = {
      id: randomUUID(),
      source: "/lampid/penduduk",
      type: PendudukTerdaftarSchema.typeName,
      subject: "penduduk/5f0c",
      key: "32.01.01.1006",
      time: "2026-11-20T03:00:00.000Z",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      data: toBinary(
        PendudukTerdaftarSchema,
        create(PendudukTerdaftarSchema, {
          penduduk: "penduduk/5f0c",
          nikTersamar: "320101********01",
          nama: "Budi Santoso",
          kodeWilayah: "32.01.01.1006",
          pelaku: "operator-1",
        }),
      ),
    };
    await countResidents({ store, tutupBukuHari: HARI, onChange: () => {} })([event]);
    assert.deepEqual(await db.collection(COLLECTION).find().toArray(), [
      {
        _id: "32.01.01.1006/2026-11/registrasi",
        kodeProvinsi: "32",
        kode: "32.01.01.1006",
        bulan: "2026-11",
        komponen: "registrasi",
        jumlah: 1,
        ids: [new UUID(event.id)],
      },
    ]);
  });

  test("an id that a majority does not hold yet is not taken for counted: the batch is to come again", async () => {
    const batch = [count("35.01.01")];
    await store.apply(batch);
    const nothingYet = { async *[Symbol.asyncIterator]() {} };
    const lagging = mongoStatistikStore(
      withCollections(processes[0], () => ({ aggregate: () => nothingYet })),
    );
    await assert.rejects(lagging.apply(batch), isMongoUnavailable);
    assert.deepEqual(await residents(store, "35"), [{ kode: "35.01.01", jumlah: 1 }]);
  });

  test("what is answered is held by a majority and on its disk, whatever the URL says", async (t) => {
    const asked = "w=1&journal=false&readConcernLevel=local&readPreference=nearest";
    const weak = openMongo({ url: `${url}${url.includes("?") ? "&" : "?"}${asked}`, name: "weak" });
    t.after(weak.close);
    const { writeConcern, readConcern, readPreference } = await weak.db();
    assert.equal(writeConcern?.w, "majority");
    assert.equal(writeConcern.journal, true);
    assert.equal(readConcern?.level, "majority");
    assert.equal(readPreference?.mode, "primary");
  });

  test("a bucket has room for 570,000 events before MongoDB's 16 MiB", () => {
    const ids: UUID[] = new Array(570_000).fill(new UUID());
    const full: Bucket = {
      _id: "32.01.01.1006/2026-11/sinkronisasi",
      kodeProvinsi: "32",
      kode: "32.01.01.1006",
      bulan: "2026-11",
      komponen: "sinkronisasi",
      jumlah: ids.length,
      ids,
    };
    assert.ok(BSON.calculateObjectSize(full) < 16 * 1024 * 1024);
  });
});

/** Most of their time is waiting. */
const sideBySide = { skip: mongoWireMissing(), concurrency: 3 };

describe("a MongoDB that fails (the stand-in)", sideBySide, () => {
  async function start(t: TestContext, options: MongoWireOptions = {}): Promise<MongoWire> {
    const wire = await startMongoWire(options);
    t.after(wire.stop);
    return wire;
  }

  /** As a process has it, with its probe; a server that says nothing is given up after a second. */
  function open(t: TestContext, url: string) {
    const mongo = openMongo({ url, name: "statistik", answerTimeoutMs: 1_000 });
    const stop = new AbortController();
    const lines: string[] = [];
    let isWorking: boolean | undefined;
    const log = createLogger("test", "info", { write: (line: string) => void lines.push(line) });
    const health = (working: boolean) => {
      isWorking = working;
    };
    const probing = probeMongo(mongo, health, log, stop.signal);
    t.after(async () => {
      stop.abort();
      await probing;
      await mongo.close();
    });
    return {
      store: mongoStatistikStore(mongo),
      mongo,
      isWorking: () => isWorking,
      lines: () => lines.map((line) => JSON.parse(line).msg as string),
      text: () => lines.join(""),
    };
  }

  /** The cause of a call that must fail, and soon. */
  async function failureOf(call: Promise<unknown>, withinMs: number): Promise<unknown> {
    const startedAt = performance.now();
    const cause = await call.then(
      () => assert.fail("it did not fail"),
      (failure) => failure,
    );
    assert.ok(performance.now() - startedAt < withinMs, `after ${performance.now() - startedAt} ms`);
    return cause;
  }

  test("that is not there yet is waited for: the process says so in one line, and counts when it comes", async (t) => {
    const port = await freePort();
    const { store, isWorking, lines } = open(t, `mongodb://127.0.0.1:${port}`);
    assert.ok(isMongoUnavailable(await failureOf(store.apply([count("31.01.01")]), 5_000)));
    assert.equal(isWorking(), false);
    await start(t, { port });
    await eventually(() => isWorking() === true);
    await store.apply([count("31.01.01")]);
    assert.equal(lines().length, 2);
    assert.match(lines()[0]!, /^MongoDB cannot be reached: start it, or check LAMPID_MONGO_URL/);
    assert.equal(lines()[1], "MongoDB reached");
  });

  test("that is killed while it counts, and comes back empty, is another generation, and counts all of it again", async (t) => {
    const wire = await start(t);
    const { store, isWorking } = open(t, wire.url);
    const before = await store.generation(HARI);
    const batches = Array.from({ length: 40 }, () => Array.from({ length: 50 }, () => count("31.01.01")));
    const failures: unknown[] = [];
    const counting = batches.map((batch) => store.apply(batch).catch((cause) => failures.push(cause)));
    await Promise.race(counting);
    await wire.kill();
    await Promise.all(counting);
    assert.ok(failures.length > 0);
    assert.deepEqual(
      failures.filter((cause) => !isMongoUnavailable(cause)),
      [],
    );
    await eventually(() => isWorking() === false);
    await wire.restart();
    await eventually(() => isWorking() === true);
    assert.notEqual((await store.generation(HARI)).id, before.id);
    for (const batch of batches) await store.apply(batch);
    assert.deepEqual(await residents(store, "ID", 2), [{ kode: "31", jumlah: 2_000 }]);
  });

  test("that is frozen is noticed, counting and reading fail within a bound, and go on when it thaws", async (t) => {
    const wire = await start(t);
    const { store, isWorking, lines } = open(t, wire.url);
    await eventually(() => isWorking() === true);
    const batch = [count("31.01.01")];
    wire.freeze();
    assert.ok(isMongoUnavailable(await failureOf(store.apply(batch), 5_000)));
    await eventually(() => isWorking() === false, 5_000);
    const refused = await failureOf(residents(store, "ID", 2), 8_000);
    assert.ok(refused instanceof Refused);
    assert.equal(refused.refusal.reason, "STORE_UNAVAILABLE");
    wire.thaw();
    await eventually(() => isWorking() === true);
    await store.apply(batch);
    assert.deepEqual(await residents(store, "ID", 2), [{ kode: "31", jumlah: 1 }]);
    assert.match(lines()[1]!, /^MongoDB cannot be reached: .*no answer within 2000 ms/);
  });

  test("that is too old is named in one line", async (t) => {
    const wire = await start(t, { wireVersion: OLD_WIRE_VERSION });
    const { store, isWorking, lines } = open(t, wire.url);
    assert.ok(isMongoUnavailable(await failureOf(store.apply([count("31.01.01")]), 5_000)));
    await eventually(() => isWorking() === false);
    assert.equal(lines().length, 1);
    assert.match(lines()[0]!, /^MongoDB is too old: LAMPID_MONGO_URL must name MongoDB 4\.4 or newer/);
  });

  test("that refuses the password is named in one line, without the password", async (t) => {
    const wire = await start(t);
    const { store, isWorking, lines, text } = open(t, wire.url.replace("//", "//lampid:rahasia@"));
    assert.ok(isMongoUnavailable(await failureOf(store.apply([count("31.01.01")]), 5_000)));
    await eventually(() => isWorking() === false);
    assert.match(
      lines()[0]!,
      /^MongoDB refuses the account: check user, password and authSource in LAMPID_MONGO_URL/,
    );
    assert.equal(lines().length, 1);
    assert.doesNotMatch(text(), /rahasia/);
  });

  test("holds the service's own database where the URL names none", async (t) => {
    const wire = await start(t);
    assert.equal((await open(t, wire.url).mongo.db()).databaseName, "statistik");
    assert.equal((await open(t, `${wire.url}/?appName=x`).mongo.db()).databaseName, "statistik");
    assert.equal((await open(t, `${wire.url}/lain?appName=x`).mongo.db()).databaseName, "lain");
  });
});

function count(kode: string): Count {
  return { eventId: randomUUID(), kode, bulan: "2026-11", komponen: "registrasi", jumlah: 1 };
}

/** The same server, whose every bulk write breaks off when this part of it is done. */
function failing(mongo: Mongo, part: number): Mongo {
  return withCollections(mongo, (collection) => ({
    async bulkWrite(operations: object[], options: object) {
      const done = operations.slice(0, Math.ceil(operations.length * part));
      // Whatever the server says of it is lost with the connection.
      await collection.bulkWrite(done as Parameters<Collection["bulkWrite"]>[0], options).catch(() => {});
      throw new MongoNetworkError("made to fail");
    },
  }));
}

/** All that the adapter uses, but for making indexes. */
const METHODS = ["aggregate", "bulkWrite", "findOne", "updateOne"] as const;

type Asked = { method: (typeof METHODS)[number]; args: unknown[] };
type Updates = { updateOne: { filter: object } }[];

/** The same server, and what its collections are asked. */
function recording(mongo: Mongo): { asked: Asked[]; mongo: Mongo } {
  const asked: Asked[] = [];
  const recorded = withCollections(mongo, (collection) =>
    Object.fromEntries(
      METHODS.map((method) => [
        method,
        (...args: unknown[]) => {
          asked.push({ method, args });
          return (collection[method] as (...args: unknown[]) => unknown).apply(collection, args);
        },
      ]),
    ),
  );
  return { asked, mongo: recorded };
}

function withCollections(mongo: Mongo, methods: (collection: Collection) => object): Mongo {
  return {
    ...mongo,
    async db() {
      const db = await mongo.db();
      return overriding(db, {
        collection: (name: string) => overriding(db.collection(name), methods(db.collection(name))),
      });
    },
  };
}

function overriding<T extends object>(target: T, members: object): T {
  return new Proxy(target, {
    get(_, key) {
      const value = Reflect.get(key in members ? members : target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** The fields a stage reads: "$jumlah" is jumlah. */
function fieldsIn(stage: object): string[] {
  return [...JSON.stringify(stage).matchAll(/:"\$(\w+)"/g)].map(([, field]) => field!);
}

/** The URL with another database, and with all else that it says. */
function databaseUrl(url: string, name: string): string {
  return url.replace(/^(mongodb(?:\+srv)?:\/\/[^/?]+)(?:\/[^?]*)?(.*)$/, `$1/${name}$2`);
}
