// Where a document has from what it says: the form of the report as it took effect, and the residents whom it changed.
import type { Client } from "@connectrpc/connect";
import type { WilayahIndex } from "#chassis/wilayah.ts";
import type { Efek, IsiLaporan, Kematian, Pindah } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import type { PerubahanLaporan } from "#gen/lampid/pelaporan/v1/pelaporan_events_pb.ts";
import type { PelaporanInternalService } from "#gen/lampid/pelaporan/v1/pelaporan_internal_service_pb.ts";
import { Penduduk_JenisKelamin as JenisKelamin, type Penduduk } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import type { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import {
  type Baris,
  barisKelahiran,
  barisKematian,
  barisPindah,
  type Fakta,
  type JenisDokumen,
  type Orang,
  samarkanNik,
} from "./domain/fakta.ts";
import { jenisDokumenOf } from "./domain/tindakan.ts";

export type SumberDeps = {
  pelaporan: Pick<Client<typeof PelaporanInternalService>, "getIsiLaporan">;
  penduduk: Pick<Client<typeof PendudukService>, "getPenduduk">;
  wilayah: WilayahIndex;
};

export type Bahan = { jenis: JenisDokumen; nomor: string; fakta: Fakta; orang: readonly Orang[] };

/**
 * What the document of a report that took effect is and says; undefined where there is none. Nothing of it is kept here.
 * `semula`: whom its last document is of. A correction is about the same persons, and the registry names only those whom it
 * changed, which may be nobody.
 */
export function bahanOf({ pelaporan, penduduk, wilayah }: SumberDeps) {
  return async (
    perubahan: PerubahanLaporan,
    efek: Efek,
    semula: readonly Orang[] | undefined,
  ): Promise<Bahan | undefined> => {
    const { laporan: name, versi, kodeWilayah } = perubahan;
    const { isi } = await pelaporan.getIsiLaporan({ name, versi });
    const { formulir } = isi as IsiLaporan;
    if (formulir.case === undefined) throw new Error("a report has a form: the contract says so");
    const negara = formulir.case === "pindah" ? formulir.value.negaraTujuan : "";
    const jenis = jenisDokumenOf(formulir.case, negara);
    if (!jenis) return undefined;
    const nomor = formulir.case === "pindah" ? efek.nomorSuratPindah : efek.nomorAkta;
    const instansi = wilayah.nama(kodeWilayah.slice(0, 5)) ?? kodeWilayah.slice(0, 5);
    const orang = await orangOf(formulir, efek, semula);
    return { jenis, nomor, orang, fakta: { instansi, baris: barisOf(formulir, orang, kodeWilayah) } };
  };

  async function orangOf(
    formulir: IsiLaporan["formulir"],
    efek: Efek,
    semula: readonly Orang[] | undefined,
  ): Promise<readonly Orang[]> {
    switch (formulir.case) {
      case "kelahiran":
        return [{ nama: formulir.value.nama, nikTersamar: efek.nikTersamar }];
      case "kematian":
        return semula ?? [printed(await deceased(formulir.value, efek))];
      case "pindah":
        return semula ?? (await movers(formulir.value, efek)).map(printed);
      default:
        return [];
    }
  }

  function barisOf(formulir: IsiLaporan["formulir"], orang: readonly Orang[], kodeWilayah: string): Baris[] {
    switch (formulir.case) {
      case "kelahiran": {
        const isPerempuan = formulir.value.jenisKelamin === JenisKelamin.PEREMPUAN;
        return barisKelahiran(orang[0]!, { ...formulir.value, isPerempuan });
      }
      case "kematian":
        return barisKematian(orang[0]!, formulir.value);
      case "pindah":
        return barisPindah(orang, tempat(kodeWilayah), tujuanOf(formulir.value));
      default:
        return [];
    }
  }

  async function deceased({ nik }: Kematian, { penduduk: names }: Efek): Promise<Penduduk> {
    const found = (await residents(names)).find((each) => each.nik === nik);
    if (!found) throw new Error("the report of a death changed residents, but not the deceased");
    return found;
  }

  /** Those who are named, or all whom it changed, for then it was the family. */
  async function movers({ nik }: Pindah, { penduduk: names }: Efek): Promise<Penduduk[]> {
    const found = await residents(names);
    return nik.length === 0 ? found : found.filter((each) => nik.includes(each.nik));
  }

  /** One after the other: a family has few members, and nobody waits. */
  async function residents(names: readonly string[]): Promise<Penduduk[]> {
    const found: Penduduk[] = [];
    for (const name of names) found.push((await penduduk.getPenduduk({ name })).penduduk!);
    return found;
  }

  function tujuanOf({ negaraTujuan, kodeWilayahTujuan }: Pindah): string {
    return negaraTujuan === "" ? tempat(kodeWilayahTujuan) : (NEGARA.of(negaraTujuan) ?? negaraTujuan);
  }

  /** Names of its kecamatan, kabupaten/kota and province; the code says which kelurahan/desa. */
  function tempat(kode: string): string {
    const names = [8, 5, 2].map((length) => wilayah.nama(kode.slice(0, length)) ?? "").filter(Boolean);
    return `${kode} (${names.join(", ")})`;
  }
}

const NEGARA = new Intl.DisplayNames("id", { type: "region" });

function printed({ nama, nik }: Penduduk): Orang {
  return { nama, nikTersamar: samarkanNik(nik) };
}
