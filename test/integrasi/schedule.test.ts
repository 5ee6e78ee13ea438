// Runs by the clock: at the times of the expression, in Jakarta, one run a time however many replicas there are.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { ConfigError } from "#chassis/config.ts";
import type { Database } from "#chassis/database.ts";
import { readSchedule, runSchedule, startScheduled } from "../../services/integrasi/schedule.ts";
import type { TestDatabase } from "../harness/database.ts";
import { hubRows } from "./fake-hub.ts";
import { type Component, openSyncDatabase, pusat, startComponent } from "./sync-component.ts";

const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NIGHT = new Date("2026-11-20T19:00:00Z");

let database: { test: TestDatabase; db: Database };
let sync: Component;

before(async () => {
  database = await openSyncDatabase();
});
afterEach(() => sync?.close());
after(async () => {
  await database.db.close();
  await database.test.drop();
});

async function begin(): Promise<void> {
  sync = await startComponent(database, { rows: hubRows(100) });
}

const deps = (kodeWilayah = "ID") => ({
  commands: sync.commands,
  kodeWilayah,
  log: sync.log,
  traceparent: () => TRACEPARENT,
});
const runs = async () => (await sync.client.listSinkronisasi({}, pusat)).sinkronisasi;

describe("a schedule", () => {
  test("comes at its time in Jakarta", () => {
    const { next } = readSchedule("0 2 * * *");
    assert.equal(next(new Date("2026-11-20T18:59:59Z"))!.toISOString(), NIGHT.toISOString());
    assert.equal(next(NIGHT)!.toISOString(), "2026-11-21T19:00:00.000Z");
  });

  test("that is no cron expression stops the process, by name", () => {
    for (const wrong of ["every night", "99 2 * * *", "0 2 * *"]) {
      assert.throws(
        () => readSchedule(wrong),
        (cause: Error) => cause instanceof ConfigError && cause.message.startsWith("LAMPID_SYNC_SCHEDULE"),
      );
    }
  });

  test("starts one run since the last at a time, whoever asks, and says who it was", async () => {
    await begin();
    const { signal } = new AbortController();
    await Promise.all([1, 2, 3].map(() => startScheduled(NIGHT, deps(), signal)));
    await startScheduled(NIGHT, deps(), signal);
    const [run, ...others] = await runs();
    assert.equal(others.length, 0);
    assert.equal(run!.pemulai, "jadwal");
    const { rows } = await sync.db.query("select subject, action, traceparent from audit");
    assert.deepEqual(rows, [{ subject: "jadwal", action: "schedule", traceparent: TRACEPARENT }]);
  });

  test("leaves a run out while another is not over, and says so", async () => {
    await begin();
    const name = await sync.start({ kodeWilayah: "32" });
    await startScheduled(NIGHT, deps(), new AbortController().signal);
    assert.equal((await runs()).length, 1);
    assert.match(sync.logged(), new RegExp(`"sinkronisasi":"${name}".*scheduled run is left out`));
  });

  test("brings what is newer than the last run", async () => {
    await begin();
    sync.startRunner();
    const first = await sync.ended(await sync.start());
    sync.hub.rows[0]!.versi = ++sync.hub.versi;
    await startScheduled(NIGHT, deps(), new AbortController().signal);
    const second = await sync.ended((await runs())[0]!.name);
    assert.deepEqual([second.sinceVersi, second.jumlahHub], [first.asOfVersi, 1]);
    assert.equal(second.rekonsiliasi!.cocok, true);
  });

  test("starts a run each time its time has come, until the process ends", async () => {
    await begin();
    const end = new AbortController();
    const started: unknown[] = [];
    const times = [NIGHT, new Date(NIGHT.getTime() + 1), undefined];
    const commands = {
      start: async (_request: unknown, key: { requestId: string }) => {
        started.push(key.requestId);
        return { name: "operations/x" } as never;
      },
    };
    const schedule = { next: () => times.shift() };
    await runSchedule(schedule, { ...deps(), commands }, () => new Date(NIGHT.getTime() + 5), end.signal);
    assert.equal(new Set(started).size, 2);
    end.abort();
    await runSchedule({ next: () => NIGHT }, { ...deps(), commands }, () => new Date(0), end.signal);
    assert.equal(started.length, 2);
  });
});
