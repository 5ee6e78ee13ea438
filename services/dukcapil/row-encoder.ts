// The bytes of a row, written straight into a buffer: creating and encoding a message a row would take twenty times as long.
import { BAD } from "./domain/bad-rows.ts";
import { SEX } from "./domain/codes.ts";
import { firstName, type RowFacts, secondName, thirdName } from "./domain/row-facts.ts";
import { FEMALE_NAMES, JOBS, MALE_NAMES, SECOND_NAMES, STREETS } from "./domain/words.ts";
import type { World } from "./domain/world.ts";

/** No row takes more; a test looks for longer ones. */
export const MAX_ROW_BYTES = 512;

/** A field that the contract does not know: number 100, as a hub one minor version ahead might send. */
export const NEW_FIELD = new Uint8Array([0xa2, 0x06, 4, 0x62, 0x61, 0x72, 0x75]);

/** Writes a row at `start` and returns where it ends. A few bytes behind it are overwritten, too. */
export type RowEncoder = (
  out: DataView,
  start: number,
  facts: RowFacts,
  extra: Uint8Array | undefined,
) => number;

/**
 * Writes rows as entries of DaftarPendudukHub; `extra` goes to a row's own end. It says what rowText() says: a test
 * compares the two. Texts go four bytes at a time, digits by table: byte by byte a row took 0.75 us, so it is 0.45.
 */
export function rowEncoder({ layout, regions }: World): RowEncoder {
  const male = texts(MALE_NAMES.map((name) => `${name} `));
  const female = texts(FEMALE_NAMES.map((name) => `${name} `));
  const second = texts(SECOND_NAMES);
  const streets = texts(STREETS);
  // Alone in their fields, so with their lengths.
  const jobs = texts(JOBS.map(prefixed));
  const kabupaten = texts(regions.kabupaten.map(prefixed));
  const kelurahan = texts(layout.kelurahan);
  const kecamatan = texts(layout.kecamatan.map((kode) => kode.replaceAll(".", "")));

  return (out, start, facts, extra) => {
    const { bad, birth, nik, kk } = facts;
    // The length comes when it is known: two bytes hold that of any row.
    let at = start + 3;
    out.setUint8(at, 0x08);
    at = putVarint(out, at + 1, facts.id);
    out.setUint8(at, 0x10);
    at = putVarint(out, at + 1, facts.versi);

    out.setUint16(at, 0x1a | ((bad === BAD.nik_pendek ? 15 : 16) << 8), true);
    at = putText(out, at + 2, kecamatan, nik.kec);
    out.setUint16(at, TWO[nik.day + (nik.sex === SEX.female ? 40 : 0)]!, true);
    out.setUint16(at + 2, TWO[nik.month]!, true);
    out.setUint16(at + 4, TWO[nik.year % 100]!, true);
    out.setInt32(at + 6, FOUR[bad === BAD.nik_serial_nol ? 0 : nik.serial]!, true);
    at += 10;
    if (bad === BAD.nik_pendek) at--;
    else if (bad === BAD.nik_huruf) out.setUint8(at - 1, LETTER_O);

    out.setUint16(at, 0x22 | ((bad === BAD.kk_rusak ? 15 : 16) << 8), true);
    at = putText(out, at + 2, kecamatan, kk.kec);
    out.setUint16(at, TWO[kk.day]!, true);
    out.setUint16(at + 2, TWO[kk.month]!, true);
    out.setUint16(at + 4, TWO[kk.year % 100]!, true);
    out.setInt32(at + 6, FOUR[kk.serial]!, true);
    at += bad === BAD.kk_rusak ? 9 : 10;

    out.setUint16(at, 0x28 | (facts.shdk << 8), true);
    at += 2;
    if (bad !== BAD.nama_kosong) {
      const names = birth.sex === SEX.female ? female : male;
      const first = firstName(facts.nama, birth.sex);
      const afterFirst = at + 2 + names.lengths[first]!;
      out.setUint8(at, 0x32);
      at = putName(out, at + 1, names, first, facts.nama);
      if (bad === BAD.nama_kendali) out.setUint8(afterFirst - 1, BELL);
    }
    out.setUint16(at, 0x38 | (birth.sex << 8), true);
    out.setUint8(at + 2, 0x42);
    at = putText(out, at + 3, kabupaten, facts.tempatLahir);

    const isImpossible = bad === BAD.tanggal_mustahil;
    out.setUint16(at, 0x4a | (10 << 8), true);
    out.setInt32(at + 2, FOUR[bad === BAD.tanggal_depan ? 2100 + (birth.year % 100) : birth.year]!, true);
    out.setUint8(at + 6, DASH);
    out.setUint16(at + 7, TWO[isImpossible ? 2 : birth.month]!, true);
    out.setUint8(at + 9, DASH);
    out.setUint16(at + 10, TWO[isImpossible ? 31 : birth.day]!, true);

    out.setInt32(at + 12, 0x50 | (facts.agama << 8) | (0x58 << 16) | (facts.kawin << 24), true);
    at += 16;
    if (facts.golonganDarah !== 0) {
      out.setUint16(at, 0x60 | (facts.golonganDarah << 8), true);
      at += 2;
    }
    out.setUint8(at, 0x6a);
    at = putText(out, at + 1, jobs, facts.pekerjaan);

    const { houseNumber } = facts;
    const digits = houseNumber < 10 ? 1 : houseNumber < 100 ? 2 : 3;
    out.setUint16(at, 0x72 | ((streets.lengths[facts.street]! + digits) << 8), true);
    at = putText(out, at + 2, streets, facts.street);
    // The table has four digits: those in front are shifted out.
    out.setInt32(at, FOUR[houseNumber]! >>> ((4 - digits) * 8), true);
    at += digits;

    out.setInt32(at, 0x7a | (3 << 8) | (ZERO << 16), true);
    out.setUint16(at + 3, TWO[facts.rt]!, true);
    out.setInt32(at + 5, 0x82 | (0x01 << 8) | (3 << 16) | (ZERO << 24), true);
    out.setUint16(at + 9, TWO[facts.rw]!, true);
    out.setInt32(at + 11, 0x8a | (0x01 << 8) | (13 << 16), true);
    at = putText(out, at + 14, kelurahan, facts.kel);
    if (bad === BAD.wilayah_tak_dikenal) out.setInt32(at - 4, FOUR[9_999]!, true);

    out.setUint16(at, 0x92 | (0x01 << 8), true);
    at = putName(out, at + 2, female, firstName(facts.namaIbu, SEX.female), facts.namaIbu);
    out.setUint16(at, 0x9a | (0x01 << 8), true);
    at = putName(out, at + 2, male, firstName(facts.namaAyah, SEX.male), facts.namaAyah);
    out.setInt32(at, 0xa0 | (0x01 << 8) | (facts.status << 16), true);
    at += 3;
    if (facts.dihapus) {
      out.setInt32(at, 0xa8 | (0x01 << 8) | (1 << 16), true);
      at += 3;
    }
    if (extra) for (const byte of extra) out.setUint8(at++, byte);

    const length = at - start - 3;
    out.setUint8(start, 0x0a);
    out.setUint16(start + 1, (length & 0x7f) | 0x80 | ((length >>> 7) << 8), true);
    return at;
  };

  /** Length and text of a name; the first comes with the space after it. */
  function putName(out: DataView, start: number, names: Texts, first: number, nama: number): number {
    let at = putText(out, start + 1, names, first);
    at = putText(out, at, second, secondName(nama));
    const third = thirdName(nama);
    if (third >= 0) {
      out.setUint8(at, SPACE);
      at = putText(out, at + 1, second, third);
    }
    out.setUint8(start, at - start - 1);
    return at;
  }
}

/** Texts in words of four bytes, the last filled up; each from its start to the start of the next. */
type Texts = { words: Int32Array; starts: Int32Array; lengths: Uint8Array };

const [BELL, SPACE, DASH, ZERO, LETTER_O] = [0x07, 0x20, 0x2d, 0x30, 0x4f];

/** Decimal digits as they are written: `TWO[7]` is "07", `FOUR[7]` is "0007". */
const TWO = Uint16Array.from({ length: 100 }, (_, n) =>
  Buffer.from(String(n).padStart(2, "0")).readUInt16LE(),
);
const FOUR = Int32Array.from({ length: 10_000 }, (_, n) =>
  Buffer.from(String(n).padStart(4, "0")).readInt32LE(),
);

function texts(words: readonly string[]): Texts {
  const parts = words.map((word) => Buffer.from(word));
  const starts = new Int32Array(parts.length + 1);
  for (const [n, part] of parts.entries()) starts[n + 1] = starts[n]! + Math.ceil(part.length / 4);
  const bytes = Buffer.alloc(starts.at(-1)! * 4);
  for (const [n, part] of parts.entries()) part.copy(bytes, starts[n]! * 4);
  return {
    words: Int32Array.from({ length: starts.at(-1)! }, (_, n) => bytes.readInt32LE(n * 4)),
    starts,
    lengths: Uint8Array.from(parts, ({ length }) => length),
  };
}

function prefixed(text: string): string {
  return String.fromCharCode(Buffer.byteLength(text)) + text;
}

function putText(out: DataView, start: number, { words, starts, lengths }: Texts, n: number): number {
  const end = starts[n + 1]!;
  let at = start;
  for (let word = starts[n]!; word < end; word++) {
    out.setInt32(at, words[word]!, true);
    at += 4;
  }
  return start + lengths[n]!;
}

/** Of any whole number below 2^53; shifts would cut it to 32 bits. */
function putVarint(out: DataView, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    out.setUint8(at++, (rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  out.setUint8(at++, rest);
  return at;
}
