import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decideJawaban, decideKedaluwarsa, type Hasil, hasilKosong, type JenisPerintah } from "./efek.ts";
import { type Isi, isTerlambat, KLASIFIKASI, klasifikasiOf } from "./isi.ts";
import type { Temuan } from "./kemiripan.ts";
import { fold, type Peristiwa, type Status, type Tingkat } from "./laporan.ts";
import { nomorLaporan, nomorPrefix } from "./nomor.ts";
import type { Sebab } from "./penolakan.ts";
import {
  decideSubmit,
  decideTransisi,
  type JenisTransisi,
  type Keadaan,
  type Pengajuan,
  type Putusan,
  type Transisi,
} from "./putusan.ts";

const KELURAHAN = "32.01.01.1006";
const TODAY = "2026-11-20";
const at = (minute: number) => new Date(Date.UTC(2026, 10, 20, 3, minute));
const wilayah = { has: (kode: string) => kode !== "32.01.99.9999" };

const account = (role: string, own: string, subject = `${role} of ${own}`) => ({
  subject,
  role,
  wilayah: own,
});
const operator = account("operator", KELURAHAN);
const supervisor = account("supervisor", "32.01.01");
const kota = account("admin_kota", "32.01");

const kelahiran = (over = {}): Isi => ({
  formulir: {
    case: "kelahiran",
    value: {
      tanggalLahir: "2026-11-15",
      ibuTidakDiketahui: false,
      nikIbu: "3201014101900001",
      namaIbu: "Siti Aminah",
      nikAyah: "",
      saksi: [{ nik: "3201010101800001" }, { nik: "3201010101800002" }],
      ...over,
    },
  },
});
const kematian = (over = {}): Isi => ({
  formulir: {
    case: "kematian",
    value: { nik: "3201010101500001", tanggalKematian: "2026-11-15", ...over },
  },
  pelapor: { nik: "3201010101800001", kanal: 0, telepon: "", email: "" },
});
const pindah = (over = {}): Isi => ({
  formulir: {
    case: "pindah",
    value: {
      kodeWilayahTujuan: "32.04.05.2001",
      negaraTujuan: "",
      klasifikasi: KLASIFIKASI.antarKabupaten,
      ...over,
    },
  },
});

const submit = (isi: Isi = kelahiran(), over = {}): Pengajuan<Isi> => ({
  jenis: "submit",
  nomor: "L-3201011006-20261120-0001",
  kodeWilayah: KELURAHAN,
  isi,
  ...over,
});

// Events as they are given.
type Given = Peristiwa<Isi>;
const diajukan = (over: Partial<Extract<Given, { jenis: "diajukan" }>> = {}): Given => ({
  jenis: "diajukan",
  nomor: "L-3201011006-20261120-0001",
  laporan: "kelahiran",
  kodeWilayah: KELURAHAN,
  tanggal: TODAY,
  terlambat: false,
  isi: kelahiran(),
  pelaku: operator.subject,
  tingkat: "operator",
  waktu: at(0),
  ...over,
});
const by = (pelaku: { subject: string; role: string }, minute: number) => ({
  pelaku: pelaku.subject,
  tingkat: pelaku.role as Tingkat,
  waktu: at(minute),
});
const diverifikasi = (who = supervisor): Given => ({ jenis: "diverifikasi", ...by(who, 1) });
const disahkan = (): Given => ({ jenis: "disahkan", nomorKeputusan: "", ...by(kota, 2) });
const dikembalikan = (who = supervisor): Given => ({ jenis: "dikembalikan", alasan: "blur", ...by(who, 1) });
const ditolak = (): Given => ({ jenis: "ditolak", alasan: "double", ...by(supervisor, 1) });
const dibatalkan = (): Given => ({ jenis: "dibatalkan", alasan: "mistake", ...by(operator, 1) });

const hasil = (over: Partial<Hasil> = {}): Hasil => ({ ...hasilKosong, ...over });
const berlaku = (perintah: JenisPerintah, over: Partial<Hasil> = {}): Given => ({
  jenis: "berlaku",
  perintah,
  hasil: hasil(over),
  ...by(kota, 3),
});
const gagal = (perintah: JenisPerintah, alasan = "NOT_ALIVE"): Given => ({
  jenis: "gagal_berlaku",
  perintah,
  alasan,
  keterangan: "not so",
  ...by(kota, 3),
});
const dicabut = (): Given => ({
  jenis: "dicabut",
  alasan: "false",
  nomorPutusan: "12/Pdt.P",
  ...by(kota, 4),
});
const dibetulkan = (isi = kelahiran({ namaIbu: "Siti Aminah binti Ali" })): Given => ({
  jenis: "dibetulkan",
  alasan: "name",
  nomorPutusan: "",
  isi,
  ...by(kota, 4),
});
const pindahDisahkan = [diajukan({ laporan: "pindah", isi: pindah() }), diverifikasi(), disahkan()];
const dalamPerpindahan = [
  ...pindahDisahkan,
  berlaku("pengesahan", { dalamPerpindahan: 3, nomorSuratPindah: "SKPWNI/1" }),
];
const pindahDibatalkan = (): Given => ({ jenis: "perpindahan_dibatalkan", alasan: "stay", ...by(kota, 4) });

/** After approval, by how far the effect is. */
const efekStreams = {
  waiting: [diajukan(), diverifikasi(), disahkan()],
  inEffect: [diajukan(), diverifikasi(), disahkan(), berlaku("pengesahan")],
  failed: [diajukan(), diverifikasi(), disahkan(), gagal("pengesahan")],
  inTransit: dalamPerpindahan,
  correctionWaits: [diajukan(), diverifikasi(), disahkan(), berlaku("pengesahan"), dibetulkan()],
  correctionFailed: [
    diajukan(),
    diverifikasi(),
    disahkan(),
    berlaku("pengesahan"),
    dibetulkan(),
    gagal("pembetulan"),
  ],
  returnWaits: [...dalamPerpindahan, pindahDibatalkan()],
  arrived: [...dalamPerpindahan, pindahDibatalkan(), gagal("pembatalan_pindah", "SURAT_PINDAH_CLOSED")],
  isBack: [...dalamPerpindahan, pindahDibatalkan(), berlaku("pembatalan_pindah", { dalamPerpindahan: -3 })],
  revocationWaits: [diajukan(), diverifikasi(), disahkan(), berlaku("pengesahan"), dicabut()],
  revoked: [diajukan(), diverifikasi(), disahkan(), berlaku("pengesahan"), dicabut(), berlaku("pencabutan")],
  revocationFailed: [
    diajukan(),
    diverifikasi(),
    disahkan(),
    berlaku("pengesahan"),
    dicabut(),
    gagal("pencabutan"),
  ],
  givenUp: [diajukan(), diverifikasi(), disahkan(), gagal("pengesahan"), dicabut()],
} satisfies Record<string, Given[]>;

/** One stream for each status; after approval, one on which nothing but the status stands against a decision. */
const streams: Record<Status, Given[]> = {
  diajukan: [diajukan()],
  diverifikasi: [diajukan(), diverifikasi()],
  disahkan: dalamPerpindahan,
  dikembalikan: [diajukan(), dikembalikan()],
  ditolak: [diajukan(), ditolak()],
  dibatalkan: [diajukan(), dibatalkan()],
  dicabut: efekStreams.revocationFailed,
  pindah_batal: efekStreams.isBack,
};

/** `given(events).when(command, account).then(event)` or `.refused(cause)`. */
function given(events: readonly Given[]) {
  return {
    when(command: Pengajuan<Isi> | Transisi<Isi>, pelaku = operator, over: Partial<Keadaan> = {}) {
      const keadaan: Keadaan = { pelaku, waktu: at(9), tanggal: TODAY, wilayah, ...over };
      const putusan: Putusan<Isi> =
        command.jenis === "submit"
          ? decideSubmit(command, keadaan)
          : decideTransisi(command, fold(events)!, keadaan);
      return {
        putusan,
        // biome-ignore lint/suspicious/noThenProperty: given, when, then is how these tests read; nothing awaits it.
        then(expected: object) {
          assert.ok(putusan.ok, JSON.stringify(putusan));
          const { pelaku: who, tingkat, waktu, ...event } = putusan.peristiwa;
          assert.deepEqual(event, expected);
          assert.deepEqual([who, tingkat, waktu], [pelaku.subject, pelaku.role, at(9)]);
        },
        refused(sebab: Sebab, fields: readonly string[] = []) {
          assert.ok(!putusan.ok, "it was not refused");
          const { violations } = putusan.penolakan;
          assert.equal(putusan.penolakan.sebab, sebab);
          assert.deepEqual(violations.map(({ field }) => field).sort(), [...fields].sort());
        },
      };
    },
  };
}

describe("a report is submitted", () => {
  test("by an operator of its kelurahan", () => {
    const command = submit();
    given([]).when(command).then({
      jenis: "diajukan",
      nomor: command.nomor,
      laporan: "kelahiran",
      kodeWilayah: KELURAHAN,
      tanggal: TODAY,
      terlambat: false,
      isi: command.isi,
    });
  });

  test("by nobody of another level or another kelurahan", () => {
    given([]).when(submit(), supervisor).refused("LEVEL_DENIED");
    given([]).when(submit(), kota).refused("LEVEL_DENIED");
    given([]).when(submit(), account("admin_pusat", "ID")).refused("LEVEL_DENIED");
    given([]).when(submit(), account("operator", "32.01.01.1007")).refused("WILAYAH_DENIED");
    given([]).when(submit(), account("operator", "32.01.01")).refused("WILAYAH_DENIED");
    given([]).when(submit(), account("operator", "ID")).refused("WILAYAH_DENIED");
  });

  test("from a kelurahan that exists", () => {
    const nowhere = "32.01.99.9999";
    given([])
      .when(submit(kelahiran(), { kodeWilayah: nowhere }), account("operator", nowhere))
      .refused("FIELD_VIOLATION", ["kode_wilayah"]);
  });

  const wrong: [string, Isi, string[]][] = [
    ["a birth tomorrow", kelahiran({ tanggalLahir: "2026-11-21" }), ["kelahiran.tanggal_lahir"]],
    ["a birth on 30 February", kelahiran({ tanggalLahir: "2026-02-30" }), ["kelahiran.tanggal_lahir"]],
    ["a birth in month 13", kelahiran({ tanggalLahir: "2026-13-01" }), ["kelahiran.tanggal_lahir"]],
    [
      "a mother without name and NIK",
      kelahiran({ nikIbu: "", namaIbu: " " }),
      ["kelahiran.nik_ibu", "kelahiran.nama_ibu"],
    ],
    [
      "a foundling with a mother",
      kelahiran({ ibuTidakDiketahui: true }),
      ["kelahiran.nik_ibu", "kelahiran.nama_ibu"],
    ],
    ["a mother who is the father", kelahiran({ nikAyah: "3201014101900001" }), ["kelahiran.nik_ayah"]],
    [
      "one witness twice",
      kelahiran({ saksi: [{ nik: "3201010101800001" }, { nik: "3201010101800001" }] }),
      ["kelahiran.saksi[1].nik"],
    ],
    ["a death tomorrow", kematian({ tanggalKematian: "2026-11-21" }), ["kematian.tanggal_kematian"]],
    ["the dead who report themselves", kematian({ nik: "3201010101800001" }), ["kematian.nik"]],
    ["the dead as their witness", kematian({ saksi: { nik: "3201010101500001" } }), ["kematian.saksi.nik"]],
    ["a move to nowhere", pindah({ kodeWilayahTujuan: "32.01.99.9999" }), ["pindah.kode_wilayah_tujuan"]],
    ["a move of another class", pindah({ klasifikasi: KLASIFIKASI.antarDesa }), ["pindah.klasifikasi"]],
    ["a country within Indonesia", pindah({ negaraTujuan: "MY" }), ["pindah.negara_tujuan"]],
    [
      "a move abroad to a kelurahan",
      pindah({ klasifikasi: KLASIFIKASI.luarNegeri }),
      ["pindah.kode_wilayah_tujuan", "pindah.negara_tujuan"],
    ],
  ];
  for (const [what, isi, fields] of wrong) {
    test(`not of ${what}`, () => {
      const paths = fields.map((field) => `isi.${field}`);
      given([]).when(submit(isi)).refused("FIELD_VIOLATION", paths);
      given(streams.dikembalikan.map((event) => ({ ...event, laporan: isi.formulir.case }) as Given))
        .when({ jenis: "resubmit", isi })
        .refused("FIELD_VIOLATION", paths);
    });
  }

  test("of a foundling, whose mother nobody knows", () => {
    const foundling = kelahiran({ ibuTidakDiketahui: true, nikIbu: "", namaIbu: "" });
    assert.ok(given([]).when(submit(foundling)).putusan.ok);
  });

  test("of a move abroad, to a country", () => {
    const abroad = pindah({
      klasifikasi: KLASIFIKASI.luarNegeri,
      kodeWilayahTujuan: "",
      negaraTujuan: "MY",
    });
    assert.ok(given([]).when(submit(abroad)).putusan.ok);
  });
});

test("a move is as far as the first part in which the codes differ", () => {
  const classes = {
    [KELURAHAN]: KLASIFIKASI.dalamDesa,
    "32.01.01.1007": KLASIFIKASI.antarDesa,
    "32.01.02.2001": KLASIFIKASI.antarKecamatan,
    "32.04.05.2001": KLASIFIKASI.antarKabupaten,
    "33.01.01.2001": KLASIFIKASI.antarProvinsi,
  };
  for (const [tujuan, klasifikasi] of Object.entries(classes)) {
    assert.equal(klasifikasiOf(KELURAHAN, tujuan), klasifikasi, tujuan);
  }
});

describe("deadlines", () => {
  test("a birth is late from the 61st day on, a death from the 31st", () => {
    const birth = kelahiran({ tanggalLahir: "2026-01-01" });
    assert.equal(isTerlambat(birth, "2026-03-02"), false, "the 60th day");
    assert.equal(isTerlambat(birth, "2026-03-03"), true);
    const death = kematian({ tanggalKematian: "2026-01-01" });
    assert.equal(isTerlambat(death, "2026-01-31"), false, "the 30th day");
    assert.equal(isTerlambat(death, "2026-02-01"), true);
    assert.equal(isTerlambat(pindah(), "2046-01-01"), false);
  });

  test("a correction is measured by the day of the first submission", () => {
    const isi = kelahiran({ tanggalLahir: "2026-11-15" });
    const later = { tanggal: "2027-06-01", waktu: at(9) };
    given(streams.dikembalikan)
      .when({ jenis: "resubmit", isi }, operator, later)
      .then({ jenis: "diajukan_kembali", terlambat: false, isi });
  });

  test("a date that is corrected may make the report late", () => {
    const isi = kelahiran({ tanggalLahir: "2026-01-15" });
    given(streams.dikembalikan)
      .when({ jenis: "resubmit", isi })
      .then({ jenis: "diajukan_kembali", terlambat: true, isi });
  });

  test("a late birth is approved with the number of a decision, and nothing else is", () => {
    const late = [diajukan({ terlambat: true }), diverifikasi()];
    const approve = (nomorKeputusan: string) => ({ jenis: "approve", nomorKeputusan }) as const;
    given(late).when(approve(" "), kota).refused("DECISION_NUMBER_REQUIRED");
    given(late)
      .when(approve("474.1/12/2026"), kota)
      .then({ jenis: "disahkan", nomorKeputusan: "474.1/12/2026" });
    given(streams.diverifikasi)
      .when(approve("474.1/12/2026"), kota)
      .refused("FIELD_VIOLATION", ["nomor_keputusan"]);
    const lateDeath = [diajukan({ laporan: "kematian", terlambat: true, isi: kematian() }), diverifikasi()];
    given(lateDeath).when(approve(""), kota).then({ jenis: "disahkan", nomorKeputusan: "" });
  });
});

describe("separation of duties", () => {
  const approve: Transisi<Isi> = { jenis: "approve", nomorKeputusan: "" };

  test("who submitted cannot verify, also after a promotion", () => {
    const promoted = { ...supervisor, subject: operator.subject };
    for (const command of [
      { jenis: "verify" },
      { jenis: "return", alasan: "x" },
      { jenis: "reject", alasan: "x" },
    ] as const) {
      given(streams.diajukan).when(command, promoted).refused("DUTIES_NOT_SEPARATE");
    }
  });

  test("who submitted or verified cannot approve", () => {
    for (const { subject } of [operator, supervisor]) {
      given(streams.diverifikasi)
        .when(approve, { ...kota, subject })
        .refused("DUTIES_NOT_SEPARATE");
    }
  });

  test("who returned it as a supervisor cannot approve it, even if another supervisor has verified it", () => {
    const other = account("supervisor", "32.01.01", "another");
    const again: Given = {
      jenis: "diajukan_kembali",
      terlambat: false,
      isi: kelahiran(),
      ...by(operator, 2),
    };
    const events = [...streams.dikembalikan, again, diverifikasi(other)];
    given(events)
      .when(approve, { ...kota, subject: supervisor.subject })
      .refused("DUTIES_NOT_SEPARATE");
    given(events).when(approve, kota).then({ jenis: "disahkan", nomorKeputusan: "" });
  });

  test("who returned a report may verify what was corrected: the same level, another round", () => {
    const again: Given = {
      jenis: "diajukan_kembali",
      terlambat: false,
      isi: kelahiran(),
      ...by(operator, 2),
    };
    given([...streams.dikembalikan, again])
      .when({ jenis: "verify" }, supervisor)
      .then({ jenis: "diverifikasi" });
  });
});

test("a correction cannot make a birth a death", () => {
  given(streams.dikembalikan)
    .when({ jenis: "resubmit", isi: kematian() })
    .refused("FIELD_VIOLATION", ["isi"]);
});

test("a return, a rejection and a cancellation say why", () => {
  for (const jenis of ["return", "reject"] as const) {
    given(streams.diajukan).when({ jenis, alasan: " \n" }, supervisor).refused("FIELD_VIOLATION", ["alasan"]);
  }
  given(streams.diajukan).when({ jenis: "cancel", alasan: "" }).refused("FIELD_VIOLATION", ["alasan"]);
});

const mirip: Temuan = {
  laporan: "0198f9f0-0000-7000-8000-000000000001",
  nomor: "L-3201011006-20261119-0003",
  jenis: "kelahiran",
  skor: 0.93,
  dasar: "kelahiran_ibu",
};

describe("a report like another", () => {
  const another = { ...mirip, laporan: "0198f9f0-0000-7000-8000-000000000002" };
  const dismiss = (laporan = mirip.laporan) =>
    ({ jenis: "dismissKemiripan", kemiripan: laporan, alasan: "twins" }) as const;
  const dismissed = (laporan = mirip.laporan): Given => ({
    jenis: "kemiripan_disisihkan",
    kemiripan: laporan,
    alasan: "twins",
    ...by(supervisor, 1),
  });
  const found = [diajukan({ kemiripan: [mirip, another] })];

  test("is verified when the supervisor has dismissed every one with a reason", () => {
    const verify = { jenis: "verify" } as const;
    given(found).when(verify, supervisor).refused("KEMIRIPAN_OPEN");
    given(found)
      .when(dismiss(), supervisor)
      .then({ jenis: "kemiripan_disisihkan", kemiripan: mirip.laporan, alasan: "twins" });
    given([...found, dismissed()])
      .when(verify, supervisor)
      .refused("KEMIRIPAN_OPEN");
    given([...found, dismissed(), dismissed(another.laporan)])
      .when(verify, supervisor)
      .then({ jenis: "diverifikasi" });
    const [first, second] = fold([...found, dismissed()])!.kemiripan;
    assert.deepEqual(first!.disisihkan, { oleh: supervisor.subject, alasan: "twins", waktu: at(1) });
    assert.equal(second!.disisihkan, undefined);
  });

  test("is returned or rejected all the same", () => {
    for (const jenis of ["return", "reject"] as const) {
      assert.ok(given(found).when({ jenis, alasan: "double" }, supervisor).putusan.ok);
    }
  });

  test("is compared anew with what it says when it is sent again", () => {
    const again: Given = {
      jenis: "diajukan_kembali",
      terlambat: false,
      isi: kelahiran(),
      ...by(operator, 3),
    };
    const back = [...found, dismissed(), dikembalikan()];
    assert.deepEqual(fold([...back, again])!.kemiripan, []);
    assert.deepEqual(fold([...back, { ...again, kemiripan: [mirip] } as Given])!.kemiripan, [mirip]);
  });

  test("is not dismissed twice, nor of what it is not like, nor without a reason", () => {
    given([...found, dismissed()])
      .when(dismiss(), supervisor)
      .refused("KEMIRIPAN_DISMISSED");
    given([diajukan()]).when(dismiss(), supervisor).refused("FIELD_VIOLATION", ["kemiripan"]);
    const why = { ...dismiss(), alasan: " " };
    given(found).when(why, supervisor).refused("FIELD_VIOLATION", ["alasan"]);
  });
});

// Written out, not derived from the table that it checks: every transition x status, and who may.
const ALLOWED: Record<JenisTransisi, Partial<Record<Status, Tingkat>>> = {
  verify: { diajukan: "supervisor" },
  approve: { diverifikasi: "admin_kota" },
  return: { diajukan: "supervisor", diverifikasi: "admin_kota" },
  reject: { diajukan: "supervisor", diverifikasi: "admin_kota" },
  resubmit: { dikembalikan: "operator" },
  cancel: { diajukan: "operator", dikembalikan: "operator" },
  dismissKemiripan: { diajukan: "supervisor" },
  correct: { disahkan: "admin_kota" },
  revoke: { disahkan: "admin_kota" },
  cancelPerpindahan: { disahkan: "admin_kota" },
  reapply: { dicabut: "admin_kota" },
};
const COMMANDS: Record<JenisTransisi, Transisi<Isi>> = {
  verify: { jenis: "verify" },
  approve: { jenis: "approve", nomorKeputusan: "" },
  return: { jenis: "return", alasan: "why" },
  reject: { jenis: "reject", alasan: "why" },
  resubmit: { jenis: "resubmit", isi: kelahiran() },
  cancel: { jenis: "cancel", alasan: "why" },
  dismissKemiripan: { jenis: "dismissKemiripan", kemiripan: mirip.laporan, alasan: "why" },
  correct: { jenis: "correct", alasan: "why", nomorPutusan: "", isi: pindah() },
  revoke: { jenis: "revoke", alasan: "why", nomorPutusan: "12/Pdt.P/2026" },
  cancelPerpindahan: { jenis: "cancelPerpindahan", alasan: "why" },
  reapply: { jenis: "reapply" },
};
/** What a submitted report must be for its transition. */
const readyFor = (jenis: JenisTransisi, events: Given[]) =>
  jenis === "dismissKemiripan" && events.length === 1 ? [diajukan({ kemiripan: [mirip] })] : events;
const ROLES = ["operator", "supervisor", "admin_kota", "admin_pusat", "auditor", "mitra", "service", ""];
const OWN: Record<string, string> = { operator: KELURAHAN, supervisor: "32.01.01", admin_kota: "32.01" };
/** Wilayah of every level, of which one at most is a role's own. */
const PLACES = [
  KELURAHAN,
  "32.01.01.1007",
  "32.01.01",
  "32.01.02",
  "32.01",
  "32.02",
  "32.0",
  "32",
  "33",
  "ID",
  "",
];

describe("every transition, in every status, by every role, in its own and in other wilayah", () => {
  let allowed = 0;
  for (const [jenis, command] of Object.entries(COMMANDS) as [JenisTransisi, Transisi<Isi>][]) {
    test(`${jenis} is allowed to whom DOMAIN.md says, and to nobody else`, () => {
      for (const [status, events] of Object.entries(streams) as [Status, Given[]][]) {
        for (const role of ROLES) {
          for (const place of PLACES) {
            const who = account(role, place, `someone who is ${role} of ${place}`);
            const { putusan } = given(readyFor(jenis, events)).when(command, who);
            const may = ALLOWED[jenis][status] === role && OWN[role] === place;
            const told = `${jenis} of what is ${status} by ${role} of ${place}`;
            assert.equal(putusan.ok, may, told);
            if (may) allowed++;
            else assertCause(putusan, { jenis, status, role, place }, told);
          }
        }
      }
    });
  }

  test("which is fourteen of them", () => assert.equal(allowed, 14));
});

function assertCause(
  putusan: Putusan<Isi>,
  { jenis, status, role, place }: { jenis: JenisTransisi; status: Status; role: string; place: string },
  told: string,
): void {
  const levels = Object.values(ALLOWED[jenis]) as string[];
  const expected: Sebab = !levels.includes(role)
    ? "LEVEL_DENIED"
    : OWN[role] !== place
      ? "WILAYAH_DENIED"
      : jenis === "reapply" && status === "disahkan"
        ? "EFEK_STATE"
        : ALLOWED[jenis][status] === undefined
          ? "LAPORAN_STATE"
          : "LEVEL_DENIED";
  assert.ok(!putusan.ok && putusan.penolakan.sebab === expected, `${told}: ${JSON.stringify(putusan)}`);
}

// Written out as well: what an admin of the kota may decide after approval, by how far the effect is.
const AFTER_APPROVAL: Record<keyof typeof efekStreams, Partial<Record<JenisTransisi, Sebab | "yes">>> = {
  waiting: {
    correct: "EFEK_STATE",
    revoke: "EFEK_STATE",
    cancelPerpindahan: "EFEK_STATE",
    reapply: "EFEK_STATE",
  },
  inEffect: { correct: "yes", revoke: "yes", cancelPerpindahan: "NOT_IN_TRANSIT", reapply: "EFEK_STATE" },
  failed: { correct: "EFEK_STATE", revoke: "yes", cancelPerpindahan: "NOT_IN_TRANSIT", reapply: "yes" },
  inTransit: { correct: "yes", revoke: "yes", cancelPerpindahan: "yes", reapply: "EFEK_STATE" },
  correctionWaits: {
    correct: "EFEK_STATE",
    revoke: "EFEK_STATE",
    cancelPerpindahan: "EFEK_STATE",
    reapply: "EFEK_STATE",
  },
  correctionFailed: { correct: "yes", revoke: "yes", cancelPerpindahan: "NOT_IN_TRANSIT", reapply: "yes" },
  returnWaits: {
    correct: "EFEK_STATE",
    revoke: "EFEK_STATE",
    cancelPerpindahan: "EFEK_STATE",
    reapply: "EFEK_STATE",
  },
  arrived: { correct: "yes", revoke: "yes", cancelPerpindahan: "NOT_IN_TRANSIT", reapply: "yes" },
  isBack: {
    correct: "LAPORAN_STATE",
    revoke: "LAPORAN_STATE",
    cancelPerpindahan: "LAPORAN_STATE",
    reapply: "LAPORAN_STATE",
  },
  revocationWaits: {
    correct: "LAPORAN_STATE",
    revoke: "LAPORAN_STATE",
    cancelPerpindahan: "LAPORAN_STATE",
    reapply: "EFEK_STATE",
  },
  revoked: {
    correct: "LAPORAN_STATE",
    revoke: "LAPORAN_STATE",
    cancelPerpindahan: "LAPORAN_STATE",
    reapply: "EFEK_STATE",
  },
  revocationFailed: {
    correct: "LAPORAN_STATE",
    revoke: "LAPORAN_STATE",
    cancelPerpindahan: "LAPORAN_STATE",
    reapply: "yes",
  },
  givenUp: {
    correct: "LAPORAN_STATE",
    revoke: "LAPORAN_STATE",
    cancelPerpindahan: "LAPORAN_STATE",
    reapply: "EFEK_STATE",
  },
};

describe("after approval", () => {
  for (const [name, expected] of Object.entries(AFTER_APPROVAL)) {
    test(`what may be decided hangs on the effect: ${name}`, () => {
      const events: Given[] = efekStreams[name as keyof typeof efekStreams];
      const isi = fold(events)!.isi;
      for (const [jenis, verdict] of Object.entries(expected)) {
        const command = { ...COMMANDS[jenis as JenisTransisi], ...(jenis === "correct" && { isi }) };
        const { putusan } = given(events).when(command as Transisi<Isi>, kota);
        assert.equal(putusan.ok ? "yes" : putusan.penolakan.sebab, verdict, `${jenis} when ${name}`);
      }
    });
  }

  test("nothing of it is for who has acted at another level", () => {
    for (const { subject } of [operator, supervisor]) {
      for (const jenis of ["correct", "revoke", "cancelPerpindahan"] as const) {
        given(efekStreams.inTransit)
          .when(COMMANDS[jenis], { ...kota, subject })
          .refused("DUTIES_NOT_SEPARATE");
      }
      given(efekStreams.failed)
        .when(COMMANDS.reapply, { ...kota, subject })
        .refused("DUTIES_NOT_SEPARATE");
    }
  });

  test("another admin of the kota than who approved may correct, and says why", () => {
    const other = account("admin_kota", "32.01", "another");
    const isi = kelahiran({ namaIbu: "Siti Aminah binti Ali" });
    given(efekStreams.inEffect)
      .when({ jenis: "correct", isi, alasan: "name", nomorPutusan: " 12/Pdt.P/2026 " }, other)
      .then({ jenis: "dibetulkan", isi, alasan: "name", nomorPutusan: "12/Pdt.P/2026" });
    given(efekStreams.inEffect)
      .when({ jenis: "correct", isi, alasan: " ", nomorPutusan: "" }, kota)
      .refused("FIELD_VIOLATION", ["alasan"]);
  });

  test("a correction is judged as what is submitted, and stays of its jenis", () => {
    const correct = (isi: Isi) => ({ jenis: "correct", isi, alasan: "x", nomorPutusan: "" }) as const;
    given(efekStreams.inEffect).when(correct(kematian()), kota).refused("FIELD_VIOLATION", ["isi"]);
    given(efekStreams.inEffect)
      .when(correct(kelahiran({ tanggalLahir: "2026-11-21" })), kota)
      .refused("FIELD_VIOLATION", ["isi.kelahiran.tanggal_lahir"]);
  });

  test("what is in effect is revoked with a court's decision, what never was without", () => {
    const revoke = { jenis: "revoke", alasan: "false", nomorPutusan: " " } as const;
    given(efekStreams.inEffect).when(revoke, kota).refused("COURT_DECISION_REQUIRED");
    given(efekStreams.correctionFailed).when(revoke, kota).refused("COURT_DECISION_REQUIRED");
    given(efekStreams.failed)
      .when(revoke, kota)
      .then({ jenis: "dicabut", alasan: "false", nomorPutusan: "" });
  });

  test("what is tried again is what was refused", () => {
    const commands = {
      failed: "pengesahan",
      correctionFailed: "pembetulan",
      revocationFailed: "pencabutan",
    } as const;
    for (const [name, perintah] of Object.entries(commands)) {
      given(efekStreams[name as keyof typeof commands])
        .when({ jenis: "reapply" }, kota)
        .then({ jenis: "diulang", perintah });
    }
  });
});

describe("the effect", () => {
  const efekOf = (events: Given[]) => fold(events)!.efek!;

  test("is commanded by approval, correction, revocation and return, one at a time", () => {
    assert.equal(fold(streams.diverifikasi)!.efek, undefined);
    for (const [name, perintah] of [
      ["waiting", "pengesahan"],
      ["correctionWaits", "pembetulan"],
      ["revocationWaits", "pencabutan"],
      ["returnWaits", "pembatalan_pindah"],
    ] as const) {
      const { status, perintah: last, pelaku } = efekOf(efekStreams[name]);
      assert.deepEqual([status, last, pelaku], ["menunggu", perintah, kota.subject]);
    }
  });

  test("is noted as an event of who commanded it, once", () => {
    const state = fold(efekStreams.waiting)!;
    const noted = decideJawaban(state, { ok: true, hasil: hasil({ nomorAkta: "A-1" }) }, at(5))!;
    assert.deepEqual(
      [noted.jenis, noted.pelaku, noted.tingkat, noted.waktu],
      ["berlaku", kota.subject, "admin_kota", at(5)],
    );
    const after = fold([...efekStreams.waiting, noted])!;
    assert.equal(after.efek!.hasil.nomorAkta, "A-1");
    assert.equal(decideJawaban(after, { ok: true, hasil: hasil() }, at(6)), undefined);
  });

  test("that the registry refuses leaves what is in effect, and says why", () => {
    const state = fold(efekStreams.correctionWaits)!;
    const noted = decideJawaban(
      state,
      { ok: false, sebab: "NIK_UNKNOWN", keterangan: "no such NIK" },
      at(5),
    )!;
    const after = fold([...efekStreams.correctionWaits, noted])!;
    assert.deepEqual(
      [after.status, after.efek!.status, after.efek!.sebab],
      ["disahkan", "gagal", "NIK_UNKNOWN"],
    );
    assert.deepEqual(after.efek!.isiBerlaku, kelahiran());
    assert.notDeepEqual(after.isi, after.efek!.isiBerlaku);
  });

  test("keeps the numbers that were given once", () => {
    const first = berlaku("pengesahan", {
      nikTersamar: "320101********01",
      nomorAkta: "A-1",
      penduduk: ["penduduk/1"],
    });
    const events = [
      ...efekStreams.waiting,
      first,
      dibetulkan(),
      berlaku("pembetulan", { penduduk: ["penduduk/2"] }),
    ];
    const { nikTersamar, nomorAkta, penduduk } = efekOf(events).hasil;
    assert.deepEqual([nikTersamar, nomorAkta, penduduk], ["320101********01", "A-1", ["penduduk/2"]]);
  });

  test("of what was revoked is none, and the report stays revoked while the registry does not follow", () => {
    const revoked = fold(efekStreams.revoked)!;
    assert.deepEqual(
      [revoked.status, revoked.efek!.isiBerlaku, revoked.alasan],
      ["dicabut", undefined, "false"],
    );
    const refused = fold(efekStreams.revocationFailed)!;
    assert.deepEqual([refused.status, refused.efek!.status], ["dicabut", "gagal"]);
    assert.equal(fold(efekStreams.givenUp)!.efek!.status, "gagal", "there was nothing to undo");
  });

  test("of a move that was called off stands when they are back, not before", () => {
    assert.equal(fold(efekStreams.returnWaits)!.status, "disahkan");
    assert.equal(fold(efekStreams.isBack)!.status, "pindah_batal");
    const arrived = fold(efekStreams.arrived)!;
    assert.deepEqual([arrived.status, arrived.efek!.hasil.dalamPerpindahan], ["disahkan", 0]);
  });

  test("of a move runs out by time alone, once, while members are in transit", () => {
    const late = decideKedaluwarsa(fold(efekStreams.inTransit)!, at(8))!;
    assert.deepEqual(
      [late.jenis, late.pelaku, late.tingkat],
      ["perpindahan_kedaluwarsa", "jadwal", "service"],
    );
    const after = [...efekStreams.inTransit, late];
    assert.equal(efekOf(after).perintah, "kedaluwarsa_pindah");
    const { diubah } = fold(efekStreams.inTransit)!;
    const behind = decideKedaluwarsa(fold(efekStreams.inTransit)!, new Date(diubah.getTime() - 1))!;
    assert.deepEqual(
      behind.waktu,
      diubah,
      "events happen in the order of their numbers, whatever a clock says",
    );
    const back = decideJawaban(fold(after)!, { ok: true, hasil: hasil({ dalamPerpindahan: -3 }) }, at(9))!;
    assert.deepEqual([back.pelaku, back.tingkat], ["jadwal", "service"]);
    assert.equal(fold([...after, back])!.status, "pindah_batal");
    const stuck = decideJawaban(fold(after)!, { ok: false, sebab: "KK_UNKNOWN", keterangan: "" }, at(9))!;
    assert.equal(
      decideKedaluwarsa(fold([...after, stuck])!, at(10)),
      undefined,
      "a person has to look at it",
    );
    for (const name of ["waiting", "inEffect", "returnWaits", "arrived", "isBack", "revoked"] as const) {
      assert.equal(decideKedaluwarsa(fold(efekStreams[name])!, at(8)), undefined, name);
    }
  });

  test("of what was not approved cannot be told", () => {
    assert.throws(() => fold([diajukan(), berlaku("pengesahan")]), /not approved/);
  });
});

describe("the state", () => {
  test("adds up a whole life", () => {
    const isi = kelahiran({ namaIbu: "Siti Aminah binti Ali" });
    const again: Given = { jenis: "diajukan_kembali", terlambat: false, isi, ...by(operator, 4) };
    const events = [diajukan(), diverifikasi(), dikembalikan(kota), again, diverifikasi(), disahkan()];
    const laporan = fold(events)!;
    assert.equal(laporan.versi, 6);
    assert.equal(laporan.status, "disahkan");
    assert.equal(laporan.versiIsi, 4);
    assert.equal(laporan.isi, isi);
    assert.deepEqual(
      [laporan.pengaju, laporan.pemverifikasi, laporan.pengesah],
      [operator, supervisor, kota].map(({ subject }) => subject),
    );
    assert.equal(laporan.alasan, "");
    assert.equal(laporan.dibuat, events[0]!.waktu);
    assert.equal(laporan.diubah, events[5]!.waktu);
  });

  test("forgets who verified what was returned, and keeps why", () => {
    const laporan = fold([diajukan(), diverifikasi(), dikembalikan(kota)])!;
    assert.equal(laporan.pemverifikasi, "");
    assert.equal(laporan.alasan, "blur");
    assert.equal(laporan.tingkat.get(supervisor.subject), "supervisor");
  });

  test("begins with a submission, and with nothing else", () => {
    assert.equal(fold([]), undefined);
    assert.throws(() => fold([diverifikasi()]), /cannot begin/);
  });
});

test("a number names jenis, kelurahan and day, and grows wider after 9999", () => {
  const prefix = nomorPrefix("pindah", KELURAHAN, TODAY);
  assert.equal(nomorLaporan(prefix, 7), "P-3201011006-20261120-0007");
  assert.equal(nomorLaporan(prefix, 12_345), "P-3201011006-20261120-12345");
});
