// A correction of a report that took effect: what of it means something to the registry.
import { type Efek, efekOf, KOMPONEN, type Putusan } from "./efek.ts";
import type { Jejak } from "./jejak.ts";
import { change, draftOf, findByNomorKk, type Keadaan, membersOf } from "./keadaan.ts";
import { checkKelahiran } from "./kelahiran.ts";
import { hasMovedOn } from "./pencabutan.ts";
import { cardRefusal, ditolak } from "./penolakan.ts";
import { kelasOf, type Pindah, residenceIn } from "./pindah.ts";
import { SURAT, type SuratPindah } from "./surat-pindah.ts";

const KOLOM = { minus: KOMPONEN.pembetulan, plus: KOMPONEN.pembetulan };

/** Fields of a birth that say where the child belongs, and who the parents are. */
export type LetakKelahiran = { nomorKk: string; tanggalLahir: string; nikIbu: string; nikAyah: string };

/**
 * Names, date, place, sex and parents are set on the child's record, which is no matter of families; here it is whether they may
 * be, and whether the child joins another card. The NIK stays whatever is corrected.
 */
export function decidePembetulanKelahiran(
  before: Keadaan,
  jejak: Jejak,
  sebelum: LetakKelahiran,
  sesudah: LetakKelahiran,
  { kelurahan, today }: { kelurahan: string; today: string },
): Putusan {
  const { nomorKk } = sesudah;
  const wrong = checkKelahiran(before, sesudah, today);
  if (wrong) return { ok: false, penolakan: wrong };
  const draft = draftOf(before);
  if (nomorKk !== sebelum.nomorKk) {
    const moved = hasMovedOn(before, jejak);
    if (moved) return ditolak("MOVED_ON", moved);
    const kartu = findByNomorKk(before, nomorKk);
    const refusal = cardRefusal(before, kartu, kelurahan);
    if (refusal || !kartu) return ditolak(refusal ?? "KK_UNKNOWN", "nomor_kk");
    for (const { id } of jejak.penduduk) change(draft, id, { kartu: kartu.id, ...residenceIn(kartu) });
  }
  return { ok: true, value: efekOf(before, draft, KOLOM) };
}

/** `surat` as it reads after the correction, of a move that is on its way or abroad. */
export type EfekPembetulanPindah = Efek & { surat: SuratPindah | undefined };

/** Where to, within the same class of move; who moved, and from which card, is another move. */
export function decidePembetulanPindah(
  before: Keadaan,
  jejak: Jejak,
  sebelum: Pindah,
  sesudah: Pindah,
  { kelurahan, surat }: { kelurahan: string; surat: SuratPindah | undefined },
): Putusan<EfekPembetulanPindah> {
  const { kodeWilayahTujuan, alamatTujuan } = sesudah;
  const isSameMove =
    sebelum.nomorKk === sesudah.nomorKk &&
    sebelum.nik.toSorted().join() === sesudah.nik.toSorted().join() &&
    kelasOf(sebelum.kodeWilayahTujuan, kelurahan) === kelasOf(kodeWilayahTujuan, kelurahan);
  if (!isSameMove) return ditolak("NEEDS_REVOCATION", "pindah");
  const isSameDestination =
    sebelum.kodeWilayahTujuan === kodeWilayahTujuan && sebelum.alamatTujuan === alamatTujuan;
  if (isSameDestination) return { ok: true, value: { ...nothing(before), surat } };
  if (surat) {
    if (surat.status !== SURAT.terbuka) return ditolak("SURAT_PINDAH_CLOSED", "laporan");
    return { ok: true, value: { ...nothing(before), surat: { ...surat, kodeWilayahTujuan, alamatTujuan } } };
  }
  const efek = moveArrived(before, jejak, { kodeWilayah: kodeWilayahTujuan, alamat: alamatTujuan });
  return efek.ok ? { ok: true, value: { ...efek.value, surat: undefined } } : efek;
}

/** What a move in says, as far as it can be corrected or makes it another one. */
export type TujuanDatang = {
  /** Where from, and who is head: never corrected. */
  kunci: string;
  /** Of a card that was made; undefined of one that was joined. */
  alamat: string | undefined;
};

export function decidePembetulanDatang(
  before: Keadaan,
  jejak: Jejak,
  sebelum: TujuanDatang,
  sesudah: TujuanDatang,
): Putusan {
  if (sebelum.kunci !== sesudah.kunci) return ditolak("NEEDS_REVOCATION", "datang");
  if (sesudah.alamat === undefined || sesudah.alamat === sebelum.alamat) {
    return { ok: true, value: nothing(before) };
  }
  return moveArrived(before, jejak, { alamat: sesudah.alamat });
}

/** What of a death is corrected is on its certificate. Who has died is never corrected. */
export function decidePembetulanKematian(
  before: Keadaan,
  sebelum: { nik: string },
  sesudah: { nik: string },
): Putusan {
  if (sebelum.nik !== sesudah.nik) return ditolak("NEEDS_REVOCATION", "kematian.nik");
  return { ok: true, value: nothing(before) };
}

function nothing(before: Keadaan): Efek {
  return efekOf(before, draftOf(before), KOLOM);
}

/** The card that the report made or moved, and all who are in it, at another address. */
function moveArrived(
  before: Keadaan,
  jejak: Jejak,
  destination: { kodeWilayah?: string; alamat: string },
): Putusan {
  const moved = hasMovedOn(before, jejak);
  if (moved) return ditolak("MOVED_ON", moved);
  const draft = draftOf(before);
  for (const { id, sebelum, sesudah } of jejak.kartu) {
    const isDestination =
      !sebelum || sebelum.kodeWilayah !== sesudah.kodeWilayah || sebelum.alamat !== sesudah.alamat;
    if (!isDestination) continue;
    const kartu = { ...before.kartu.get(id)!, ...destination };
    draft.kartu.set(id, kartu);
    for (const member of membersOf(before, id)) {
      change(draft, member.id, { kodeWilayah: kartu.kodeWilayah, alamat: kartu.alamat });
    }
  }
  return { ok: true, value: efekOf(before, draft, KOLOM) };
}
