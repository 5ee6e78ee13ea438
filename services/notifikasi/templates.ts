// What messages say, in Indonesian. No template may hold a full NIK, and those of a report name nobody.

export const templates = {
  /** To the officer on duty of the wilayah, for each registration. */
  pendaftaran_baru: ({
    nama,
    nikTersamar,
    provinsi,
    wilayah,
  }: Record<"nama" | "nikTersamar" | "provinsi" | "wilayah", string>) =>
    `Pendaftaran baru: ${nama} (${nikTersamar}), ${wilayah}, ${provinsi}.`,

  /** To the officer on duty: the traffic of a route has left the new system, or is back. */
  rute_dialihkan: ({ rpc, sistemLama, gagal, panggilan }: Dialihkan) =>
    `Peringatan: ${rpc} gagal ${gagal} dari ${panggilan} panggilan dan dialihkan ke sistem lama (${sistemLama}).`,

  rute_pulih: ({ rpc, sistemLama }: Pick<Dialihkan, "rpc" | "sistemLama">) =>
    `Pulih: ${rpc} kembali ke sistem baru dari sistem lama (${sistemLama}).`,
} as const;

type Dialihkan = { rpc: string; sistemLama: string; gagal: number; panggilan: number };

/** Offices that a report passes; the code of each is the beginning of the reporting kelurahan's. */
export type Tingkat = "kelurahan" | "kecamatan" | "kabupaten" | "nasional";

export type LaporanTemplate = {
  templat: string;
  /** What the reporter is told, if anything; one SMS, so 160 characters with the number of the report. */
  pelapor?: (laporan: string) => string;
  /** The office whose turn it is, or to which it matters ("atasan": the one that the event names), and what it is told. */
  petugas: { tingkat: Tingkat | "atasan"; isi: (laporan: string) => string };
};

/**
 * By the type of the event, all of which begin with a PerubahanLaporan: a new event is a new entry here, and one without an
 * entry makes no message. `laporan` is "laporan kelahiran L-3201011006-20261127-0001".
 */
export const laporanTemplates: Readonly<Record<string, LaporanTemplate>> = {
  "lampid.pelaporan.v1.LaporanDiajukan": {
    templat: "laporan_diajukan",
    pelapor: (laporan) => `e-LAMPID: ${laporan} telah diterima dan menunggu verifikasi kecamatan.`,
    petugas: { tingkat: "kecamatan", isi: (laporan) => `Menunggu verifikasi: ${laporan}.` },
  },
  "lampid.pelaporan.v1.LaporanDiverifikasi": {
    templat: "laporan_diverifikasi",
    pelapor: (laporan) => `e-LAMPID: ${laporan} telah diverifikasi kecamatan dan menunggu pengesahan.`,
    petugas: { tingkat: "kabupaten", isi: (laporan) => `Menunggu pengesahan: ${laporan}.` },
  },
  "lampid.pelaporan.v1.LaporanDisahkan": {
    templat: "laporan_disahkan",
    pelapor: (laporan) => `e-LAMPID: ${laporan} telah disahkan dan sedang dicatat.`,
    petugas: { tingkat: "kelurahan", isi: (laporan) => `Telah disahkan: ${laporan}.` },
  },
  "lampid.pelaporan.v1.LaporanDikembalikan": {
    templat: "laporan_dikembalikan",
    pelapor: (laporan) =>
      `e-LAMPID: ${laporan} perlu diperbaiki. Silakan hubungi kelurahan/desa tempat Anda melapor.`,
    petugas: { tingkat: "kelurahan", isi: (laporan) => `Dikembalikan untuk diperbaiki: ${laporan}.` },
  },
  "lampid.pelaporan.v1.LaporanDiajukanKembali": {
    templat: "laporan_diajukan_kembali",
    pelapor: (laporan) => `e-LAMPID: ${laporan} telah diperbaiki dan menunggu verifikasi kecamatan.`,
    petugas: { tingkat: "kecamatan", isi: (laporan) => `Telah diperbaiki, menunggu verifikasi: ${laporan}.` },
  },
  "lampid.pelaporan.v1.LaporanDitolak": {
    templat: "laporan_ditolak",
    pelapor: (laporan) =>
      `e-LAMPID: ${laporan} ditolak. Alasannya dapat ditanyakan di kelurahan/desa tempat Anda melapor.`,
    petugas: { tingkat: "kelurahan", isi: (laporan) => `Ditolak: ${laporan}.` },
  },
  "lampid.pelaporan.v1.LaporanDibatalkan": {
    templat: "laporan_dibatalkan",
    pelapor: (laporan) => `e-LAMPID: ${laporan} dibatalkan oleh kelurahan/desa tempat Anda melapor.`,
    petugas: { tingkat: "kecamatan", isi: (laporan) => `Dibatalkan oleh kelurahan/desa: ${laporan}.` },
  },
  "lampid.pelaporan.v1.LaporanTereskalasi": {
    templat: "laporan_tereskalasi",
    petugas: { tingkat: "atasan", isi: (laporan) => `Melewati target waktu layanan: ${laporan}.` },
  },
  "lampid.pelaporan.v1.LaporanBerlaku": {
    templat: "laporan_berlaku",
    pelapor: (laporan) => `e-LAMPID: ${laporan} telah selesai dicatat dalam data kependudukan.`,
    petugas: { tingkat: "kelurahan", isi: (laporan) => `Selesai dicatat: ${laporan}.` },
  },
  "lampid.pelaporan.v1.LaporanGagalBerlaku": {
    templat: "laporan_gagal_berlaku",
    petugas: { tingkat: "kabupaten", isi: (laporan) => `Tidak dapat dicatat, perlu diperiksa: ${laporan}.` },
  },
  "lampid.pelaporan.v1.LaporanDibetulkan": {
    templat: "laporan_dibetulkan",
    pelapor: (laporan) => `e-LAMPID: ${laporan} dibetulkan oleh Dukcapil kabupaten/kota.`,
    petugas: { tingkat: "kelurahan", isi: (laporan) => `Dibetulkan setelah disahkan: ${laporan}.` },
  },
  "lampid.pelaporan.v1.LaporanDicabut": {
    templat: "laporan_dicabut",
    pelapor: (laporan) => `e-LAMPID: ${laporan} dicabut oleh Dukcapil kabupaten/kota.`,
    petugas: { tingkat: "kelurahan", isi: (laporan) => `Dicabut setelah disahkan: ${laporan}.` },
  },
  "lampid.pelaporan.v1.PerpindahanDibatalkan": {
    templat: "perpindahan_dibatalkan",
    pelapor: (laporan) =>
      `e-LAMPID: perpindahan dibatalkan (${laporan}). Anda tetap tercatat di tempat asal.`,
    petugas: { tingkat: "kelurahan", isi: (laporan) => `Perpindahan dibatalkan: ${laporan}.` },
  },
  "lampid.pelaporan.v1.PerpindahanKedaluwarsa": {
    templat: "perpindahan_kedaluwarsa",
    pelapor: (laporan) =>
      `e-LAMPID: surat pindah kedaluwarsa (${laporan}). Anda kembali tercatat di tempat asal.`,
    petugas: { tingkat: "kelurahan", isi: (laporan) => `Surat pindah kedaluwarsa: ${laporan}.` },
  },
};

/** Templates that offices are sent, which their preferences may name. */
export const officeTemplates: ReadonlySet<string> = new Set([
  ...Object.keys(templates),
  ...Object.values(laporanTemplates).map(({ templat }) => templat),
]);
