import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { RuteDialihkan_Arah as Arah, RuteDialihkanSchema } from "#gen/lampid/gateway/v1/gateway_events_pb.ts";
import { type AlertOutcome, createAlerts } from "./alerts.ts";

/** Alerts on a bus that fails while `isAway`. */
function start({ isAway = false } = {}) {
  const published: { topic: string; event: BusEvent }[] = [];
  const outcomes: AlertOutcome[] = [];
  const state = { isAway };
  const stop = new AbortController();
  const alerts = createAlerts({
    bus: {
      async publish(topic, events) {
        if (state.isAway) throw new Error("away");
        for (const event of events) published.push({ topic, event });
      },
    },
    now: () => new Date("2026-11-27T03:00:00Z"),
    onOutcome: (outcome) => outcomes.push(outcome),
  });
  const rule = (rpc: string) => ({ rpc, baseUrl: new URL("https://u.example/api") });
  const leave = (rpc = "a.B/C") => alerts.tell(rule(rpc), { state: "legacy", calls: 40, failed: 3 });
  const probe = (rpc = "a.B/C") => alerts.tell(rule(rpc), { state: "probing", calls: 0, failed: 0 });
  const back = (rpc = "a.B/C") => alerts.tell(rule(rpc), { state: "new", calls: 10, failed: 0 });
  const told = () => published.map(({ event }) => fromBinary(RuteDialihkanSchema, event.data));
  const turns = async () => {
    for (let n = 0; n < 50; n++) await new Promise((resolve) => setImmediate(resolve));
  };
  return { alerts, state, stop, published, outcomes, leave, probe, back, told, turns };
}

test("a route is told of when it leaves and when it is back, not for the probes in between", async () => {
  const { alerts, stop, leave, probe, back, told, published, turns } = start();
  const running = alerts.run(stop.signal);
  leave();
  for (let n = 0; n < 5; n++) {
    probe();
    leave();
  }
  probe();
  back();
  await turns();
  assert.deepEqual(
    told().map(({ arah, panggilan, gagal }) => [arah, panggilan, gagal]),
    [
      [Arah.LAMA, 40, 3],
      [Arah.BARU, 10, 0],
    ],
  );
  const [{ topic, event }] = published as [{ topic: string; event: BusEvent }];
  assert.equal(topic, "operasi-events");
  assert.deepEqual(
    [event.key, event.source, event.time],
    ["a.B/C", "/lampid/gateway", "2026-11-27T03:00:00.000Z"],
  );
  assert.equal(told()[0]!.sistemLama, "https://u.example");
  stop.abort();
  await running;
});

test("what a bus that is away does not take is tried again, in order", async () => {
  const { alerts, state, stop, leave, back, told, outcomes } = start({ isAway: true });
  const running = alerts.run(stop.signal);
  leave();
  back();
  while (outcomes.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(outcomes, ["failed"]);
  state.isAway = false;
  while (outcomes.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(outcomes, ["failed", "published", "published"]);
  assert.deepEqual(
    told().map(({ arah }) => arah),
    [Arah.LAMA, Arah.BARU],
  );
  stop.abort();
  await running;
});

test("the end of the process waits for no bus", async () => {
  const { alerts, stop, leave, outcomes } = start({ isAway: true });
  const running = alerts.run(stop.signal);
  leave();
  while (outcomes.length === 0) await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await running;
});

test("of more alerts than may wait the oldest are dropped, and counted", async () => {
  const { alerts, stop, leave, told, outcomes, turns } = start();
  for (let n = 0; n < 103; n++) leave(`a.B/C${n}`);
  assert.deepEqual(outcomes, ["dropped", "dropped", "dropped"]);
  const running = alerts.run(stop.signal);
  await turns();
  await turns();
  await turns();
  assert.equal(told().length, 100);
  assert.equal(told()[0]!.rpc, "a.B/C3");
  stop.abort();
  await running;
});
