// A birth: the child joins the family card as anak.
import { isRealDate } from "../nik.ts";
import { successorOf } from "../retired-wilayah.ts";
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
import { cardRefusal, ditolak } from "./penolakan.ts";

export type Kelahiran = {
  jenisKelamin: number;
  tanggalLahir: string;
  /** "" when not known, or none is to be named. */
  nikIbu: string;
  nikAyah: string;
  nomorKk: string;
};

export type EfekKelahiran = Efek & { anak: Penduduk; ibu: Penduduk | undefined; ayah: Penduduk | undefined };

/** @param id of the child. @param today of the approval, ISO 8601. */
export function decideKelahiran(
  before: Keadaan,
  kelahiran: Kelahiran,
  { id, kelurahan, today }: { id: string; kelurahan: string; today: string },
): Putusan<EfekKelahiran> {
  const { tanggalLahir, nikIbu, nikAyah, nomorKk } = kelahiran;
  if (!isRealDate(tanggalLahir) || tanggalLahir > today) return ditolak("BIRTH_DATE", "tanggal_lahir");
  if (successorOf(kelurahan.slice(0, 8))) return ditolak("WILAYAH_RETIRED", "kode_wilayah");
  const kartu = findByNomorKk(before, nomorKk);
  const refusal = cardRefusal(before, kartu, kelurahan);
  if (refusal || !kartu) return ditolak(refusal ?? "KK_UNKNOWN", "nomor_kk");
  // Known is enough: a mother may have died in childbed, a father before.
  const ibu = findByNik(before, nikIbu);
  if (nikIbu !== "" && !isKnown(ibu)) return ditolak("NIK_UNKNOWN", "nik_ibu");
  const ayah = findByNik(before, nikAyah);
  if (nikAyah !== "" && !isKnown(ayah)) return ditolak("NIK_UNKNOWN", "nik_ayah");

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
  return { ok: true, value: { ...efek, anak, ibu, ayah } };
}

function isKnown(penduduk: Penduduk | undefined): boolean {
  return penduduk !== undefined && penduduk.status !== STATUS.ditutup;
}
