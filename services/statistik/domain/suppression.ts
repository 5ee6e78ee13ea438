// Statistical disclosure control: which figures a partner must not see, because they are about few persons or because what
// is about few persons could be computed from them (docs/decisions/0018).

/** A figure between 1 and this, less one, is about few persons. */
export const THRESHOLD = 5;

/** The figures of one component in one month, by code, of one level of wilayah. */
export type Level = {
  /** Characters of its codes: 0 for the nation, then 2, 5, 8 and 13. */
  panjang: number;
  figures: ReadonlyMap<string, number>;
};

export function isSmall(jumlah: number): boolean {
  return jumlah !== 0 && Math.abs(jumlah) < THRESHOLD;
}

/** What an open month shows: a figure that grew by one since yesterday would tell of one person. */
export function rounded(jumlah: number): number {
  return Math.trunc(jumlah / THRESHOLD) * THRESHOLD;
}

/**
 * The codes that are withheld, level by level. The first level holds one figure, each next one the parts of figures of the
 * level before: all parts of a figure, or none.
 *
 * Whoever knows a figure and all of its parts but one knows that one; so in a figure with its parts, one is never withheld
 * alone. Each figure is part of one other at most, so that is enough: take any value for one that is withheld, and what is
 * withheld besides can make up for it, outward from there, without end in a circle (the test solves the equations). It is
 * decided from the nation downwards, by the figures alone: no two answers differ in what they withhold.
 */
export function withheld(levels: readonly Level[]): Set<string>[] {
  const hidden: Set<string>[] = [];
  for (const [n, { figures }] of levels.entries()) {
    const above = levels[n - 1];
    if (!above) {
      hidden.push(new Set([...figures].filter(([, jumlah]) => isSmall(jumlah)).map(([kode]) => kode)));
      continue;
    }
    const parts = Map.groupBy(figures, ([kode]) => kode.slice(0, above.panjang));
    const ofLevel = [...parts].flatMap(([whole, its]) => withheldParts(hidden[n - 1]!.has(whole), its));
    hidden.push(new Set(ofLevel));
  }
  return hidden;
}

/**
 * The small ones; and as long as they could be computed from the whole, or are few persons together, the next larger one. A
 * zero says nothing about anybody and is always shown.
 */
function withheldParts(
  isWholeWithheld: boolean,
  parts: readonly (readonly [kode: string, jumlah: number])[],
): string[] {
  const bySize = parts
    .filter(([, jumlah]) => jumlah !== 0)
    .toSorted(([a, x], [b, y]) => Math.abs(x) - Math.abs(y) || (a < b ? -1 : 1));
  let count = bySize.findIndex(([, jumlah]) => !isSmall(jumlah));
  if (count === -1) count = bySize.length;
  if (count === 0 && !isWholeWithheld) return [];
  const isEnough = () => {
    if (isWholeWithheld) return count > 0;
    const persons = bySize.slice(0, count).reduce((sum, [, jumlah]) => sum + Math.abs(jumlah), 0);
    return count > 1 && persons >= THRESHOLD;
  };
  while (!isEnough() && count < bySize.length) count++;
  return bySize.slice(0, count).map(([kode]) => kode);
}
