// Notes what integrasi tells of the systems outside: how far each has been told of what a report did.
import { create, fromBinary } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { PengirimanPeristiwaSchema } from "#gen/lampid/integrasi/v1/integrasi_events_pb.ts";
import {
  Pengiriman_Sistem as ToldSistem,
  Pengiriman_Status as ToldStatus,
} from "#gen/lampid/integrasi/v1/pengiriman_pb.ts";
import {
  type Pengiriman as PengirimanMessage,
  PengirimanSchema,
  Pengiriman_Sistem as ShownSistem,
  Pengiriman_Status as ShownStatus,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import { type Pengiriman, type Sistem, type StatusPengiriman, supersedes } from "./domain/pengiriman.ts";

/** A delivery of one event of one report to one system. */
export type PengirimanRecord = Pengiriman & { laporan: string; peristiwa: string };

export type PengirimanStore = {
  /** Each of another report, event or system; what does not supersede what is kept is left. */
  note: (deliveries: readonly PengirimanRecord[]) => Promise<void>;
};

const SISTEM: ReadonlyMap<ToldSistem, Sistem> = new Map([
  [ToldSistem.DUKCAPIL, "dukcapil"],
  [ToldSistem.SIAK, "siak"],
]);
const STATUS: ReadonlyMap<ToldStatus, StatusPengiriman> = new Map([
  [ToldStatus.MENUNGGU, "menunggu"],
  [ToldStatus.DITERIMA, "diterima"],
  [ToldStatus.DITOLAK, "ditolak"],
]);

const SHOWN_SISTEM: Readonly<Record<Sistem, ShownSistem>> = {
  dukcapil: ShownSistem.DUKCAPIL,
  siak: ShownSistem.SIAK,
};
const SHOWN_STATUS: Readonly<Record<StatusPengiriman, ShownStatus>> = {
  menunggu: ShownStatus.MENUNGGU,
  diterima: ShownStatus.DITERIMA,
  ditolak: ShownStatus.DITOLAK,
};

/** Twice is as good as once, and late as good as in time: so it needs no inbox. */
export function noteDeliveries(store: PengirimanStore) {
  return async (events: readonly BusEvent[]): Promise<void> => {
    const newest = new Map<string, PengirimanRecord>();
    for (const next of events.flatMap(deliveryOf)) {
      const key = [next.laporan, next.peristiwa, next.sistem].join(" ");
      if (supersedes(next, newest.get(key))) newest.set(key, next);
    }
    if (newest.size > 0) await store.note([...newest.values()]);
  };
}

export function pengirimanMessage({ sistem, status, alasan, waktu }: Pengiriman): PengirimanMessage {
  return create(PengirimanSchema, {
    sistem: SHOWN_SISTEM[sistem],
    status: SHOWN_STATUS[status],
    alasan,
    waktu: timestampFromDate(waktu),
  });
}

/** Events of other types, and what no report did, are not ours. */
function deliveryOf({ id, type, data }: BusEvent): PengirimanRecord[] {
  if (type !== PengirimanPeristiwaSchema.typeName) return [];
  const told = fromBinary(PengirimanPeristiwaSchema, data);
  if (told.laporan === "") return [];
  const laporan = /^laporan\/([0-9a-f-]{36})$/.exec(told.laporan)?.[1];
  const sistem = SISTEM.get(told.sistem);
  const status = STATUS.get(told.status);
  if (!laporan || !sistem || !status || !told.waktu) throw new Error(`event ${id} tells of no delivery`);
  const { peristiwa, alasan } = told;
  return [{ laporan, peristiwa, sistem, status, alasan, waktu: timestampDate(told.waktu) }];
}
