// A report: the events of its life, and the state that they add up to.

import {
  commanded,
  type Efek,
  failed,
  type Hasil,
  isPengembalian,
  type JenisPerintah,
  succeeded,
} from "./efek.ts";
import type { Kemiripan, Temuan } from "./kemiripan.ts";

export type JenisLaporan = "kelahiran" | "kematian" | "pindah" | "datang";

export type Status =
  | "diajukan"
  | "diverifikasi"
  | "disahkan"
  | "dikembalikan"
  | "ditolak"
  | "dibatalkan"
  | "dicabut"
  | "pindah_batal";

/** Roles that act on reports, each at one level: kelurahan, kecamatan, kota/kabupaten. */
export type Tingkat = "operator" | "supervisor" | "admin_kota";

/** Who acts: a person at a level, or time alone. */
export type Peran = Tingkat | "service";

/** Who did it and when. Time and person arrive as data. */
type Catatan = {
  /** Account id. */
  pelaku: string;
  tingkat: Peran;
  waktu: Date;
};

/** One event. `Isi` is what the report says, which is carried here and judged in isi.ts. */
export type Peristiwa<Isi> = Catatan &
  (
    | {
        jenis: "diajukan";
        nomor: string;
        laporan: JenisLaporan;
        kodeWilayah: string;
        /** Civil date of the submission, ISO 8601: deadlines are counted to it, also after a correction. */
        tanggal: string;
        terlambat: boolean;
        isi: Isi;
        /** Other reports that may tell of the same; undefined for none. */
        kemiripan?: readonly Temuan[];
        /** When it should have come to its end, ISO 8601; undefined of those before there was a target. */
        jatuhTempo?: string;
      }
    | { jenis: "diverifikasi" }
    | { jenis: "disahkan"; nomorKeputusan: string }
    | { jenis: "dikembalikan"; alasan: string }
    | { jenis: "diajukan_kembali"; terlambat: boolean; isi: Isi; kemiripan?: readonly Temuan[] }
    | { jenis: "ditolak"; alasan: string }
    | { jenis: "dibatalkan"; alasan: string }
    /** It waits at this level past its target. */
    | { jenis: "tereskalasi"; dari: Tingkat }
    /** The other report, by its id, tells of something else. */
    | { jenis: "kemiripan_disisihkan"; kemiripan: string; alasan: string }
    | { jenis: "berlaku"; perintah: JenisPerintah; hasil: Hasil }
    /** `alasan` is the reason of the registry's refusal ("NOT_ALIVE"), `keterangan` the same in words. */
    | { jenis: "gagal_berlaku"; perintah: JenisPerintah; alasan: string; keterangan: string }
    | { jenis: "diulang"; perintah: JenisPerintah }
    | { jenis: "dibetulkan"; alasan: string; nomorPutusan: string; isi: Isi }
    | { jenis: "dicabut"; alasan: string; nomorPutusan: string }
    | { jenis: "perpindahan_dibatalkan"; alasan: string }
    | { jenis: "perpindahan_kedaluwarsa" }
  );

export type JenisPeristiwa = Peristiwa<unknown>["jenis"];

export type Laporan<Isi> = {
  /** Number of events so far: the version of this state. */
  versi: number;
  nomor: string;
  jenis: JenisLaporan;
  status: Status;
  kodeWilayah: string;
  tanggal: string;
  terlambat: boolean;
  isi: Isi;
  /** Number of the event that brought {@link isi}. */
  versiIsi: number;
  /** Why it stands where it stands; "" where no reason is asked for. */
  alasan: string;
  nomorKeputusan: string;
  /** Of what it says now. */
  kemiripan: readonly Kemiripan[];
  /** Of the court, by which it was last corrected, or revoked; "" where there was none. */
  nomorPutusan: string;
  pengaju: string;
  /** "" as long as nobody has, as the report stands. */
  pemverifikasi: string;
  pengesah: string;
  /** The level at which each person has acted on this report, ever. */
  tingkat: ReadonlyMap<string, Peran>;
  /** What it does to the registry; undefined before it was approved. */
  efek: Efek<Isi> | undefined;
  dibuat: Date;
  diubah: Date;
  /** When it should come to its end. */
  jatuhTempo: Date;
  /** Since when it stands where it stands. */
  sejak: Date;
  /** Levels at which it was escalated. */
  eskalasi: readonly Tingkat[];
};

/** Where a report stands that waits for a level. */
export const menungguDi = {
  operator: "dikembalikan",
  supervisor: "diajukan",
  admin_kota: "diverifikasi",
} as const satisfies Record<Tingkat, Status>;

/** From first submission to the end. */
export const TARGET_LAYANAN_MS = 2 * 3_600_000;

/** Where the report stands after each event; after what concerns the effect alone, that is a matter of its command. */
const STATUS_SETELAH: Readonly<Record<JenisPeristiwa, Status | "by command" | "by level">> = {
  diajukan: "diajukan",
  diverifikasi: "diverifikasi",
  disahkan: "disahkan",
  dikembalikan: "dikembalikan",
  diajukan_kembali: "diajukan",
  ditolak: "ditolak",
  dibatalkan: "dibatalkan",
  kemiripan_disisihkan: "diajukan",
  tereskalasi: "by level",
  berlaku: "by command",
  gagal_berlaku: "by command",
  diulang: "by command",
  dibetulkan: "disahkan",
  dicabut: "dicabut",
  perpindahan_dibatalkan: "disahkan",
  perpindahan_kedaluwarsa: "disahkan",
};

/** A revocation stands also while the registry does not follow; a return stands once they are back. */
export function statusSetelah(
  jenis: JenisPeristiwa,
  perintah: JenisPerintah | undefined,
  dari: Tingkat | undefined,
): Status {
  const status = STATUS_SETELAH[jenis];
  if (status === "by level") return menungguDi[dari!];
  if (status !== "by command") return status;
  if (perintah === "pencabutan") return "dicabut";
  const isBack = jenis === "berlaku" && perintah !== undefined && isPengembalian(perintah);
  return isBack ? "pindah_batal" : "disahkan";
}

/** The state after one more event. Throws when a stream does not begin with its submission. */
export function evolve<Isi>(before: Laporan<Isi> | undefined, peristiwa: Peristiwa<Isi>): Laporan<Isi> {
  if (peristiwa.jenis === "diajukan") {
    const { nomor, laporan, kodeWilayah, tanggal, terlambat, isi, pelaku, tingkat, waktu } = peristiwa;
    return {
      versi: 1,
      nomor,
      jenis: laporan,
      status: "diajukan",
      kodeWilayah,
      tanggal,
      terlambat,
      isi,
      versiIsi: 1,
      alasan: "",
      nomorKeputusan: "",
      kemiripan: peristiwa.kemiripan ?? [],
      nomorPutusan: "",
      pengaju: pelaku,
      pemverifikasi: "",
      pengesah: "",
      tingkat: new Map([[pelaku, tingkat]]),
      efek: undefined,
      dibuat: waktu,
      diubah: waktu,
      jatuhTempo: new Date(peristiwa.jatuhTempo ?? waktu.getTime() + TARGET_LAYANAN_MS),
      sejak: waktu,
      eskalasi: [],
    };
  }
  if (!before) throw new Error(`a report cannot begin with "${peristiwa.jenis}"`);
  const versi = before.versi + 1;
  const perintah = "perintah" in peristiwa ? peristiwa.perintah : undefined;
  const status = statusSetelah(peristiwa.jenis, perintah, "dari" in peristiwa ? peristiwa.dari : undefined);
  const after: Laporan<Isi> = {
    ...before,
    versi,
    status,
    sejak: status === before.status ? before.sejak : peristiwa.waktu,
    alasan: "",
    tingkat: new Map(before.tingkat).set(peristiwa.pelaku, peristiwa.tingkat),
    diubah: peristiwa.waktu,
  };
  switch (peristiwa.jenis) {
    case "diverifikasi":
      return { ...after, pemverifikasi: peristiwa.pelaku };
    case "disahkan":
      return {
        ...after,
        pengesah: peristiwa.pelaku,
        nomorKeputusan: peristiwa.nomorKeputusan,
        efek: commanded(undefined, "pengesahan", peristiwa),
      };
    case "dikembalikan":
      // What was verified is not what will be sent again.
      return { ...after, alasan: peristiwa.alasan, pemverifikasi: "" };
    case "diajukan_kembali": {
      const { terlambat, isi, pelaku } = peristiwa;
      const kemiripan = peristiwa.kemiripan ?? [];
      return { ...after, terlambat, isi, kemiripan, versiIsi: versi, pengaju: pelaku };
    }
    case "ditolak":
    case "dibatalkan":
      return { ...after, alasan: peristiwa.alasan };
    case "tereskalasi":
      return { ...after, alasan: before.alasan, eskalasi: [...before.eskalasi, peristiwa.dari] };
    case "kemiripan_disisihkan": {
      const { alasan, pelaku: oleh, waktu } = peristiwa;
      const kemiripan = before.kemiripan.map((each) =>
        each.laporan === peristiwa.kemiripan ? { ...each, disisihkan: { oleh, alasan, waktu } } : each,
      );
      return { ...after, kemiripan };
    }
    case "berlaku":
    case "gagal_berlaku":
    case "diulang":
      // Why the report stands where it stands is what the decision before said.
      return { ...after, alasan: before.alasan, efek: efekAfter(before, peristiwa) };
    case "dibetulkan": {
      const { isi, alasan, nomorPutusan } = peristiwa;
      const efek = commanded(before.efek, "pembetulan", peristiwa);
      return { ...after, isi, versiIsi: versi, alasan, nomorPutusan, efek };
    }
    case "dicabut": {
      const { alasan, nomorPutusan } = peristiwa;
      // What never took effect leaves nothing to undo.
      const isInEffect = before.efek?.isiBerlaku !== undefined;
      const efek = isInEffect ? commanded(before.efek, "pencabutan", peristiwa) : before.efek;
      return { ...after, alasan, nomorPutusan, efek };
    }
    case "perpindahan_dibatalkan":
      return {
        ...after,
        alasan: peristiwa.alasan,
        efek: commanded(before.efek, "pembatalan_pindah", peristiwa),
      };
    case "perpindahan_kedaluwarsa":
      return { ...after, efek: commanded(before.efek, "kedaluwarsa_pindah", peristiwa) };
    default:
      return peristiwa satisfies never;
  }
}

function efekAfter<Isi>(
  { efek, isi }: Laporan<Isi>,
  peristiwa: Extract<Peristiwa<Isi>, { jenis: "berlaku" | "gagal_berlaku" | "diulang" }>,
): Efek<Isi> {
  if (!efek) throw new Error(`"${peristiwa.jenis}" of a report that was not approved`);
  switch (peristiwa.jenis) {
    case "berlaku":
      return succeeded(efek, peristiwa.hasil, isi, peristiwa.waktu);
    case "gagal_berlaku":
      return failed(efek, peristiwa.alasan, peristiwa.keterangan, peristiwa.waktu);
    case "diulang":
      return commanded(efek, efek.perintah, peristiwa);
    default:
      return peristiwa satisfies never;
  }
}

/** The state after all events; undefined without any. */
export function fold<Isi>(events: Iterable<Peristiwa<Isi>>): Laporan<Isi> | undefined {
  let state: Laporan<Isi> | undefined;
  for (const event of events) state = evolve(state, event);
  return state;
}
