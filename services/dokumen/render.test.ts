import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import jsqr from "jsqr";
import type { Baris } from "./domain/fakta.ts";
import { type Kunci, publicPart } from "./kunci.ts";
import { sidikOf, signWith, verifyWith } from "./pernyataan.ts";
import { type Printed, renderPdf } from "./render.ts";

const { x, d } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
const penanda: Kunci["penanda"] = {
  kty: "OKP",
  crv: "Ed25519",
  x: x!,
  d: d!,
  kid: "2026",
  alg: "EdDSA",
  use: "sig",
};
/** Its types say that the function is a member of what is imported; it is what is imported. */
const jsQR = jsqr as unknown as typeof jsqr.default;
const sign = await signWith({ penanda });

async function dokumen(baris: readonly Baris[] = [["Nama", "Dewi Sañjaya Ştefănescu"]]): Promise<Printed> {
  const id = "01a1f893-eb73-7441-9801-f5e243fe757a";
  const createdAt = new Date("2026-11-20T20:00:00Z");
  const [jenis, nomor, nomorLaporan] = [
    "kutipan_akta_kelahiran",
    "3201-LU-20112026-0001",
    "L-3201011006-20261120-0001",
  ] as const;
  const fakta = { instansi: "Kabupaten Bogor", baris };
  const sidik = sidikOf(jenis, nomor, fakta);
  const pernyataan = await sign({ id, jenis, nomor, nomorLaporan, terbit: createdAt, sidik });
  return { id, jenis, nomor, nomorLaporan, fakta, pernyataan, createdAt };
}

type Rectangle = [x: number, y: number, width: number, height: number];

/** What a camera would see of the black rectangles of a page: the code drawn at four pixels a point, read by another library. */
function scan(pdf: Buffer): string | undefined {
  const rectangles = [...pdf.toString("latin1").matchAll(/([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) re\b/g)].map(
    (match) => match.slice(1).map(Number) as Rectangle,
  );
  const scale = 4;
  const border = 20;
  const left = Math.min(...rectangles.map(([x]) => x));
  const top = Math.min(...rectangles.map(([, y]) => y));
  const right = Math.max(...rectangles.map(([x, , width]) => x + width));
  const side = Math.ceil((right - left) * scale) + 2 * border;
  const pixels = new Uint8ClampedArray(side * side * 4).fill(255);
  for (const [x, y, width, height] of rectangles) {
    const at = (value: number, from: number) => Math.round((value - from) * scale) + border;
    for (let row = at(y, top); row < at(y + height, top); row++) {
      for (let column = at(x, left); column < at(x + width, left); column++) {
        pixels.fill(0, (row * side + column) * 4, (row * side + column) * 4 + 3);
      }
    }
  }
  return jsQR(pixels, side, side)?.data;
}

const pagesOf = (pdf: Buffer) => pdf.toString("latin1").match(/\/Type \/Page\b/g)?.length;

describe("a document", () => {
  test("is a PDF whose QR code holds a statement that verifies", async () => {
    const printed = await dokumen();
    const pdf = await renderPdf(printed);
    assert.match(pdf.toString("latin1"), /^%PDF-1\.\d[\s\S]*%%EOF\s*$/);
    assert.equal(pagesOf(pdf), 1);
    const read = scan(pdf);
    assert.equal(read, printed.pernyataan);
    const stated = await verifyWith([publicPart(penanda)])(read!);
    assert.equal(stated!.sidik, sidikOf(printed.jenis, printed.nomor, printed.fakta));
  });

  test("has every object where its table of references says", async () => {
    const pdf = (await renderPdf(await dokumen())).toString("latin1");
    const start = Number(/startxref\s+(\d+)/.exec(pdf)![1]);
    const [, count = "", rows = ""] = /^xref\s+0 (\d+)\s+([\s\S]*?)trailer/.exec(pdf.slice(start))!;
    const offsets = rows.trim().split("\n").slice(1);
    assert.equal(offsets.length, Number(count) - 1);
    offsets.forEach((row, index) => {
      assert.ok(pdf.startsWith(`${index + 1} 0 obj`, Number(row.slice(0, 10))), `object ${index + 1}`);
    });
  });

  test("is the same bytes each time", async () => {
    const printed = await dokumen();
    const first = await renderPdf(printed);
    const startedAt = performance.now();
    assert.ok((await renderPdf(printed)).equals(first));
    const ms = Math.round(performance.now() - startedAt);
    const { length } = printed.pernyataan;
    console.log(`a statement has ${length} characters, a document ${first.length} bytes and takes ${ms} ms`);
  });

  test("has its fonts with it, and letters of every name in Latin script", async () => {
    const pdf = (await renderPdf(await dokumen())).toString("latin1");
    assert.equal(pdf.match(/\/FontFile2/g)?.length, 2);
    assert.ok(!/\/BaseFont \/(Helvetica|Times)/.test(pdf));
  });

  test("of a family of 50 goes on over pages, its code on the last", async () => {
    const anggota = Array.from(
      { length: 50 },
      (_, n): Baris => [`${n + 1}.`, `${"Nama yang panjang ".repeat(5)}(320101********01)`],
    );
    const printed = await dokumen(anggota);
    const pdf = await renderPdf(printed);
    assert.ok(pagesOf(pdf)! > 1);
    assert.equal(scan(pdf), printed.pernyataan);
  });
});

describe("npm run verify-dokumen", () => {
  let folder: string;
  const tool = join(import.meta.dirname, "verify-dokumen.ts");
  const write = (name: string, content: string | Buffer) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "lampid-verify-"));
    write("jwks.json", JSON.stringify({ keys: [publicPart(penanda)] }));
  });
  after(() => rmSync(folder, { recursive: true }));

  function run(...args: string[]): { code: number; said: string } {
    try {
      const said = execFileSync(process.execPath, [tool, ...args], { encoding: "utf8", stdio: "pipe" });
      return { code: 0, said };
    } catch (cause) {
      const { status, stdout, stderr } = cause as { status: number; stdout: string; stderr: string };
      return { code: status, said: stdout + stderr };
    }
  }

  test("says of a statement, a file with it, or the PDF that it is genuine, and what it is of", async () => {
    const printed = await dokumen();
    const jwks = ["--jwks", join(folder, "jwks.json")];
    const text = write("kode.txt", `${printed.pernyataan}\n`);
    const pdf = write("dokumen.pdf", await renderPdf(printed));
    for (const subject of [printed.pernyataan, text, pdf]) {
      const { code, said } = run(subject, ...jwks);
      assert.equal(code, 0, said);
      assert.match(said, /^GENUINE: signed by key 2026\n {2}Kutipan Akta Kelahiran\n/);
      assert.match(said, /nomor {10}3201-LU-20112026-0001\n/);
      assert.match(said, /diterbitkan {4}21 November 2026\n/, "the day in Jakarta");
    }
  });

  test("says of anything else that it is not, and of wrong use how to use it", async () => {
    const { pernyataan } = await dokumen();
    const jwks = ["--jwks", join(folder, "jwks.json")];
    const [header, claims, signature] = pernyataan.split(".") as [string, string, string];
    const other = Buffer.from(Buffer.from(claims, "base64url").toString().replace("0001", "0002"));
    const altered = [header, other.toString("base64url"), signature].join(".");
    for (const subject of [altered, "apa saja", write("kosong.pdf", "%PDF-1.3")]) {
      const { code, said } = run(subject, ...jwks);
      assert.equal(code, 1);
      assert.match(said, /^NOT GENUINE: /);
    }
    for (const args of [[], [pernyataan, "--jwks", "tidak-ada.json"], [pernyataan, "--apa"]]) {
      assert.equal(run(...args).code, 2);
    }
  });
});
