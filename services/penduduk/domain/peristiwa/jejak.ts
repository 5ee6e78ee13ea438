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

/** Of several effects of one report, in their order: where everybody was before the first, and after their last. */
export function joinJejak(all: readonly Jejak[]): Jejak {
  return {
    penduduk: join(all.flatMap((each) => each.penduduk)),
    kartu: join(all.flatMap((each) => each.kartu)),
  };
}

/** Whether a resident still stands where an effect left them. The address may have been corrected since. */
export function stands(penduduk: Penduduk | undefined, letak: Letak): boolean {
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

function join<T extends { id: string; sesudah: unknown }>(steps: readonly T[]): T[] {
  const byId = new Map<string, T>();
  for (const step of steps) {
    const first = byId.get(step.id);
    byId.set(step.id, first ? { ...first, sesudah: step.sesudah } : step);
  }
  return [...byId.values()];
}
