// Names as they sound: what remains of the many ways to write one Indonesian name.

/** Words that are one name, as they are written after the spelling has been evened out. */
const SAMA: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({
    muhamad: "m mh mhd md moh mohd muh muhd muhamed mohamad mohamed mohamat muhamat mahamad",
    ahmad: "ahmed ahmat amad",
    siti: "st sti",
    abdul: "abd abdl abdol abdu",
    nur: "nor",
  }).flatMap(([name, variants]) => variants.split(" ").map((variant) => [variant, name])),
);

/** Before a name, and no part of it. */
const GELAR_DEPAN = new Set(
  "h hj haji hajah dr drs dra ir prof kh ust ustad ustadz r rd raden rr tb tubagus sdr sdri".split(" "),
);

/** "S.H.", "S.Pd.", "M.Kom.", "A.Md.": after a name also where no comma sets them off. */
const GELAR_BELAKANG = /\s+(?:[sm]\.\s?[a-z]{1,4}\.?|a\.\s?md\.?)(?=\s|$)/g;

/** Old spelling and borrowed sounds, in this order. */
const EJAAN: readonly (readonly [RegExp, string])[] = [
  [/dj/g, "j"],
  [/tj/g, "c"],
  [/sj|sy/g, "s"],
  [/oe|oo/g, "u"],
  [/kh|ch/g, "h"],
  [/y|ie|ij/g, "i"],
  [/ph|v/g, "f"],
  [/(.)\1+/g, "$1"],
];

/** Two names of which this is the same are one; how near others are is told by its trigrams. "" for a name without letters. */
export function bakukanNama(nama: string): string {
  const plain = nama
    .normalize("NFD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    // What follows a comma is a degree.
    .replace(/,.*$/, "")
    .replace(GELAR_BELAKANG, "")
    .replace(/['’`]/g, "")
    .split(/[^\p{L}]+/u)
    .filter(Boolean);
  const first = plain.findIndex((word) => !GELAR_DEPAN.has(word));
  // Somebody may be called Haji and nothing else.
  const words = first === -1 ? plain : plain.slice(first);
  return words
    .filter((word) => word !== "bin" && word !== "binti")
    .map((word) => EJAAN.reduce((text, [from, to]) => text.replace(from, to), word))
    .map((word) => (words.length > 1 && Object.hasOwn(SAMA, word) ? SAMA[word] : word))
    .join(" ");
}
