// Those in transit come back to the card that they left: the move was called off, or they did not arrive in time.
import { inTransit } from "./datang.ts";
import { efekOf, KOMPONEN, type Putusan } from "./efek.ts";
import { change, draftOf, headOf, type Keadaan, SHDK, STATUS } from "./keadaan.ts";
import { isSpouseOfKepala, nameKepala, spouseShdk } from "./kepala.ts";
import { ditolak } from "./penolakan.ts";
import { residenceIn } from "./pindah.ts";
import type { SuratPindah } from "./surat-pindah.ts";

/**
 * The head is head again if the place is vacant; else the spouse of the present one, where it is their own spouse who came in
 * their place, or a relative.
 *
 * @param shdkBefore what residents were in the card before the move, by id, of those whom it changed.
 */
export function decidePengembalian(
  before: Keadaan,
  surat: SuratPindah | undefined,
  { shdkBefore, today }: { shdkBefore: ReadonlyMap<string, number>; today: string },
): Putusan {
  if (!surat || surat.kodeWilayahTujuan === "") return ditolak("SURAT_PINDAH_UNKNOWN", "laporan");
  const returning = inTransit(before, surat);
  if (returning.length === 0) return ditolak("SURAT_PINDAH_CLOSED", "laporan");

  const kartu = before.kartu.get(surat.kartuAsal)!;
  const head = headOf(before, kartu.id);
  const draft = draftOf(before);
  for (const { penduduk, shdk } of returning) {
    const isFormerHead = shdk === SHDK.kepala && head !== undefined;
    const spouse = head && isSpouseOfKepala({ shdk: shdkBefore.get(head.id) ?? SHDK.none });
    change(draft, penduduk.id, {
      status: STATUS.aktif,
      kartu: kartu.id,
      shdk: isFormerHead ? (spouse ? spouseShdk(penduduk) : SHDK.familiLain) : shdk,
      // Their residence was not changed when they left; where the family has moved since, they come to it.
      ...(kartu.kodeWilayah === surat.kodeWilayahAsal ? {} : residenceIn(kartu)),
    });
  }
  nameKepala(draft, kartu.id, today);
  const kolom = { minus: KOMPONEN.pindahBatal, plus: KOMPONEN.pindahBatal };
  return { ok: true, value: efekOf(before, draft, kolom) };
}
