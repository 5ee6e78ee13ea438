// Whatever happens to families, in whatever order: nobody is lost, nobody is in two places, and the ledger adds up.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decideDatang } from "./datang.ts";
import { type Efek, KOMPONEN, type Putusan } from "./efek.ts";
import { type Jejak, jejakOf, joinJejak } from "./jejak.ts";
import {
  JENIS_KELAMIN,
  type Keadaan,
  keadaanOf,
  membersOf,
  PERKAWINAN,
  type Penduduk,
  SHDK,
  STATUS,
} from "./keadaan.ts";
import { decideKelahiran, type Kelahiran } from "./kelahiran.ts";
import { decideKematian } from "./kematian.ts";
import { decidePembetulanDatang, decidePembetulanKelahiran, decidePembetulanPindah } from "./pembetulan.ts";
import { decidePencabutan, hasLeftAgain } from "./pencabutan.ts";
import { decidePengembalian } from "./pengembalian.ts";
import { decidePindah, type Pindah } from "./pindah.ts";
import { SURAT, type SuratPindah } from "./surat-pindah.ts";

const TODAY = "2026-11-20";
const DESA = ["32.01.01.1006", "32.01.01.1007", "32.01.02.2001", "32.02.01.2002", "33.01.01.2001"];
const SHDK_OF_OTHERS = [SHDK.istri, SHDK.suami, SHDK.anak, SHDK.anak, SHDK.familiLain, SHDK.pembantu];

/** The registry as its tables would be, and what is remembered of reports. */
type Dunia = {
  keadaan: Keadaan;
  surat: SuratPindah[];
  /** Traces of reports by the number of the step that approved them. */
  jejak: Map<number, Jejak[]>;
  suratOfReport: Map<number, SuratPindah>;
  /** What reports say, as they were last corrected. */
  isi: Map<number, Isi>;
  cabut: Set<number>;
};

type Isi =
  | { kind: "lahir"; kelurahan: string; kelahiran: Kelahiran }
  | { kind: "pindah"; kelurahan: string; pindah: Pindah }
  | { kind: "datang"; alamat: string | undefined };

const step = fc.record({
  kind: fc.constantFrom(
    "lahir",
    "mati",
    "pindah",
    "pindah",
    "datang",
    "datang",
    "pulang",
    "betul",
    "betul",
    "cabut",
  ),
  /** Choices among what is there, by remainder. */
  who: fc.nat(1000),
  where: fc.nat(1000),
  some: fc.nat(1000),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const families = fc.array(
  fc.array(
    fc.record({
      lahir: fc.integer({ min: 1940, max: 2025 }),
      shdk: fc.constantFrom(...SHDK_OF_OTHERS),
      sex: fc.constantFrom(JENIS_KELAMIN.lakiLaki, JENIS_KELAMIN.perempuan),
      kawin: fc.constantFrom(...Object.values(PERKAWINAN)),
    }),
    { minLength: 1, maxLength: 5 },
  ),
  { minLength: 1, maxLength: 4 },
);

test("everybody stands in just one place, a card has one head at most, and lines add up to what changed", () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(families, fc.array(step, { maxLength: 60, size: "max" }), (made, steps) => {
      const dunia = open(made);
      check(dunia.keadaan);
      for (const [number, each] of steps.entries()) {
        const before = dunia.keadaan;
        const putusan = take(dunia, each, number);
        const key = `${each.kind} ${putusan?.ok ? "ok" : (putusan?.penolakan.sebab ?? "-")}`;
        seen.set(key, (seen.get(key) ?? 0) + 1);
        if (!putusan?.ok) continue;
        checkLedger(before, putusan.value);
        dunia.keadaan = putusan.value.sesudah;
        check(dunia.keadaan);
        assert.ok(dunia.keadaan.penduduk.size >= before.penduduk.size, "nobody is lost");
        checkTransit(dunia);
        checkRevocable(before, dunia, number);
      }
    }),
    { numRuns: 1000 },
  );
  // Steps that never take effect would show nothing.
  for (const kind of ["lahir", "mati", "pindah", "datang", "pulang", "betul", "cabut"]) {
    assert.ok(seen.get(`${kind} ok`), `${kind} took effect: ${JSON.stringify([...seen])}`);
  }
});

function open(made: readonly { lahir: number; shdk: number; sex: number; kawin: number }[][]): Dunia {
  const penduduk = made.flatMap((family, k) =>
    family.map(
      ({ lahir, shdk, sex, kawin }, n): Penduduk => ({
        id: `p${k}-${n}`,
        nik: `p${k}-${n}`,
        jenisKelamin: sex,
        tanggalLahir: `${lahir}-06-15`,
        status: STATUS.aktif,
        statusPerkawinan: kawin,
        shdk: n === 0 ? SHDK.kepala : shdk,
        kartu: `k${k}`,
        kodeWilayah: DESA[k % DESA.length]!,
        alamat: `alamat ${k}`,
        rt: "001",
        rw: "002",
      }),
    ),
  );
  const kartu = made.map((_, k) => ({
    id: `k${k}`,
    nomorKk: `k${k}`,
    kodeWilayah: DESA[k % DESA.length]!,
    alamat: `alamat ${k}`,
  }));
  return {
    keadaan: keadaanOf(penduduk, kartu),
    surat: [],
    jejak: new Map(),
    suratOfReport: new Map(),
    isi: new Map(),
    cabut: new Set(),
  };
}

function take(dunia: Dunia, { kind, who, where, some }: Step, number: number): Putusan | undefined {
  const { keadaan } = dunia;
  const kartu = pick([...keadaan.kartu.values()], who)!;
  const id = `baru${number}`;
  const approved = <T extends Efek>(putusan: Putusan<T>): Putusan<T> => {
    if (putusan.ok) dunia.jejak.set(number, [jejakOf(keadaan, putusan.value)]);
    return putusan;
  };
  switch (kind) {
    case "lahir": {
      const kelahiran = {
        jenisKelamin: JENIS_KELAMIN.lakiLaki,
        tanggalLahir: TODAY,
        nikIbu: "",
        nikAyah: "",
        nomorKk: kartu.nomorKk,
      };
      dunia.isi.set(number, { kind, kelurahan: kartu.kodeWilayah, kelahiran });
      return numbered(
        approved(decideKelahiran(keadaan, kelahiran, { id, kelurahan: kartu.kodeWilayah, today: TODAY })),
      );
    }
    case "mati": {
      const { nik, kodeWilayah } = pick([...keadaan.penduduk.values()], who)!;
      return approved(decideKematian(keadaan, { nik }, { kelurahan: kodeWilayah, today: TODAY }));
    }
    case "pindah": {
      const nik = membersOf(keadaan, kartu.id)
        .filter((_, n) => (some >> n) % 2 === 1)
        .map((member) => member.nik);
      const kodeWilayahTujuan = pick([...DESA, ""], where)!;
      const pindah = { nomorKk: kartu.nomorKk, nik, kodeWilayahTujuan, alamatTujuan: `alamat ${id}` };
      dunia.isi.set(number, { kind, kelurahan: kartu.kodeWilayah, pindah });
      const putusan = approved(
        decidePindah(keadaan, pindah, { id, kelurahan: kartu.kodeWilayah, today: TODAY }),
      );
      if (putusan.ok && putusan.value.surat) {
        dunia.surat.push(putusan.value.surat);
        dunia.suratOfReport.set(number, putusan.value.surat);
      }
      return numbered(putusan);
    }
    case "datang": {
      const surat = pick(dunia.surat, where);
      if (!surat) return undefined;
      const isAbroad = surat.kodeWilayahTujuan === "";
      const kelurahan = isAbroad ? pick(DESA, some)! : surat.kodeWilayahTujuan;
      const nik = pick(surat.anggota, who)!.penduduk;
      const host = pick(
        [...keadaan.kartu.values()].filter((each) => each.kodeWilayah === kelurahan),
        some,
      );
      const tujuan =
        host && some % 2 === 0
          ? ({ kind: "kartu", nomorKk: host.nomorKk } as const)
          : ({ kind: "kartu_baru", nikKepala: nik, alamat: `alamat ${id}` } as const);
      const asal = isAbroad
        ? ({ kind: "luar_negeri", nik, surat } as const)
        : ({ kind: "surat", surat } as const);
      const putusan = approved(decideDatang(keadaan, { asal, tujuan }, { id, kelurahan }));
      const alamat = tujuan.kind === "kartu_baru" ? tujuan.alamat : undefined;
      dunia.isi.set(number, { kind, alamat });
      if (putusan.ok && !isAbroad) surat.status = SURAT.datang;
      if (putusan.ok) dunia.suratOfReport.set(number, surat);
      return numbered(putusan);
    }
    case "pulang": {
      const report = pick([...dunia.suratOfReport.keys()], who);
      if (report === undefined) return undefined;
      return bringBack(dunia, report, SURAT.kembali);
    }
    case "betul": {
      const report = pick([...dunia.jejak.keys()], who);
      const isi = report === undefined ? undefined : dunia.isi.get(report);
      if (report === undefined || !isi || dunia.cabut.has(report)) return undefined;
      return correct(dunia, report, isi, { where, some, id });
    }
    default: {
      const report = pick([...dunia.jejak.keys()], who);
      if (report === undefined || dunia.cabut.has(report)) return undefined;
      const surat = dunia.suratOfReport.get(report);
      const isOwn = surat?.id === `baru${report}`;
      if (isOwn && surat.status === SURAT.kembali) return undefined;
      if (isOwn && surat.status === SURAT.terbuka && surat.kodeWilayahTujuan !== "") {
        const putusan = bringBack(dunia, report, SURAT.dicabut);
        if (putusan.ok) dunia.cabut.add(report);
        return putusan;
      }
      if (isOwn && hasLeftAgain(surat, lastSurat(dunia))) return undefined;
      const putusan = decidePencabutan(keadaan, joinJejak(dunia.jejak.get(report)!));
      if (!putusan.ok) return putusan;
      dunia.cabut.add(report);
      if (surat) surat.status = isOwn ? SURAT.dicabut : SURAT.terbuka;
      return putusan;
    }
  }
}

function lastSurat({ surat }: Dunia): Map<string, string> {
  const good = surat.filter(({ status }) => status !== SURAT.dicabut);
  return new Map(good.flatMap(({ id, anggota }) => anggota.map(({ penduduk }) => [penduduk, id])));
}

function correct(
  dunia: Dunia,
  report: number,
  isi: Isi,
  { where, some, id }: { where: number; some: number; id: string },
): Putusan | undefined {
  const { keadaan } = dunia;
  const traces = dunia.jejak.get(report)!;
  const jejak = joinJejak(traces);
  const alamat = `alamat ${id}`;
  const noted = (putusan: Putusan, corrected: Isi, changed?: string[]): Putusan => {
    if (!putusan.ok) return putusan;
    traces.push(jejakOf(keadaan, { ...putusan.value, ...(changed && { penduduk: changed }) }));
    dunia.isi.set(report, corrected);
    return putusan;
  };
  switch (isi.kind) {
    case "lahir": {
      const { kelurahan, kelahiran } = isi;
      // Every other one of the name alone.
      const nomorKk = some % 2 === 0 ? kelahiran.nomorKk : pick([...keadaan.kartu.values()], where)!.nomorKk;
      const sesudah = { ...kelahiran, nomorKk };
      const at = { kelurahan, today: TODAY };
      const putusan = decidePembetulanKelahiran(keadaan, jejak, kelahiran, sesudah, at);
      return noted(putusan, { ...isi, kelahiran: sesudah }, [jejak.penduduk[0]!.id]);
    }
    case "pindah": {
      const { kelurahan, pindah } = isi;
      const surat = dunia.suratOfReport.get(report);
      const sesudah = { ...pindah, kodeWilayahTujuan: pick([...DESA, ""], where)!, alamatTujuan: alamat };
      const putusan = decidePembetulanPindah(keadaan, jejak, pindah, sesudah, { kelurahan, surat });
      if (putusan.ok && surat) Object.assign(surat, putusan.value.surat);
      return noted(putusan, { ...isi, pindah: sesudah });
    }
    default: {
      if (isi.alamat === undefined) return undefined;
      const tujuan = (of: string) => ({ kunci: "", alamat: of });
      const putusan = decidePembetulanDatang(keadaan, jejak, tujuan(isi.alamat), tujuan(alamat));
      return noted(putusan, { ...isi, alamat });
    }
  }
}

function bringBack({ keadaan, suratOfReport, jejak }: Dunia, report: number, status: number): Putusan {
  const surat = suratOfReport.get(report)!;
  const before = joinJejak(jejak.get(report)!).penduduk;
  const shdkBefore = new Map(before.map(({ id, sebelum }) => [id, sebelum?.shdk ?? 0]));
  const putusan = decidePengembalian(keadaan, surat, { shdkBefore, today: TODAY });
  if (putusan.ok) surat.status = status;
  return putusan;
}

/** What the store does with what is new: the next step finds it by its number. */
function numbered<T extends Efek>(putusan: Putusan<T>): Putusan<T> {
  if (!putusan.ok) return putusan;
  const { penduduk, kartu } = putusan.value.sesudah;
  const sesudah = keadaanOf(
    [...penduduk.values()].map((each) => ({ ...each, nik: each.id })),
    [...kartu.values()].map((each) => ({ ...each, nomorKk: each.id })),
  );
  return { ok: true, value: { ...putusan.value, sesudah } };
}

function check(keadaan: Keadaan): void {
  for (const each of keadaan.penduduk.values()) {
    const kartu = each.kartu === undefined ? undefined : keadaan.kartu.get(each.kartu);
    if (each.status === STATUS.aktif) {
      assert.ok(kartu, "who lives here is in a card");
      assert.equal(each.kodeWilayah, kartu.kodeWilayah, "and lives where the card is");
      assert.notEqual(each.shdk, SHDK.none);
    } else {
      assert.deepEqual([each.kartu, each.shdk], [undefined, SHDK.none], "nobody else is in one");
    }
  }
  for (const id of keadaan.kartu.keys()) {
    const heads = membersOf(keadaan, id).filter(({ shdk }) => shdk === SHDK.kepala);
    assert.ok(heads.length <= 1, "a card has one head at most");
  }
}

/** Who is in transit is in just one open transfer, and who is in an open one is in transit. */
function checkTransit({ keadaan, surat }: Dunia): void {
  const open = surat
    .filter(({ status, kodeWilayahTujuan }) => status === SURAT.terbuka && kodeWilayahTujuan !== "")
    .flatMap(({ anggota }) => anggota.map(({ penduduk }) => penduduk));
  const transit = [...keadaan.penduduk.values()].filter(({ status }) => status === STATUS.dalamPerpindahan);
  assert.deepEqual(open.sort(), transit.map(({ id }) => id).sort());
}

/** What was just approved can be taken back, and then everybody stands where they stood; a child is closed. */
function checkRevocable(before: Keadaan, { keadaan, jejak }: Dunia, number: number): void {
  const traces = jejak.get(number);
  if (!traces) return;
  const putusan = decidePencabutan(keadaan, joinJejak(traces));
  assert.ok(putusan.ok, "nothing has happened since");
  check(putusan.value.sesudah);
  for (const each of before.penduduk.values()) {
    assert.deepEqual(putusan.value.sesudah.penduduk.get(each.id), each);
  }
  for (const each of before.kartu.values()) {
    assert.deepEqual(putusan.value.sesudah.kartu.get(each.id), each);
  }
}

function checkLedger(before: Keadaan, { sesudah, mutasi, dalamPerpindahan }: Efek): void {
  const expected = count(before);
  for (const { kodeWilayah, komponen, jumlah } of mutasi) {
    const isTakenAway = komponen === KOMPONEN.mati || komponen === KOMPONEN.pindah;
    if (komponen <= KOMPONEN.datang) assert.ok(jumlah > 0, "the four components are never negative");
    expected.set(kodeWilayah, (expected.get(kodeWilayah) ?? 0) + (isTakenAway ? -jumlah : jumlah));
  }
  const positive = new Map([...expected].filter(([, jumlah]) => jumlah !== 0));
  assert.deepEqual(new Map([...positive].sort()), new Map([...count(sesudah)].sort()));
  const transit = (keadaan: Keadaan) =>
    [...keadaan.penduduk.values()].filter(({ status }) => status === STATUS.dalamPerpindahan).length;
  assert.equal(dalamPerpindahan, transit(sesudah) - transit(before));
}

function count({ penduduk }: Keadaan): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { status, kodeWilayah } of penduduk.values()) {
    if (status === STATUS.aktif) counts.set(kodeWilayah, (counts.get(kodeWilayah) ?? 0) + 1);
  }
  return counts;
}

function pick<T>(list: readonly T[], number: number): T | undefined {
  return list[number % list.length];
}
