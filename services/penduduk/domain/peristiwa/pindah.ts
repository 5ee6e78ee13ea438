// A move out: complete at once within one kabupaten/kota, into transit between two, and out of the registry's wilayah abroad.
import { type Efek, efekOf, KOMPONEN, type Putusan } from "./efek.ts";
import {
  change,
  type Draft,
  draftOf,
  findByNik,
  findByNomorKk,
  type Kartu,
  type Keadaan,
  kabupatenOf,
  membersOf,
  type Penduduk,
  SHDK,
  STATUS,
} from "./keadaan.ts";
import { nameKepala } from "./kepala.ts";
import { absence, cardRefusal, ditolak } from "./penolakan.ts";
import { SURAT, type SuratPindah } from "./surat-pindah.ts";

export type Pindah = {
  nomorKk: string;
  /** Members who move; empty: all. */
  nik: readonly string[];
  /** "" abroad. */
  kodeWilayahTujuan: string;
  alamatTujuan: string;
};

/** `surat` of a move that is not complete at once. */
export type EfekPindah = Efek & { surat: SuratPindah | undefined };

/** Which of the three a move is: it makes the difference for everything that comes after. */
export type KelasPindah = "langsung" | "antar_kabupaten" | "luar_negeri";

export function kelasOf(kodeWilayahTujuan: string, kelurahan: string): KelasPindah {
  if (kodeWilayahTujuan === "") return "luar_negeri";
  return kabupatenOf(kodeWilayahTujuan) === kabupatenOf(kelurahan) ? "langsung" : "antar_kabupaten";
}

/** @param id of the card or the transfer that it may make. @param today of the approval, ISO 8601. */
export function decidePindah(
  before: Keadaan,
  pindah: Pindah,
  { id, kelurahan, today }: { id: string; kelurahan: string; today: string },
): Putusan<EfekPindah> {
  const { nomorKk, nik, kodeWilayahTujuan, alamatTujuan } = pindah;
  const kartu = findByNomorKk(before, nomorKk);
  const refusal = cardRefusal(before, kartu, kelurahan);
  if (refusal || !kartu) return ditolak(refusal ?? "KK_UNKNOWN", "nomor_kk");
  const all = membersOf(before, kartu.id);
  const movers: Penduduk[] = nik.length === 0 ? all : [];
  for (const [index, each] of nik.entries()) {
    const member = findByNik(before, each);
    const reason = absence(member);
    if (reason || !member) return ditolak(reason ?? "NIK_UNKNOWN", `nik[${index}]`);
    if (member.kartu !== kartu.id) return ditolak("NOT_IN_KK", `nik[${index}]`);
    movers.push(member);
  }

  const draft = draftOf(before);
  const kelas = kelasOf(kodeWilayahTujuan, kelurahan);
  if (kelas === "langsung") {
    const destination = { kodeWilayah: kodeWilayahTujuan, alamat: alamatTujuan };
    if (movers.length === all.length) moveCard(draft, kartu, destination);
    else splitCard(draft, kartu, movers, { id, nomorKk: "", ...destination }, today);
    // Within one desa nothing moves in the ledger; a residence that was known to the kecamatan only is now known better.
    const kolom =
      kodeWilayahTujuan === kelurahan
        ? { minus: KOMPONEN.pembetulan, plus: KOMPONEN.pembetulan }
        : { minus: KOMPONEN.pindah, plus: KOMPONEN.datang };
    return { ok: true, value: { ...efekOf(before, draft, kolom), surat: undefined } };
  }

  const status = kelas === "luar_negeri" ? STATUS.luarNegeri : STATUS.dalamPerpindahan;
  for (const mover of movers) change(draft, mover.id, { status, kartu: undefined, shdk: SHDK.none });
  replaceKepala(draft, kartu, movers, today);
  const surat: SuratPindah = {
    id,
    status: SURAT.terbuka,
    kartuAsal: kartu.id,
    kodeWilayahAsal: kartu.kodeWilayah,
    kodeWilayahTujuan,
    alamatTujuan,
    anggota: movers.map((mover) => ({ penduduk: mover.id, shdk: mover.shdk })),
  };
  const kolom = { minus: KOMPONEN.pindah, plus: KOMPONEN.datang };
  return { ok: true, value: { ...efekOf(before, draft, kolom), surat } };
}

/** The card goes along with the family. */
export function moveCard(
  draft: Draft,
  kartu: Kartu,
  destination: { kodeWilayah: string; alamat: string },
): void {
  draft.kartu.set(kartu.id, { ...kartu, ...destination });
  for (const { id } of membersOf(draft, kartu.id)) change(draft, id, residenceIn(destination));
}

/** RT and RW were those of the old address. */
export function residenceIn({ kodeWilayah, alamat }: { kodeWilayah: string; alamat: string }) {
  return { kodeWilayah, alamat, rt: "", rw: "" };
}

function splitCard(draft: Draft, from: Kartu, movers: readonly Penduduk[], to: Kartu, today: string): void {
  draft.kartu.set(to.id, to);
  for (const { id } of movers) change(draft, id, { kartu: to.id, ...residenceIn(to) });
  replaceKepala(draft, from, movers, today);
  nameKepala(draft, to.id, today);
}

function replaceKepala(draft: Draft, kartu: Kartu, movers: readonly Penduduk[], today: string): void {
  if (movers.some(({ shdk }) => shdk === SHDK.kepala)) nameKepala(draft, kartu.id, today);
}
