import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { CompactSign, importJWK } from "jose";
import { type JenisDokumen, JUDUL } from "./domain/fakta.ts";
import { type Kunci, publicPart } from "./kunci.ts";
import { type Pernyataan, sidikOf, signWith, verifyWith } from "./pernyataan.ts";

function newKey(kid: string): Kunci["penanda"] {
  const { x, d } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  return { kty: "OKP", crv: "Ed25519", x: x!, d: d!, kid, alg: "EdDSA", use: "sig" };
}

const penanda = newKey("2026");
const sign = await signWith({ penanda });
const verify = verifyWith([publicPart(penanda)]);

const pernyataan: Pernyataan = {
  id: "01a1f893-eb73-7441-9801-f5e243fe757a",
  jenis: "kutipan_akta_kelahiran",
  nomor: "3201-LU-20112026-0001",
  nomorLaporan: "L-3201011006-20261120-0001",
  terbit: new Date("2026-11-20T03:00:00Z"),
  sidik: sidikOf("kutipan_akta_kelahiran", "3201-LU-20112026-0001", {
    instansi: "Kabupaten Bogor",
    baris: [["Nama", "Dewi Lestari"]],
  }),
};
const signed = await sign(pernyataan);

const anyPernyataan = fc.record({
  id: fc.uuid(),
  jenis: fc.constantFrom(...(Object.keys(JUDUL) as JenisDokumen[])),
  nomor: fc.string(),
  nomorLaporan: fc.string(),
  terbit: fc.integer({ min: 0, max: 4_000_000_000 }).map((seconds) => new Date(seconds * 1000)),
  sidik: fc.string(),
});

describe("a statement", () => {
  test("says to a verifier what was signed, whatever it is", async () => {
    await fc.assert(
      fc.asyncProperty(anyPernyataan, async (given) => {
        assert.deepEqual(await verify(await sign(given)), { ...given, kid: "2026" });
      }),
      { numRuns: 50 },
    );
  });

  test("is the same text each time it is signed, and fits into a QR code", async () => {
    assert.equal(await sign(pernyataan), signed);
    assert.match(signed, /^[\w-]+\.[\w-]+\.[\w-]+$/);
    assert.ok(signed.length < 800, `${signed.length} characters`);
  });

  test("names nobody", () => {
    const claims = Buffer.from(signed.split(".")[1]!, "base64url").toString();
    assert.deepEqual(Object.keys(JSON.parse(claims)), [
      "iss",
      "jti",
      "iat",
      "jenis",
      "nomor",
      "laporan",
      "sidik",
    ]);
    assert.ok(!/\d{16}|Dewi/.test(claims));
  });

  test("of which any character was exchanged is not genuine", async () => {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    const place = fc.nat({ max: signed.length - 1 });
    await fc.assert(
      fc.asyncProperty(place, fc.constantFrom(...alphabet), async (at, character) => {
        fc.pre(signed[at] !== character);
        const altered = signed.slice(0, at) + character + signed.slice(at + 1);
        // The last character of 64 bytes in base64url has four bits that nothing reads.
        const isSameBytes =
          at === signed.length - 1 &&
          Buffer.from(altered.split(".")[2]!, "base64url").equals(
            Buffer.from(signed.split(".")[2]!, "base64url"),
          );
        fc.pre(!isSameBytes);
        assert.equal(await verify(altered), undefined);
      }),
      { numRuns: 300 },
    );
  });

  test("with the claims of one and the signature of another is not genuine", async () => {
    const other = await sign({ ...pernyataan, nomor: "3201-LU-20112026-0002" });
    const [header, , signature] = signed.split(".");
    assert.equal(await verify([header, other.split(".")[1], signature].join(".")), undefined);
  });

  test("of another key is not genuine, also when it takes a known key's name", async () => {
    for (const kid of ["2025", "2026"]) {
      const forged = await (await signWith({ penanda: newKey(kid) }))(pernyataan);
      assert.equal(await verify(forged), undefined);
    }
  });

  test("that says it needs no signature, or that is signed for something else, is not genuine", async () => {
    const [header, claims] = signed.split(".") as [string, string];
    const none = Buffer.from(JSON.stringify({ alg: "none", typ: "lampid-dokumen" })).toString("base64url");
    for (const text of [`${none}.${claims}.`, `${header}.${claims}.`, "", "eyJ.eyJ.x", "a.b"]) {
      assert.equal(await verify(text), undefined);
    }
    const key = await importJWK(penanda, "EdDSA");
    const payload = Buffer.from(claims, "base64url");
    const token = new CompactSign(payload).setProtectedHeader({ alg: "EdDSA", kid: "2026", typ: "at+jwt" });
    assert.equal(await verify(await token.sign(key)), undefined);
  });

  test("of a key that signs no more is genuine as long as the key is known", async () => {
    const next = newKey("2027");
    const after = verifyWith([publicPart(next), publicPart(penanda)]);
    assert.equal((await after(signed))!.kid, "2026");
    assert.equal((await after(await (await signWith({ penanda: next }))(pernyataan)))!.kid, "2027");
    assert.equal(await verifyWith([publicPart(next)])(signed), undefined);
  });
});

test("the hash is of everything that is printed", () => {
  const fakta = { instansi: "Kabupaten Bogor", baris: [["Nama", "Dewi"] as const] };
  const hashes = [
    sidikOf("skpwni", "1", fakta),
    sidikOf("skpln", "1", fakta),
    sidikOf("skpwni", "2", fakta),
    sidikOf("skpwni", "1", { ...fakta, instansi: "Kota Bogor" }),
    sidikOf("skpwni", "1", { ...fakta, baris: [["Nama", "Dewi "]] }),
    sidikOf("skpwni", "1", { ...fakta, baris: [["NamaDewi", ""]] }),
  ];
  assert.equal(new Set(hashes).size, hashes.length);
  assert.equal(sidikOf("skpwni", "1", fakta), hashes[0]);
});
