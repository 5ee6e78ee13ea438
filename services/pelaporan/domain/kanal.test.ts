import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { checkKontak, KANAL, type Kontak, tujuanPesan } from "./kanal.ts";

const kontak = (over: Partial<Kontak> = {}): Kontak => ({
  kanal: KANAL.unspecified,
  telepon: "+628111222333",
  email: "budi@contoh.example",
  ...over,
});

describe("a reporter", () => {
  test("who chose nothing is told by SMS, else by mail, else not at all", () => {
    assert.deepEqual(tujuanPesan(kontak()), { kanal: KANAL.sms, alamat: "+628111222333" });
    assert.deepEqual(tujuanPesan(kontak({ telepon: "" })), {
      kanal: KANAL.email,
      alamat: "budi@contoh.example",
    });
    assert.deepEqual(tujuanPesan(kontak({ telepon: "", email: "" })), { kanal: KANAL.none, alamat: "" });
  });

  test("who chose is told so, and who wants no messages gets none", () => {
    assert.equal(tujuanPesan(kontak({ kanal: KANAL.email })).alamat, "budi@contoh.example");
    assert.equal(tujuanPesan(kontak({ kanal: KANAL.sms })).alamat, "+628111222333");
    assert.deepEqual(tujuanPesan(kontak({ kanal: KANAL.none })), { kanal: KANAL.none, alamat: "" });
  });

  test("who chooses a channel leaves its address", () => {
    const fields = (over: Partial<Kontak>) => checkKontak(kontak(over)).map(({ field }) => field);
    assert.deepEqual(fields({ kanal: KANAL.sms, telepon: "" }), ["isi.pelapor.telepon"]);
    assert.deepEqual(fields({ kanal: KANAL.email, email: "" }), ["isi.pelapor.email"]);
    assert.deepEqual(fields({ telepon: "", email: "" }), []);
    assert.deepEqual(fields({ kanal: KANAL.none, telepon: "", email: "" }), []);
  });

  test("whose report was accepted is told by the chosen channel, and never at an address of another", () => {
    const any = fc.record({
      kanal: fc.constantFrom(...Object.values(KANAL)),
      telepon: fc.constantFrom("", "+628111222333"),
      email: fc.constantFrom("", "budi@contoh.example"),
    });
    fc.assert(
      fc.property(any, (given) => {
        fc.pre(checkKontak(given).length === 0);
        const { kanal, alamat } = tujuanPesan(given);
        if (given.kanal !== KANAL.unspecified) assert.equal(kanal, given.kanal);
        const expected = { [KANAL.none]: "", [KANAL.sms]: given.telepon, [KANAL.email]: given.email }[kanal];
        assert.equal(alamat, expected);
        assert.equal(alamat === "", kanal === KANAL.none);
      }),
    );
  });
});
