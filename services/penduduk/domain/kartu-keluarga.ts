// Family cards: exactly one head, and nobody twice.
import type { Violation } from "./registration.ts";

/** Number of "kepala keluarga" in the contract's enum. */
export const KEPALA_KELUARGA = 1;

export type Member = { nik: string; shdk: number };

export function checkFamily(members: readonly Member[]): Violation[] {
  const violations: Violation[] = [];
  const heads = members.filter((member) => member.shdk === KEPALA_KELUARGA).length;
  if (heads !== 1) {
    const description = `must hold exactly one head of the family, not ${heads}`;
    violations.push({ field: "anggota", reason: "KEPALA_KELUARGA", description });
  }
  const seen = new Set<string>();
  for (const [index, { nik }] of members.entries()) {
    if (seen.has(nik)) {
      violations.push({
        field: `anggota[${index}].nik`,
        reason: "DUPLICATE",
        description: "is listed twice",
      });
    }
    seen.add(nik);
  }
  return violations;
}

/** Head first, then as given: the order in which a card is printed. */
export function headFirst<T extends { shdk: number }>(members: readonly T[]): T[] {
  return members.toSorted((a, b) => Number(b.shdk === KEPALA_KELUARGA) - Number(a.shdk === KEPALA_KELUARGA));
}
