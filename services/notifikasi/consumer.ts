// Makes one message of each registration, and of each route that leaves the new system or comes back, for the officer on duty.
import { fromBinary } from "@bufbuild/protobuf";
import { v7 as uuidv7 } from "uuid";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { kecamatanOf, NATION, type WilayahIndex } from "#chassis/wilayah.ts";
import { RuteDialihkan_Arah as Arah, RuteDialihkanSchema } from "#gen/lampid/gateway/v1/gateway_events_pb.ts";
import { PendudukTerdaftarSchema } from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import type { NewPesan, PesanStore } from "./store.ts";
import { templates } from "./templates.ts";

export type ConsumerDeps = {
  store: PesanStore;
  wilayah: WilayahIndex;
  /** Channel that new messages take. */
  kanal: string;
  clock: () => Date;
  onQueued: () => void;
};

export function announceRegistrations({ store, wilayah, kanal, clock, onQueued }: ConsumerDeps) {
  return async (events: readonly BusEvent[]): Promise<void> => {
    const messages = events.flatMap((event): NewPesan[] => {
      if (event.type !== PendudukTerdaftarSchema.typeName) return [];
      const { nama, nikTersamar, provinsi, kodeWilayah } = fromBinary(PendudukTerdaftarSchema, event.data);
      const kecamatan = wilayah.nama(kecamatanOf(kodeWilayah)) ?? kodeWilayah;
      const isi = templates.pendaftaran_baru({ nama, nikTersamar, provinsi, wilayah: kecamatan });
      const createdAt = clock();
      return [
        { id: uuidv7(), eventId: event.id, kanal, templat: "pendaftaran_baru", kodeWilayah, isi, createdAt },
      ];
    });
    if (messages.length === 0) return;
    await store.enqueue(messages);
    onQueued();
  };
}

export function announceRoutes({ store, kanal, clock, onQueued }: Omit<ConsumerDeps, "wilayah">) {
  return async (events: readonly BusEvent[]): Promise<void> => {
    const messages = events.flatMap((event): NewPesan[] => {
      if (event.type !== RuteDialihkanSchema.typeName) return [];
      const rute = fromBinary(RuteDialihkanSchema, event.data);
      const templat = rute.arah === Arah.LAMA ? "rute_dialihkan" : "rute_pulih";
      const isi = templates[templat](rute);
      const createdAt = clock();
      return [{ id: uuidv7(), eventId: event.id, kanal, templat, kodeWilayah: NATION, isi, createdAt }];
    });
    if (messages.length === 0) return;
    await store.enqueue(messages);
    onQueued();
  };
}
