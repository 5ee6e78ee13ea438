import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { createCourtesy, noticing } from "./courtesy.ts";

/** A clock that moves when somebody sleeps, and works that take as long as they say. */
function scene(rest = 2) {
  let time = 0;
  const sleeps: number[] = [];
  const courtesy = createCourtesy({
    rest,
    now: () => time,
    sleep: async (ms) => {
      sleeps.push(ms);
      time += ms;
    },
  });
  let running = 0;
  let most = 0;
  return {
    courtesy,
    sleeps,
    pass: (ms: number) => {
      time += ms;
    },
    people: () => {
      for (let n = 0; n < 3; n++) courtesy.notice();
    },
    most: () => most,
    work: (ms: number) => async () => {
      running++;
      most = Math.max(most, running);
      await turn();
      time += ms;
      running--;
      return ms;
    },
  };
}

test("while nobody calls, batches are merged at the same time and without a rest", async () => {
  const { courtesy, work, most, sleeps } = scene();
  assert.deepEqual(await Promise.all([1, 2].map((ms) => courtesy.merge(work(ms)))), [1, 2]);
  assert.equal(most(), 2);
  assert.deepEqual(sleeps, []);
});

test("while people call, batches are merged one at a time, each after a rest of twice the work before it", async () => {
  const { courtesy, work, most, sleeps, people } = scene();
  people();
  await Promise.all([10, 20, 30].map((ms) => courtesy.merge(work(ms))));
  assert.equal(most(), 1);
  assert.deepEqual(sleeps, [20, 40]);
});

test("a rest is no longer than a second, and ends with those it was for", async () => {
  const { courtesy, work, sleeps, people, pass } = scene();
  people();
  await courtesy.merge(work(5_000));
  people();
  await courtesy.merge(work(10));
  assert.deepEqual(sleeps, [1_000]);
  pass(1_000);
  await courtesy.merge(work(10));
  assert.deepEqual(sleeps, [1_000]);
});

test("one who looks in now and then slows nothing down", async () => {
  const { courtesy, work, most, pass } = scene();
  for (let n = 0; n < 5; n++) {
    courtesy.notice();
    pass(400);
  }
  await Promise.all([1, 2].map((ms) => courtesy.merge(work(ms))));
  assert.equal(most(), 2);
});

test("a batch that fails gives its turn to the next one", async () => {
  const { courtesy, work, people } = scene();
  people();
  await assert.rejects(
    courtesy.merge(() => Promise.reject(new Error("no"))),
    /no/,
  );
  assert.equal(await courtesy.merge(work(1)), 1);
});

test("a rest of 0 lets a run take what it can", async () => {
  const { courtesy, work, most, people } = scene(0);
  people();
  await Promise.all([1, 2].map((ms) => courtesy.merge(work(ms))));
  assert.equal(most(), 2);
});

test("unary calls of a service are noticed, and its streams are not", () => {
  let noticed = 0;
  const called: string[] = [];
  const method = (name: string) => () => {
    called.push(name);
  };
  const implementation = { getPenduduk: method("getPenduduk"), exportPenduduk: method("exportPenduduk") };
  const service = noticing(PendudukService, implementation as never, {
    notice: () => noticed++,
    merge: (work) => work(),
  }) as unknown as typeof implementation;
  service.getPenduduk();
  service.exportPenduduk();
  assert.deepEqual(called, ["getPenduduk", "exportPenduduk"]);
  assert.equal(noticed, 1);
});
