// What documents say of persons and events, as lines in Indonesian: the least that each is for.

export type JenisDokumen = "skpwni" | "skpln" | "kutipan_akta_kelahiran" | "kutipan_akta_kematian";

/** A line of a document. */
export type Baris = readonly [label: string, nilai: string];

/** All that a document says besides its number. */
export type Fakta = { instansi: string; baris: readonly Baris[] };

export const JUDUL: Readonly<Record<JenisDokumen, string>> = {
  skpwni: "Surat Keterangan Pindah WNI",
  skpln: "Surat Keterangan Pindah ke Luar Negeri",
  kutipan_akta_kelahiran: "Kutipan Akta Kelahiran",
  kutipan_akta_kematian: "Kutipan Akta Kematian",
};

export type Orang = { nama: string; nikTersamar: string };

export type Kelahiran = {
  isPerempuan: boolean;
  tempatLahir: string;
  tanggalLahir: string;
  urutan: number;
  /** "" of a foundling. */
  namaIbu: string;
};

export function barisKelahiran(
  { nama, nikTersamar }: Orang,
  { isPerempuan, tempatLahir, tanggalLahir, urutan, namaIbu }: Kelahiran,
): Baris[] {
  return [
    ["Nama", nama],
    ["NIK", nikTersamar],
    ["Jenis kelamin", isPerempuan ? "Perempuan" : "Laki-laki"],
    ["Tempat lahir", tempatLahir],
    ["Tanggal lahir", tanggalPanjang(tanggalLahir)],
    ["Anak ke", String(urutan)],
    ["Nama ibu", namaIbu || "tidak diketahui"],
  ];
}

export function barisKematian(
  { nama, nikTersamar }: Orang,
  { tempatKematian, tanggalKematian }: { tempatKematian: string; tanggalKematian: string },
): Baris[] {
  return [
    ["Nama", nama],
    ["NIK", nikTersamar],
    ["Tempat meninggal", tempatKematian],
    ["Tanggal meninggal", tanggalPanjang(tanggalKematian)],
  ];
}

export function barisPindah(anggota: readonly Orang[], asal: string, tujuan: string): Baris[] {
  return [
    ["Daerah asal", asal],
    ["Tujuan", tujuan],
    ["Jumlah yang pindah", String(anggota.length)],
    ...anggota.map(({ nama, nikTersamar }, index): Baris => [`${index + 1}.`, `${nama} (${nikTersamar})`]),
  ];
}

/** What a document says something of, by the labels of its lines, and nothing that it says. */
export function labelOf({ baris }: Pick<Fakta, "baris">): string[] {
  // Who moves is in lines with a number for a label.
  return [...new Set(baris.map(([label]) => (/^\d+\.$/.test(label) ? "Yang pindah" : label)))];
}

/** "320101********01": neither birth date nor most of the serial. */
export function samarkanNik(nik: string): string {
  return `${nik.slice(0, 6)}********${nik.slice(14)}`;
}

const BULAN = "Januari Februari Maret April Mei Juni Juli Agustus September Oktober November Desember".split(
  " ",
);

/** "15 November 2026" of an ISO 8601 date. */
export function tanggalPanjang(tanggal: string): string {
  const [tahun = "", bulan = "", hari = ""] = tanggal.split("-");
  return `${Number(hari)} ${BULAN[Number(bulan) - 1]} ${tahun}`;
}
