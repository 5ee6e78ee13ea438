// The four reports, approved: each locks the family, is decided upon, and is written with its numbers.
import { v7 as uuidv7 } from "uuid";
import type { Sql } from "#chassis/database.ts";
import type { Datang, IsiLaporan, Kelahiran, Kematian, Pindah } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import { PeristiwaBerlaku_Jenis as Jenis } from "#gen/lampid/peristiwa/v1/peristiwa_events_pb.ts";
import { snakeCase } from "../biodata.ts";
import { maskNik, nikPrefix, withSerial } from "../domain/nik.ts";
import { type Datang as DatangDomain, decideDatang } from "../domain/peristiwa/datang.ts";
import { decideKelahiran } from "../domain/peristiwa/kelahiran.ts";
import { decideKematian } from "../domain/peristiwa/kematian.ts";
import { isLateBirth } from "../domain/peristiwa/nomor.ts";
import { decidePindah } from "../domain/peristiwa/pindah.ts";
import { SURAT, type SuratPindah } from "../domain/peristiwa/surat-pindah.ts";
import { sexOf } from "../messages.ts";
import { pendudukTransaction } from "../postgres-store.ts";
import { refusedBy, serialsExhausted } from "../refusals.ts";
import { issueAkta } from "./akta-store.ts";
import { lockKeadaan, writeEfek } from "./keadaan-store.ts";
import { accepted, type Berlaku, type Konteks, numberNewCards } from "./konteks.ts";
import { closeSurat, findSurat, issueSurat } from "./surat-store.ts";

/** @param terlambat as the report says; undefined: counted to the approval. */
export async function sahkan(
  konteks: Konteks,
  { formulir }: IsiLaporan,
  terlambat: boolean | undefined,
): Promise<Berlaku> {
  switch (formulir.case) {
    case "kelahiran":
      return await sahkanKelahiran(konteks, formulir.value, terlambat);
    case "kematian":
      return await sahkanKematian(konteks, formulir.value);
    case "pindah":
      return await sahkanPindah(konteks, formulir.value);
    case "datang":
      return await sahkanDatang(konteks, formulir.value);
    default:
      throw new Error("a report has a form: the contract says so");
  }
}

async function sahkanKelahiran(
  konteks: Konteks,
  kelahiran: Kelahiran,
  terlambat: boolean | undefined,
): Promise<Berlaku> {
  const { sql, kelurahan, today } = konteks;
  const { nikIbu, nikAyah, nomorKk, tanggalLahir, jenisKelamin } = kelahiran;
  const before = await lockKeadaan(sql, { nik: parentsOf(kelahiran), nomorKk: [nomorKk] });
  const efek = accepted(decideKelahiran(before, kelahiran, { id: uuidv7(), kelurahan, today }));
  const parents = await parentFields(sql, nikIbu, nikAyah);
  const nik = await issueNik(sql, nikPrefix(kelurahan, tanggalLahir, sexOf(jenisKelamin)!));
  const anak = { nik, nama: kelahiran.nama, tempatLahir: kelahiran.tempatLahir, ...parents };
  await writeEfek(sql, before, efek, { nomorKk: new Map(), anak }, konteks);
  const isLate = terlambat ?? isLateBirth(tanggalLahir, today);
  const nomorAkta = await issueAkta(konteks, isLate ? "LT" : "LU", efek.anak.id, {
    tanggal: tanggalLahir,
    ibu: efek.ibu?.id,
    urutan: kelahiran.urutan,
  });
  const biodata = [...Object.keys(anak).map(snakeCase), "tanggal_lahir", "jenis_kelamin"];
  return { jenis: Jenis.KELAHIRAN, before, efek, biodata, nikTersamar: maskNik(nik), nomorAkta };
}

async function sahkanKematian(konteks: Konteks, kematian: Kematian): Promise<Berlaku> {
  const { sql, kelurahan, today } = konteks;
  const before = await lockKeadaan(sql, { nik: [kematian.nik] });
  const efek = accepted(decideKematian(before, kematian, { kelurahan, today }));
  await writeEfek(sql, before, efek, { nomorKk: new Map() }, konteks);
  const nomorAkta = await issueAkta(konteks, "KM", efek.almarhum, { tanggal: kematian.tanggalKematian });
  return { jenis: Jenis.KEMATIAN, before, efek, nomorAkta };
}

async function sahkanPindah(konteks: Konteks, pindah: Pindah): Promise<Berlaku> {
  const { sql, kelurahan, today, wilayah } = konteks;
  const { nomorKk, nik, kodeWilayahTujuan } = pindah;
  if (kodeWilayahTujuan !== "" && !wilayah.has(kodeWilayahTujuan)) {
    throw refusedBy({ sebab: "WILAYAH_UNKNOWN", subjek: "kode_wilayah_tujuan" });
  }
  const before = await lockKeadaan(sql, { nik, nomorKk: [nomorKk] });
  const efek = accepted(decidePindah(before, pindah, { id: uuidv7(), kelurahan, today }));
  const numbers = { nomorKk: await numberNewCards(konteks, before, efek) };
  await writeEfek(sql, before, efek, numbers, konteks);
  const nomorSuratPindah = efek.surat && (await issueSurat(konteks, efek.surat));
  return { jenis: Jenis.PINDAH, before, efek, ...(nomorSuratPindah && { nomorSuratPindah }) };
}

async function sahkanDatang(konteks: Konteks, datang: Datang): Promise<Berlaku> {
  const { sql, kelurahan } = konteks;
  const surat = await suratOf(sql, datang);
  const { asal, tujuan } = datangOf(datang, surat);
  const before = await lockKeadaan(sql, {
    nik: asal.kind === "luar_negeri" ? [asal.nik] : [],
    penduduk: asal.kind === "surat" ? (surat?.anggota ?? []).map(({ penduduk }) => penduduk) : [],
    nomorKk: tujuan.kind === "kartu" ? [tujuan.nomorKk] : [],
  });
  const efek = accepted(decideDatang(before, { asal, tujuan }, { id: uuidv7(), kelurahan }));
  const numbers = { nomorKk: await numberNewCards(konteks, before, efek) };
  await writeEfek(sql, before, efek, numbers, konteks);
  if (surat) await closeSurat(konteks, surat.id, SURAT.datang);
  return { jenis: Jenis.DATANG, before, efek };
}

/** Under which they left: the one that is named, or the last that led the resident abroad. */
export async function suratOf(sql: Sql, { asal }: Datang): Promise<SuratPindah | undefined> {
  switch (asal.case) {
    case "nomorSkpwni":
      return await findSurat(sql, { nomor: asal.value });
    case "luarNegeri":
      return await findSurat(sql, { nikLuarNegeri: asal.value.nik });
    default:
      return undefined;
  }
}

function datangOf({ asal, tujuan }: Datang, surat: SuratPindah | undefined): DatangDomain {
  return {
    asal:
      asal.case === "luarNegeri"
        ? { kind: "luar_negeri", nik: asal.value.nik, surat }
        : { kind: "surat", surat },
    tujuan:
      tujuan.case === "kartuBaru"
        ? { kind: "kartu_baru", nikKepala: tujuan.value.nikKepala, alamat: tujuan.value.alamat }
        : { kind: "kartu", nomorKk: tujuan.value ?? "" },
  };
}

export function parentsOf({ nikIbu, nikAyah }: Pick<Kelahiran, "nikIbu" | "nikAyah">): string[] {
  return [nikIbu, nikAyah].filter((nik) => nik !== "");
}

/** Names as the registry has them, and the mother's religion, which is the child's until it says otherwise. */
export async function parentFields(
  sql: Sql,
  nikIbu: string,
  nikAyah: string,
): Promise<{ agama: number; namaIbu: string; namaAyah: string }> {
  const { rows } = await sql.query({
    name: "peristiwa-orang-tua",
    text: "select nik, nama, agama from penduduk where nik = any($1)",
    values: [[nikIbu, nikAyah]],
  });
  const byNik = new Map(rows.map((row) => [row.nik, row]));
  const ibu = byNik.get(nikIbu);
  return { agama: ibu?.agama ?? 0, namaIbu: ibu?.nama ?? "", namaAyah: byNik.get(nikAyah)?.nama ?? "" };
}

async function issueNik(sql: Sql, prefix: string): Promise<string> {
  const serial = await pendudukTransaction(sql).nextSerial("nik", prefix);
  if (serial === undefined) throw serialsExhausted("NIK");
  return withSerial(prefix, serial);
}
