import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { PeristiwaBerlakuSchema } from "#gen/lampid/peristiwa/v1/peristiwa_events_pb.ts";
import { Mutasi_Komponen as Komponen } from "#gen/lampid/peristiwa/v1/peristiwa_pb.ts";
import { countsOf } from "./counts.ts";

const ID = "0b6b8f0e-7a36-4b0e-9c55-7d8b3f0a1c2d";
const KELURAHAN = "32.01.01.1006";

type Line = { kodeWilayah: string; komponen: Komponen; jumlah: number };

function berlaku(mutasi: Line[], { waktu = true, dalamPerpindahan = 0 } = {}): BusEvent {
  return {
    id: ID,
    source: "/lampid/penduduk",
    type: PeristiwaBerlakuSchema.typeName,
    subject: "laporan/1",
    key: "laporan/1",
    time: "2026-11-20T03:00:00.000Z",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    data: toBinary(
      PeristiwaBerlakuSchema,
      create(PeristiwaBerlakuSchema, {
        kodeWilayah: KELURAHAN,
        hasil: { mutasi, dalamPerpindahan },
        ...(waktu && { waktu: timestampFromDate(new Date("2026-11-19T03:00:00Z")) }),
      }),
    ),
  };
}

const line = (komponen: Komponen, jumlah: number, kodeWilayah = KELURAHAN): Line => ({
  kodeWilayah,
  komponen,
  jumlah,
});

test("lines of one cell are one count, and a line that adds nothing is none", () => {
  const event = berlaku([line(Komponen.LAHIR, 1), line(Komponen.LAHIR, 1), line(Komponen.MATI, 0)]);
  assert.deepEqual(countsOf(event, 3), [
    { eventId: ID, kode: KELURAHAN, bulan: "2026-11", komponen: "lahir", jumlah: 2 },
  ]);
});

test("who is in transit is counted where it was reported, beside what left", () => {
  const counts = countsOf(berlaku([line(Komponen.PINDAH, 3)], { dalamPerpindahan: 3 }), 3);
  assert.deepEqual(
    counts.map(({ kode, komponen, jumlah }) => [kode, komponen, jumlah]),
    [
      [KELURAHAN, "pindah", 3],
      [KELURAHAN, "dalam_perpindahan", 3],
    ],
  );
});

test("an adjustment may take away, one of the four may not", () => {
  assert.equal(countsOf(berlaku([line(Komponen.PEMBETULAN, -1)]), 3)[0]!.jumlah, -1);
  assert.throws(() => countsOf(berlaku([line(Komponen.LAHIR, -1)]), 3), /takes from lahir/);
});

test("an event is refused that names a component of another's, no wilayah, or no time of approval", () => {
  for (const komponen of [Komponen.REGISTRASI, Komponen.SINKRONISASI, Komponen.UNSPECIFIED, 99 as Komponen]) {
    assert.throws(() => countsOf(berlaku([line(komponen, 1)]), 3), /component that is not its own/);
  }
  for (const kode of ["", "ID", "3201", "32.01.01.100"]) {
    assert.throws(() => countsOf(berlaku([line(Komponen.LAHIR, 1, kode)]), 3), /names no wilayah/);
  }
  assert.throws(
    () => countsOf(berlaku([line(Komponen.LAHIR, 1)], { waktu: false }), 3),
    /when it was approved/,
  );
});
