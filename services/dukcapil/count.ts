// Counts and hashes what StreamPenduduk sends, per kecamatan.
import { hash } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HitunganWilayahSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { createRowFacts, readNik } from "./domain/row-facts.ts";
import { nikText } from "./domain/row-text.ts";
import type { Hub } from "./hub.ts";
import { RowWalk, type Selection } from "./walk.ts";

/** Rows between two looks at the clock. */
const ROWS_A_LOOK = 500;
/** Others wait no longer than this, milliseconds. */
const SLICE_MS = 8;

export type Counted = MessageInitShape<typeof HitunganWilayahSchema>;

export async function countPenduduk(
  hub: Hub,
  selection: Selection,
  { withSidik, signal }: { withSidik: boolean; signal?: AbortSignal },
): Promise<Counted[]> {
  if (!withSidik && hub.world.rounds.length === 0 && hub.events.size === 0) return countStill(hub, selection);
  const { layout } = hub.world;
  const counts = new Int32Array(layout.kecamatan.length);
  const sums = new BigUint64Array(withSidik ? counts.length : 0);
  const walk = new RowWalk(hub, selection);
  const facts = createRowFacts();
  let sliceEnd = performance.now() + SLICE_MS;
  for (let rows = 1; ; rows++) {
    const step = walk.next(ROWS_A_LOOK * 20);
    if (step === "end") break;
    if (step === "row") {
      const kec = layout.kecOfKel[walk.kel]!;
      counts[kec]!++;
      if (withSidik) sums[kec]! += sidikOf(hub, walk, facts);
    }
    if ((step === "pause" || rows % ROWS_A_LOOK === 0) && performance.now() > sliceEnd) {
      await turn();
      signal?.throwIfAborted();
      sliceEnd = performance.now() + SLICE_MS;
    }
  }
  return entries(hub, counts, sums);
}

/** While nothing has changed, rows of a kecamatan have one number after the other. */
function countStill(hub: Hub, { kodeWilayah, since, asOf }: Selection): Counted[] {
  const { layout } = hub.world;
  const { fromKel, toKel } = layout.rangeOf(kodeWilayah);
  const counts = new Int32Array(layout.kecamatan.length);
  for (let kel = fromKel; kel < toKel; kel++) {
    const first = Math.max(layout.kelStart[kel]!, since);
    const end = Math.min(layout.kelStart[kel + 1]!, asOf);
    counts[layout.kecOfKel[kel]!]! += Math.max(0, end - first);
  }
  return entries(hub, counts, new BigUint64Array(0));
}

function sidikOf(hub: Hub, walk: RowWalk, facts: ReturnType<typeof createRowFacts>): bigint {
  let nik: string;
  if (walk.event) nik = walk.event.message.nik;
  else {
    readNik(hub.world, walk.state, facts);
    nik = nikText(hub.world, facts);
  }
  return hash("sha256", `${nik}:${walk.versi}`, "buffer").readBigUInt64BE(0);
}

function entries({ world }: Hub, counts: Int32Array, sums: BigUint64Array): Counted[] {
  const found: Counted[] = [];
  for (const [kec, jumlah] of counts.entries()) {
    const kodeWilayah = world.layout.kecamatan[kec]!;
    if (jumlah > 0) found.push({ kodeWilayah, jumlah, sidik: sums[kec] ?? 0n });
  }
  return found;
}
