// Residents that nobody has registered yet: made from a printed seed, with names that occur nowhere else.

export type Resident = { nik: string; nama: string; alamat: string; provinsi: string };

/** The seed of this run: LAMPID_TEST_SEED, or a new one, printed so that the run can be repeated on a fresh mesh. */
export function testSeed(): number {
  const given = process.env.LAMPID_TEST_SEED;
  const seed = given ? Number(given) : Math.floor(Math.random() * 2 ** 32);
  console.log(`seed ${seed} (LAMPID_TEST_SEED=${seed} repeats it)`);
  return seed;
}

/** Numbers in [0, 1) that depend on the seed alone (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export type ResidentMaker = (overrides?: Partial<Resident> & { kecamatan?: string }) => Resident;

/**
 * Each call is another resident of kecamatan 32.01.01. `scope`, the name of the test file, keeps files apart that share
 * a mesh and a seed.
 */
export function residents(seed: number, scope: string): ResidentMaker {
  const random = randomFrom(
    [...scope].reduce((mixed, char) => Math.imul(mixed, 31) + char.charCodeAt(0), seed),
  );
  let next = Math.floor(random() * NIKS);
  return ({ kecamatan = "320101", ...overrides } = {}) => {
    next = (next + 1) % NIKS;
    const nama = `${pick(GIVEN_NAMES, random)} ${word(random)} ${word(random)}`;
    return {
      nik: `${kecamatan}${birthAndSerial(next)}`,
      nama,
      alamat: `Jl. ${word(random)} No. ${1 + Math.floor(random() * 99)}`,
      provinsi: "Jawa Barat",
      ...overrides,
    };
  };
}

const YEARS = 40;
const SERIALS = 80;
/** So many different NIKs; two runs on one mesh hardly ever meet. Low serials, for IssueNik continues above the highest. */
const NIKS = 28 * 2 * 12 * YEARS * SERIALS;

function birthAndSerial(index: number): string {
  let rest = index;
  const take = (count: number) => {
    const taken = rest % count;
    rest = Math.floor(rest / count);
    return taken;
  };
  const day = 1 + take(28) + 40 * take(2);
  const month = 1 + take(12);
  const year = 50 + take(YEARS);
  return (
    [day, month, year].map((part) => String(part).padStart(2, "0")).join("") +
    String(1 + rest).padStart(4, "0")
  );
}

const GIVEN_NAMES = ["Siti", "Budi", "Dewi", "Agus", "Rina", "Joko", "Ayu", "Eko"];
const SYLLABLES = ["ba", "ku", "ne", "ro", "wi", "to", "sa", "li", "mu", "ga", "di", "po"];

/** Ten letters: found in a log, it is no accident. */
function word(random: () => number): string {
  const text = Array.from({ length: 5 }, () => pick(SYLLABLES, random)).join("");
  return text[0]!.toUpperCase() + text.slice(1);
}

function pick<T>(list: readonly T[], random: () => number): T {
  return list[Math.floor(random() * list.length)]!;
}
