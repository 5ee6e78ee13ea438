// Who is head of a family when the head has died or gone (Permendagri 108/2019; a guardian's report comes later).
import {
  change,
  type Draft,
  headOf,
  JENIS_KELAMIN,
  membersOf,
  PERKAWINAN,
  type Penduduk,
  SHDK,
} from "./keadaan.ts";

/** From this age on a person is grown up, and whoever is or was married is so before (UU 24/2013 art. 63). */
const ADULT_YEARS = 17;

/** @param today ISO 8601. */
export function isAdult({ tanggalLahir, statusPerkawinan }: Penduduk, today: string): boolean {
  if (statusPerkawinan >= PERKAWINAN.kawin) return true;
  const seventeenth = `${Number(tanggalLahir.slice(0, 4)) + ADULT_YEARS}${tanggalLahir.slice(4)}`;
  // Of 29 February, text order makes it 1 March in other years, as the civil code does.
  return seventeenth <= today;
}

/** The spouse, else the eldest grown-up; undefined when only minors are left. Of several spouses, the eldest. */
export function nextKepala(members: readonly Penduduk[], today: string): Penduduk | undefined {
  return eldest(members.filter(isSpouseOfKepala)) ?? eldest(members.filter((each) => isAdult(each, today)));
}

/** Names a head where a card has members and none of them is. */
export function nameKepala(draft: Draft, kartu: string, today: string): void {
  if (headOf(draft, kartu)) return;
  const next = nextKepala(membersOf(draft, kartu), today);
  if (next) change(draft, next.id, { shdk: SHDK.kepala });
}

export function isSpouseOfKepala({ shdk }: Pick<Penduduk, "shdk">): boolean {
  return shdk === SHDK.suami || shdk === SHDK.istri;
}

/**
 * Spouses of a member by their relations to the head: of the head, all husbands and wives; of one of these, the head. A wife who
 * became head is not the spouse of another wife.
 */
export function spousesOf(member: Penduduk, others: readonly Penduduk[]): Penduduk[] {
  const isSpouse = (other: Penduduk) =>
    member.shdk === SHDK.kepala
      ? isSpouseOfKepala(other)
      : isSpouseOfKepala(member) && other.shdk === SHDK.kepala;
  return others.filter((other) => isSpouse(other) && !isSameSex(member, other));
}

/** What a former head is to the head who came in their place, as a spouse. */
export function spouseShdk({ jenisKelamin }: Penduduk): number {
  return jenisKelamin === JENIS_KELAMIN.perempuan ? SHDK.istri : SHDK.suami;
}

function isSameSex(one: Penduduk, other: Penduduk): boolean {
  return one.jenisKelamin !== 0 && one.jenisKelamin === other.jenisKelamin;
}

function eldest(members: readonly Penduduk[]): Penduduk | undefined {
  return members.toSorted(
    (a, b) => a.tanggalLahir.localeCompare(b.tanggalLahir) || a.shdk - b.shdk || (a.id < b.id ? -1 : 1),
  )[0];
}
