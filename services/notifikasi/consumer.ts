// Makes messages of events: for the officer on duty of each registration, and of each route that leaves the new system or comes
// back; for an office and for the reporter of each step of a report.
import { fromBinary } from "@bufbuild/protobuf";
import { v7 as uuidv7 } from "uuid";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { kecamatanOf, NATION, type WilayahIndex } from "#chassis/wilayah.ts";
import { RuteDialihkan_Arah as Arah, RuteDialihkanSchema } from "#gen/lampid/gateway/v1/gateway_events_pb.ts";
import { Laporan_Jenis as Jenis } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import {
  LaporanDiajukanSchema,
  LaporanTereskalasiSchema,
} from "#gen/lampid/pelaporan/v1/pelaporan_events_pb.ts";
import { PendudukTerdaftarSchema } from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import { type Kanal, kanalFor, type PreferensiStore } from "./preferensi.ts";
import type { NewPesan, PesanStore } from "./store.ts";
import { laporanTemplates, type Tingkat, templates } from "./templates.ts";

export type ConsumerDeps = {
  store: PesanStore;
  preferensi: Pick<PreferensiStore, "find">;
  /** Channel that messages to an office take, unless it has said another. */
  kanal: Kanal;
  clock: () => Date;
  onQueued: () => void;
};

export type AnnounceDeps = ConsumerDeps & { wilayah: WilayahIndex };

/** A message before it is known by which channel it goes. */
type Draft = Omit<NewPesan, "id" | "kanal" | "createdAt">;

type Consumer = (events: readonly BusEvent[]) => Promise<void>;

export function announceRegistrations({ wilayah, ...deps }: AnnounceDeps): Consumer {
  return announce(deps, (event) => {
    if (event.type !== PendudukTerdaftarSchema.typeName) return [];
    const { nama, nikTersamar, provinsi, kodeWilayah } = fromBinary(PendudukTerdaftarSchema, event.data);
    const kecamatan = wilayah.nama(kecamatanOf(kodeWilayah)) ?? kodeWilayah;
    const isi = templates.pendaftaran_baru({ nama, nikTersamar, provinsi, wilayah: kecamatan });
    return [toOffice(event, "pendaftaran_baru", kodeWilayah, isi)];
  });
}

export function announceRoutes(deps: ConsumerDeps): Consumer {
  return announce(deps, (event) => {
    if (event.type !== RuteDialihkanSchema.typeName) return [];
    const rute = fromBinary(RuteDialihkanSchema, event.data);
    const templat = rute.arah === Arah.LAMA ? "rute_dialihkan" : "rute_pulih";
    return [toOffice(event, templat, NATION, templates[templat](rute))];
  });
}

export function announceLaporan(deps: ConsumerDeps): Consumer {
  return announce(deps, (event) => {
    const template = Object.hasOwn(laporanTemplates, event.type) ? laporanTemplates[event.type] : undefined;
    if (!template) return [];
    // Every event of a report has its PerubahanLaporan where this one has it; what else it says is not for messages.
    const { perubahan } = fromBinary(LaporanDiajukanSchema, event.data);
    if (!perubahan) throw new Error(`${event.type} does not say of which report it is`);
    const { nomor, jenis, kodeWilayah, laporan } = perubahan;
    const text = `laporan ${JENIS[jenis]} ${nomor}`;
    const { templat, pelapor, petugas } = template;
    const tingkat = petugas.tingkat === "atasan" ? atasanOf(event) : petugas.tingkat;
    const office = tingkat === "nasional" ? NATION : kodeWilayah.slice(0, KODE_LENGTH[tingkat]);
    const drafts: Draft[] = [{ ...toOffice(event, templat, office, petugas.isi(text)), laporan }];
    if (pelapor) {
      drafts.push({
        eventId: event.id,
        penerima: "pelapor",
        templat,
        kodeWilayah,
        laporan,
        isi: pelapor(text),
      });
    }
    return drafts;
  });
}

const JENIS: Readonly<Record<Jenis, string>> = {
  [Jenis.UNSPECIFIED]: "LAMPID",
  [Jenis.KELAHIRAN]: "kelahiran",
  [Jenis.KEMATIAN]: "kematian",
  [Jenis.PINDAH]: "pindah",
  [Jenis.DATANG]: "datang",
};

const KODE_LENGTH: Readonly<Record<Exclude<Tingkat, "nasional">, number>> = {
  kelurahan: 13,
  kecamatan: 8,
  kabupaten: 5,
};

/** The office of the role above the one that a report waits for. */
function atasanOf({ type, data }: BusEvent): Tingkat {
  const { ke } = fromBinary(LaporanTereskalasiSchema, data);
  const tingkat = Object.hasOwn(ATASAN, ke) ? ATASAN[ke] : undefined;
  if (!tingkat) throw new Error(`${type} names a role that is not known here`);
  return tingkat;
}

const ATASAN: Readonly<Record<string, Tingkat>> = {
  supervisor: "kecamatan",
  admin_kota: "kabupaten",
  admin_pusat: "nasional",
};

function toOffice({ id }: BusEvent, templat: string, kodeWilayah: string, isi: string): Draft {
  return { eventId: id, penerima: "petugas", templat, kodeWilayah, laporan: "", isi };
}

/** Queues what a batch of events makes, in one statement, each message once. */
function announce(
  { store, preferensi, kanal, clock, onQueued }: ConsumerDeps,
  draftsOf: (event: BusEvent) => Draft[],
): Consumer {
  return async (events) => {
    const drafts = events.flatMap(draftsOf);
    if (drafts.length === 0) return;
    const found = await preferensi.find([...new Set(drafts.map(({ kodeWilayah }) => kodeWilayah))]);
    const byOffice = new Map(found.map((each) => [each.kodeWilayah, each]));
    const createdAt = clock();
    const messages = drafts.flatMap((draft): NewPesan[] => {
      const kanals =
        draft.penerima === "pelapor"
          ? ([""] as const)
          : kanalFor(draft.templat, byOffice.get(draft.kodeWilayah), kanal);
      return kanals.map((each) => ({ ...draft, id: uuidv7(), kanal: each, createdAt }));
    });
    if (messages.length === 0) return;
    await store.enqueue(messages);
    onQueued();
  };
}
