// Issues and revokes documents as reports take effect and are taken back, once an event.
import { fromBinary } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { v7 as uuidv7 } from "uuid";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { isDatabaseUnavailable } from "#chassis/database.ts";
import { type Efek, Efek_Perintah as EfekPerintah } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import {
  LaporanBerlakuSchema,
  LaporanDicabutSchema,
  type PerubahanLaporan,
} from "#gen/lampid/pelaporan/v1/pelaporan_events_pb.ts";
import { type Kabar, type Perintah, tindakanOf } from "./domain/tindakan.ts";
import { type Pernyataan, sidikOf } from "./pernyataan.ts";
import type { DokumenStore, NewDokumen } from "./store.ts";
import type { bahanOf } from "./sumber.ts";

export type ConsumerDeps = {
  store: Pick<DokumenStore, "hasHandled" | "orangOf" | "apply">;
  bahan: ReturnType<typeof bahanOf>;
  sign: (pernyataan: Pernyataan) => Promise<string>;
};

type Dibaca = { kabar: Kabar; perubahan: PerubahanLaporan; efek?: Efek };

export function issueDokumen({ store, bahan, sign }: ConsumerDeps) {
  return async (events: readonly BusEvent[]): Promise<void> => {
    for (const event of events) await handle(event);
  };

  async function handle(event: BusEvent): Promise<void> {
    const dibaca = read(event);
    if (!dibaca) return;
    const { kabar, perubahan, efek } = dibaca;
    const { laporan, versi, kodeWilayah, pelaku } = perubahan;
    // Before anything personal is read for an event that has had its effect.
    if (await store.hasHandled(laporan, versi)) return;
    const waktu = timestampDate(perubahan.waktu!);
    const tindakan = tindakanOf(kabar);
    const audit = {
      subject: pelaku,
      role: "service",
      action: event.type,
      wilayah: kodeWilayah,
      traceparent: event.traceparent,
      at: waktu,
    };
    const peristiwa = { id: event.id, laporan, versi, waktu, audit };
    if (tindakan.tindakan === "cabut") return store.apply(peristiwa, tindakan.alasan);
    return store.apply(peristiwa, tindakan.alasanGanti, await newDokumen(perubahan, efek!, waktu));
  }

  async function newDokumen(
    perubahan: PerubahanLaporan,
    efek: Efek,
    createdAt: Date,
  ): Promise<NewDokumen | undefined> {
    const { laporan, nomor: nomorLaporan, kodeWilayah } = perubahan;
    const found = await bahan(perubahan, efek, await store.orangOf(laporan));
    if (!found) return undefined;
    const { jenis, nomor, fakta, orang } = found;
    const id = uuidv7();
    const sidik = sidikOf(jenis, nomor, fakta);
    const pernyataan = await sign({ id, jenis, nomor, nomorLaporan, terbit: createdAt, sidik });
    return { id, jenis, nomor, laporan, nomorLaporan, kodeWilayah, fakta, orang, pernyataan, createdAt };
  }
}

/** The database, pelaporan or penduduk is away: the event waits, and is no poisoned one. */
export function isAway(cause: unknown): boolean {
  if (!(cause instanceof ConnectError)) return isDatabaseUnavailable(cause);
  return [Code.Unavailable, Code.DeadlineExceeded, Code.ResourceExhausted].includes(cause.code);
}

/** undefined for an event that changes no document. */
function read({ type, data }: BusEvent): Dibaca | undefined {
  switch (type) {
    case LaporanBerlakuSchema.typeName: {
      const { perubahan, efek } = fromBinary(LaporanBerlakuSchema, data);
      if (!perubahan || !efek) throw new Error(`${type} does not say what took effect`);
      const { nomorAkta, nomorSuratPindah } = efek;
      const perintah = PERINTAH[efek.perintah];
      if (!perintah) throw new Error(`${type} has a command that is not known here`);
      return { kabar: { jenis: "berlaku", perintah, nomorAkta, nomorSuratPindah }, perubahan, efek };
    }
    case LaporanDicabutSchema.typeName: {
      const { perubahan } = fromBinary(LaporanDicabutSchema, data);
      if (!perubahan) throw new Error(`${type} does not say of which report it is`);
      return { kabar: { jenis: "dicabut" }, perubahan };
    }
    default:
      return undefined;
  }
}

const PERINTAH: Readonly<Record<EfekPerintah, Perintah | undefined>> = {
  [EfekPerintah.UNSPECIFIED]: undefined,
  [EfekPerintah.PENGESAHAN]: "pengesahan",
  [EfekPerintah.PEMBETULAN]: "pembetulan",
  [EfekPerintah.PENCABUTAN]: "pencabutan",
  [EfekPerintah.PENGEMBALIAN]: "pengembalian",
};
