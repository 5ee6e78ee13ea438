// A move in: those who left under a surat keterangan pindah, or who return from abroad, join a family card or found one.
import { efekOf, KOMPONEN, type Putusan } from "./efek.ts";
import {
  change,
  type Draft,
  draftOf,
  findByNik,
  findByNomorKk,
  headOf,
  type Kartu,
  type Keadaan,
  kabupatenOf,
  type Penduduk,
  SHDK,
  STATUS,
} from "./keadaan.ts";
import { isSpouseOfKepala, spouseShdk } from "./kepala.ts";
import { cardRefusal, ditolak } from "./penolakan.ts";
import { residenceIn } from "./pindah.ts";
import { SURAT, type SuratPindah } from "./surat-pindah.ts";

export type Datang = {
  /** `surat` undefined: there is none of this number; of a return from abroad, none that the registry gave. */
  asal:
    | { kind: "surat"; surat: SuratPindah | undefined }
    | { kind: "luar_negeri"; nik: string; surat: SuratPindah | undefined };
  tujuan: { kind: "kartu"; nomorKk: string } | { kind: "kartu_baru"; nikKepala: string; alamat: string };
};

/** @param id of the card that it may make. */
export function decideDatang(
  before: Keadaan,
  { asal, tujuan }: Datang,
  { id, kelurahan }: { id: string; kelurahan: string },
): Putusan {
  const arriving =
    asal.kind === "surat" ? fromTransit(before, asal.surat, kelurahan) : fromAbroad(before, asal);
  if (!arriving.ok) return arriving;
  const arrivals = arriving.value;
  const draft = draftOf(before);
  switch (tujuan.kind) {
    case "kartu": {
      const kartu = findByNomorKk(before, tujuan.nomorKk);
      const refusal = cardRefusal(before, kartu, kelurahan);
      if (refusal || !kartu) return ditolak(refusal ?? "KK_UNKNOWN", "nomor_kk");
      joinCard(draft, kartu, arrivals);
      break;
    }
    case "kartu_baru": {
      const kepala = arrivals.find(({ penduduk }) => penduduk.nik === tujuan.nikKepala);
      if (!kepala) return ditolak("KEPALA_NOT_ARRIVING", "kartu_baru.nik_kepala");
      const kartu = { id, nomorKk: "", kodeWilayah: kelurahan, alamat: tujuan.alamat };
      draft.kartu.set(id, kartu);
      foundCard(draft, kartu, arrivals, kepala);
      break;
    }
    default:
      return tujuan satisfies never;
  }
  return { ok: true, value: efekOf(before, draft, { minus: KOMPONEN.pindah, plus: KOMPONEN.datang }) };
}

/** Who arrives, and what they were in the card that they left. */
type Arrival = { penduduk: Penduduk; shdk: number };

function fromTransit(before: Keadaan, surat: SuratPindah | undefined, kelurahan: string): Putusan<Arrival[]> {
  if (!surat || surat.kodeWilayahTujuan === "") return ditolak("SURAT_PINDAH_UNKNOWN", "nomor_skpwni");
  const arrivals = inTransit(before, surat);
  if (arrivals.length === 0) return ditolak("SURAT_PINDAH_CLOSED", "nomor_skpwni");
  if (kabupatenOf(surat.kodeWilayahTujuan) !== kabupatenOf(kelurahan)) {
    return ditolak("SURAT_PINDAH_TUJUAN", "nomor_skpwni");
  }
  return { ok: true, value: arrivals };
}

function fromAbroad(
  before: Keadaan,
  { nik, surat }: { nik: string; surat: SuratPindah | undefined },
): Putusan<Arrival[]> {
  const penduduk = findByNik(before, nik);
  if (!penduduk) return ditolak("NIK_UNKNOWN", "luar_negeri.nik");
  if (penduduk.status !== STATUS.luarNegeri) return ditolak("NOT_ABROAD", "luar_negeri.nik");
  const shdk = surat?.anggota.find((each) => each.penduduk === penduduk.id)?.shdk ?? SHDK.familiLain;
  return { ok: true, value: [{ penduduk, shdk }] };
}

/** Those of a transfer who are on the way: all, unless the hub closed one meanwhile. */
export function inTransit({ penduduk }: Keadaan, surat: SuratPindah): Arrival[] {
  if (surat.status !== SURAT.terbuka) return [];
  return surat.anggota.flatMap((each) => {
    const member = penduduk.get(each.penduduk);
    return member?.status === STATUS.dalamPerpindahan ? [{ penduduk: member, shdk: each.shdk }] : [];
  });
}

/**
 * Relations are to a head. Who brings their own head into a family that has one is another relative there, but for domestic
 * workers and others, who are that to any head; who comes without a head comes to their own.
 */
export function joinCard(draft: Draft, kartu: Kartu, arrivals: readonly Arrival[]): void {
  const hasHead = headOf(draft, kartu.id) !== undefined;
  const bringHead = arrivals.some(({ shdk }) => shdk === SHDK.kepala);
  for (const { penduduk, shdk } of arrivals) {
    const isOfOwnHead = hasHead && bringHead && shdk !== SHDK.pembantu && shdk !== SHDK.lainnya;
    arrive(draft, penduduk, kartu, isOfOwnHead ? SHDK.familiLain : shdk);
  }
}

function foundCard(draft: Draft, kartu: Kartu, arrivals: readonly Arrival[], kepala: Arrival): void {
  for (const arrival of arrivals) arrive(draft, arrival.penduduk, kartu, shdkUnder(kepala, arrival));
}

/** Of one card there is one head: the former one is their spouse, where they were that to each other, else a relative. */
function shdkUnder(kepala: Arrival, { penduduk, shdk }: Arrival): number {
  if (penduduk.id === kepala.penduduk.id) return SHDK.kepala;
  if (shdk !== SHDK.kepala) return shdk;
  return isSpouseOfKepala(kepala) ? spouseShdk(penduduk) : SHDK.familiLain;
}

function arrive(draft: Draft, { id }: Penduduk, kartu: Kartu, shdk: number): void {
  change(draft, id, { status: STATUS.aktif, kartu: kartu.id, shdk, ...residenceIn(kartu) });
}
