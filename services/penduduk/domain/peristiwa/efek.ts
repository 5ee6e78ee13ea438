// What an effect is: the registry after it, and what follows from the difference: ledger, heads, and who and what changed.
import { type Draft, headOf, type Kartu, type Keadaan, membersOf, type Penduduk, STATUS } from "./keadaan.ts";
import type { Penolakan } from "./penolakan.ts";

/** Numbers of the contract's enum Mutasi.Komponen, as far as effects write them. */
export const KOMPONEN = { lahir: 1, mati: 2, pindah: 3, datang: 4, pembetulan: 7, pindahBatal: 8 } as const;

/** Components that are taken away when the ledger is added up, and so are never negative. */
const TAKEN_AWAY: ReadonlySet<number> = new Set([KOMPONEN.mati, KOMPONEN.pindah]);

export type Mutasi = { kodeWilayah: string; komponen: number; jumlah: number };

export type Efek = {
  sesudah: Keadaan;
  mutasi: Mutasi[];
  /** Residents more, or fewer, in transit. */
  dalamPerpindahan: number;
  /** Cards whose head is another one, or none any more. */
  kepalaBaru: { kartu: string; penduduk: string | undefined }[];
  /** Residents who changed or were made, and cards that changed, were made or closed; by id. */
  penduduk: string[];
  kartu: string[];
};

export type Putusan<T = Efek> = { ok: true; value: T } | { ok: false; penolakan: Penolakan };

/** By which column of the ledger a wilayah loses residents, and gains them. */
export type Kolom = { minus: number; plus: number };

/** What lies between two states. */
export function efekOf(before: Keadaan, draft: Draft, kolom: Kolom): Efek {
  const penduduk = [...draft.penduduk.values()].filter((each) => !isSame(before.penduduk.get(each.id), each));
  const kartu = [...draft.kartu.values()].filter((each) => hasCardChanged(before, draft, each));
  return {
    sesudah: draft,
    mutasi: mutasiOf(before, penduduk, kolom),
    dalamPerpindahan:
      countInTransit(penduduk) - countInTransit(penduduk.map(({ id }) => before.penduduk.get(id))),
    kepalaBaru: kartu.flatMap(({ id }) => {
      const head = headOf(draft, id)?.id;
      return head === headOf(before, id)?.id ? [] : [{ kartu: id, penduduk: head }];
    }),
    penduduk: penduduk.map(({ id }) => id),
    kartu: kartu.map(({ id }) => id),
  };
}

/** So that for each wilayah the lines add up to the difference of its living residents, whatever the effect was. */
function mutasiOf(before: Keadaan, changed: readonly Penduduk[], { minus, plus }: Kolom): Mutasi[] {
  const sums = new Map<string, Mutasi>();
  const count = (kodeWilayah: string, komponen: number, difference: number) => {
    const key = `${kodeWilayah} ${komponen}`;
    const jumlah = (sums.get(key)?.jumlah ?? 0) + (TAKEN_AWAY.has(komponen) ? -difference : difference);
    sums.set(key, { kodeWilayah, komponen, jumlah });
  };
  for (const after of changed) {
    const from = livesIn(before.penduduk.get(after.id));
    const to = livesIn(after);
    if (from === to) continue;
    if (from !== undefined) count(from, minus, -1);
    if (to !== undefined) count(to, plus, 1);
  }
  return [...sums.values()].filter(({ jumlah }) => jumlah !== 0).sort(byWilayah);
}

function livesIn(penduduk: Penduduk | undefined): string | undefined {
  return penduduk?.status === STATUS.aktif ? penduduk.kodeWilayah : undefined;
}

function countInTransit(penduduk: readonly (Penduduk | undefined)[]): number {
  return penduduk.filter((each) => each?.status === STATUS.dalamPerpindahan).length;
}

function hasCardChanged(before: Keadaan, after: Keadaan, kartu: Kartu): boolean {
  if (!isSame(before.kartu.get(kartu.id), kartu)) return true;
  const family = (keadaan: Keadaan) =>
    membersOf(keadaan, kartu.id)
      .map(({ id, shdk }) => `${id} ${shdk}`)
      .join();
  return family(before) !== family(after);
}

/** Fields of these records are texts and numbers. */
function isSame<T extends object>(one: T | undefined, other: T): boolean {
  return one !== undefined && (Object.keys(other) as (keyof T)[]).every((name) => one[name] === other[name]);
}

function byWilayah(a: Mutasi, b: Mutasi): number {
  if (a.kodeWilayah !== b.kodeWilayah) return a.kodeWilayah < b.kodeWilayah ? -1 : 1;
  return a.komponen - b.komponen;
}
