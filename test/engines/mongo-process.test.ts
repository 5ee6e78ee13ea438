// statistik as a process on MongoDB (the stand-in) and a bus: it waits for its store, and fills one that comes back empty.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import type { EventBus } from "#chassis/bus/event-bus.ts";
import { createPostgresBus } from "#chassis/bus/postgres-bus.ts";
import { CONFIG_EXIT_CODE } from "#chassis/config.ts";
import { createLogger } from "#chassis/log.ts";
import { type Mongo, openMongo } from "#chassis/mongo.ts";
import { ROOT } from "../../services/mesh/processes.ts";
import { mongoStatistikStore } from "../../services/statistik/mongo-store.ts";
import { createTestDatabase, freePort, type TestDatabase } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import { registered } from "../statistik/events.ts";
import { residents } from "../statistik/store.contract.ts";
import { type MongoWire, mongoWireMissing, startMongoWire } from "./mongo-wire.ts";

const EVENTS = 700;
const COUNTED = [{ kode: "32", jumlah: EVENTS }];

describe("statistik on MongoDB", { skip: mongoWireMissing() }, () => {
  let database: TestDatabase;
  let bus: EventBus;
  let port: number;
  let mongo: Mongo;
  let wire: MongoWire | undefined;
  let statistik: Process;

  before(async () => {
    database = await createTestDatabase("bus");
    bus = createPostgresBus({ url: database.url, name: "test", log: createLogger("test", "silent") });
    await bus.publish("pendaftaran-events", Array.from({ length: EVENTS }, registered));
    port = await freePort();
    mongo = openMongo({ url: `mongodb://127.0.0.1:${port}`, name: "statistik" });
    statistik = await start({
      LAMPID_BUS_URL: database.url,
      LAMPID_MONGO_URL: `mongodb://127.0.0.1:${port}`,
    });
  });

  after(async () => {
    await statistik?.stop();
    await mongo?.close();
    await wire?.stop();
    await bus?.close();
    await database?.drop();
  });

  const counted = () => residents(mongoStatistikStore(mongo), "ID", 2);

  test("comes up without it, says what it waits for, and counts the log when it comes", async () => {
    await eventually(async () => /LAMPID_MONGO_URL/.test((await statistik.ready()).documents ?? ""));
    wire = await startMongoWire({ port });
    await eventually(async () => (await statistik.ready()).status === "SERVING");
    assert.deepEqual(await counted(), COUNTED);
  });

  test("fills it again when it is killed and comes back empty, says so, and does not serve before", async () => {
    await wire!.kill();
    await eventually(async () => (await statistik.ready()).status === "NOT_SERVING");
    await wire!.restart();
    await eventually(async () => (await statistik.ready()).status === "SERVING");
    assert.deepEqual(await counted(), COUNTED);
    const lines = statistik.lines();
    const said = lines.findIndex((line) => /^the store is new: counting again/.test(line));
    const done = lines.findIndex((line, n) => n > said && /^the log is counted, in \d/.test(line));
    assert.ok(said > 0 && done > said, lines.join("\n"));
  });

  test("serves at once when it is itself restarted", async () => {
    await statistik.stop();
    statistik = await statistik.again();
    await eventually(async () => (await statistik.ready()).status === "SERVING");
    assert.deepEqual(await counted(), COUNTED);
    assert.deepEqual(
      statistik.lines().filter((line) => /counting|counted/.test(line)),
      [],
    );
  });
});

test("statistik in the cluster profile does not start without LAMPID_MONGO_URL, and names it", async () => {
  const child = await launch({ LAMPID_PROFILE: "cluster" });
  let text = "";
  child.stderr?.on("data", (chunk) => (text += chunk));
  const [code] = await once(child, "close");
  assert.equal(code, CONFIG_EXIT_CODE);
  assert.equal(
    text,
    "statistik: LAMPID_MONGO_URL: expected a URL starting with mongodb:// or mongodb+srv://, but it is not set\n",
  );
});

type Process = Awaited<ReturnType<typeof start>>;

async function start(env: Record<string, string>) {
  const adminPort = await freePort();
  const child = await launch({ ...env, LAMPID_ADMIN_PORT: String(adminPort) });
  let text = "";
  child.stdout?.on("data", (chunk) => (text += chunk));
  child.stderr?.pipe(process.stderr);
  const running = {
    lines: () =>
      text
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line).msg as string),
    /** What /readyz says; nothing while there is no answer. */
    async ready(): Promise<Record<string, string | undefined>> {
      const answer = await fetch(`http://127.0.0.1:${adminPort}/readyz`).catch(() => undefined);
      return answer ? ((await answer.json()) as Record<string, string>) : {};
    },
    async stop() {
      if (child.exitCode !== null) return;
      child.kill("SIGTERM");
      await once(child, "exit");
      assert.equal(child.exitCode, 0);
    },
    again: () => start(env),
  };
  await eventually(async () => (await running.ready()).status !== undefined);
  return running;
}

async function launch(env: Record<string, string>): Promise<ChildProcess> {
  const { PATH = "", HOME = "" } = process.env;
  return spawn(process.execPath, ["services/statistik/main.ts"], {
    cwd: ROOT,
    env: { PATH, HOME, LAMPID_PORT: String(await freePort()), LAMPID_ADMIN_PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}
