// Events as statistik gets them: of one registration in kecamatan 32.01.01, and of a batch that was synchronised.
import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import {
  PendudukDisinkronkanSchema,
  PendudukTerdaftarSchema,
} from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";

export function registered(): BusEvent {
  return {
    id: randomUUID(),
    source: "/lampid/penduduk",
    type: PendudukTerdaftarSchema.typeName,
    subject: "penduduk/1",
    key: "32.01.01",
    time: "2026-11-20T03:00:00.000Z",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    data: toBinary(PendudukTerdaftarSchema, create(PendudukTerdaftarSchema, { kodeWilayah: "32.01.01" })),
  };
}

/** @param selisih by kecamatan. */
export function synchronised(selisih: Record<string, number>): BusEvent {
  return {
    ...registered(),
    type: PendudukDisinkronkanSchema.typeName,
    data: toBinary(
      PendudukDisinkronkanSchema,
      create(PendudukDisinkronkanSchema, {
        selisih: Object.entries(selisih).map(([kodeWilayah, each]) => ({ kodeWilayah, selisih: each })),
      }),
    ),
  };
}
