import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { contractChecker } from "#chassis/interceptors.ts";
import {
  Penduduk_Agama,
  Penduduk_Shdk,
  Penduduk_Status,
  Penduduk_StatusPerkawinan,
} from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { RegisterPendudukRequestSchema } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { BAD_KINDS, kindOf } from "./domain/bad-rows.ts";
import { AGAMA, KAWIN, SHDK, STATUS } from "./domain/codes.ts";
import { layoutOf } from "./domain/layout.ts";
import { kelurahan, openTestHub, rowsFrom } from "./fixture.ts";

const hub = await openTestHub({ penduduk: 200_000 });
const rows = await rowsFrom(hub);
const goodRows = rows.filter((_, index) => kindOf(hub.world, index) === undefined);

describe("the population", () => {
  test("is a function of seed and size alone", async () => {
    const again = await openTestHub({ penduduk: 200_000 });
    const other = await openTestHub({ penduduk: 200_000, seed: 2 });
    for (const index of [0, 1, 99_999, 199_999]) {
      assert.deepEqual(again.rowAt(index, again.versi()), rows[index]);
      assert.notDeepEqual(other.rowAt(index, other.versi()), rows[index]);
    }
  });

  test("has its numbers in the order of kelurahan, and versions from 1", () => {
    assert.equal(rows.length, 200_000);
    let last = "";
    for (const [index, row] of rows.entries()) {
      assert.equal(row.id, BigInt(index + 1));
      assert.equal(row.versi, BigInt(index + 1));
      if (kindOf(hub.world, index) === "wilayah_tak_dikenal") continue;
      assert.ok(row.kodeWilayah >= last, row.kodeWilayah);
      last = row.kodeWilayah;
    }
  });

  test("is spread evenly over all kelurahan, and no kecamatan has more rows than serials at ten million", () => {
    const layout = layoutOf(kelurahan, 10_000_000, 1);
    let most = 0;
    for (const kec of layout.kecamatan.keys())
      most = Math.max(most, layout.kecStart(kec + 1) - layout.kecStart(kec));
    assert.ok(most > 9_000 && most <= 9_999, String(most));
    const sizes = kelurahan.map((_, kel) => layout.kelStart[kel + 1]! - layout.kelStart[kel]!);
    assert.ok(Math.max(...sizes) <= 120);
    // In two kecamatan of more than 80 kelurahan they are fewer.
    assert.equal(sizes.filter((size) => size < 119).length, 86 + 108);
    assert.equal(layout.kelStart.at(-1), 10_000_000);
  });

  test("has no NIK and no nomor KK of a family twice, apart from the rows that are to", () => {
    const niks = new Set(goodRows.map(({ nik }) => nik));
    assert.equal(niks.size, goodRows.length);
    const heads = goodRows.filter(({ shdk }) => shdk === Penduduk_Shdk.KEPALA_KELUARGA);
    assert.equal(new Set(heads.map(({ nomorKk }) => nomorKk)).size, heads.length);
  });

  test("obeys the registry's contract in every good row", () => {
    const check = contractChecker();
    for (const {
      nik,
      nama,
      alamat,
      kodeWilayah,
      jenisKelamin,
      tanggalLahir,
      tempatLahir,
      ...row
    } of goodRows.slice(0, 5_000)) {
      const { agama, statusPerkawinan, golonganDarah, pekerjaan, rt, rw, namaIbu, namaAyah } = row;
      const biodata = { agama, statusPerkawinan, golonganDarah, pekerjaan, rt, rw, namaIbu, namaAyah };
      const said = { nik, nama, alamat, kodeWilayah, jenisKelamin, tanggalLahir, tempatLahir, ...biodata };
      check(RegisterPendudukRequestSchema, create(RegisterPendudukRequestSchema, said));
      const day = Number(nik.slice(6, 8)) - (jenisKelamin === 2 ? 40 : 0);
      assert.equal(
        `${tanggalLahir.slice(2, 4)}-${nik.slice(8, 10)}-${String(day).padStart(2, "0")}`,
        `${nik.slice(10, 12)}-${tanggalLahir.slice(5)}`,
      );
      assert.equal(nik.slice(0, 6), kodeWilayah.slice(0, 8).replaceAll(".", ""));
    }
  });

  test("lives in families: parents are named, older than their children, and spouses married", async () => {
    const dense = await openTestHub({ penduduk: 20_000, codes: kelurahan.slice(0, 500) });
    const families = Map.groupBy(await rowsFrom(dense), ({ nomorKk }) => nomorKk);
    let children = 0;
    for (const members of families.values()) {
      const head = members[0]!;
      if (members.length === 1) continue;
      assert.equal(head.shdk, Penduduk_Shdk.KEPALA_KELUARGA);
      assert.equal(members.filter(({ shdk }) => shdk === Penduduk_Shdk.KEPALA_KELUARGA).length, 1);
      const spouse = members.find(({ shdk }) => shdk === Penduduk_Shdk.ISTRI || shdk === Penduduk_Shdk.SUAMI);
      if (spouse) assert.equal(head.statusPerkawinan, Penduduk_StatusPerkawinan.KAWIN);
      for (const child of members.filter(({ shdk }) => shdk === Penduduk_Shdk.ANAK)) {
        const mother = head.jenisKelamin === 2 ? head : spouse!;
        if (kindOf(dense.world, Number(mother.id) - 1) || kindOf(dense.world, Number(child.id) - 1)) continue;
        assert.equal(child.namaIbu, mother.nama);
        assert.ok(Number(child.tanggalLahir.slice(0, 4)) - Number(mother.tanggalLahir.slice(0, 4)) >= 15);
        children++;
      }
    }
    assert.ok(children > 5_000);
  });

  test("is one in a thousand bad, in each of ten ways, and says which", () => {
    const kinds = rows.map((_, index) => kindOf(hub.world, index));
    const bad = kinds.filter(Boolean).length;
    assert.ok(bad > 150 && bad < 250, String(bad));
    const shown: Record<(typeof BAD_KINDS)[number], (row: (typeof rows)[number], index: number) => boolean> =
      {
        nik_pendek: ({ nik }) => /^\d{15}$/.test(nik),
        nik_huruf: ({ nik }) => /^\d{15}[A-Z]$/.test(nik),
        nik_serial_nol: ({ nik }) => /^\d{12}0000$/.test(nik),
        nama_kosong: ({ nama }) => nama === "",
        // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is wrong with it
        nama_kendali: ({ nama }) => /[\u0000-\u001f]/.test(nama),
        tanggal_mustahil: ({ tanggalLahir }) => tanggalLahir.endsWith("-02-31"),
        tanggal_depan: ({ tanggalLahir }) => tanggalLahir > "2100",
        wilayah_tak_dikenal: ({ kodeWilayah, nik }) =>
          kodeWilayah.endsWith(".9999") && kodeWilayah.slice(0, 8).replaceAll(".", "") === nik.slice(0, 6),
        kk_rusak: ({ nomorKk }) => /^\d{15}$/.test(nomorKk),
        nik_ganda: ({ nik, nama }, index) =>
          [rows[index - 1], rows[index + 1]].some((other) => other?.nik === nik && other.nama !== nama),
      };
    for (const kind of BAD_KINDS) {
      const ofKind = [...kinds.keys()].filter((index) => kinds[index] === kind);
      assert.ok(ofKind.length > 0, kind);
      for (const index of ofKind) assert.ok(shown[kind](rows[index]!, index), `${kind} ${index}`);
    }
  });

  test("may be empty, and smaller than the number of kelurahan", async () => {
    assert.deepEqual(await rowsFrom(await openTestHub({ penduduk: 0 })), []);
    assert.equal((await rowsFrom(await openTestHub({ penduduk: 7 }))).length, 7);
  });

  test("has the numbers of the contract's enums", () => {
    assert.equal(SHDK.kepala, Penduduk_Shdk.KEPALA_KELUARGA);
    assert.equal(SHDK.familiLain, Penduduk_Shdk.FAMILI_LAIN);
    assert.equal(SHDK.orangTua, Penduduk_Shdk.ORANG_TUA);
    assert.equal(SHDK.anak, Penduduk_Shdk.ANAK);
    assert.equal(KAWIN.ceraiMati, Penduduk_StatusPerkawinan.CERAI_MATI);
    assert.equal(AGAMA.kepercayaan, Penduduk_Agama.KEPERCAYAAN);
    assert.equal(STATUS.meninggal, Penduduk_Status.MENINGGAL);
  });
});
