// Hashes of 32 bits: what makes every row a function of its number alone.

/** A well mixed number of 32 bits from a salt and a number (the finaliser of MurmurHash3). Some 2 ns. */
export function hash(salt: number, n: number): number {
  let h = (salt + Math.imul(n, 0x9e3779b1)) | 0;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** What a hash must be below to be drawn with this probability. */
export function limitOf(probability: number): number {
  return Math.round(Math.min(1, Math.max(0, probability)) * 2 ** 32);
}
