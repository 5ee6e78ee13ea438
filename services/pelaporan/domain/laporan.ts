// A report: the events of its life, and the state that they add up to.
import type { Kemiripan, Temuan } from "./kemiripan.ts";

export type JenisLaporan = "kelahiran" | "kematian" | "pindah" | "datang";

export type Status = "diajukan" | "diverifikasi" | "disahkan" | "dikembalikan" | "ditolak" | "dibatalkan";

/** Roles that act on reports, each at one level: kelurahan, kecamatan, kota/kabupaten. */
export type Tingkat = "operator" | "supervisor" | "admin_kota";

/** Who did it and when. Time and person arrive as data. */
type Catatan = {
  /** Account id. */
  pelaku: string;
  tingkat: Tingkat;
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
      }
    | { jenis: "diverifikasi" }
    | { jenis: "disahkan"; nomorKeputusan: string }
    | { jenis: "dikembalikan"; alasan: string }
    | { jenis: "diajukan_kembali"; terlambat: boolean; isi: Isi; kemiripan?: readonly Temuan[] }
    | { jenis: "ditolak"; alasan: string }
    | { jenis: "dibatalkan"; alasan: string }
    /** The other report, by its id, tells of something else. */
    | { jenis: "kemiripan_disisihkan"; kemiripan: string; alasan: string }
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
  pengaju: string;
  /** "" as long as nobody has, as the report stands. */
  pemverifikasi: string;
  pengesah: string;
  /** The level at which each person has acted on this report, ever. */
  tingkat: ReadonlyMap<string, Tingkat>;
  dibuat: Date;
  diubah: Date;
};

/** Where the report stands after each event. */
export const statusSetelah: Readonly<Record<JenisPeristiwa, Status>> = {
  diajukan: "diajukan",
  diverifikasi: "diverifikasi",
  disahkan: "disahkan",
  dikembalikan: "dikembalikan",
  diajukan_kembali: "diajukan",
  ditolak: "ditolak",
  dibatalkan: "dibatalkan",
  kemiripan_disisihkan: "diajukan",
};

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
      pengaju: pelaku,
      pemverifikasi: "",
      pengesah: "",
      tingkat: new Map([[pelaku, tingkat]]),
      dibuat: waktu,
      diubah: waktu,
    };
  }
  if (!before) throw new Error(`a report cannot begin with "${peristiwa.jenis}"`);
  const versi = before.versi + 1;
  const after: Laporan<Isi> = {
    ...before,
    versi,
    status: statusSetelah[peristiwa.jenis],
    alasan: "",
    tingkat: new Map(before.tingkat).set(peristiwa.pelaku, peristiwa.tingkat),
    diubah: peristiwa.waktu,
  };
  switch (peristiwa.jenis) {
    case "diverifikasi":
      return { ...after, pemverifikasi: peristiwa.pelaku };
    case "disahkan":
      return { ...after, pengesah: peristiwa.pelaku, nomorKeputusan: peristiwa.nomorKeputusan };
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
    case "kemiripan_disisihkan": {
      const { alasan, pelaku: oleh, waktu } = peristiwa;
      const kemiripan = before.kemiripan.map((each) =>
        each.laporan === peristiwa.kemiripan ? { ...each, disisihkan: { oleh, alasan, waktu } } : each,
      );
      return { ...after, kemiripan };
    }
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
