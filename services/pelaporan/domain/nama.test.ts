import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { bakukanNama } from "./nama.ts";

/** Ways to write one name; the first is how it comes out. */
const ONE_NAME: readonly (readonly string[])[] = [
  [
    "muhamad ali",
    "Muhammad Ali",
    "Mohamad Ali",
    "Mohammad Ali",
    "Mochamad Ali",
    "Mochammad Ali",
    "Muchammad Ali",
    "Moh. Ali",
    "Muh. Ali",
    "Moch. Ali",
    "M. Ali",
    "Mhd Ali",
    "H. Muhammad Ali",
    "MUHAMMAD ALI, S.H.",
  ],
  [
    "siti aminah",
    "Siti Aminah",
    "Sitti Aminah",
    "St. Aminah",
    "Hj. Siti Aminah",
    "Siti Aminah, S.Pd., M.Pd.",
  ],
  ["abdul rahman", "Abdul Rahman", "Abd. Rahman", "Abd Rachman", "Abdul Rakhman", "Abdoel Rahman"],
  ["ahmad sarif", "Ahmad Syarif", "Achmad Sjarif", "Akhmad Syarief", "Ahmad Sarif"],
  ["joko sukarno", "Joko Sukarno", "Djoko Soekarno", "Drs. Djoko Soekarno"],
  ["cahiono", "Cahyono", "Tjahyono"],
  ["hairul anwar", "Khairul Anwar", "Chairul Anwar", "Chairoel Anwar", "Hairul Anwar"],
  ["nurul hidaiah", "Nurul Hidayah", "Noerul Hidayah", "Noorul Hidayah"],
  ["ianti", "Yanti", "Ianti", "Yantie"],
  ["rizal fahmi", "Rizal Fahmi", "Rizzal Fahmi", "Rizal Phahmi"],
  ["jafar", "Ja'far", "Jafar", "JA’FAR", "Djaffar"],
  ["budi santoso", "Budi Santoso", "Boedi Santoso", "Ir. Budi Santoso", "Budi Santoso S.Kom."],
  ["umar ali", "Umar bin Ali", "Oemar Ali"],
  ["jose", "José", "Jose"],
];

describe("a name, as it sounds,", () => {
  for (const [sounds, ...written] of ONE_NAME) {
    test(`is "${sounds}" however it is written`, () => {
      for (const nama of written) assert.equal(bakukanNama(nama), sounds, nama);
    });
  }

  test("keeps what sets two names apart", () => {
    const names = ["Hasan", "Husin", "Siti", "Sita", "Budi", "Dedi", "Aminah", "Maimunah", "Joko", "Jaka"];
    assert.equal(new Set(names.map(bakukanNama)).size, names.length);
  });

  test("remains when it is a title or an abbreviation and nothing else", () => {
    assert.equal(bakukanNama("Haji"), "haji");
    assert.equal(bakukanNama("M."), "m");
    assert.equal(bakukanNama("Raden"), "raden");
  });

  test("does not depend on case, marks or what stands between words", () => {
    const names = fc
      .array(fc.constantFrom(..."abcdehijkmnostuvyz .'-"), { maxLength: 40 })
      .map((all) => all.join(""));
    fc.assert(
      fc.property(names, (nama) => {
        const sounds = bakukanNama(nama);
        assert.equal(bakukanNama(nama.toUpperCase()), sounds);
        assert.match(sounds, /^[a-z ]*$/);
      }),
    );
  });
});
