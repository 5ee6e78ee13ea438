// A store that is new, or was lost, is filled from the log; one that is only restarted serves at once.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import type { BatchHandler, EventBus } from "#chassis/bus/event-bus.ts";
import { createPostgresBus } from "#chassis/bus/postgres-bus.ts";
import { type Database, isDatabaseUnavailable, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { countResidents } from "../../services/statistik/consumer.ts";
import { type FollowLogDeps, followLog } from "../../services/statistik/follow-log.ts";
import { postgresStatistikStore } from "../../services/statistik/postgres-store.ts";
import type { StatistikStore } from "../../services/statistik/store.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import { effective, registered, synchronised } from "./events.ts";
import { residents } from "./store.contract.ts";

const silent = createLogger("test", "silent");
const topic = "pendaftaran-events";
const topics = [topic, "sinkronisasi-events", "penduduk-events"] as const;
const BATCH = 20;
/** Residents that came by synchronisation, in one event. */
const SYNCHRONISED = 7;
/** By a report of twins. */
const BORN = 2;
const HARI = 3;

let databases: { statistik: TestDatabase; bus: TestDatabase };
let db: Database;
let store: StatistikStore;

before(async () => {
  databases = { statistik: await createTestDatabase("statistik"), bus: await createTestDatabase("bus") };
  db = openDatabase({ url: databases.statistik.url, name: "test", log: silent });
  store = postgresStatistikStore(db);
  await publish(3 * BATCH);
  await usingBus((bus) => bus.publish(topics[1], [synchronised({ "32.01.01": SYNCHRONISED })]));
  await usingBus((bus) => bus.publish(topics[2], [effective({ lahir: { "32.01.01.1006": BORN } })]));
});

after(async () => {
  await db.close();
  await databases.statistik.drop();
  await databases.bus.drop();
});

beforeEach(loseStore);
afterEach(stopAll);

const count: BatchHandler = (events) =>
  countResidents({ store, tutupBukuHari: HARI, onChange: () => {} })(events);

/** As a server does that comes back without its disk. */
async function loseStore(): Promise<void> {
  await db.query("truncate inbox, ledger, generation");
}

let published = 0;

async function publish(events: number): Promise<void> {
  await usingBus((bus) => bus.publish(topic, Array.from({ length: events }, registered)));
  published += events;
}

async function assertAllCounted(): Promise<void> {
  const expected = [{ kode: "32", jumlah: published + SYNCHRONISED + BORN }];
  assert.deepEqual(await residents(store, "ID", 2), expected);
}

type Following = {
  /** What health was told, changes only: "" for serving, else the reason. */
  told: string[];
  lines: string[];
  /** The errors of those lines that have one. */
  causes: string[];
  groups: string[];
  stop: () => Promise<void>;
};

const running = new Set<Following>();

/** A process that counts, with the real bus and store unless others are given. */
function start(
  over: { bus?: Partial<EventBus>; store?: Partial<StatistikStore>; handler?: BatchHandler } = {},
) {
  const stop = new AbortController();
  const real = createPostgresBus({ url: databases.bus.url, name: "test", log: silent });
  const bus = { ...real, ...over.bus };
  const told: string[] = [];
  const lines: string[] = [];
  const causes: string[] = [];
  const groups: string[] = [];
  const health: FollowLogDeps["health"] = (working, reason = "") => {
    assert.equal(working, reason === "");
    if (told.at(-1) !== reason) told.push(reason);
  };
  const followed = followLog({
    bus: {
      lag: bus.lag,
      subscribe(options) {
        if (options.topic === topic) groups.push(options.group);
        return bus.subscribe(options);
      },
    },
    topics,
    subscription: {
      batchSize: BATCH,
      handler: over.handler ?? count,
      isTransient: isDatabaseUnavailable,
    },
    store: { ...store, ...over.store },
    tutupBukuHari: HARI,
    health,
    log: createLogger("test", "info", {
      write(line: string) {
        const { msg, err } = JSON.parse(line);
        lines.push(msg);
        if (err) causes.push(err.message);
      },
    }),
    signal: stop.signal,
    checkMs: 20,
  });
  const following: Following = {
    told,
    lines,
    causes,
    groups,
    async stop() {
      running.delete(following);
      stop.abort();
      await followed;
      await real.close();
    },
  };
  running.add(following);
  return following;
}

async function stopAll(): Promise<void> {
  await Promise.all([...running].map((each) => each.stop()));
}

async function usingBus<T>(work: (bus: EventBus) => Promise<T>): Promise<T> {
  const bus = createPostgresBus({ url: databases.bus.url, name: "test", log: silent });
  return await work(bus).finally(bus.close);
}

/** As when PostgreSQL is away. */
function throwAway(): never {
  throw Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
}

const isServing = ({ told }: Following) => told.at(-1) === "";

describe("a store that has counted nothing", () => {
  test("is filled from the beginning of the log, and serves when it is", async () => {
    const counter = start();
    await eventually(() => isServing(counter));
    await assertAllCounted();
    assert.deepEqual(counter.told, ["counting again from the log", ""]);
    assert.match(counter.lines.at(-1)!, /^the log is counted, in \d+\.\d s$/);
  });

  test("does not serve while the log is being counted, however little is left", async () => {
    const gate = Promise.withResolvers<void>();
    let left = published + 2;
    const counter = start({
      async handler(events) {
        if (left <= BATCH) await gate.promise;
        await count(events);
        left -= events.length;
      },
    });
    await eventually(() => left <= BATCH);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(counter.told, ["counting again from the log"]);
    gate.resolve();
    await eventually(() => isServing(counter));
    await assertAllCounted();
  });

  test("is filled to the end when the process ends half-way, and does not serve before", async () => {
    let batches = 0;
    const first = start({ handler: async (events) => (batches++ === 0 ? await count(events) : throwAway()) });
    await eventually(() => batches > 1);
    await first.stop();
    const second = start();
    await eventually(() => isServing(second));
    assert.deepEqual(first.told, ["counting again from the log"]);
    assert.deepEqual(second.told, ["counting again from the log", ""]);
    assert.deepEqual(second.groups, first.groups);
    await assertAllCounted();
  });

  test("serves at once when the log is empty", async () => {
    const counter = start({ bus: { lag: async () => 0 } });
    await eventually(() => counter.told.length > 0);
    assert.deepEqual(counter.told, [""]);
  });

  test("is not counted with other days than those it was begun with, and the log says what to do", async () => {
    await store.generation(HARI + 1);
    const counter = start();
    await eventually(() => counter.told.length > 0);
    assert.deepEqual(counter.told, ["not known whether the counters are whole"]);
    assert.deepEqual(counter.groups, []);
    assert.match(
      counter.causes[0]!,
      /^LAMPID_TUTUP_BUKU_HARI is 3, and the ledger was counted with 4: set it back/,
    );
  });

  test("does not serve while the bus cannot say how long the log is", async () => {
    let isBusAway = true;
    const counter = start({
      bus: {
        lag: (...args) => {
          if (isBusAway) throw new Error("Kafka is away");
          return usingBus((bus) => bus.lag(...args));
        },
      },
    });
    await eventually(() => counter.lines.length > 0);
    assert.deepEqual(counter.told, ["not known whether the counters are whole"]);
    assert.match(counter.lines[0]!, /^cannot tell whether the counters are whole/);
    isBusAway = false;
    await eventually(() => isServing(counter));
    await assertAllCounted();
  });
});

describe("a store that has counted the log", () => {
  beforeEach(async () => {
    const counter = start();
    await eventually(() => isServing(counter));
    await counter.stop();
  });

  test("serves at once when the process is restarted, whatever has come meanwhile, and also without the bus", async () => {
    await publish(1);
    const unasked = async () => assert.fail("the bus is not asked");
    const counter = start({ bus: { lag: unasked }, handler: async () => throwAway() });
    await eventually(() => counter.told.length > 0);
    assert.deepEqual(counter.told, [""]);
    assert.deepEqual(counter.lines, []);
    assert.deepEqual(counter.groups, [`statistik-${(await store.generation(HARI)).id}`]);
  });

  test("and is lost while the process runs is counted again from the log, and says so", async () => {
    const gate = Promise.withResolvers<void>();
    const counter = start({
      async handler(events) {
        await gate.promise;
        await count(events);
      },
    });
    await eventually(() => isServing(counter));
    await loseStore();
    await eventually(() => counter.told.at(-1) === "counting again from the log");
    assert.deepEqual(counter.lines, ["the store is new: counting again from the beginning of the log"]);
    gate.resolve();
    await eventually(() => isServing(counter));
    await assertAllCounted();
    assert.equal(new Set(counter.groups).size, 2);
  });

  test("and has its name taken away is gone through again, and counts nothing twice", async () => {
    const counter = start();
    await eventually(() => isServing(counter));
    await db.query("truncate generation");
    await eventually(() => counter.groups.length === 2 && isServing(counter));
    await assertAllCounted();
  });

  test("and is lost while two processes count is counted once", async () => {
    const counters = [start(), start()];
    await eventually(() => counters.every(isServing));
    await loseStore();
    await eventually(() => counters.every(({ groups }) => groups.length === 2));
    await eventually(() => counters.every(isServing));
    assert.equal(counters[0]!.groups[1], counters[1]!.groups[1]);
    await assertAllCounted();
  });

  test("does not serve while it is away, comes back by itself, and leaves saying so to its own probe", async () => {
    let isAway = false;
    const counter = start({
      store: { generation: async () => (isAway ? throwAway() : await store.generation(HARI)) },
    });
    await eventually(() => isServing(counter));
    isAway = true;
    await eventually(() => !isServing(counter));
    isAway = false;
    await eventually(() => isServing(counter));
    assert.deepEqual(counter.told, ["", "not known whether the counters are whole", ""]);
    assert.deepEqual(counter.lines, []);
    assert.equal(counter.groups.length, 1);
  });
});
