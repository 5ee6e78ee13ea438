// What every EventBus adapter must do; each adapter's test runs this suite over the real engine.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, describe, test } from "node:test";
import type { BusEvent, EventBus, Subscription, Topic } from "#chassis/bus/event-bus.ts";
import { eventually } from "../harness/eventually.ts";

export type BusUnderTest = {
  /** A bus as a process of its own would open it. */
  open: () => EventBus;
  /** Breaks the connections of every open bus, as a restart of the engine does. */
  breakConnections: () => Promise<void>;
};

export const topic = "penduduk-events";
const fastRetry = { maxAttempts: 3, baseMs: 5, maxMs: 20 };

export function eventBusContract(name: string, underTest: () => BusUnderTest): void {
  describe(`EventBus: ${name}`, () => {
    const opened: EventBus[] = [];
    const open = () => {
      const bus = underTest().open();
      opened.push(bus);
      return bus;
    };
    afterEach(() => Promise.all(opened.splice(0).map((bus) => bus.close())));

    test("an event arrives as it was published", async () => {
      const bus = open();
      const group = newGroup();
      const seen = collect(bus, { group });
      const event = newEvent("a", { data: new Uint8Array([0, 1, 255]) });
      await bus.publish(topic, [event]);
      await seen.until((events) => events.some(({ id }) => id === event.id));
      const arrived = seen.events.find(({ id }) => id === event.id)!;
      assert.deepEqual({ ...arrived, data: [...arrived.data] }, { ...event, data: [0, 1, 255] });
    });

    test("events of one key arrive in the order in which they were published", async () => {
      const bus = open();
      const seen = collect(bus, { group: newGroup() });
      const keys = ["a", "b", "c"].map((key) => `${key}-${randomUUID()}`);
      const events = Array.from({ length: 300 }, (_, n) => newEvent(keys[n % 3]!));
      for (let from = 0; from < events.length; from += 25)
        await bus.publish(topic, events.slice(from, from + 25));
      await seen.until((all) => ids(events).every((id) => all.some((event) => event.id === id)));
      for (const key of keys) {
        const expected = ids(events.filter((event) => event.key === key));
        assert.deepEqual(ids(seen.events.filter((event) => event.key === key)), expected);
      }
    });

    test("a group may subscribe to several topics, and gets the events of each", async () => {
      const bus = open();
      const group = newGroup();
      const one = collect(bus, { group });
      const other = collect(bus, { group, topic: "operasi-events" });
      const [first, second] = [newEvent("a"), newEvent("a")];
      await bus.publish(topic, [first]);
      await bus.publish("operasi-events", [second]);
      await one.until((events) => ids(events).includes(first.id));
      await other.until((events) => ids(events).includes(second.id));
      for (const seen of [one, other]) {
        assert.ok(!(ids(seen.events).includes(first.id) && ids(seen.events).includes(second.id)));
      }
    });

    test("a group that subscribes later gets everything that was published before", async () => {
      const bus = open();
      const events = [newEvent("a"), newEvent("b")];
      await bus.publish(topic, events);
      const seen = collect(bus, { group: newGroup() });
      await seen.until((all) => ids(events).every((id) => all.some((event) => event.id === id)));
    });

    test("each group gets every event, and a group goes on where it stopped", async () => {
      const bus = open();
      const group = newGroup();
      const first = collect(bus, { group });
      const other = collect(bus, { group: newGroup() });
      const before = newEvent("a");
      await bus.publish(topic, [before]);
      await first.until((all) => all.some(({ id }) => id === before.id));
      await other.until((all) => all.some(({ id }) => id === before.id));
      await first.subscription.close();
      const after = newEvent("a");
      await bus.publish(topic, [after]);
      const second = collect(bus, { group });
      await second.until((all) => all.some(({ id }) => id === after.id));
      assert.ok(!ids(second.events).includes(before.id), "what was handled is not delivered again");
    });

    test("an event whose handler fails for a while is retried and takes effect", async () => {
      const bus = open();
      let failures = 2;
      const group = newGroup();
      const event = newEvent("a");
      const seen = collect(bus, {
        group,
        fail: ({ id }) => id === event.id && failures-- > 0,
      });
      await bus.publish(topic, [event]);
      await seen.until((all) => all.some(({ id }) => id === event.id));
    });

    test("a poisoned event goes to the dead-letter topic, its neighbours take effect, replay brings it back", async () => {
      const bus = open();
      let poisoned = true;
      const [before, bad, after] = [newEvent("a"), newEvent("a"), newEvent("a")];
      const seen = collect(bus, { group: newGroup(), fail: ({ id }) => poisoned && id === bad.id });
      const dead = collect(bus, { group: newGroup(), topic: `${topic}.dlq` as Topic });
      await bus.publish(topic, [before, bad, after]);
      await dead.until((all) => all.some(({ id }) => id === bad.id));
      await seen.until((all) => [before, after].every((event) => ids(all).includes(event.id)));
      assert.ok(!ids(seen.events).includes(bad.id));
      poisoned = false;
      assert.ok((await bus.replay(topic)) >= 1);
      await seen.until((all) => all.some(({ id }) => id === bad.id));
      assert.equal(await bus.replay(topic), 0, "what was replayed is not replayed again");
    });

    test("a failure of the consumer's surroundings is waited out, however long: nothing is dead-lettered", async () => {
      const bus = open();
      let failures = 10;
      const event = newEvent("a");
      const dead = collect(bus, { group: newGroup(), topic: `${topic}.dlq` as Topic });
      const seen = collect(bus, {
        group: newGroup(),
        fail: ({ id }) => id === event.id && failures-- > 0,
        isTransient: () => true,
      });
      await bus.publish(topic, [event]);
      await seen.until((all) => all.some(({ id }) => id === event.id));
      assert.ok(!ids(dead.events).includes(event.id));
    });

    test("consumers of one group share: every event is delivered once, also when one of three leaves", async () => {
      const [a, b, c] = [open(), open(), open()];
      const group = newGroup();
      const members = [a, b, c].map((bus) => collect(bus, { group, batchSize: 20 }));
      const events = Array.from({ length: 400 }, (_, n) => newEvent(`key-${n % 20}-${group}`));
      const all = () =>
        members.flatMap((member) => ids(member.events)).filter((id) => ids(events).includes(id));
      await a.publish(topic, events.slice(0, 200));
      await eventually(() => all().length >= 200);
      const busy = members.findIndex((member) => member.events.length > 0);
      await members[busy]!.subscription.close();
      await members[(busy + 1) % 3]!.bus.publish(topic, events.slice(200));
      await eventually(() => all().length >= 400, 20_000);
      assert.equal(new Set(all()).size, 400);
      assert.equal(all().length, 400);
    });

    test("lag is the number of events published but not handled", async () => {
      const bus = open();
      const group = newGroup();
      const seen = collect(bus, { group });
      const last = newEvent("a");
      await bus.publish(topic, [last]);
      await seen.until((all) => all.some(({ id }) => id === last.id));
      // Events of other keys may still come after the last one that was published.
      await eventually(async () => (await bus.lag(topic, group)) === 0);
      await seen.subscription.close();
      await bus.publish(topic, [newEvent("a"), newEvent("b")]);
      assert.equal(await bus.lag(topic, group), 2);
    });

    test("a group that is forgotten gets the log from its beginning, and one that never was is no trouble", async () => {
      const bus = open();
      const group = newGroup();
      const event = newEvent("a");
      await bus.publish(topic, [event]);
      for (let n = 0; n < 2; n++) {
        const seen = collect(bus, { group });
        await seen.until((events) => ids(events).includes(event.id));
        await eventually(async () => (await bus.lag(topic, group)) === 0);
        await seen.subscription.close();
        await bus.forget(topic, group);
      }
      assert.ok((await bus.lag(topic, group)) > 0);
      await bus.forget(topic, newGroup());
    });

    test("when connections break, publishing fails or works but never lies, and consumers come back by themselves", async () => {
      const { breakConnections } = underTest();
      const bus = open();
      const seen = collect(bus, { group: newGroup() });
      const confirmed: string[] = [];
      for (let n = 0; n < 30; n++) {
        if (n === 10 || n === 20) await breakConnections();
        const event = newEvent(`key-${n}`);
        await bus.publish(topic, [event]).then(
          () => confirmed.push(event.id),
          () => {},
        );
      }
      assert.ok(confirmed.length >= 20, `only ${confirmed.length} of 30 were accepted`);
      await seen.until((all) => confirmed.every((id) => all.some((event) => event.id === id)));
    });
  });
}

type CollectOptions = {
  group: string;
  topic?: Topic;
  batchSize?: number;
  fail?: (event: BusEvent) => boolean;
  isTransient?: () => boolean;
};

export function collect(
  bus: EventBus,
  { group, fail = () => false, isTransient = () => false, ...options }: CollectOptions,
) {
  const events: BusEvent[] = [];
  const subscription: Subscription = bus.subscribe({
    topic: options.topic ?? topic,
    group,
    retry: fastRetry,
    isTransient,
    ...(options.batchSize ? { batchSize: options.batchSize } : {}),
    handler: async (batch) => {
      if (batch.some(fail)) throw new Error("made to fail");
      events.push(...batch);
    },
  });
  return {
    bus,
    events,
    subscription,
    until: (done: (events: BusEvent[]) => boolean, withinMs?: number) =>
      eventually(() => done(events), withinMs),
  };
}

let groups = 0;

export function newGroup(): string {
  return `group-${process.pid}-${++groups}`;
}

export function newEvent(key: string, over: Partial<BusEvent> = {}): BusEvent {
  return {
    id: randomUUID(),
    source: "/lampid/test",
    type: "lampid.test.v1.Tested",
    subject: "test/1",
    key,
    time: "2026-11-20T01:02:03.004Z",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    data: new Uint8Array(),
    ...over,
  };
}

export function ids(events: readonly BusEvent[]): string[] {
  return events.map(({ id }) => id);
}
