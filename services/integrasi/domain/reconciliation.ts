// Comparing the registry with the hub after a run: every row of the hub must be accounted for, and be the hub's.
import { addHasil, countOf, emptyHasil, type Hasil } from "./hasil.ts";

/** Rows of a kecamatan, and a hash of them that does not depend on their order. */
export type Hitungan = { kodeWilayah: string; jumlah: number; sidik: bigint };

export type Rekonsiliasi = {
  cocok: boolean;
  jumlahCocok: boolean;
  sidikCocok: boolean;
  jumlahHub: number;
  hasil: Hasil;
  provinsi: { kodeProvinsi: string; jumlahHub: number; hasil: Hasil }[];
  selisih: { kodeWilayah: string; jumlahHub: number; jumlahRegistri: number }[];
  jumlahSelisih: number;
  jumlahWilayah: number;
};

/** More would not help a person, and the report travels as one message. */
const MAX_SELISIH = 100;

/**
 * @param bagian what became of the rows of each part.
 * @param sidik counts and hashes of both sides; undefined in a trial run, which changes nothing.
 */
export function reconcile(
  bagian: readonly { kodeWilayah: string; jumlahHub: number; hasil: Hasil }[],
  sidik: { hub: readonly Hitungan[]; registri: readonly Hitungan[] } | undefined,
): Rekonsiliasi {
  // Part by part: one row too many here must not make up for one too few there.
  const jumlahCocok = bagian.every(({ jumlahHub, hasil }) => jumlahHub === countOf(hasil));
  const compared = sidik && compare(sidik.hub, sidik.registri);
  const sidikCocok = compared !== undefined && compared.selisih.length === 0;
  return {
    cocok: jumlahCocok && sidikCocok,
    jumlahCocok,
    sidikCocok,
    jumlahHub: bagian.reduce((sum, { jumlahHub }) => sum + jumlahHub, 0),
    hasil: addHasil(emptyHasil, ...bagian.map(({ hasil }) => hasil)),
    provinsi: bagian.map(({ kodeWilayah, jumlahHub, hasil }) => ({
      kodeProvinsi: kodeWilayah === "ID" ? kodeWilayah : kodeWilayah.slice(0, 2),
      jumlahHub,
      hasil: addHasil(hasil),
    })),
    selisih: compared?.selisih.slice(0, MAX_SELISIH) ?? [],
    jumlahSelisih: compared?.selisih.length ?? 0,
    jumlahWilayah: compared?.jumlahWilayah ?? 0,
  };
}

function compare(hub: readonly Hitungan[], registri: readonly Hitungan[]) {
  const received = new Map(filled(registri).map((each) => [each.kodeWilayah, each]));
  const sent = new Map(filled(hub).map((each) => [each.kodeWilayah, each]));
  const codes = [...new Set([...sent.keys(), ...received.keys()])].sort();
  const selisih = codes.flatMap((kodeWilayah) => {
    const theirs = sent.get(kodeWilayah);
    const ours = received.get(kodeWilayah);
    if (theirs && ours && theirs.jumlah === ours.jumlah && theirs.sidik === ours.sidik) return [];
    return [{ kodeWilayah, jumlahHub: theirs?.jumlah ?? 0, jumlahRegistri: ours?.jumlah ?? 0 }];
  });
  return { selisih, jumlahWilayah: codes.length };
}

/** A kecamatan without rows may be listed or not. */
function filled(all: readonly Hitungan[]): readonly Hitungan[] {
  return all.filter(({ jumlah }) => jumlah > 0);
}
