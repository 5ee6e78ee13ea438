// Why the registry does not let a report take effect: one table. A person has to look at each.
import { isInKelurahan, type Kartu, type Keadaan, membersOf, type Penduduk, STATUS } from "./keadaan.ts";

/** For developers and officers; none holds personal data. */
export const penolakan = {
  NIK_UNKNOWN: "a NIK in the report is not registered",
  NOT_ALIVE: "a resident in the report is closed as deceased or withdrawn",
  IN_TRANSIT: "a resident in the report is in transit between two wilayah",
  ABROAD: "a resident in the report has moved abroad",
  NOT_ABROAD: "the resident is not abroad",
  RESIDENT_WILAYAH: "the resident does not live in the kelurahan that reports",
  NOT_IN_KK: "a resident in the report is not in this family card",
  KK_UNKNOWN: "there is no family card of this number",
  KK_CLOSED: "nobody is left in this family card",
  KK_WILAYAH: "the family card is not of the kelurahan that reports",
  WILAYAH_UNKNOWN: "a wilayah in the report is in no list of wilayah",
  BIRTH_DATE: "the date of birth is none of the calendar up to the approval",
  BIRTH_REGISTERED: "this child of the mother, by date and order of birth, is registered already",
  KEPALA_NOT_ARRIVING: "the head of the new family card is not among those who arrive",
  SURAT_PINDAH_UNKNOWN: "there is no such surat keterangan pindah",
  SURAT_PINDAH_CLOSED: "those who left under this surat keterangan pindah have arrived or come back",
  SURAT_PINDAH_TUJUAN: "the surat keterangan pindah is for another kabupaten/kota",
  ALREADY_APPLIED: "the report has taken effect by another event",
  NOT_APPLIED: "the report has not taken effect",
  REVOKED: "the report was revoked",
  FORM_CHANGED: "the report that took effect was of another form",
  NEEDS_REVOCATION: "this changes who moved or where from: revoke the report and report anew",
  MOVED_ON: "a resident or family card has changed since: a person must bring it in order first",
} as const;

export type Sebab = keyof typeof penolakan;

/** `subjek` names what it is about, a field of the report or a resource; never a NIK. */
export type Penolakan = { sebab: Sebab; subjek: string };

export function ditolak(sebab: Sebab, subjek: string): { ok: false; penolakan: Penolakan } {
  return { ok: false, penolakan: { sebab, subjek } };
}

/** Why somebody is in no family and can join none; undefined for who lives here. */
export function absence(penduduk: Pick<Penduduk, "status"> | undefined): Sebab | undefined {
  switch (penduduk?.status) {
    case undefined:
      return "NIK_UNKNOWN";
    case STATUS.aktif:
      return undefined;
    case STATUS.dalamPerpindahan:
      return "IN_TRANSIT";
    case STATUS.luarNegeri:
      return "ABROAD";
    default:
      return "NOT_ALIVE";
  }
}

/** Why a card of the reporting kelurahan takes nobody in and lets nobody go; undefined when it does. */
export function cardRefusal(
  keadaan: Keadaan,
  kartu: Kartu | undefined,
  kelurahan: string,
): Sebab | undefined {
  if (!kartu) return "KK_UNKNOWN";
  if (membersOf(keadaan, kartu.id).length === 0) return "KK_CLOSED";
  return isInKelurahan(kartu.kodeWilayah, kelurahan) ? undefined : "KK_WILAYAH";
}
