// A revocation: everybody goes back to where they were before the report, if all still stands as the report left it.
import { efekOf, KOMPONEN, type Putusan } from "./efek.ts";
import { type Jejak, type Letak, stands } from "./jejak.ts";
import {
  change,
  type Draft,
  draftOf,
  type Keadaan,
  membersOf,
  type Penduduk,
  SHDK,
  STATUS,
} from "./keadaan.ts";
import { ditolak } from "./penolakan.ts";
import { SURAT, type SuratPindah } from "./surat-pindah.ts";

/** Of a resident whom the report made, a child: the record is closed. */
const WITHDRAWN = { status: STATUS.ditutup, kartu: undefined, shdk: SHDK.none };

/** @param before holds all residents and cards of the trace. */
export function decidePencabutan(before: Keadaan, jejak: Jejak): Putusan {
  const moved = hasMovedOn(before, jejak);
  if (moved) return ditolak("MOVED_ON", moved);
  const draft = draftOf(before);
  for (const { id, sebelum, sesudah } of jejak.kartu) {
    if (sebelum && !isSameAlamat(sebelum, sesudah))
      draft.kartu.set(id, { ...draft.kartu.get(id)!, ...sebelum });
  }
  for (const { id, sebelum, sesudah } of jejak.penduduk) {
    change(draft, id, sebelum ? restored(sebelum, sesudah) : WITHDRAWN);
  }
  const torn = tornCard(draft, jejak);
  if (torn) return ditolak("MOVED_ON", torn);
  const kolom = { minus: KOMPONEN.pembetulan, plus: KOMPONEN.pembetulan };
  return { ok: true, value: efekOf(before, draft, kolom) };
}

/** The first resident or card that no longer is as the report left it. */
export function hasMovedOn(now: Keadaan, jejak: Jejak): string | undefined {
  for (const { id, sesudah } of jejak.penduduk) {
    if (!stands(now.penduduk.get(id), sesudah)) return `penduduk/${id}`;
  }
  for (const { id, sesudah } of jejak.kartu) {
    const kartu = now.kartu.get(id);
    if (!kartu || !isSameAlamat(kartu, sesudah)) return `kartuKeluarga/${id}`;
  }
  return undefined;
}

/**
 * The first who stands where this transfer left them, and yet not by it: they have arrived or come back, and have left once more.
 *
 * @param terakhir the last transfer of each of its members, by its id.
 */
export function hasLeftAgain(
  { id, status, anggota }: SuratPindah,
  terakhir: ReadonlyMap<string, string>,
): string | undefined {
  const others = anggota.filter(
    ({ penduduk }) => status !== SURAT.terbuka || (terakhir.get(penduduk) ?? id) !== id,
  );
  return others[0] && `penduduk/${others[0].penduduk}`;
}

/** What the report did not change was changed by somebody else, if at all, and stays. */
function restored(sebelum: Letak, sesudah: Letak): Partial<Penduduk> {
  const names = Object.keys(sebelum) as (keyof Letak)[];
  const fields = names.filter((name) => sebelum[name] !== sesudah[name]);
  // A card that they were not in is not a field of what was stored.
  const letak = Object.fromEntries(fields.map((name) => [name, sebelum[name]])) as Partial<Penduduk>;
  return sebelum.kartu === sesudah.kartu ? letak : { ...letak, kartu: sebelum.kartu };
}

/** A card that others have joined since, and that would be left with two heads, or with them where it was not before. */
function tornCard(after: Draft, jejak: Jejak): string | undefined {
  const restoredIds = new Set(jejak.penduduk.map(({ id }) => id));
  for (const { id, sebelum, sesudah } of jejak.kartu) {
    const members = membersOf(after, id);
    const heads = members.filter(({ shdk }) => shdk === SHDK.kepala).length;
    const goesAway = sebelum === null || !isSameAlamat(sebelum, sesudah);
    const leavesOthers = goesAway && members.some((member) => !restoredIds.has(member.id));
    if (heads > 1 || leavesOthers) return `kartuKeluarga/${id}`;
  }
  return undefined;
}

function isSameAlamat(
  one: { kodeWilayah: string; alamat: string },
  other: { kodeWilayah: string; alamat: string },
): boolean {
  return one.kodeWilayah === other.kodeWilayah && one.alamat === other.alamat;
}
