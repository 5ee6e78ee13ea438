// What approved reports do to the registry, end to end over REST, while the registry is stopped and killed in between.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import type { Mesh } from "../../services/mesh/mesh.ts";
import { ROOT } from "../../services/mesh/processes.ts";
import { eventually } from "../harness/eventually.ts";
import { openSql, type Sql } from "../harness/ledger.ts";
import { isCluster, startTestMesh } from "../harness/mesh.ts";
import { residents, testSeed } from "../harness/residents.ts";
import { login, type RestClient, restClient } from "../harness/rest.ts";

/** Cibinong in Kabupaten Bogor, and Soreang in Kabupaten Bandung. */
const BOGOR = { kelurahan: "32.01.01.1006", operator: "operator", supervisor: "supervisor", kota: "kota" };
const BANDUNG = {
  kelurahan: "32.04.37.2001",
  operator: "operator3",
  supervisor: "supervisor3",
  kota: "kota2",
};
type Place = typeof BOGOR;
type Laporan = {
  name: string;
  etag: string;
  status: string;
  efek?: Record<string, unknown> & { status: string };
};
type Member = { nik: string; shdk: string; penduduk: string };

const run = promisify(execFile);
const newResident = residents(testSeed(), "lampid-effects");
const tokens = new Map<string, string>();
let mesh: Mesh;
let sql: Sql;
let call: RestClient;

before(async () => {
  mesh = await startTestMesh({}, { maxRestartDelayMs: 500 });
  sql = openSql(mesh);
  call = restClient(mesh.urls.gateway!);
});
after(async () => {
  await sql?.close();
  await mesh?.stop();
});

async function as(username: string): Promise<string> {
  const known = tokens.get(username) ?? (await login(mesh.urls.gateway!, username));
  tokens.set(username, known);
  return known;
}

async function ok(request: string, who: string, json?: object, status = 200) {
  const answer = await call(request, { token: await as(who), ...(json && { json }) });
  assert.equal(answer.status, status, answer.text);
  return answer.body;
}

/** Of a woman, the NIK has 40 added to the day of birth. */
function newPerson({ isWoman }: { isWoman: boolean }) {
  for (;;) {
    const person = newResident();
    if (Number(person.nik.slice(6, 8)) > 40 === isWoman) return person;
  }
}

/** A family of Bogor: a card with one resident for each SHDK. */
async function family(...shdk: string[]) {
  const members: { nik: string; shdk: string }[] = [];
  for (const each of shdk) {
    const { nik, nama, alamat, provinsi } = newPerson({ isWoman: each === "ISTRI" });
    const statusPerkawinan = `STATUS_PERKAWINAN_${each === "ANAK" ? "BELUM_KAWIN" : "KAWIN"}`;
    const json = { nik, nama, alamat, provinsi, statusPerkawinan, kodeWilayah: BOGOR.kelurahan };
    await ok("POST /v1/penduduk", BOGOR.operator, json, 201);
    members.push({ nik, shdk: `SHDK_${each}` });
  }
  const json = { kodeWilayah: BOGOR.kelurahan, alamat: "Jl. Mayor Oking 1", anggota: members };
  const card = await ok("POST /v1/kartuKeluarga", BOGOR.operator, json, 201);
  return { ...(card as { name: string; nomorKk: string }), niks: members.map(({ nik }) => nik) };
}

async function membersOf(name: string, { operator }: Place = BOGOR): Promise<Member[]> {
  return (await ok(`GET /v1/${name}`, operator)).anggota ?? [];
}

async function residentOf(name: string, { operator }: Place = BOGOR) {
  return ok(`GET /v1/${name}`, operator);
}

async function transition(
  verb: string,
  { name, etag }: Laporan,
  who: string,
  more: object = {},
): Promise<Laporan> {
  return ok(`POST /v1/${name}:${verb}`, who, { requestId: randomUUID(), etag, ...more });
}

async function approved(formulir: object, place: Place = BOGOR): Promise<Laporan> {
  const pelapor = { nik: "3201010101800009", nama: "Budi Santoso" };
  const json = { requestId: randomUUID(), kodeWilayah: place.kelurahan, isi: { pelapor, ...formulir } };
  const submitted = await ok("POST /v1/laporan", place.operator, json, 201);
  return transition("approve", await transition("verify", submitted, place.supervisor), place.kota);
}

/** The report once its last command is answered. */
async function answered({ name }: Laporan, place: Place = BOGOR): Promise<Laporan> {
  let last!: Laporan;
  await eventually(async () => {
    last = await ok(`GET /v1/${name}`, place.kota);
    return last.efek?.status !== "STATUS_MENUNGGU";
  }, 30_000);
  return last;
}

async function inEffect(laporan: Laporan, place: Place = BOGOR) {
  const { efek, ...after } = await answered(laporan, place);
  assert.equal(efek?.status, "STATUS_BERLAKU", JSON.stringify(efek));
  return { ...after, efek: efek! };
}

const today = (daysAgo = 1) => new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 10);
const saksi = [
  { nik: "3201010101700001", nama: "Ali" },
  { nik: "3201010101700002", nama: "Umar" },
];
const kelahiran = ({ nomorKk, niks }: { nomorKk: string; niks: string[] }, over: object = {}) => ({
  kelahiran: {
    nama: "Dewi Lestari",
    jenisKelamin: "JENIS_KELAMIN_PEREMPUAN",
    tempatLahir: "Bogor",
    tanggalLahir: today(3),
    beratGram: 3100,
    panjangCm: 49,
    urutan: 1,
    nikIbu: niks[1],
    namaIbu: "Siti Aminah",
    nomorKk,
    saksi,
    penolong: "PENOLONG_BIDAN_PERAWAT",
    ...over,
  },
});
const pindah = ({ nomorKk }: { nomorKk: string }, nik: string[] = []) => ({
  pindah: {
    nomorKk,
    nik,
    kodeWilayahTujuan: BANDUNG.kelurahan,
    alamatTujuan: "Jl. Siliwangi 7",
    klasifikasi: "KLASIFIKASI_ANTAR_KABUPATEN",
    alasan: "ALASAN_PINDAH_PEKERJAAN",
  },
});

test("a birth brings the child into the family, with a NIK and a certificate", async () => {
  const home = await family("KEPALA_KELUARGA", "ISTRI");
  const { efek } = await inEffect(await approved(kelahiran(home)));
  assert.match(String(efek.nikTersamar), /^320101\*{8}\d{2}$/);
  assert.match(String(efek.nomorAkta), /^3201-LU-\d{8}-\d{4,}$/);
  const child = (await membersOf(home.name)).find(({ shdk }) => shdk === "SHDK_ANAK")!;
  assert.deepEqual(efek.penduduk, [child.penduduk]);
  assert.ok(child.nik.startsWith("320101") && child.nik.endsWith(String(efek.nikTersamar).slice(-2)));
});

test("an approval takes effect within moments", async () => {
  const tookMs: number[] = [];
  for (let round = 0; round < 5; round++) {
    const approval = await approved(kelahiran(await family("KEPALA_KELUARGA", "ISTRI")));
    const startedAt = performance.now();
    await inEffect(approval);
    tookMs.push(Math.round(performance.now() - startedAt));
  }
  const [fastest, , median, , slowest] = tookMs.sort((one, other) => one - other);
  console.log(`approval to effect, as seen from outside: ${fastest}, ${median} and ${slowest} ms of five`);
  // Well below a second; the machine may be busy with others.
  assert.ok(median! < 3_000, `${median} ms`);
});

test("a birth that is corrected changes the child's record, and one that is revoked takes the child out again", async () => {
  const home = await family("KEPALA_KELUARGA", "ISTRI");
  const first = await inEffect(await approved(kelahiran(home)));
  const child = (first.efek.penduduk as string[])[0]!;
  const isi = {
    pelapor: { nik: "3201010101800009", nama: "Budi Santoso" },
    ...kelahiran(home, { nama: "Dewi Sartika" }),
  };
  const corrected = await inEffect(
    await transition("correct", first, BOGOR.kota, { alasan: "Salah tulis", isi }),
  );
  assert.equal((await residentOf(child)).nama, "Dewi Sartika");
  assert.equal(corrected.efek.nomorAkta, first.efek.nomorAkta);
  const revoke = { alasan: "Laporan tidak benar", nomorPutusan: "12/Pdt.P/2026/PN.Cbi" };
  const revoked = await inEffect(await transition("revoke", corrected, BOGOR.kota, revoke));
  assert.equal(revoked.status, "STATUS_DICABUT");
  assert.equal((await membersOf(home.name)).length, 2);
});

test("the death of a head makes the spouse head of the family", async () => {
  const home = await family("KEPALA_KELUARGA", "ISTRI", "ANAK");
  const before = await membersOf(home.name);
  const { efek } = await inEffect(
    await approved({
      kematian: {
        nik: home.niks[0],
        tanggalKematian: today(),
        tempatKematian: "Cibinong",
        sebab: "SEBAB_SAKIT_ATAU_TUA",
        saksi: saksi[0],
      },
    }),
  );
  const wife = before.find(({ nik }) => nik === home.niks[1])!;
  assert.deepEqual(efek.kepalaBaru, [{ kartuKeluarga: home.name, penduduk: wife.penduduk }]);
  assert.match(String(efek.nomorAkta), /^3201-KM-/);
  const members = await membersOf(home.name);
  assert.deepEqual(
    [members.length, members.find(({ nik }) => nik === wife.nik)!.shdk],
    [2, "SHDK_KEPALA_KELUARGA"],
  );
  assert.equal((await residentOf(wife.penduduk)).statusPerkawinan, "STATUS_PERKAWINAN_CERAI_MATI");
});

test("what the registry refuses is shown, and tried again when a person has mended it", async () => {
  const home = await family("KEPALA_KELUARGA", "ISTRI");
  const mother = newPerson({ isWoman: true });
  const refused = await answered(await approved(kelahiran({ ...home, niks: [home.niks[0]!, mother.nik] })));
  assert.deepEqual(
    [refused.status, refused.efek?.status, refused.efek?.sebab],
    ["STATUS_DISAHKAN", "STATUS_GAGAL", "NIK_UNKNOWN"],
  );
  const { nik, nama, alamat, provinsi } = mother;
  await ok(
    "POST /v1/penduduk",
    BOGOR.operator,
    { nik, nama, alamat, provinsi, kodeWilayah: BOGOR.kelurahan },
    201,
  );
  await inEffect(await transition("reapply", refused, BOGOR.kota));
  assert.equal((await membersOf(home.name)).length, 3);
});

describe("a move to another kabupaten", () => {
  test("that is called off brings the members back into their card", async () => {
    const home = await family("KEPALA_KELUARGA", "ISTRI", "ANAK");
    const before = await membersOf(home.name);
    const left = await inEffect(await approved(pindah(home, [home.niks[0]!, home.niks[1]!])));
    assert.match(String(left.efek.nomorSuratPindah), /^SKPWNI\/3201\//);
    assert.equal(left.efek.dalamPerpindahan, 2);
    assert.deepEqual(
      (await membersOf(home.name)).map(({ nik }) => nik),
      [home.niks[2]],
    );
    const back = await inEffect(
      await transition("cancelPerpindahan", left, BOGOR.kota, { alasan: "Batal pindah kerja" }),
    );
    assert.deepEqual([back.status, back.efek.dalamPerpindahan ?? 0], ["STATUS_PINDAH_BATAL", 0]);
    const niks = (members: Member[]) => members.map(({ nik }) => nik).sort();
    assert.deepEqual(niks(await membersOf(home.name)), niks(before));
  });

  test("ends with the report of their arrival, after which nothing is called off", async () => {
    const home = await family("KEPALA_KELUARGA", "ISTRI");
    const left = await inEffect(await approved(pindah(home)));
    const datang = {
      nomorSkpwni: left.efek.nomorSuratPindah,
      kartuBaru: { nikKepala: home.niks[0], alamat: "Jl. Siliwangi 7" },
    };
    const arrived = await inEffect(await approved({ datang }, BANDUNG), BANDUNG);
    const cards = arrived.efek.kartuKeluarga as string[];
    const members = (await Promise.all(cards.map((card) => membersOf(card, BANDUNG).catch(() => [])))).flat();
    assert.deepEqual(members.map(({ nik }) => nik).sort(), home.niks.toSorted());
    const late = await answered(
      await transition("cancelPerpindahan", left, BOGOR.kota, { alasan: "Terlambat" }),
    );
    assert.deepEqual([late.status, late.efek?.sebab], ["STATUS_DISAHKAN", "SURAT_PINDAH_CLOSED"]);
  });
});

test("while the registry is frozen and killed, approvals go on, and each takes effect once when it is back", async () => {
  const homes = [await family("KEPALA_KELUARGA", "ISTRI"), await family("KEPALA_KELUARGA", "ISTRI")];
  const frozen = mesh.pid("penduduk")!;
  process.kill(frozen, "SIGSTOP");
  const waiting: Laporan[] = [];
  for (const home of homes) {
    for (const [index, nama] of ["Rini Wulandari", "Bayu Saputra", "Citra Kirana"].entries()) {
      waiting.push(await approved(kelahiran(home, { urutan: index + 1, nama })));
    }
  }
  for (const { efek } of waiting) assert.equal(efek?.status, "STATUS_MENUNGGU");
  // Taken in by then, and answered to nobody.
  process.kill(frozen, "SIGCONT");
  process.kill(frozen, "SIGKILL");
  await eventually(
    async () =>
      (await sql.number("pelaporan", "select count(*) from perintah_efek where settled_at is not null")) > 0,
  );
  const worker = mesh.pid("pelaporan")!;
  process.kill(worker, "SIGKILL");
  await eventually(() => mesh.pid("pelaporan") !== undefined && mesh.pid("pelaporan") !== worker);
  await eventually(
    async () => (await call(`GET /v1/${waiting[0]!.name}`, { token: await as(BOGOR.kota) })).status === 200,
  );
  const children = new Set<unknown>();
  for (const laporan of waiting) {
    const { efek, etag } = await inEffect(laporan);
    assert.equal(etag, "4", "one event is its effect");
    for (const child of efek.penduduk as string[]) children.add(child);
  }
  assert.equal(children.size, 6);
  for (const { name } of homes) assert.equal((await membersOf(name)).length, 5);
});

test("npm run demo tells its story, and leaves registry, events and ledger in agreement", {
  skip: isCluster() && "it ends with reconcile, which is tried on the embedded bus alone",
}, async () => {
  const env = { ...process.env, LAMPID_DATA_DIR: mesh.dataDir };
  const { stdout } = await run(process.execPath, [join(ROOT, "services/mesh/demo.ts")], { env });
  for (const [scene, last] of [
    ["A birth", /NIK 320101\*{8}\d\d for Dewi Lestari, akta 3201-LU-\d{8}-\d{4}/],
    ["dies", /Endang Lestari +kepala keluarga/],
    ["moves", /SKPWNI\/3201\/\d{8}\/\d{4}: four residents are in transit/],
    ["comes back", /Fajar Hartono +kepala keluarga/],
  ] as const) {
    assert.match(stdout, new RegExp(`\\d\\. .*${scene}`));
    assert.match(stdout, last);
  }
  assert.match(stdout, /registry, events and ledger agree/);
});
