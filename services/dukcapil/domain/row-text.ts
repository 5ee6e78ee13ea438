// The readable form of a row: what the contract's message says, field by field.
import { BAD } from "./bad-rows.ts";
import { SEX } from "./codes.ts";
import type { Birth } from "./person.ts";
import { firstName, type RowFacts, secondName, thirdName } from "./row-facts.ts";
import { FEMALE_NAMES, JOBS, MALE_NAMES, SECOND_NAMES, STREETS } from "./words.ts";
import type { World } from "./world.ts";

/** The fields of lampid.dukcapil.v1.PendudukHub. */
export type RowText = ReturnType<typeof rowText>;

export function rowText(world: World, facts: RowFacts) {
  const { bad, birth } = facts;
  return {
    id: BigInt(facts.id),
    versi: BigInt(facts.versi),
    nik: nikText(world, facts),
    nomorKk: kkText(world, facts),
    shdk: facts.shdk,
    nama: namaText(facts),
    jenisKelamin: birth.sex,
    tempatLahir: world.regions.kabupaten[facts.tempatLahir]!,
    tanggalLahir: dateText(birth, bad),
    agama: facts.agama,
    statusPerkawinan: facts.kawin,
    golonganDarah: facts.golonganDarah,
    pekerjaan: JOBS[facts.pekerjaan]!,
    alamat: `${STREETS[facts.street]}${facts.houseNumber}`,
    rt: digits(facts.rt, 3),
    rw: digits(facts.rw, 3),
    kodeWilayah: kodeText(world, facts),
    namaIbu: fullName(facts.namaIbu, SEX.female),
    namaAyah: fullName(facts.namaAyah, SEX.male),
    status: facts.status,
    dihapus: facts.dihapus,
    peristiwa: "",
  };
}

/** In a bad row not what a NIK has to be. */
export function nikText({ layout }: World, { nik, bad }: RowFacts): string {
  const text = numberText(layout.kecamatan[nik.kec]!, nik.day + (nik.sex === SEX.female ? 40 : 0), nik);
  if (bad === BAD.nik_pendek) return text.slice(0, 15);
  if (bad === BAD.nik_huruf) return `${text.slice(0, 15)}O`;
  if (bad === BAD.nik_serial_nol) return `${text.slice(0, 12)}0000`;
  return text;
}

function kkText({ layout }: World, { kk, bad }: RowFacts): string {
  const text = numberText(layout.kecamatan[kk.kec]!, kk.day, kk);
  return bad === BAD.kk_rusak ? text.slice(0, 15) : text;
}

function numberText(kecamatan: string, day: number, { month, year, serial }: Omit<Birth, "kec" | "sex">) {
  return `${kecamatan.replaceAll(".", "")}${digits(day, 2)}${digits(month, 2)}${digits(year % 100, 2)}${digits(serial, 4)}`;
}

function namaText({ nama, birth, bad }: RowFacts): string {
  if (bad === BAD.nama_kosong) return "";
  const text = fullName(nama, birth.sex);
  return bad === BAD.nama_kendali ? text.replace(" ", "\u0007") : text;
}

function fullName(nama: number, sex: number): string {
  const first = (sex === SEX.female ? FEMALE_NAMES : MALE_NAMES)[firstName(nama, sex)];
  const third = thirdName(nama);
  return `${first} ${SECOND_NAMES[secondName(nama)]}${third < 0 ? "" : ` ${SECOND_NAMES[third]}`}`;
}

function dateText({ year, month, day }: Birth, bad: number): string {
  if (bad === BAD.tanggal_mustahil) return `${year}-02-31`;
  const shown = bad === BAD.tanggal_depan ? 2100 + (year % 100) : year;
  return `${shown}-${digits(month, 2)}-${digits(day, 2)}`;
}

function kodeText({ layout }: World, { kel, bad }: RowFacts): string {
  const kode = layout.kelurahan[kel]!;
  return bad === BAD.wilayah_tak_dikenal ? `${kode.slice(0, 8)}.9999` : kode;
}

function digits(value: number, count: number): string {
  return String(value).padStart(count, "0");
}
