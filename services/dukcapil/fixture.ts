// Hubs for tests: small ones on the real list of kelurahan, in memory.
import { randomUUID } from "node:crypto";
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { loadKelurahan, loadWilayah } from "#chassis/wilayah.ts";
import {
  DaftarPendudukHubSchema,
  type PendudukHub,
  PendudukHubSchema,
} from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { type Batch, batchBuffer, batchReader, rowsOf } from "./batches.ts";
import { readSelection } from "./cursor.ts";
import { type Hub, openHub } from "./hub.ts";
import type { Entry } from "./journal.ts";

export const kelurahan = loadKelurahan();
const { nama } = loadWilayah();

export type TestHub = Hub & { entries: Entry[] };

export async function openTestHub({
  seed = 1,
  penduduk = 20_000,
  codes = kelurahan,
  entries = [] as readonly Entry[],
  churn = 0,
} = {}): Promise<TestHub> {
  const written = [...entries];
  const journal = {
    entries,
    append: async (entry: Entry) => void written.push(entry),
  };
  const hub = await openHub({ seed, penduduk, kelurahan: codes, namaOf: nama }, journal, churn);
  return Object.assign(hub, { entries: written });
}

export type Wanted = {
  kodeWilayah?: string;
  since?: bigint | number;
  asOf?: bigint | number;
  cursor?: string;
};

/** Every batch of a stream, its rows decoded. */
export async function batchesOf(
  hub: Hub,
  { kodeWilayah = "ID", since = 0, asOf = 0, cursor = "" }: Wanted = {},
  rows = 1_000,
): Promise<(Batch & { isi: Buffer; penduduk: PendudukHub[] })[]> {
  const request = { kodeWilayah, sinceVersi: BigInt(since), asOfVersi: BigInt(asOf) };
  const { selection, from } = readSelection(hub, request, cursor);
  const reader = batchReader(hub, selection, from, cursor);
  const found = [];
  const buffer = batchBuffer(rows);
  for (let batch = await reader.read(buffer, rows); batch; batch = await reader.read(buffer, rows)) {
    const isi = Buffer.from(rowsOf(batch));
    found.push({ ...batch, isi, penduduk: fromBinary(DaftarPendudukHubSchema, isi).penduduk });
  }
  return found;
}

export async function rowsFrom(hub: Hub, wanted: Wanted = {}): Promise<PendudukHub[]> {
  return (await batchesOf(hub, wanted)).flatMap(({ penduduk }) => penduduk);
}

/** A hub that has gone through everything, and where it stood in between. */
export async function livedHub() {
  const hub = await openTestHub({ penduduk: 8_000, codes: kelurahan.slice(0, 300) });
  const stages = [hub.versi()];
  await hub.changePenduduk(150);
  stages.push(hub.versi());
  await hub.reportPeristiwa(randomUUID(), said(hub, 77, { alamat: "Jl. Baru No. 1" }));
  await hub.reportPeristiwa(randomUUID(), newRow());
  stages.push(hub.versi());
  await hub.changePenduduk(300);
  stages.push(hub.versi());
  return { hub, stages };
}

export function said(
  hub: TestHub,
  index: number,
  over: MessageInitShape<typeof PendudukHubSchema>,
): PendudukHub {
  return create(PendudukHubSchema, Object.assign(hub.rowAt(index, hub.versi())!, over));
}

export function newRow(over: MessageInitShape<typeof PendudukHubSchema> = {}): PendudukHub {
  return create(PendudukHubSchema, {
    nik: "1101011711260001",
    nama: "Cut Meutia",
    kodeWilayah: kelurahan[3]!,
    ...over,
  });
}
