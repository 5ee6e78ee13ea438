import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { Code } from "@connectrpc/connect";
import {
  asRole,
  asService,
  idsIn,
  isUnavailable,
  type RunningHub,
  readStream,
  refusedWith,
  startHub,
} from "./running-hub.ts";

let hub: RunningHub;
before(async () => {
  hub = await startHub();
});
after(() => hub.close());

describe("the fault switches", () => {
  const set = (gangguan: Parameters<typeof hub.client.setGangguan>[0]["gangguan"]) =>
    hub.client.setGangguan({ gangguan }, asRole("admin_pusat"));
  afterEach(() => set({}));

  test("say what they are, and are off when not named", async () => {
    await set({ latensiMs: 3, rusakSetiap: 2 });
    const { gangguan } = await hub.client.getGangguan({}, asService);
    assert.deepEqual([gangguan!.latensiMs, gangguan!.rusakSetiap, gangguan!.matiMs], [3, 2, 0]);
    assert.equal((await set({ latensiMs: 1 })).gangguan!.rusakSetiap, 0);
    await refusedWith(set({ galatPersen: 101 }), Code.InvalidArgument);
  });

  test("latensi_ms waits before each answer and each batch", async () => {
    await set({ latensiMs: 30 });
    const startedAt = performance.now();
    await hub.client.getHub({}, asService);
    await readStream(hub, {});
    // One answer, the beginning of a stream, and three batches.
    assert.ok(performance.now() - startedAt >= 5 * 29);
  });

  test("galat_persen fails that many calls of a hundred, the same ones each time", async () => {
    const outcomes = async () => {
      await set({ galatPersen: 30 });
      const found = [];
      for (let call = 0; call < 100; call++) {
        found.push(
          await hub.client.getHub({}, asService).then(
            () => true,
            (cause) => !isUnavailable(cause),
          ),
        );
      }
      return found;
    };
    const first = await outcomes();
    const failed = first.filter((succeeded) => !succeeded).length;
    assert.ok(failed > 15 && failed < 45, String(failed));
    assert.deepEqual(await outcomes(), first);
  });

  test("galat_persen ends streams between batches, and the cursor brings all rows in the end", async () => {
    await set({ galatPersen: 20 });
    const ids: bigint[] = [];
    let cursor = "";
    let cuts = 0;
    for (let attempt = 0; attempt < 200; attempt++) {
      const { kelompok, error } = await readStream(hub, { ukuran: 500, cursor });
      ids.push(...kelompok.flatMap(idsIn));
      cursor = kelompok.at(-1)?.sampai ?? cursor;
      if (!error) break;
      assert.ok(isUnavailable(error));
      cuts++;
    }
    assert.ok(cuts > 0);
    assert.equal(ids.length, 5_000);
    assert.equal(new Set(ids).size, 5_000);
  });

  test("putus_setelah cuts a stream after so many batches", async () => {
    await set({ putusSetelah: 2 });
    const { kelompok, error } = await readStream(hub, { ukuran: 1_000 });
    assert.equal(kelompok.length, 2);
    assert.ok(isUnavailable(error));
  });

  test("rusak_setiap spoils every so many-th batch, and its checksum tells", async () => {
    await set({ rusakSetiap: 2 });
    const { kelompok } = await readStream(hub, { ukuran: 1_000 });
    assert.deepEqual(
      kelompok.map((each) => each.crc32 === crc32(each.isi)),
      [true, false, true, false, true],
    );
  });

  test("gandakan_setiap sends every so many-th batch twice", async () => {
    await set({ gandakanSetiap: 2 });
    const { kelompok } = await readStream(hub, { ukuran: 1_000 });
    const begins = kelompok.map((each) => Number(idsIn(each)[0]));
    assert.deepEqual(begins, [1, 1_001, 1_001, 2_001, 3_001, 3_001, 4_001]);
  });

  test("tukar_setiap lets every so many-th batch change places with the next", async () => {
    await set({ tukarSetiap: 2 });
    const { kelompok } = await readStream(hub, { ukuran: 1_000 });
    const begins = kelompok.map((each) => Number(idsIn(each)[0]));
    assert.deepEqual(begins, [1, 2_001, 1_001, 4_001, 3_001]);
  });

  test("kolom_baru adds a field that nobody knows", async () => {
    await set({ kolomBaru: true });
    const page = await hub.client.listPenduduk({ kodeWilayah: "ID", pageSize: 1 }, asService);
    assert.equal(page.penduduk[0]!.$unknown?.[0]?.no, 100);
  });

  test("mati_ms fails all calls and ends running streams, and leaves the switches working", async () => {
    await set({ latensiMs: 60_000 });
    const running = readStream(hub, {});
    const waiting = hub.client.getGangguan({}, asService);
    await waiting;
    await set({ matiMs: 3_600_000 });
    await refusedWith(hub.client.getHub({}, asService), Code.Unavailable, "HUB_DOWN");
    assert.equal(
      (await fetch(`${hub.restUrl}?kode_wilayah=ID`, { headers: { authorization: "Bearer service" } }))
        .status,
      503,
    );
    assert.ok(isUnavailable((await running).error));
    const { gangguan } = await hub.client.getGangguan({}, asService);
    assert.ok(gangguan!.matiMs > 3_500_000 && gangguan!.matiMs <= 3_600_000);
    await set({});
    await hub.client.getHub({}, asService);
  });
});
