import assert from "node:assert/strict";
import { test } from "node:test";
import { create, equals, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { IsiLaporanSchema } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import { separate, unite } from "./sensitif.ts";

const pelapor = {
  nik: "3201010101800009",
  nama: "Budi",
  telepon: "+628111222333",
  email: "budi@contoh.example",
};
const whole: Record<string, { init: MessageInitShape<typeof IsiLaporanSchema>; secrets: string[] }> = {
  kelahiran: {
    init: {
      pelapor,
      formulir: {
        case: "kelahiran",
        value: {
          nama: "Dewi",
          namaIbu: "Siti Aminah",
          nikIbu: "3201014101900001",
          saksi: [
            { nik: "3201010101800001", nama: "Ali" },
            { nik: "3201010101800002", nama: "Umar" },
          ],
        },
      },
      lampiran: [{ judul: "surat", rujukan: "lampiran/x" }],
    },
    secrets: ["Siti Aminah", pelapor.telepon, pelapor.email],
  },
  kematian: {
    init: { pelapor, formulir: { case: "kematian", value: { nik: "3201010101500001" } } },
    secrets: [pelapor.telepon, pelapor.email],
  },
  pindah: {
    init: {
      pelapor,
      formulir: { case: "pindah", value: { alamatTujuan: "Jl. Mawar 3", nik: ["1", "2"] } },
    },
    secrets: ["Jl. Mawar 3", pelapor.telepon, pelapor.email],
  },
  datang: {
    init: {
      formulir: {
        case: "datang",
        value: {
          asal: { case: "nomorSkpwni", value: "SKPWNI/1" },
          tujuan: { case: "kartuBaru", value: { nikKepala: "3201010101800001", alamat: "Jl. Melati 4" } },
        },
      },
    },
    secrets: ["Jl. Melati 4"],
  },
  "nothing that is sensitive": {
    init: { formulir: { case: "kematian", value: { nik: "3201010101500001" } } },
    secrets: [],
  },
};

for (const [what, { init, secrets }] of Object.entries(whole)) {
  test(`a report of ${what} is kept in two parts, and read whole`, () => {
    const isi = create(IsiLaporanSchema, init);
    const parts = separate(isi);
    const open = Buffer.from(parts.isi).toString("latin1");
    const apart = Buffer.from(parts.sensitif).toString("latin1");
    for (const secret of secrets) {
      assert.ok(!open.includes(secret), `${secret} is not kept apart`);
      assert.ok(apart.includes(secret));
    }
    if (secrets.length === 0) assert.equal(parts.sensitif.length, 0);
    assert.ok(equals(IsiLaporanSchema, unite(parts), isi));
    assert.ok(
      equals(IsiLaporanSchema, isi, create(IsiLaporanSchema, init)),
      "the message itself stays whole",
    );
  });
}

test("without its sensitive part, a report is still a report", () => {
  const { isi } = separate(create(IsiLaporanSchema, whole.kelahiran!.init));
  const read = fromBinary(IsiLaporanSchema, isi);
  assert.equal(read.formulir.case, "kelahiran");
  assert.equal(read.pelapor?.nama, pelapor.nama);
});
