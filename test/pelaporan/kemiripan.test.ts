import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import {
  Kemiripan_Dasar as Dasar,
  type Laporan,
  Laporan_Status as Status,
  Transisi_Jenis as Transisi,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import { AMBANG_NAMA } from "../../services/pelaporan/domain/kemiripan.ts";
import { bakukanNama } from "../../services/pelaporan/domain/nama.ts";
import { as, assertRefused, assertViolations } from "../harness/component.ts";
import {
  datang,
  type Isi,
  kelahiran,
  kematian,
  kota,
  on,
  openReports,
  operator,
  pindah,
  type Reports,
  supervisor,
} from "./reports.ts";

let reports: Reports;
let client: Reports["client"];

before(async () => {
  reports = await openReports();
  client = reports.client;
});
after(() => reports.close());

async function submitted(isi: Isi, over: object = {}, who = operator): Promise<Laporan> {
  return (await reports.submit({ isi, ...over }, who)).laporan!;
}

const likes = ({ kemiripan }: Laporan) => kemiripan.map(({ laporan }) => laporan);
let serial = 0;
const nik = () => `32010101017${String(++serial).padStart(5, "0")}`;
const alasan = "Sudah diperiksa di lapangan";

/** Name pairs as offices write them: of one child, and of two. */
const ONE_CHILD = [
  ["Muhammad Rizky Pratama", "Moh. Rizki Pratama"],
  ["Siti Nur Aisyah", "St. Nuraisyah"],
  ["Ahmad Fauzan", "Achmad Fauzan Akbar"],
  ["Abdul Rahman Hakim", "Abd. Rachman Hakim"],
  ["Dewi Lestari", "Dewi Lestary"],
  ["Dewi Lestari", "Dewi Lestari Putri"],
  ["Raden Bagus Wicaksono", "R. Bagus Wicaksana"],
  ["Khairunnisa", "Chairun Nisa"],
  ["Joko Susilo", "Djoko Soesilo"],
  ["Zahra Putri Ramadhani", "Zahra Ramadhani"],
  ["Yusuf Maulana", "Yusup Maulana"],
  ["Nabila Syakira", "Nabilah Sakira"],
] as const;
const TWO_CHILDREN = [
  ["Hasan Basri", "Husin Fikri"],
  ["Muhammad Rizky Pratama", "Muhammad Fadil Akbar"],
  ["Siti Aminah", "Siti Khadijah"],
  ["Ahmad Fauzan", "Ahmad Zidan"],
  ["Dewi Lestari", "Putri Maharani"],
  ["Rina Wulandari", "Rini Astuti"],
  ["Abdul Aziz", "Abdul Karim"],
  ["Budi Santoso", "Bayu Saputra"],
  ["Nur Azizah", "Nur Halimah"],
  ["Bima Sakti", "Arjuna Wijaya"],
] as const;

test("the threshold lies between names of one child and names of two", async () => {
  const similarity = async ([one, other]: readonly [string, string]) => {
    const names = [bakukanNama(one), bakukanNama(other)];
    const { rows } = await reports.db.query("select similarity($1, $2) as value", names);
    return rows[0].value as number;
  };
  for (const pair of ONE_CHILD) {
    const value = await similarity(pair);
    assert.ok(value >= AMBANG_NAMA, `${pair.join(" = ")}: ${value}`);
  }
  for (const pair of TWO_CHILDREN) {
    const value = await similarity(pair);
    assert.ok(value < AMBANG_NAMA, `${pair.join(" / ")}: ${value}`);
  }
});

describe("a birth is like another", () => {
  const nikIbu = nik();
  const birth = (over: object = {}) => kelahiran({ nikIbu, nama: "Muhammad Rizky Pratama", ...over });
  let first: Laporan;
  before(async () => {
    first = await submitted(birth());
    assert.deepEqual(first.kemiripan, []);
  });

  test("of the same mother, when it is the same child or a similar name", async () => {
    const same = await submitted(birth());
    const [found] = same.kemiripan;
    assert.deepEqual(
      [found!.laporan, found!.nomor, found!.jenis, found!.dasar, found!.skor, found!.disisihkan],
      [first.name, first.nomor, first.jenis, Dasar.KELAHIRAN_IBU, 1, undefined],
    );
    const spelt = birth({ nama: "Moh. Rizki Pratama", urutan: 2, tanggalLahir: "2026-11-16" });
    const near = (await submitted(spelt)).kemiripan.find(({ laporan }) => laporan === first.name);
    assert.ok(near!.skor > 0.4 && near!.skor < 1, `${near?.skor}`);
    const renamed = await submitted(birth({ nama: "Bima Sakti" }));
    assert.ok(likes(renamed).includes(first.name), "the same child under another name");
  });

  test("also from another wilayah", async () => {
    const kodeWilayah = "32.01.02.2001";
    const elsewhere = await submitted(birth(), { kodeWilayah }, as("operator", kodeWilayah));
    assert.ok(likes(elsewhere).includes(first.name));
  });

  test("but not a twin of another name, a sibling of another week, nor another mother's child", async () => {
    for (const over of [
      { urutan: 2, nama: "Bima Sakti Wijaya" },
      { tanggalLahir: "2026-11-12" },
      { nikIbu: nik() },
    ]) {
      const other = await submitted(birth(over));
      assert.ok(!likes(other).includes(first.name), JSON.stringify(over));
    }
  });

  test("of a foundling of the same kelurahan with a similar name", async () => {
    const foundling = (nama: string) =>
      kelahiran({ ibuTidakDiketahui: true, nikIbu: "", namaIbu: "", nikAyah: "", nama });
    const one = await submitted(foundling("Fajar Subuh"));
    const same = await submitted(foundling("Fadjar Soeboeh"));
    assert.deepEqual(likes(same), [one.name]);
    assert.equal(same.kemiripan[0]!.dasar, Dasar.KELAHIRAN_TEMUAN);
    assert.deepEqual(likes(await submitted(foundling("Bunga Melati"))), []);
    const kodeWilayah = "32.01.01.1007";
    const elsewhere = await submitted(foundling("Fajar Subuh"), { kodeWilayah }, as("operator", kodeWilayah));
    assert.deepEqual(likes(elsewhere), []);
  });

  test("only as long as that one is open or approved", async () => {
    const of = nik();
    const one = await submitted(kelahiran({ nikIbu: of }));
    await client.cancelLaporan({ ...on(one), alasan }, operator);
    const two = await submitted(kelahiran({ nikIbu: of }));
    assert.deepEqual(likes(two), []);
    await client.approveLaporan(on((await client.verifyLaporan(on(two), supervisor)).laporan), kota);
    assert.deepEqual(likes(await submitted(kelahiran({ nikIbu: of }))), [two.name]);
  });
});

describe("a death, a move or an arrival is like another", () => {
  test("of the same person", async () => {
    const who = nik();
    const one = await submitted(kematian({ nik: who }));
    const two = await submitted(kematian({ nik: who, tanggalKematian: "2026-11-01" }));
    assert.deepEqual(likes(two), [one.name]);
    assert.deepEqual([two.kemiripan[0]!.dasar, two.kemiripan[0]!.skor], [Dasar.KEMATIAN, 1]);
    assert.deepEqual(likes(await submitted(kematian())), []);
  });

  test("of one who moves by another report, or whose whole card does", async () => {
    const [ani, budi, nomorKk] = [nik(), nik(), nik()];
    const one = await submitted(pindah({ nomorKk, nik: [ani] }));
    assert.deepEqual(likes(await submitted(pindah({ nomorKk, nik: [budi] }))), [], "each by themselves");
    const again = await submitted(pindah({ nomorKk, nik: [ani] }));
    assert.deepEqual(likes(again), [one.name]);
    const all = await submitted(pindah({ nomorKk }));
    assert.equal(all.kemiripan.length, 3);
    const late = await submitted(pindah({ nomorKk, nik: [nik()] }));
    assert.deepEqual(likes(late), [all.name]);
  });

  test("of one who is in transit, and not of one who has long arrived", async () => {
    const [nomorKk, near] = [nik(), nik()];
    const approve = async (laporan: Laporan) =>
      client.approveLaporan(on((await client.verifyLaporan(on(laporan), supervisor)).laporan), kota);
    const far = await submitted(pindah({ nomorKk }));
    await approve(far);
    assert.deepEqual(likes(await submitted(pindah({ nomorKk }))), [far.name]);
    const within = pindah({ nomorKk: near, kodeWilayahTujuan: "32.01.01.1007", klasifikasi: 2 });
    await approve(await submitted(within));
    assert.deepEqual(likes(await submitted(pindah({ nomorKk: near }))), []);
  });

  test("by the same surat keterangan pindah", async () => {
    const one = await submitted(datang("SKPWNI/3301/26112026/0001"));
    assert.deepEqual(likes(await submitted(datang("SKPWNI/3301/26112026/0002"))), []);
    const two = await submitted(datang("SKPWNI/3301/26112026/0001"));
    assert.deepEqual([likes(two), two.kemiripan[0]!.dasar], [[one.name], Dasar.DATANG]);
  });
});

describe("a report that is like another", () => {
  async function pair() {
    const nikIbu = nik();
    const first = await submitted(kelahiran({ nikIbu }));
    return { nikIbu, first, second: await submitted(kelahiran({ nikIbu })) };
  }

  test("is verified when a supervisor of the kecamatan has dismissed it with a reason", async () => {
    const { first, second } = await pair();
    await assertRefused(client.verifyLaporan(on(second), supervisor), "FailedPrecondition", "KEMIRIPAN_OPEN");
    const dismissal = { ...on(second), kemiripan: first.name, alasan };
    for (const who of [operator, kota]) {
      await assertRefused(client.dismissKemiripan(dismissal, who), "PermissionDenied", "METHOD_DENIED");
    }
    await assertRefused(
      client.dismissKemiripan(dismissal, as("supervisor", "32.01.02")),
      "PermissionDenied",
      "WILAYAH_DENIED",
    );
    const { laporan: dismissed } = await client.dismissKemiripan(dismissal, supervisor);
    assert.deepEqual([dismissed!.status, dismissed!.etag], [Status.DIAJUKAN, "2"]);
    const { oleh, alasan: why, waktu } = dismissed!.kemiripan[0]!.disisihkan!;
    assert.deepEqual([oleh, why, waktu !== undefined], ["supervisor-32.01.01", alasan, true]);
    const repeated = await client.dismissKemiripan(dismissal, supervisor);
    assert.deepEqual(repeated.laporan, dismissed);
    await assertRefused(
      client.dismissKemiripan({ ...dismissal, requestId: randomUUID() }, supervisor),
      "Aborted",
      "ETAG_MISMATCH",
    );
    await assertRefused(
      client.dismissKemiripan({ ...on(dismissed), kemiripan: first.name, alasan }, supervisor),
      "FailedPrecondition",
      "KEMIRIPAN_DISMISSED",
    );
    const verified = (await client.verifyLaporan(on(dismissed), supervisor)).laporan!;
    assert.equal(verified.status, Status.DIVERIFIKASI);
    const read = (await client.getLaporan({ name: second.name }, kota)).laporan!;
    assert.deepEqual(read.kemiripan, dismissed!.kemiripan);
    const { transisi } = await client.getLaporanHistory({ name: second.name }, kota);
    assert.deepEqual(
      transisi.map(({ jenis }) => jenis),
      [Transisi.DIAJUKAN, Transisi.KEMIRIPAN_DISISIHKAN, Transisi.DIVERIFIKASI],
    );
  });

  test("is dismissed for what it was found like alone, and with a reason", async () => {
    const { first, second } = await pair();
    const other = `laporan/${randomUUID()}`;
    await assertViolations(client.dismissKemiripan({ ...on(second), kemiripan: other, alasan }, supervisor), [
      "kemiripan",
    ]);
    await assertViolations(
      client.dismissKemiripan({ ...on(second), kemiripan: first.name, alasan: "" }, supervisor),
      ["alasan"],
    );
  });

  test("is compared anew when it comes back, and never with itself", async () => {
    const { nikIbu, first, second } = await pair();
    const back = (await client.returnLaporan({ ...on(second), alasan }, supervisor)).laporan!;
    const mother = nik();
    const other = await submitted(kelahiran({ nikIbu: mother }));
    const isi = kelahiran({ nikIbu: mother });
    const again = (await client.resubmitLaporan({ ...on(back), isi }, operator)).laporan!;
    assert.deepEqual(likes(again), [other.name]);
    const third = await submitted(kelahiran({ nikIbu }));
    assert.deepEqual(likes(third), [first.name], "the second is found under its new mother alone");
  });

  test("lists nothing of it, and its search keys hold no number that can be read", async () => {
    const { nikIbu, second } = await pair();
    const { laporan } = await client.listLaporan({ pageSize: 500 }, kota);
    assert.ok(laporan.every(({ kemiripan }) => kemiripan.length === 0));
    const { rows } = await reports.db.query(
      "select row_to_json(j)::text as row from jejak j where laporan = $1",
      [second.name.slice("laporan/".length)],
    );
    assert.equal(rows.length, 1);
    assert.ok(!rows[0].row.includes(nikIbu) && !/Siti|aminah/i.test(rows[0].row));
    const { rows: events } = await reports.db.query("select data::text from peristiwa");
    assert.ok(events.every(({ data }) => !data.includes(nikIbu) && !data.includes("Lestari")));
  });

  test("costs a submission one query, by an index", async () => {
    const rows = await reports.db.transaction(async (sql) => {
      await sql.query("set local enable_seqscan = off");
      const explained = await sql.query(
        `explain (format json) select l.id from jejak j join laporan l on l.id = j.laporan
         where j.kunci = any(select decode(hex, 'hex') from unnest(array['00']) as hex)
           and ('2026-11-15'::date is null or j.lahir between '2026-11-14' and '2026-11-16')`,
      );
      return explained.rows;
    });
    assert.ok(JSON.stringify(rows[0]).includes("jejak_kunci"), JSON.stringify(rows[0]));
  });
});
