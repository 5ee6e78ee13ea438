import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { StreamPendudukResponseSchema } from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import {
  DaftarPendudukHubSchema,
  KelompokPendudukSchema,
  PendudukHubSchema,
} from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { batchBuffer, batchReader, rowsOf, streamResponse } from "./batches.ts";
import { BAD_KINDS, kindOf } from "./domain/bad-rows.ts";
import { batchesOf, openTestHub } from "./fixture.ts";
import { MAX_ROW_BYTES } from "./row-encoder.ts";

test("the written bytes are those of the readable message: good rows, each bad kind, each kind of change", async () => {
  const hub = await openTestHub({ penduduk: 60_000 });
  for (const permil of [300, 200]) await hub.changePenduduk(permil);
  const asOf = hub.versi();
  const seen = new Set<string>();
  let longest = 0;
  for (const { penduduk } of await batchesOf(hub)) {
    for (const row of penduduk) {
      const index = Number(row.id) - 1;
      const expected = hub.rowAt(index, asOf)!;
      assert.deepEqual(row, expected);
      longest = Math.max(longest, toBinary(PendudukHubSchema, expected).length);
      if (row.versi === row.id) seen.add(kindOf(hub.world, index) ?? "good");
      seen.add(row.dihapus ? "dihapus" : `status ${row.status}`);
      if (index >= 60_000) seen.add("born");
    }
  }
  assert.deepEqual(
    [...seen].sort(),
    [...BAD_KINDS, "good", "dihapus", "status 1", "status 2", "born"].sort(),
  );
  assert.ok(longest < MAX_ROW_BYTES - 100, String(longest));
});

test("bytes are canonical: encoding what was decoded gives them again", async () => {
  const [batch] = await batchesOf(await openTestHub(), {}, 500);
  const { isi } = batch!;
  const again = toBinary(DaftarPendudukHubSchema, fromBinary(DaftarPendudukHubSchema, isi));
  assert.ok(isi.equals(again));
});

test("a batch is a StreamPendudukResponse around its rows, canonical too", async () => {
  const hub = await openTestHub({ penduduk: 100 });
  const reader = batchReader(hub, { kodeWilayah: "ID", since: 0, asOf: 100 }, undefined, "");
  for (let dari = ""; ; ) {
    const batch = await reader.read(batchBuffer(30), 30);
    if (!batch) break;
    const bytes = Buffer.from(streamResponse(batch));
    const message = fromBinary(StreamPendudukResponseSchema, bytes);
    assert.ok(bytes.equals(toBinary(StreamPendudukResponseSchema, message)));
    const kelompok = message.kelompok!;
    assert.equal(kelompok.$typeName, KelompokPendudukSchema.typeName);
    assert.ok(rowsOf(batch).equals(kelompok.isi));
    assert.equal(kelompok.dari, dari);
    assert.ok(kelompok.sampai.length > 0 && kelompok.sampai.length <= 64);
    dari = kelompok.sampai;
  }
});

test("a field that the contract does not know is there when asked for, and disturbs nothing", async () => {
  const hub = await openTestHub({ penduduk: 50 });
  const read = async (hasNewField: boolean) => {
    const reader = batchReader(hub, { kodeWilayah: "ID", since: 0, asOf: 50 }, undefined, "");
    const batch = await reader.read(batchBuffer(50), 50, { hasNewField });
    return fromBinary(DaftarPendudukHubSchema, rowsOf(batch!)).penduduk;
  };
  const plain = await read(false);
  for (const [n, { $unknown, ...row }] of (await read(true)).entries()) {
    assert.deepEqual(
      $unknown!.map(({ no }) => no),
      [100],
    );
    assert.deepEqual(row, { ...plain[n] });
  }
});
