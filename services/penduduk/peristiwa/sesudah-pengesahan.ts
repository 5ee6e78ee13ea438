// What becomes of a report after it took effect: members in transit come back, it is corrected, or it is revoked.

import { pendudukEventId } from "#chassis/peristiwa-id.ts";
import type { Datang, IsiLaporan, Kelahiran, Pindah } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import { PeristiwaBerlaku_Jenis as Jenis } from "#gen/lampid/peristiwa/v1/peristiwa_events_pb.ts";
import { snakeCase } from "../biodata.ts";
import type { Efek } from "../domain/peristiwa/efek.ts";
import { type Jejak, joinJejak } from "../domain/peristiwa/jejak.ts";
import { type Keadaan, keadaanOf } from "../domain/peristiwa/keadaan.ts";
import {
  decidePembetulanDatang,
  decidePembetulanKelahiran,
  decidePembetulanKematian,
  decidePembetulanPindah,
} from "../domain/peristiwa/pembetulan.ts";
import { decidePencabutan, hasLeftAgain } from "../domain/peristiwa/pencabutan.ts";
import { decidePengembalian } from "../domain/peristiwa/pengembalian.ts";
import { SURAT, type SuratPindah } from "../domain/peristiwa/surat-pindah.ts";
import { pendudukTransaction } from "../postgres-store.ts";
import { refusedBy } from "../refusals.ts";
import { correctAkta, revokeAkta } from "./akta-store.ts";
import { lockKeadaan, type Named, writeEfek } from "./keadaan-store.ts";
import { accepted, type Berlaku, type Konteks, type Terdahulu } from "./konteks.ts";
import { parentFields, parentsOf, suratOf } from "./pengesahan.ts";
import { closeSurat, findSurat, lastSurat, redirectSurat, reopenSurat } from "./surat-store.ts";

const NO_NUMBERS = { nomorKk: new Map<string, string>() };

export async function kembalikan(konteks: Konteks, terdahulu: readonly Terdahulu[]): Promise<Berlaku> {
  const { sql, laporan } = konteks;
  const surat = await findSurat(sql, { laporan });
  const { before, efek } = await bringBack(konteks, terdahulu, surat, SURAT.kembali);
  return { jenis: Jenis.PENGEMBALIAN, before, efek };
}

/** A move that is on its way is revoked as it is called off; everything else goes by its trace. */
export async function cabut(
  konteks: Konteks,
  { formulir }: IsiLaporan,
  terdahulu: readonly Terdahulu[],
): Promise<Berlaku> {
  const { sql, laporan } = konteks;
  const jenis = Jenis.PENCABUTAN;
  const surat = formulir.case === "pindah" ? await findSurat(sql, { laporan }) : undefined;
  if (surat?.status === SURAT.kembali) throw refusedBy({ sebab: "SURAT_PINDAH_CLOSED", subjek: "laporan" });
  if (surat && surat.status === SURAT.terbuka && surat.kodeWilayahTujuan !== "") {
    return { jenis, ...(await bringBack(konteks, terdahulu, surat, SURAT.dicabut)) };
  }
  const arrivedBy = formulir.case === "datang" ? await suratOf(sql, formulir.value) : undefined;
  const jejak = jejakOf(terdahulu);
  const before = await lockKeadaan(sql, namedBy(jejak));
  const leftAgain = surat && hasLeftAgain(surat, await lastSurat(sql, surat));
  if (leftAgain) throw refusedBy({ sebab: "MOVED_ON", subjek: leftAgain });
  const efek = accepted(decidePencabutan(before, jejak));
  await writeEfek(sql, before, efek, NO_NUMBERS, konteks);
  await revokeAkta(sql, laporan);
  if (surat) await closeSurat(konteks, surat.id, SURAT.dicabut);
  if (arrivedBy) await reopenSurat(sql, arrivedBy.id);
  return { jenis, before, efek };
}

export async function betulkan(
  konteks: Konteks,
  sebelum: IsiLaporan,
  sesudah: IsiLaporan,
  terdahulu: readonly Terdahulu[],
): Promise<Berlaku> {
  const dulu = sebelum.formulir;
  const kini = sesudah.formulir;
  const jejak = jejakOf(terdahulu);
  const jenis = Jenis.PEMBETULAN;
  if (dulu.case === "kelahiran" && kini.case === "kelahiran") {
    return { jenis, ...(await betulkanKelahiran(konteks, dulu.value, kini.value, jejak)) };
  }
  if (dulu.case === "kematian" && kini.case === "kematian") {
    const before = keadaanOf([], []);
    const efek = accepted(decidePembetulanKematian(before, dulu.value, kini.value));
    const tanggal = kini.value.tanggalKematian;
    return { jenis, before, efek, nomorAkta: await correctAkta(konteks.sql, konteks.laporan, { tanggal }) };
  }
  if (dulu.case === "pindah" && kini.case === "pindah") {
    return { jenis, ...(await betulkanPindah(konteks, dulu.value, kini.value, jejak)) };
  }
  if (dulu.case === "datang" && kini.case === "datang") {
    const before = await lockKeadaan(konteks.sql, namedBy(jejak));
    const putusan = decidePembetulanDatang(before, jejak, tujuanOf(dulu.value), tujuanOf(kini.value));
    const efek = accepted(putusan);
    await writeEfek(konteks.sql, before, efek, NO_NUMBERS, konteks);
    return { jenis, before, efek };
  }
  throw refusedBy({ sebab: "FORM_CHANGED", subjek: "pembetulan.sesudah" });
}

async function bringBack(
  konteks: Konteks,
  terdahulu: readonly Terdahulu[],
  surat: SuratPindah | undefined,
  status: number,
): Promise<{ before: Keadaan; efek: Efek }> {
  const { sql, today } = konteks;
  const before = await lockKeadaan(sql, {
    kartu: surat ? [surat.kartuAsal] : [],
    penduduk: (surat?.anggota ?? []).map(({ penduduk }) => penduduk),
  });
  const { penduduk } = jejakOf(terdahulu);
  const shdkBefore = new Map(penduduk.map(({ id, sebelum }) => [id, sebelum?.shdk ?? 0]));
  const efek = accepted(decidePengembalian(before, surat, { shdkBefore, today }));
  await writeEfek(sql, before, efek, NO_NUMBERS, konteks);
  await closeSurat(konteks, surat!.id, status);
  return { before, efek };
}

async function betulkanKelahiran(
  konteks: Konteks,
  sebelum: Kelahiran,
  sesudah: Kelahiran,
  jejak: Jejak,
): Promise<Omit<Berlaku, "jenis">> {
  const { sql, peristiwa, laporan, at } = konteks;
  const named = namedBy(jejak);
  const before = await lockKeadaan(sql, {
    ...named,
    nik: parentsOf(sesudah),
    nomorKk: [sesudah.nomorKk],
  });
  const efek = accepted(decidePembetulanKelahiran(before, jejak, sebelum, sesudah, konteks));
  await writeEfek(sql, before, efek, NO_NUMBERS, konteks);
  const { nikIbu, nikAyah, nama, tempatLahir, tanggalLahir, jenisKelamin } = sesudah;
  const { namaIbu, namaAyah } = await parentFields(sql, nikIbu, nikAyah);
  const anak = jejak.penduduk[0]!.id;
  const biodata = { nama, tempatLahir, tanggalLahir, jenisKelamin, namaIbu, namaAyah };
  await pendudukTransaction(sql).update(anak, biodata, at, pendudukEventId(peristiwa, anak));
  const ibu = [...before.penduduk.values()].find(({ nik }) => nik === nikIbu)?.id;
  const nomorAkta = await correctAkta(sql, laporan, {
    tanggal: tanggalLahir,
    ibu,
    urutan: sesudah.urutan,
  });
  const written = Object.keys(biodata).map(snakeCase);
  return { before, efek: { ...efek, penduduk: [anak] }, biodata: written, nomorAkta };
}

async function betulkanPindah(
  konteks: Konteks,
  sebelum: Pindah,
  sesudah: Pindah,
  jejak: Jejak,
): Promise<Omit<Berlaku, "jenis">> {
  const { sql, laporan, kelurahan, wilayah } = konteks;
  if (sesudah.kodeWilayahTujuan !== "" && !wilayah.has(sesudah.kodeWilayahTujuan)) {
    throw refusedBy({ sebab: "WILAYAH_UNKNOWN", subjek: "kode_wilayah_tujuan" });
  }
  const surat = await findSurat(sql, { laporan });
  const before = await lockKeadaan(sql, namedBy(jejak));
  const efek = accepted(decidePembetulanPindah(before, jejak, sebelum, sesudah, { kelurahan, surat }));
  await writeEfek(sql, before, efek, NO_NUMBERS, konteks);
  if (efek.surat) await redirectSurat(sql, efek.surat);
  return { before, efek };
}

/** Of the effects that a report has had so far. */
function jejakOf(terdahulu: readonly Terdahulu[]): Jejak {
  return joinJejak(terdahulu.map(({ jejak }) => jejak));
}

function namedBy({ penduduk, kartu }: Jejak): Named {
  return { penduduk: penduduk.map(({ id }) => id), kartu: kartu.map(({ id }) => id) };
}

/** What of a move in is corrected is the address of a card that it made. */
function tujuanOf({ asal, tujuan }: Datang): { kunci: string; alamat: string | undefined } {
  const from = asal.case === "luarNegeri" ? asal.value.nik : (asal.value ?? "");
  return tujuan.case === "kartuBaru"
    ? { kunci: `${from} baru ${tujuan.value.nikKepala}`, alamat: tujuan.value.alamat }
    : { kunci: `${from} ${tujuan.value ?? ""}`, alamat: undefined };
}
