// Reports to messages of the contract and back.
import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Kemiripan as KemiripanMessage,
  KemiripanSchema,
  type Laporan as LaporanMessage,
  LaporanSchema,
  Kemiripan_Dasar as MessageDasar,
  Laporan_Jenis as MessageJenis,
  Laporan_Status as MessageStatus,
  Transisi_Jenis as TransisiJenis,
  type Transisi as TransisiMessage,
  TransisiSchema,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import {
  KemiripanDisisihkanSchema,
  LaporanBerlakuSchema,
  LaporanDiajukanKembaliSchema,
  LaporanDiajukanSchema,
  LaporanDibatalkanSchema,
  LaporanDibetulkanSchema,
  LaporanDicabutSchema,
  LaporanDikembalikanSchema,
  LaporanDisahkanSchema,
  LaporanDitolakSchema,
  LaporanDiulangSchema,
  LaporanDiverifikasiSchema,
  LaporanGagalBerlakuSchema,
  LaporanTereskalasiSchema,
  PerpindahanDibatalkanSchema,
  PerpindahanKedaluwarsaSchema,
} from "#gen/lampid/pelaporan/v1/pelaporan_events_pb.ts";
import type { Dasar, Kemiripan } from "./domain/kemiripan.ts";
import { type JenisLaporan, type JenisPeristiwa, type Status, statusSetelah } from "./domain/laporan.ts";
import { ATASAN } from "./domain/layanan.ts";
import { efekMessage } from "./efek-messages.ts";
import type { Laporan, Peristiwa, Ringkasan, Riwayat } from "./store.ts";

const JENIS: Readonly<Record<JenisLaporan, MessageJenis>> = {
  kelahiran: MessageJenis.KELAHIRAN,
  kematian: MessageJenis.KEMATIAN,
  pindah: MessageJenis.PINDAH,
  datang: MessageJenis.DATANG,
};

const STATUS: Readonly<Record<Status, MessageStatus>> = {
  diajukan: MessageStatus.DIAJUKAN,
  diverifikasi: MessageStatus.DIVERIFIKASI,
  disahkan: MessageStatus.DISAHKAN,
  dikembalikan: MessageStatus.DIKEMBALIKAN,
  ditolak: MessageStatus.DITOLAK,
  dibatalkan: MessageStatus.DIBATALKAN,
  dicabut: MessageStatus.DICABUT,
  pindah_batal: MessageStatus.PINDAH_BATAL,
};

const TRANSISI: Readonly<Record<JenisPeristiwa, TransisiJenis>> = {
  diajukan: TransisiJenis.DIAJUKAN,
  diverifikasi: TransisiJenis.DIVERIFIKASI,
  disahkan: TransisiJenis.DISAHKAN,
  dikembalikan: TransisiJenis.DIKEMBALIKAN,
  diajukan_kembali: TransisiJenis.DIAJUKAN_KEMBALI,
  ditolak: TransisiJenis.DITOLAK,
  dibatalkan: TransisiJenis.DIBATALKAN,
  berlaku: TransisiJenis.BERLAKU,
  gagal_berlaku: TransisiJenis.GAGAL_BERLAKU,
  diulang: TransisiJenis.DIULANG,
  dibetulkan: TransisiJenis.DIBETULKAN,
  dicabut: TransisiJenis.DICABUT,
  perpindahan_dibatalkan: TransisiJenis.PERPINDAHAN_DIBATALKAN,
  perpindahan_kedaluwarsa: TransisiJenis.PERPINDAHAN_KEDALUWARSA,
  kemiripan_disisihkan: TransisiJenis.KEMIRIPAN_DISISIHKAN,
  tereskalasi: TransisiJenis.TERESKALASI,
};

const DASAR: Readonly<Record<Dasar, MessageDasar>> = {
  kelahiran_ibu: MessageDasar.KELAHIRAN_IBU,
  kelahiran_temuan: MessageDasar.KELAHIRAN_TEMUAN,
  kematian: MessageDasar.KEMATIAN,
  pindah: MessageDasar.PINDAH,
  datang: MessageDasar.DATANG,
};

/** The message that tells the mesh of each event. */
const EVENTS = {
  diajukan: LaporanDiajukanSchema,
  diverifikasi: LaporanDiverifikasiSchema,
  disahkan: LaporanDisahkanSchema,
  dikembalikan: LaporanDikembalikanSchema,
  diajukan_kembali: LaporanDiajukanKembaliSchema,
  ditolak: LaporanDitolakSchema,
  dibatalkan: LaporanDibatalkanSchema,
  berlaku: LaporanBerlakuSchema,
  gagal_berlaku: LaporanGagalBerlakuSchema,
  diulang: LaporanDiulangSchema,
  dibetulkan: LaporanDibetulkanSchema,
  dicabut: LaporanDicabutSchema,
  perpindahan_dibatalkan: PerpindahanDibatalkanSchema,
  perpindahan_kedaluwarsa: PerpindahanKedaluwarsaSchema,
  kemiripan_disisihkan: KemiripanDisisihkanSchema,
  tereskalasi: LaporanTereskalasiSchema,
} as const satisfies Record<JenisPeristiwa, DescMessage>;

export function laporanName(id: string): string {
  return `laporan/${id}`;
}

/** The id in a resource name whose shape the contract has checked. */
export function idOf(name: string): string {
  return name.slice(name.indexOf("/") + 1);
}

/** undefined for UNSPECIFIED. */
export function statusOf(status: MessageStatus): Status | undefined {
  return keyOf(STATUS, status);
}

/** undefined for UNSPECIFIED. */
export function jenisOf(jenis: MessageJenis): JenisLaporan | undefined {
  return keyOf(JENIS, jenis);
}

export function laporanMessage(id: string, laporan: Laporan): LaporanMessage {
  const message = keptMessage(id, laporan);
  message.isi = laporan.isi;
  return message;
}

/** All but isi. */
export function keptMessage(id: string, laporan: Laporan): LaporanMessage {
  const { alasan, nomorPutusan, efek } = laporan;
  const kemiripan = laporan.kemiripan.map(kemiripanMessage);
  const about = { alasan, nomorPutusan, kemiripan, ...(efek && { efek: efekMessage(efek) }) };
  return create(LaporanSchema, { ...ringkasanInit({ ...laporan, id }), ...about });
}

export function ringkasanMessage(ringkasan: Ringkasan): LaporanMessage {
  return create(LaporanSchema, ringkasanInit(ringkasan));
}

export function transisiMessage({
  jenis,
  perintah,
  dari,
  tingkat,
  waktu,
  ...event
}: Riwayat): TransisiMessage {
  return create(TransisiSchema, {
    versi: event.versi,
    pelaku: event.pelaku,
    alasan: event.alasan,
    jenis: TRANSISI[jenis],
    status: STATUS[statusSetelah(jenis, perintah, dari)],
    peran: tingkat,
    waktu: timestampFromDate(waktu),
  });
}

/** What the mesh is told of an event: ids, wilayah and jenis, and nobody's name or number. */
export function eventMessage(
  id: string,
  peristiwa: Peristiwa,
  laporan: Laporan,
): { schema: DescMessage; message: MessageShape<DescMessage> } {
  const { jenis, pelaku, waktu } = peristiwa;
  const schema: (typeof EVENTS)[JenisPeristiwa] = EVENTS[jenis];
  const perubahan: MessageInitShape<typeof LaporanDiajukanSchema>["perubahan"] = {
    laporan: laporanName(id),
    nomor: laporan.nomor,
    jenis: JENIS[laporan.jenis],
    kodeWilayah: laporan.kodeWilayah,
    status: STATUS[laporan.status],
    versi: laporan.versi,
    terlambat: laporan.terlambat,
    pelaku,
    waktu: timestampFromDate(waktu),
  };
  if (jenis === "berlaku" || jenis === "gagal_berlaku") {
    // What the registry says in words is for people who may read the report.
    const efek = { ...efekMessage(laporan.efek!), keterangan: "" };
    return { schema, message: create(schema as typeof LaporanBerlakuSchema, { perubahan, efek }) };
  }
  if (jenis === "tereskalasi") {
    const { dari } = peristiwa;
    const jatuhTempo = timestampFromDate(laporan.jatuhTempo);
    const about = { perubahan, dari, ke: ATASAN[dari], jatuhTempo };
    return { schema, message: create(LaporanTereskalasiSchema, about) };
  }
  return { schema, message: create(schema as typeof LaporanDiajukanSchema, { perubahan }) };
}

function ringkasanInit(ringkasan: Ringkasan): MessageInitShape<typeof LaporanSchema> {
  const { nomor, kodeWilayah, terlambat, nomorKeputusan, pengaju, pemverifikasi, pengesah } = ringkasan;
  return {
    nomor,
    kodeWilayah,
    terlambat,
    nomorKeputusan,
    pengaju,
    pemverifikasi,
    pengesah,
    name: laporanName(ringkasan.id),
    jenis: JENIS[ringkasan.jenis],
    status: STATUS[ringkasan.status],
    etag: String(ringkasan.versi),
    createTime: timestampFromDate(ringkasan.dibuat),
    updateTime: timestampFromDate(ringkasan.diubah),
    jatuhTempo: timestampFromDate(ringkasan.jatuhTempo),
    eskalasi: [...ringkasan.eskalasi],
  };
}

function kemiripanMessage({ laporan, nomor, jenis, skor, dasar, disisihkan }: Kemiripan): KemiripanMessage {
  return create(KemiripanSchema, {
    laporan: laporanName(laporan),
    nomor,
    jenis: JENIS[jenis],
    skor,
    dasar: DASAR[dasar],
    ...(disisihkan && { disisihkan: { ...disisihkan, waktu: timestampFromDate(disisihkan.waktu) } }),
  });
}

function keyOf<Key extends string, Value>(
  table: Readonly<Record<Key, Value>>,
  value: Value,
): Key | undefined {
  return (Object.keys(table) as Key[]).find((key) => table[key] === value);
}
