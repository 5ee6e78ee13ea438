// All that a row says, as numbers: the one source for its readable form and for its bytes.
import { BAD, badOf, doubleOf } from "./bad-rows.ts";
import { LAST_GOLONGAN_DARAH, SEX, SHDK } from "./codes.ts";
import { hash } from "./hash.ts";
import { type Birth, DAYS, readBirth, readNewBirth } from "./person.ts";
import { agamaOf } from "./regions.ts";
import type { RowState } from "./row-state.ts";
import { FEMALE_NAMES, JOB, JOBS, MALE_NAMES, SECOND_NAMES, STREETS } from "./words.ts";
import type { World } from "./world.ts";

/** Written again for each row, like {@link RowState}. Names are hashes, see {@link firstName}. */
export type RowFacts = {
  id: number;
  versi: number;
  /** Kind of mistake, 0 in a good row: {@link BAD}. */
  bad: number;
  /** What the NIK says; of another row where the kind is nik_ganda. */
  nik: Birth;
  /** The person's own. */
  birth: Birth;
  kk: { kec: number; year: number; month: number; day: number; serial: number };
  shdk: number;
  nama: number;
  /** Number of the kabupaten. */
  tempatLahir: number;
  agama: number;
  kawin: number;
  golonganDarah: number;
  pekerjaan: number;
  street: number;
  houseNumber: number;
  rt: number;
  rw: number;
  kel: number;
  namaIbu: number;
  namaAyah: number;
  status: number;
  dihapus: boolean;
};

export function createRowFacts(): RowFacts {
  const birth = (): Birth => ({ kec: 0, year: 0, month: 0, day: 0, sex: 0, serial: 0 });
  return {
    id: 0,
    versi: 0,
    bad: 0,
    nik: birth(),
    birth: birth(),
    kk: { kec: 0, year: 0, month: 0, day: 0, serial: 0 },
    shdk: 0,
    nama: 0,
    tempatLahir: 0,
    agama: 0,
    kawin: 0,
    golonganDarah: 0,
    pekerjaan: 0,
    street: 0,
    houseNumber: 0,
    rt: 0,
    rw: 0,
    kel: 0,
    namaIbu: 0,
    namaAyah: 0,
    status: 0,
    dihapus: false,
  };
}

/** Writes what a row in this state says into `facts`. */
export function readFacts(world: World, state: RowState, facts: RowFacts): void {
  const { index, head, born } = state;
  const { salts } = world;
  const family = hash(salts.home, head);
  const person = hash(salts.person, index);
  facts.id = index + 1;
  facts.versi = state.versi;
  facts.nama = hash(salts.name, index);
  facts.kawin = state.kawin;
  facts.golonganDarah = (person >>> 10) % (LAST_GOLONGAN_DARAH + 1);
  facts.kel = state.kel;
  facts.status = state.status;
  facts.dihapus = state.dihapus;
  if (born === 0) readOld(world, state, person, facts);
  else readNew(world, state, facts);
  facts.agama = agamaOf(world.regions.agamaOfKec[facts.kk.kec]!, family >>> 4);
  facts.pekerjaan = jobOf(facts, person);
  readAddress(world, state, facts);
}

/** What the NIK of a row in this state says; the same as in its facts, for a third of the work. */
export function readNik(world: World, state: RowState, facts: RowFacts): void {
  const { index, home, born } = state;
  if (born !== 0) {
    facts.bad = 0;
    readNewBirth(world, index, facts.nik);
    return;
  }
  facts.bad = state.isCorrected ? 0 : badOf(world, index);
  const owner = facts.bad === BAD.nik_ganda ? doubleOf(world, index) : index;
  readBirth(world, owner, owner === index ? home : world.layout.kelOf(owner), facts.nik);
}

function readOld(world: World, state: RowState, person: number, facts: RowFacts): void {
  const { layout, salts, regions } = world;
  const { families } = layout;
  const { index, home, offset, head } = state;
  readNik(world, state, facts);
  if (facts.bad === BAD.nik_ganda) readBirth(world, index, home, facts.birth);
  else copyBirth(facts.nik, facts.birth);
  const { kec } = facts.birth;
  facts.shdk = families.shdk[offset]!;
  readCard(world, kec, head, facts);
  // Children are born at home, one in four of the others elsewhere.
  const isFromElsewhere = families.role[offset] !== "C" && (person >>> 20) % 4 === 0;
  facts.tempatLahir = isFromElsewhere ? (person >>> 22) % regions.kabupaten.length : regions.kabOfKec[kec]!;
  const end = layout.kelStart[home + 1]!;
  const parent = families.role[offset] === "C" ? head : index;
  const ibu = families.ibu[offset]!;
  const ayah = families.ayah[offset]!;
  facts.namaIbu =
    ibu !== 0 && index + ibu < end ? hash(salts.name, index + ibu) : hash(salts.parent, parent * 2);
  facts.namaAyah =
    ayah !== 0 && index + ayah < end ? hash(salts.name, index + ayah) : hash(salts.parent, parent * 2 + 1);
}

/** Cheaper than to work it out again. */
function copyBirth(from: Birth, to: Birth): void {
  to.kec = from.kec;
  to.year = from.year;
  to.month = from.month;
  to.day = from.day;
  to.sex = from.sex;
  to.serial = from.serial;
}

function readNew(world: World, { index, head, born }: RowState, facts: RowFacts): void {
  const { layout, salts, regions, rounds } = world;
  facts.bad = 0;
  readNewBirth(world, index, facts.birth);
  readNewBirth(world, index, facts.nik);
  const { births } = rounds[born - 1]!;
  const mother = births.mothers[index - births.first]!;
  facts.shdk = SHDK.anak;
  facts.tempatLahir = regions.kabOfKec[facts.birth.kec]!;
  readCard(world, layout.kecOfKel[layout.kelOf(head)]!, head, facts);
  // A mother is wife or head of her family, and her husband the other of the first two.
  facts.namaIbu = hash(salts.name, mother);
  facts.namaAyah = hash(salts.name, mother === head ? head + 1 : head);
}

function readCard({ layout, salts }: World, kec: number, head: number, { kk }: RowFacts): void {
  const drawn = hash(salts.card, head);
  kk.kec = kec;
  kk.year = 2008 + (drawn % 16);
  kk.month = 1 + ((drawn >>> 4) % 12);
  kk.day = 1 + ((drawn >>> 8) % DAYS[kk.month]!);
  kk.serial = head - layout.kecStart(kec) + 1;
}

function readAddress({ salts, rounds }: World, state: RowState, facts: RowFacts): void {
  const { addressRound, isOwnAddress, index, head } = state;
  const drawn =
    addressRound === 0
      ? hash(salts.address, head)
      : hash(rounds[addressRound - 1]!.detail ^ salts.address, isOwnAddress ? index : head);
  facts.street = drawn % STREETS.length;
  facts.houseNumber = 1 + ((drawn >>> 7) % 180);
  facts.rt = 1 + ((drawn >>> 15) % 12);
  facts.rw = 1 + ((drawn >>> 19) % 10);
}

function jobOf({ birth, shdk }: RowFacts, person: number): number {
  const age = 2024 - birth.year;
  if (age < 6) return JOB.none;
  if (age < 19 || (age < 23 && (person >>> 13) % 2 === 0)) return JOB.school;
  const isAtHome = birth.sex === SEX.female && shdk !== SHDK.kepala && (person >>> 14) % 2 === 0;
  if (isAtHome) return JOB.home;
  if (age >= 62 && (person >>> 15) % 2 === 0) return JOB.retired;
  return JOB.firstOfAdults + ((person >>> 16) % (JOBS.length - JOB.firstOfAdults));
}

export function firstName(nama: number, sex: number): number {
  return nama % (sex === SEX.female ? FEMALE_NAMES : MALE_NAMES).length;
}

export function secondName(nama: number): number {
  return (nama >>> 8) % SECOND_NAMES.length;
}

/** One in four has three names; -1 for the others. */
export function thirdName(nama: number): number {
  if (nama >>> 30 !== 0) return -1;
  // Another one than the second.
  const distance = 1 + ((nama >>> 16) % (SECOND_NAMES.length - 1));
  return (secondName(nama) + distance) % SECOND_NAMES.length;
}
