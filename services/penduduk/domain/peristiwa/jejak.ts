// The trace of an effect: where residents and cards were before and after. A revocation goes by it, and only while it still holds.
import type { Efek } from "./efek.ts";
import type { Kartu, Keadaan, Penduduk } from "./keadaan.ts";

/** Where a resident stands: what effects change. */
export type Letak = Pick<
  Penduduk,
  "status" | "statusPerkawinan" | "shdk" | "kartu" | "kodeWilayah" | "alamat" | "rt" | "rw"
>;

export type Alamat = Pick<Kartu, "kodeWilayah" | "alamat">;

/** `sebelum` is null of who and what the effect made. */
export type Jejak = {
  penduduk: { id: string; sebelum: Letak | null; sesudah: Letak }[];
  /** The cards that those residents were in, and are in. */
  kartu: { id: string; sebelum: Alamat | null; sesudah: Alamat }[];
};

export function jejakOf(before: Keadaan, { sesudah, penduduk, kartu }: Efek): Jejak {
  return {
    penduduk: penduduk.map((id) => ({
      id,
      sebelum: nullable(before.penduduk.get(id), letakOf),
      sesudah: letakOf(sesudah.penduduk.get(id)!),
    })),
    kartu: kartu.map((id) => ({
      id,
      sebelum: nullable(before.kartu.get(id), alamatOf),
      sesudah: alamatOf(sesudah.kartu.get(id)!),
    })),
  };
}

/**
 * Of several effects of one report, in their order, the first of which is its approval: where everybody was before it, and where
 * the report left them last. Whom other reports have moved in between, a correction finds elsewhere and does not bring back; whoever
 * has joined in between, and went along with it, is none of those whom the report is about.
 */
export function joinJejak([first, ...corrections]: readonly Jejak[]): Jejak {
  if (!first) return { penduduk: [], kartu: [] };
  const penduduk = new Map(first.penduduk.map((each) => [each.id, each]));
  for (const { id, sebelum, sesudah } of corrections.flatMap((each) => each.penduduk)) {
    const known = penduduk.get(id);
    if (known && sebelum && stands(sebelum, known.sesudah)) penduduk.set(id, { ...known, sesudah });
  }
  const kartu = new Map(first.kartu.map((each) => [each.id, each]));
  for (const each of corrections.flatMap((one) => one.kartu)) {
    const known = kartu.get(each.id);
    kartu.set(each.id, known ? { ...known, sesudah: each.sesudah } : each);
  }
  return { penduduk: [...penduduk.values()], kartu: [...kartu.values()] };
}

/** Whether a resident still stands where an effect left them. The address may have been corrected since. */
export function stands(penduduk: Letak | undefined, letak: Letak): boolean {
  return (
    penduduk !== undefined &&
    penduduk.status === letak.status &&
    penduduk.statusPerkawinan === letak.statusPerkawinan &&
    penduduk.shdk === letak.shdk &&
    penduduk.kartu === letak.kartu &&
    penduduk.kodeWilayah === letak.kodeWilayah
  );
}

export function letakOf(penduduk: Penduduk): Letak {
  const { status, statusPerkawinan, shdk, kartu, kodeWilayah, alamat, rt, rw } = penduduk;
  return { status, statusPerkawinan, shdk, kartu, kodeWilayah, alamat, rt, rw };
}

function alamatOf({ kodeWilayah, alamat }: Kartu): Alamat {
  return { kodeWilayah, alamat };
}

function nullable<T, U>(value: T | undefined, map: (value: T) => U): U | null {
  return value === undefined ? null : map(value);
}
