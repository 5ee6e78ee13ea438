import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLogger } from "#chassis/log.ts";
import type { Channel } from "./channels/channel.ts";
import { type DeliveryDeps, deliverDue, Postponed, runDelivery } from "./delivery.ts";
import type { Kontak } from "./kontak.ts";
import type { Delivery, PesanRecord } from "./store.ts";

const NOW = new Date("2026-11-20T03:00:00Z").getTime();

/** A queue in memory, a clock that the test moves, and channels that count what they get. */
function start(
  send: (message: PesanRecord, to?: string) => Promise<void>,
  {
    kanal = "email",
    penerima = "petugas" as PesanRecord["penerima"],
    kontak = async (): Promise<Kontak> => undefined,
    standIn = undefined as string | undefined,
    count = 1,
    maxAttempts = 3,
    breakerPauseMs = 60,
  } = {},
) {
  let now = NOW;
  let logged = "";
  const tries: string[] = [];
  const queue = new Map<string, PesanRecord & { nextTryAt: Date }>();
  const log = createLogger("test", "trace", {
    write(line: string) {
      logged += line;
    },
  });
  for (let n = 0; n < count; n++) {
    const id = `pesan-${n}`;
    const createdAt = new Date(now);
    queue.set(id, {
      id,
      penerima,
      kanal,
      templat: "pendaftaran_baru",
      kodeWilayah: "32.01.01",
      laporan: "",
      isi: "Pendaftaran baru: Rahasiawati",
      status: "antre",
      percobaan: 0,
      kesalahan: "",
      createdAt,
      deliveredAt: undefined,
      nextTryAt: createdAt,
    });
  }
  const channel: Channel = {
    concurrency: 20,
    send: (message, to) => {
      tries.push(message.id);
      return send(message, to);
    },
  };
  const store: DeliveryDeps["store"] = {
    async due(at, limit) {
      return [...queue.values()]
        .filter(({ status, nextTryAt }) => status === "antre" && nextTryAt <= at)
        .slice(0, limit);
    },
    async record(deliveries: readonly Delivery[]) {
      for (const delivery of deliveries) {
        const pesan = queue.get(delivery.id)!;
        if (delivery.status !== "tertunda") {
          pesan.status = delivery.status;
          pesan.percobaan++;
          pesan.kesalahan = "kesalahan" in delivery ? delivery.kesalahan : "";
          if ("kanal" in delivery) pesan.kanal = delivery.kanal;
        }
        if ("nextTryAt" in delivery) pesan.nextTryAt = delivery.nextTryAt;
      }
    },
  };
  const deliver = deliverDue({
    store,
    channels: new Map([
      ["log", channel],
      ["email", channel],
    ]),
    kontak,
    ...(standIn ? { standIn } : {}),
    clock: () => new Date(now),
    log,
    maxAttempts,
    breakerPauseMs,
    random: () => 1,
  });
  const pesan = () => [...queue.values()];
  return {
    deliver,
    store,
    tries,
    pesan,
    logged: () => logged,
    advance(ms: number) {
      now += ms;
    },
    /** Milliseconds from the start until the next try. */
    dueIn: () => pesan()[0]!.nextTryAt.getTime() - NOW,
  };
}

const down = async () => {
  throw Object.assign(new Error("550 <rahasia@contoh.id> refused"), { code: "EENVELOPE" });
};

describe("delivery", () => {
  test("tries every due message once, and records that it arrived", async () => {
    const { deliver, tries, pesan } = start(async () => {}, { count: 250 });
    assert.equal(await deliver(), 200, "a round is bounded");
    assert.equal(await deliver(), 50);
    assert.equal(await deliver(), 0);
    assert.equal(new Set(tries).size, 250);
    assert.equal(tries.length, 250);
    assert.ok(pesan().every(({ status, percobaan }) => status === "terkirim" && percobaan === 1));
  });

  test("tries a failed message again after 2 s, 4 s, ..., and gives it up after the last try", async () => {
    const { deliver, pesan, advance, dueIn, tries } = start(down, { maxAttempts: 3, kanal: "log" });
    await deliver();
    assert.equal(dueIn(), 2_000);
    assert.equal(pesan()[0]!.status, "antre");
    assert.equal(await deliver(), 0, "not before its time");
    advance(2_000);
    await deliver();
    assert.equal(dueIn(), 2_000 + 4_000);
    advance(4_000);
    await deliver();
    assert.equal(pesan()[0]!.status, "gagal");
    advance(60 * 60_000);
    assert.equal(await deliver(), 0, "what was given up waits for a person");
    assert.equal(tries.length, 3);
  });

  test("waits 15 minutes at most between tries", async () => {
    const { deliver, pesan, advance, dueIn } = start(down, { maxAttempts: 20, kanal: "log" });
    for (let elapsed = 0; pesan()[0]!.status === "antre"; elapsed += 15 * 60_000) {
      await deliver();
      assert.ok(dueIn() - elapsed <= 15 * 60_000);
      advance(15 * 60_000);
    }
    assert.equal(pesan()[0]!.percobaan, 20);
  });

  test("fails a message alone: the others of the round arrive", async () => {
    const { deliver, pesan } = start(async ({ id }) => (id === "pesan-3" ? down() : undefined), {
      count: 10,
      kanal: "log",
    });
    await deliver();
    assert.deepEqual(
      pesan().flatMap(({ id, status }) => (status === "terkirim" ? [] : [id])),
      ["pesan-3"],
    );
  });

  test("of a channel that is not configured fails, and says so in the delivery log", async () => {
    const { deliver, pesan } = start(async () => {}, { kanal: "merpati", maxAttempts: 1 });
    await deliver();
    assert.equal(pesan()[0]!.status, "gagal");
    assert.notEqual(pesan()[0]!.kesalahan, "");
  });

  test("notes the class of a failure, never what the provider quotes, and no text of a message", async () => {
    const { deliver, pesan, logged } = start(down, { kanal: "log" });
    await deliver();
    assert.equal(pesan()[0]!.kesalahan, "Error EENVELOPE");
    assert.match(logged(), /message not delivered/);
    assert.ok(!logged().includes("rahasia@") && !logged().includes("Rahasiawati"));
  });
});

describe("a provider that is down", () => {
  test("is left alone after some failures, and messages keep their place and their tries", async () => {
    const { deliver, tries, pesan, advance, logged } = start(down, { count: 100, maxAttempts: 8 });
    await deliver();
    const triedBefore = tries.length;
    assert.ok(triedBefore < 100, "the rest of the round was not even tried");
    assert.match(logged(), /channel is failing/);
    for (let round = 0; round < 50; round++) {
      advance(1_000);
      await deliver();
    }
    assert.equal(tries.length, triedBefore, "nothing is sent while it is left alone");
    assert.ok(pesan().every(({ status }) => status === "antre"));
    assert.ok(pesan().every(({ percobaan }) => percobaan <= 1));
  });

  test("and comes back gets every message, none given up for the time it was away", async () => {
    let working = false;
    const provider = async () => {
      if (!working) await down();
    };
    const { deliver, pesan, advance } = start(provider, { count: 60, maxAttempts: 4 });
    for (let round = 0; round < 10; round++) {
      await deliver();
      advance(30_000);
    }
    assert.ok(pesan().every(({ status }) => status === "antre"));
    working = true;
    await sleep(100);
    for (let round = 0; round < 20; round++) {
      await deliver();
      advance(30_000);
    }
    assert.ok(pesan().every(({ status }) => status === "terkirim"));
  });
});

describe("a message to a reporter", () => {
  const toReporter = { penerima: "pelapor", kanal: "" } as const;
  const email = async (): Promise<Kontak> => ({ kanal: "email", alamat: "budi@contoh.example" });

  test("goes to the address that is asked for when it is sent, and by that channel", async () => {
    const sent: unknown[] = [];
    const { deliver, pesan } = start(async (_message, to) => void sent.push(to), {
      ...toReporter,
      kontak: email,
    });
    await deliver();
    assert.deepEqual(sent, ["budi@contoh.example"]);
    assert.deepEqual([pesan()[0]!.status, pesan()[0]!.kanal], ["terkirim", "email"]);
    assert.ok(!JSON.stringify(pesan()).includes("budi@"), "the address is kept nowhere");
  });

  test("who wants none is not sent, and is asked for no more", async () => {
    const { deliver, pesan, tries } = start(async () => {}, toReporter);
    await deliver();
    assert.equal(pesan()[0]!.status, "tidak_dikirim");
    assert.equal(await deliver(), 0);
    assert.deepEqual(tries, []);
  });

  test("waits with all its tries while nobody can say where it goes", async () => {
    let isAway = true;
    const kontak = async () => {
      if (isAway) throw new Postponed("away");
      return email();
    };
    const { deliver, pesan, advance, tries } = start(async () => {}, { ...toReporter, kontak });
    for (let round = 0; round < 20; round++) {
      await deliver();
      advance(30_000);
    }
    assert.deepEqual([pesan()[0]!.status, pesan()[0]!.percobaan, tries], ["antre", 0, []]);
    isAway = false;
    await deliver();
    assert.equal(pesan()[0]!.status, "terkirim");
  });

  test("about a report that is not there is given up after the last try", async () => {
    const kontak = async () => {
      throw new Error("not found");
    };
    const { deliver, pesan, advance } = start(async () => {}, { ...toReporter, kontak, maxAttempts: 2 });
    await deliver();
    advance(60_000);
    await deliver();
    assert.deepEqual([pesan()[0]!.status, pesan()[0]!.percobaan], ["gagal", 2]);
  });

  test("by a channel that is not configured goes where the mesh says, or fails", async () => {
    const kontak = async (): Promise<Kontak> => ({ kanal: "sms", alamat: "+628111222333" });
    const stoodIn = start(async () => {}, { ...toReporter, kontak, standIn: "log" });
    await stoodIn.deliver();
    assert.deepEqual([stoodIn.pesan()[0]!.status, stoodIn.pesan()[0]!.kanal], ["terkirim", "log"]);
    const failing = start(async () => {}, { ...toReporter, kontak, maxAttempts: 1 });
    await failing.deliver();
    assert.equal(failing.pesan()[0]!.status, "gagal");
  });

  test("that the provider refuses for its address stops no message to anyone else", async () => {
    const { deliver, tries } = start(down, { ...toReporter, kontak: email, count: 60 });
    await deliver();
    assert.equal(tries.length, 60, "the channel was never left alone");
  });
});

describe("a sender that dies between the provider's answer and its own note", () => {
  test("sends the same message again under the same id, and that is all that is sent twice", async () => {
    const sent: string[] = [];
    let dies = true;
    const { deliver, pesan, store } = start(async ({ id }) => void sent.push(id), { count: 3 });
    const { record } = store;
    store.record = async (deliveries) => {
      if (dies) throw new Error("killed");
      await record(deliveries);
    };
    await assert.rejects(deliver());
    dies = false;
    await deliver();
    await deliver();
    assert.deepEqual(sent, ["pesan-0", "pesan-1", "pesan-2", "pesan-0", "pesan-1", "pesan-2"]);
    assert.ok(pesan().every(({ status, percobaan }) => status === "terkirim" && percobaan === 1));
  });
});

describe("the sender", () => {
  test("works until there is nothing due, then waits to be woken", async () => {
    const stop = new AbortController();
    const due = [200, 7, 0, 5, 0];
    const woken: AbortSignal[] = [];
    let delivered = 0;
    const deliver = async () => {
      const count = due.shift();
      if (count === undefined) {
        stop.abort();
        return 0;
      }
      delivered += count;
      return count;
    };
    const startedAt = performance.now();
    await runDelivery(deliver, async (signal) => void woken.push(signal), stop.signal);
    assert.equal(delivered, 212);
    assert.ok(performance.now() - startedAt < 900, "woken, it does not wait for the next look");
  });

  test("tells who waits for it that a round is over, so that nobody waits for ever", async () => {
    const stop = new AbortController();
    const waiting: AbortSignal[] = [];
    let rounds = 0;
    const running = runDelivery(
      async () => {
        if (++rounds === 3) stop.abort();
        return 0;
      },
      (signal) => {
        waiting.push(signal);
        return new Promise(() => {});
      },
      stop.signal,
    );
    await running;
    assert.ok(rounds >= 2);
    assert.ok(waiting.every(({ aborted }) => aborted));
  });
});
