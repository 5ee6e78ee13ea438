// What took effect in the registry, queued for the systems outside.
import { fromBinary } from "@bufbuild/protobuf";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import {
  BiodataDiperbaruiSchema,
  KartuKeluargaDibuatSchema,
  PendudukTerdaftarSchema,
} from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import {
  PeristiwaBerlaku_Jenis as Berlaku,
  PeristiwaBerlakuSchema,
} from "#gen/lampid/peristiwa/v1/peristiwa_events_pb.ts";
import type { Jenis, Sistem } from "../domain/pengiriman.ts";
import { idOf } from "../messages.ts";
import type { Kejadian, PengirimanStore } from "./store.ts";

export type ConsumerDeps = {
  store: Pick<PengirimanStore, "enqueue">;
  /** Who is told. */
  sistem: readonly Sistem[];
  clock: () => Date;
  onQueued: () => void;
};

const JENIS: Readonly<Partial<Record<Berlaku, Jenis>>> = {
  [Berlaku.KELAHIRAN]: "kelahiran",
  [Berlaku.KEMATIAN]: "kematian",
  [Berlaku.PINDAH]: "pindah",
  [Berlaku.DATANG]: "datang",
  [Berlaku.PENGEMBALIAN]: "pengembalian",
  [Berlaku.PEMBETULAN]: "pembetulan",
  [Berlaku.PENCABUTAN]: "pencabutan",
};

export function queueChanges({ store, sistem, clock, onQueued }: ConsumerDeps) {
  return async (events: readonly BusEvent[]): Promise<void> => {
    const changes = events.flatMap((event) => changeOf(event) ?? []);
    if (changes.length === 0) return;
    await store.enqueue(changes, sistem, clock());
    onQueued();
  };
}

/** Undefined for what changes no resident: the topics carry more. */
function changeOf({ id, type, time, traceparent, data }: BusEvent): Kejadian | undefined {
  const change = (jenis: Jenis, names: readonly string[], laporan = ""): Kejadian => ({
    peristiwa: id,
    jenis,
    laporan,
    penduduk: names.filter((name) => name !== "").map(idOf),
    waktu: new Date(time),
    traceparent,
  });
  switch (type) {
    case PendudukTerdaftarSchema.typeName:
      return change("pendaftaran", [fromBinary(PendudukTerdaftarSchema, data).penduduk]);
    case BiodataDiperbaruiSchema.typeName:
      return change("biodata", [fromBinary(BiodataDiperbaruiSchema, data).penduduk]);
    case KartuKeluargaDibuatSchema.typeName:
      return change("kartu_keluarga", fromBinary(KartuKeluargaDibuatSchema, data).anggota);
    case PeristiwaBerlakuSchema.typeName: {
      const { laporan, jenis: number, hasil } = fromBinary(PeristiwaBerlakuSchema, data);
      const jenis = JENIS[number];
      // Of a newer registry: it waits in the dead letters for a newer integrasi rather than being forgotten.
      if (!jenis) throw new Error(`event ${id} is of the unknown jenis ${number}`);
      const heads = hasil?.kepalaBaru.map(({ penduduk }) => penduduk) ?? [];
      return change(jenis, [...(hasil?.penduduk ?? []), ...heads], laporan);
    }
    default:
      return undefined;
  }
}
