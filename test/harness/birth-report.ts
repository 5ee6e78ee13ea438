// The form of a birth as a caller of the gateway sends it.

export const PELAPOR = { nik: "3201010101800009", nama: "Budi Santoso", telepon: "+628111222333" };

let mothers = 0;

/** `isi` of a report on a birth of three days ago, of another mother each; `pelapor` replaces what is said of the reporter. */
export function birthReport({ pelapor = {}, kelahiran = {} }: { pelapor?: object; kelahiran?: object } = {}) {
  return {
    pelapor: { ...PELAPOR, ...pelapor },
    kelahiran: {
      nama: "Dewi Lestari",
      jenisKelamin: "JENIS_KELAMIN_PEREMPUAN",
      tempatLahir: "Bogor",
      tanggalLahir: new Date(Date.now() - 3 * 86_400_000).toISOString().slice(0, 10),
      beratGram: 3100,
      panjangCm: 49,
      urutan: 1,
      nikIbu: `3201014101${String(Date.now() % 10_000).padStart(4, "0")}${String(++mothers % 100).padStart(2, "0")}`,
      namaIbu: "Siti Aminah",
      nomorKk: "3201010101200001",
      saksi: [
        { nik: "3201010101700001", nama: "Ali" },
        { nik: "3201010101700002", nama: "Umar" },
      ],
      penolong: "PENOLONG_BIDAN_PERAWAT",
      ...kelahiran,
    },
  };
}
