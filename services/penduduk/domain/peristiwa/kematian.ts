// A death: the resident is closed, the spouse is widowed, and a family that lost its head gets another.
import { type Efek, efekOf, KOMPONEN, type Putusan } from "./efek.ts";
import {
  change,
  draftOf,
  findByNik,
  isInKelurahan,
  type Keadaan,
  membersOf,
  PERKAWINAN,
  SHDK,
  STATUS,
} from "./keadaan.ts";
import { nameKepala, spousesOf } from "./kepala.ts";
import { absence, ditolak } from "./penolakan.ts";

export type EfekKematian = Efek & { almarhum: string };

/** @param today of the approval, ISO 8601. */
export function decideKematian(
  before: Keadaan,
  { nik }: { nik: string },
  { kelurahan, today }: { kelurahan: string; today: string },
): Putusan<EfekKematian> {
  const almarhum = findByNik(before, nik);
  const refusal = absence(almarhum);
  if (refusal || !almarhum) return ditolak(refusal ?? "NIK_UNKNOWN", "nik");
  if (!isInKelurahan(almarhum.kodeWilayah, kelurahan)) return ditolak("RESIDENT_WILAYAH", "nik");

  const draft = draftOf(before);
  change(draft, almarhum.id, { status: STATUS.meninggal, kartu: undefined, shdk: SHDK.none });
  if (almarhum.kartu !== undefined) {
    const others = membersOf(draft, almarhum.kartu);
    for (const spouse of spousesOf(almarhum, others)) {
      // A head with another wife or husband beside them is still married.
      const isStillMarried = spousesOf(spouse, others).length > 0;
      if (!isStillMarried && spouse.statusPerkawinan !== PERKAWINAN.ceraiHidup) {
        change(draft, spouse.id, { statusPerkawinan: PERKAWINAN.ceraiMati });
      }
    }
    if (almarhum.shdk === SHDK.kepala) nameKepala(draft, almarhum.kartu, today);
  }
  const efek = efekOf(before, draft, { minus: KOMPONEN.mati, plus: KOMPONEN.mati });
  return { ok: true, value: { ...efek, almarhum: almarhum.id } };
}
