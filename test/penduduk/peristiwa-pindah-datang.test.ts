// Moves, approved: complete at once, into transit and out of it, abroad and back, and what brings members back.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import {
  Penduduk_Shdk as Shdk,
  Penduduk_Status as Status,
  Penduduk_StatusPerkawinan as StatusPerkawinan,
} from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { assertRefused } from "../harness/component.ts";
import {
  type Anggota,
  type Applied,
  anak,
  apply,
  assertLedger,
  ayah,
  counted,
  datang,
  type Family,
  ibu,
  KABUPATEN_LAIN,
  KECAMATAN_LAIN,
  KELURAHAN,
  kelahiran,
  kematian,
  ledger,
  openFamily,
  PROVINSI_LAIN,
  pindah,
  read,
  readCard,
  relations,
  SEBELAH,
  sahkan,
} from "./keluarga.ts";
import { openRegistry, type Registry } from "./registry.ts";

let registry: Registry;
before(async () => {
  registry = await openRegistry();
});
after(() => registry.close());

const refused = (call: Promise<unknown>, reason: string) => assertRefused(call, "FailedPrecondition", reason);
const adik: Anggota = { shdk: Shdk.ANAK, lahir: "2018-05-05" };
const diTujuan = { kodeWilayah: KABUPATEN_LAIN };

/** Sends members of a family on their way to another kabupaten. */
async function depart(family: Family, members: readonly number[] = [], over: object = {}): Promise<Applied> {
  const nik = members.map((n) => family.members[n]!.nik);
  return await sahkan(registry, pindah(family.nomorKk, KABUPATEN_LAIN, { nik }), over);
}

const pulang = (laporan: string, over: object = {}) =>
  apply(registry, { case: "pengembalian", value: { sebab: 1 } }, { laporan, ...over });

const baru = (nikKepala: string) =>
  ({ case: "kartuBaru", value: { nikKepala, alamat: "Jl. Kenanga No. 3" } }) as const;
const skpwni = (nomor: string) => ({ case: "nomorSkpwni", value: nomor }) as const;

describe("a move within one kabupaten", () => {
  test("takes a whole family along with its card, at once", async () => {
    const { nomorKk, members, card } = await openFamily(registry, [ayah, ibu, anak]);
    const hasil = await assertLedger(registry, () => sahkan(registry, pindah(nomorKk, KECAMATAN_LAIN)));
    assert.deepEqual(ledger(hasil), [`${KELURAHAN} PINDAH 3`, `${KECAMATAN_LAIN} DATANG 3`]);
    assert.deepEqual([hasil.nomorSuratPindah, hasil.kepalaBaru], ["", []]);
    assert.deepEqual(hasil.kartuKeluarga, [card.name]);
    const moved = await readCard(registry, nomorKk);
    assert.deepEqual([moved.kodeWilayah, moved.alamat], [KECAMATAN_LAIN, "Jl. Baru No. 7"]);
    const child = await read(registry, members[2]!);
    assert.deepEqual(
      [child.kodeWilayah, child.alamat, child.rt, child.status, child.nik],
      [KECAMATAN_LAIN, "Jl. Baru No. 7", "", Status.AKTIF, members[2]!.nik],
    );
  });

  test("within one desa is nothing to the ledger", async () => {
    const { nomorKk } = await openFamily(registry, [ayah, ibu]);
    const hasil = await assertLedger(registry, () => sahkan(registry, pindah(nomorKk, KELURAHAN)));
    assert.deepEqual(hasil.mutasi, []);
    assert.equal((await readCard(registry, nomorKk)).alamat, "Jl. Baru No. 7");
  });

  test("of a family of whom only the kecamatan was known makes it better known", async () => {
    const { nomorKk } = await openFamily(registry, [ayah, ibu], "32.01.01");
    const hasil = await assertLedger(registry, () => sahkan(registry, pindah(nomorKk, KELURAHAN)));
    assert.deepEqual(ledger(hasil), ["32.01.01 PEMBETULAN -2", `${KELURAHAN} PEMBETULAN 2`]);
  });

  test("of some gives them a card of their own, and each of the two families a head", async () => {
    const { nomorKk, members, card } = await openFamily(registry, [ayah, ibu, anak]);
    const [father, mother, child] = members;
    const isi = pindah(nomorKk, SEBELAH, { nik: [father!.nik, child!.nik] });
    const hasil = await assertLedger(registry, () => sahkan(registry, isi));
    assert.deepEqual(ledger(hasil), [`${KELURAHAN} PINDAH 2`, `${SEBELAH} DATANG 2`]);
    assert.deepEqual(await relations(registry, nomorKk), { [mother!.name]: Shdk.KEPALA_KELUARGA });
    const { nomorKk: second } = await read(registry, father!);
    assert.match(second, /^320101201126\d{4}$/);
    assert.notEqual(second, nomorKk);
    assert.deepEqual(await relations(registry, second), {
      [father!.name]: Shdk.KEPALA_KELUARGA,
      [child!.name]: Shdk.ANAK,
    });
    const { name } = await readCard(registry, second);
    assert.deepEqual(
      new Map(hasil.kepalaBaru.map(({ kartuKeluarga, penduduk }) => [kartuKeluarga, penduduk])),
      new Map([
        [card.name, mother!.name],
        [name, father!.name],
      ]),
    );
    assert.equal((await read(registry, mother!)).statusPerkawinan, StatusPerkawinan.KAWIN);
  });

  test("of minors alone makes a card without a head", async () => {
    const { nomorKk, members } = await openFamily(registry, [ayah, anak, adik]);
    await sahkan(registry, pindah(nomorKk, SEBELAH, { nik: [members[1]!.nik, members[2]!.nik] }));
    const { nomorKk: second } = await read(registry, members[1]!);
    assert.deepEqual(Object.values(await relations(registry, second)), [Shdk.ANAK, Shdk.ANAK]);
  });

  test("is refused for a family or members that are not there to move", async () => {
    const { nomorKk, members } = await openFamily(registry, [ayah, ibu]);
    const { nomorKk: other, members: others } = await openFamily(registry, [ayah], SEBELAH);
    const to = (nik: string[], kk = nomorKk) => sahkan(registry, pindah(kk, SEBELAH, { nik }));
    await refused(to([others[0]!.nik]), "NOT_IN_KK");
    await refused(to(["3201010101909999"]), "NIK_UNKNOWN");
    await refused(to([], other), "KK_WILAYAH");
    await refused(to([], "3201012011269999"), "KK_UNKNOWN");
    await refused(sahkan(registry, pindah(nomorKk, "32.01.01.9999")), "WILAYAH_UNKNOWN");
    await sahkan(registry, kematian(members[1]!.nik));
    await refused(to([members[1]!.nik]), "NOT_ALIVE");
    await sahkan(registry, pindah(nomorKk, KABUPATEN_LAIN));
    await refused(to([members[0]!.nik]), "KK_CLOSED");
  });
});

describe("a move to another kabupaten", () => {
  test("takes members out of the card and into transit, under a number", async () => {
    const family = await openFamily(registry, [ayah, ibu, anak]);
    const hasil = (await assertLedger(registry, () => depart(family, [0]))) as Applied;
    assert.deepEqual([ledger(hasil), hasil.dalamPerpindahan], [[`${KELURAHAN} PINDAH 1`], 1]);
    assert.match(hasil.nomorSuratPindah, /^SKPWNI\/3201\/20112026\/\d{4}$/);
    const father = await read(registry, family.members[0]!);
    assert.deepEqual([father.status, father.nomorKk, father.shdk], [Status.DALAM_PERPINDAHAN, "", 0]);
    const shdk = await relations(registry, family.nomorKk);
    assert.equal(shdk[family.members[1]!.name], Shdk.KEPALA_KELUARGA);
    await refused(sahkan(registry, kematian(father.nik)), "IN_TRANSIT");
    await refused(depart(family, [0]), "IN_TRANSIT");
  });

  test("ends with the arrival in a card of their own, all of them, once", async () => {
    const family = await openFamily(registry, [ayah, ibu, anak]);
    const [father, mother, child] = family.members;
    const { nomorSuratPindah } = await depart(family);
    const isi = datang(skpwni(nomorSuratPindah), baru(mother!.nik));
    const hasil = await assertLedger(registry, () => sahkan(registry, isi, diTujuan));
    assert.deepEqual([ledger(hasil), hasil.dalamPerpindahan], [[`${KABUPATEN_LAIN} DATANG 3`], -3]);
    const { nomorKk, status, kodeWilayah, alamat } = await read(registry, mother!);
    assert.match(nomorKk, /^320201201126\d{4}$/);
    assert.deepEqual([status, kodeWilayah, alamat], [Status.AKTIF, KABUPATEN_LAIN, "Jl. Kenanga No. 3"]);
    assert.deepEqual(await relations(registry, nomorKk), {
      [mother!.name]: Shdk.KEPALA_KELUARGA,
      [father!.name]: Shdk.SUAMI,
      [child!.name]: Shdk.ANAK,
    });
    assert.deepEqual(await relations(registry, family.nomorKk), {});
    await refused(sahkan(registry, isi, diTujuan), "SURAT_PINDAH_CLOSED");
  });

  test("ends with the arrival in a family, where nobody is head beside the head", async () => {
    const family = await openFamily(registry, [ayah, anak]);
    const host = await openFamily(registry, [ayah, ibu], KABUPATEN_LAIN);
    const { nomorSuratPindah } = await depart(family);
    const tujuan = { case: "nomorKk", value: host.nomorKk } as const;
    await assertLedger(registry, () => sahkan(registry, datang(skpwni(nomorSuratPindah), tujuan), diTujuan));
    assert.deepEqual(await relations(registry, host.nomorKk), {
      [host.members[0]!.name]: Shdk.KEPALA_KELUARGA,
      [host.members[1]!.name]: Shdk.ISTRI,
      [family.members[0]!.name]: Shdk.FAMILI_LAIN,
      [family.members[1]!.name]: Shdk.FAMILI_LAIN,
    });
  });

  test("arrives nowhere but in the kabupaten it is for, with a head who arrives", async () => {
    const family = await openFamily(registry, [ayah, ibu]);
    const host = await openFamily(registry, [ayah], KABUPATEN_LAIN);
    const { nomorSuratPindah } = await depart(family);
    const [father] = family.members;
    const arrive = (nomor: string, nikKepala: string, over: object = diTujuan) =>
      sahkan(registry, datang(skpwni(nomor), baru(nikKepala)), over);
    await refused(
      arrive(nomorSuratPindah, father!.nik, { kodeWilayah: PROVINSI_LAIN }),
      "SURAT_PINDAH_TUJUAN",
    );
    await refused(arrive("SKPWNI/3201/20112026/9999", father!.nik), "SURAT_PINDAH_UNKNOWN");
    await refused(arrive(nomorSuratPindah, host.members[0]!.nik), "KEPALA_NOT_ARRIVING");
    const tujuan = { case: "nomorKk", value: family.nomorKk } as const;
    await refused(sahkan(registry, datang(skpwni(nomorSuratPindah), tujuan), diTujuan), "KK_CLOSED");
    await arrive(nomorSuratPindah, father!.nik, { kodeWilayah: "32.02.02.2001" });
  });

  test("may be called off: members come back, and the head is head again where the place is vacant", async () => {
    const family = await openFamily(registry, [ayah, ibu, anak]);
    const before = await relations(registry, family.nomorKk);
    const { laporan } = await depart(family);
    const hasil = await assertLedger(registry, () => pulang(laporan));
    assert.deepEqual([ledger(hasil), hasil.dalamPerpindahan], [[`${KELURAHAN} PINDAH_BATAL 3`], -3]);
    assert.deepEqual(await relations(registry, family.nomorKk), before);
    const father = await read(registry, family.members[0]!);
    assert.deepEqual(
      [father.status, father.kodeWilayah, father.alamat, father.rt],
      [Status.AKTIF, KELURAHAN, "Jl. Merdeka No. 1", "001"],
    );
    await refused(pulang(laporan), "SURAT_PINDAH_CLOSED");
  });

  test("a head whose spouse came in their place comes back as the spouse", async () => {
    const family = await openFamily(registry, [ayah, ibu, anak]);
    const { laporan } = await depart(family, [0]);
    await pulang(laporan);
    const shdk = await relations(registry, family.nomorKk);
    assert.equal(shdk[family.members[0]!.name], Shdk.SUAMI);
    assert.equal(shdk[family.members[1]!.name], Shdk.KEPALA_KELUARGA);
  });

  test("who comes back comes to where the family has gone meanwhile", async () => {
    const family = await openFamily(registry, [ayah, ibu, anak]);
    const { laporan } = await depart(family, [2]);
    await sahkan(registry, pindah(family.nomorKk, SEBELAH));
    const hasil = await assertLedger(registry, () => pulang(laporan));
    assert.deepEqual(ledger(hasil), [`${SEBELAH} PINDAH_BATAL 1`]);
    assert.equal((await read(registry, family.members[2]!)).alamat, "Jl. Baru No. 7");
  });

  test("cannot be called off once they have arrived, nor where nobody was in transit", async () => {
    const family = await openFamily(registry, [ayah]);
    const { laporan, nomorSuratPindah } = await depart(family);
    await sahkan(registry, datang(skpwni(nomorSuratPindah), baru(family.members[0]!.nik)), diTujuan);
    await refused(pulang(laporan), "SURAT_PINDAH_CLOSED");
    const near = await openFamily(registry, [ayah]);
    const direct = await sahkan(registry, pindah(near.nomorKk, SEBELAH));
    await refused(pulang(direct.laporan), "SURAT_PINDAH_UNKNOWN");
    await refused(pulang(`laporan/${randomUUID()}`), "NOT_APPLIED");
  });
});

describe("a move abroad", () => {
  test("takes members out, not into transit, and they return by their NIK", async () => {
    const family = await openFamily(registry, [ayah, ibu]);
    const [father, mother] = family.members;
    const isi = pindah(family.nomorKk, "", { nik: [father!.nik] });
    const hasil = (await assertLedger(registry, () => sahkan(registry, isi))) as Applied;
    assert.match(hasil.nomorSuratPindah, /^SKPLN\/3201\/20112026\/\d{4}$/);
    assert.deepEqual([ledger(hasil), hasil.dalamPerpindahan], [[`${KELURAHAN} PINDAH 1`], 0]);
    assert.equal((await read(registry, father!)).status, Status.LUAR_NEGERI);
    await refused(sahkan(registry, kematian(father!.nik)), "ABROAD");
    await refused(pulang(hasil.laporan), "SURAT_PINDAH_UNKNOWN");

    const home = (nik: string, tujuan: Parameters<typeof datang>[1]) =>
      datang({ case: "luarNegeri", value: { nik, nomorSkdln: "SKDLN/1" } }, tujuan);
    await refused(sahkan(registry, home("3201010101909999", baru("3201010101909999"))), "NIK_UNKNOWN");
    await refused(sahkan(registry, home(mother!.nik, baru(mother!.nik))), "NOT_ABROAD");
    const back = home(father!.nik, { case: "nomorKk", value: family.nomorKk });
    const returned = await assertLedger(registry, () => sahkan(registry, back));
    assert.deepEqual([ledger(returned), returned.dalamPerpindahan], [[`${KELURAHAN} DATANG 1`], 0]);
    assert.equal((await relations(registry, family.nomorKk))[father!.name], Shdk.FAMILI_LAIN);
  });
});

describe("at the same time", () => {
  test("two effects on one family leave one head, and lose nobody", async () => {
    for (let round = 0; round < 6; round++) {
      const family = await openFamily(registry, [ayah, ibu, anak, adik]);
      const [father, mother] = family.members;
      const outcomes = await Promise.allSettled([
        sahkan(registry, kematian(father!.nik)),
        sahkan(registry, pindah(family.nomorKk, SEBELAH, { nik: [mother!.nik] })),
        sahkan(registry, kelahiran(family.nomorKk)),
        sahkan(registry, pindah(family.nomorKk, KABUPATEN_LAIN, { nik: [family.members[2]!.nik] })),
      ]);
      assert.deepEqual(
        outcomes.filter(({ status }) => status === "rejected"),
        [],
      );
      // Whichever came first, only minors are left, and the mother is head of her own.
      const shdk = Object.values(await relations(registry, family.nomorKk));
      assert.deepEqual(shdk, [Shdk.ANAK, Shdk.ANAK]);
      const { nomorKk } = await read(registry, mother!);
      assert.deepEqual(await relations(registry, nomorKk), { [mother!.name]: Shdk.KEPALA_KELUARGA });
    }
  });

  test("of two arrivals under one surat keterangan pindah, one is", async () => {
    const family = await openFamily(registry, [ayah, ibu]);
    const { nomorSuratPindah } = await depart(family);
    const before = await counted(registry);
    const outcomes = await Promise.allSettled(
      [KABUPATEN_LAIN, "32.02.02.2001", "32.02.02.2001"].map((kodeWilayah) =>
        sahkan(registry, datang(skpwni(nomorSuratPindah), baru(family.members[0]!.nik)), { kodeWilayah }),
      ),
    );
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
    assert.equal((await counted(registry)).dalamPerpindahan, before.dalamPerpindahan - 2);
  });

  test("a report that is called off and arrives does one of the two", async () => {
    const family = await openFamily(registry, [ayah]);
    const { nomorSuratPindah, laporan } = await depart(family);
    const arrival = datang(skpwni(nomorSuratPindah), baru(family.members[0]!.nik));
    const outcomes = await Promise.allSettled([sahkan(registry, arrival, diTujuan), pulang(laporan)]);
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
    assert.equal((await read(registry, family.members[0]!)).status, Status.AKTIF);
  });
});
