// Events as statistik gets them: of a registration, of a batch that was synchronised, of a report that took effect.
import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import {
  PendudukDisinkronkanSchema,
  PendudukTerdaftarSchema,
} from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import { PeristiwaBerlakuSchema } from "#gen/lampid/peristiwa/v1/peristiwa_events_pb.ts";
import { Mutasi_Komponen } from "#gen/lampid/peristiwa/v1/peristiwa_pb.ts";

const MORNING = "2026-11-20T03:00:00.000Z";

/** In kecamatan 32.01.01. */
export function registered(): BusEvent {
  return registeredIn("32.01.01");
}

export function registeredIn(kodeWilayah: string, over: Partial<BusEvent> = {}): BusEvent {
  return {
    id: randomUUID(),
    source: "/lampid/penduduk",
    type: PendudukTerdaftarSchema.typeName,
    subject: "penduduk/1",
    key: kodeWilayah,
    time: MORNING,
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    data: toBinary(PendudukTerdaftarSchema, create(PendudukTerdaftarSchema, { kodeWilayah })),
    ...over,
  };
}

/** @param selisih by wilayah. */
export function synchronised(selisih: Record<string, number>, over: Partial<BusEvent> = {}): BusEvent {
  return {
    ...registered(),
    type: PendudukDisinkronkanSchema.typeName,
    data: toBinary(
      PendudukDisinkronkanSchema,
      create(PendudukDisinkronkanSchema, {
        selisih: Object.entries(selisih).map(([kodeWilayah, each]) => ({ kodeWilayah, selisih: each })),
      }),
    ),
    ...over,
  };
}

export type Effect = Partial<
  Record<Lowercase<Exclude<keyof typeof Mutasi_Komponen, "UNSPECIFIED">>, Record<string, number>>
>;

/** @param effect persons by component and wilayah. @param waktu when it was approved; default, when it took effect. */
export function effective(
  effect: Effect,
  {
    waktu,
    dalamPerpindahan = 0,
    ...over
  }: Partial<BusEvent> & { waktu?: string; dalamPerpindahan?: number } = {},
): BusEvent {
  const event = { ...registered(), type: PeristiwaBerlakuSchema.typeName, ...over };
  const mutasi = Object.entries(effect).flatMap(([name, persons]) => {
    const komponen = Mutasi_Komponen[name.toUpperCase() as keyof typeof Mutasi_Komponen];
    return Object.entries(persons).map(([kodeWilayah, jumlah]) => ({ kodeWilayah, komponen, jumlah }));
  });
  const data = toBinary(
    PeristiwaBerlakuSchema,
    create(PeristiwaBerlakuSchema, {
      laporan: "laporan/1",
      kodeWilayah: "32.01.01.1006",
      hasil: { mutasi, dalamPerpindahan },
      waktu: timestampFromDate(new Date(waktu ?? event.time)),
    }),
  );
  return { ...event, data };
}
