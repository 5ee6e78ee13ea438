// A birth: the child joins the family card as anak.
import { isRealDate } from "../nik.ts";
import { type Efek, efekOf, KOMPONEN, type Putusan } from "./efek.ts";
import {
  draftOf,
  findByNik,
  findByNomorKk,
  headOf,
  type Keadaan,
  membersOf,
  PERKAWINAN,
  type Penduduk,
  SHDK,
  STATUS,
} from "./keadaan.ts";
import { cardRefusal, ditolak, type Penolakan } from "./penolakan.ts";

export type Kelahiran = {
  jenisKelamin: number;
  tanggalLahir: string;
  /** "" when not known, or none is to be named. */
  nikIbu: string;
  nikAyah: string;
  nomorKk: string;
};

export type EfekKelahiran = Efek & { anak: Penduduk; ibu: Penduduk | undefined };

/** @param id of the child. @param today of the approval, ISO 8601. */
export function decideKelahiran(
  before: Keadaan,
  kelahiran: Kelahiran,
  { id, kelurahan, today }: { id: string; kelurahan: string; today: string },
): Putusan<EfekKelahiran> {
  const { tanggalLahir, nikIbu, nomorKk } = kelahiran;
  const wrong = checkKelahiran(before, kelahiran, today);
  if (wrong) return { ok: false, penolakan: wrong };
  const kartu = findByNomorKk(before, nomorKk);
  const refusal = cardRefusal(before, kartu, kelurahan);
  if (refusal || !kartu) return ditolak(refusal ?? "KK_UNKNOWN", "nomor_kk");

  // A card has no RT and RW of its own.
  const { rt, rw } = headOf(before, kartu.id) ?? membersOf(before, kartu.id)[0]!;
  const anak: Penduduk = {
    id,
    nik: "",
    jenisKelamin: kelahiran.jenisKelamin,
    tanggalLahir,
    status: STATUS.aktif,
    statusPerkawinan: PERKAWINAN.belumKawin,
    shdk: SHDK.anak,
    kartu: kartu.id,
    kodeWilayah: kartu.kodeWilayah,
    alamat: kartu.alamat,
    rt,
    rw,
  };
  const draft = draftOf(before);
  draft.penduduk.set(id, anak);
  const efek = efekOf(before, draft, { minus: KOMPONEN.lahir, plus: KOMPONEN.lahir });
  return { ok: true, value: { ...efek, anak, ibu: findByNik(before, nikIbu) } };
}

/** What of a birth must hold whether it is reported or corrected. */
export function checkKelahiran(
  before: Keadaan,
  { tanggalLahir, nikIbu, nikAyah }: Pick<Kelahiran, "tanggalLahir" | "nikIbu" | "nikAyah">,
  today: string,
): Penolakan | undefined {
  if (!isRealDate(tanggalLahir) || tanggalLahir > today)
    return { sebab: "BIRTH_DATE", subjek: "tanggal_lahir" };
  if (nikIbu !== "" && !isKnown(findByNik(before, nikIbu)))
    return { sebab: "NIK_UNKNOWN", subjek: "nik_ibu" };
  if (nikAyah !== "" && !isKnown(findByNik(before, nikAyah)))
    return { sebab: "NIK_UNKNOWN", subjek: "nik_ayah" };
  return undefined;
}

/** Known is enough: a mother may have died in childbed, a father before. */
function isKnown(penduduk: Penduduk | undefined): boolean {
  return penduduk !== undefined && penduduk.status !== STATUS.ditutup;
}
