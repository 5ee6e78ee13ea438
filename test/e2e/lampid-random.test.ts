// Random histories: many people report, decide, correct and revoke at once, sensibly or not, while processes are killed. Whatever
// comes of it, every living resident is in one family card or in transit, and the ledger balances.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import type { Mesh } from "../../services/mesh/mesh.ts";
import { ROOT } from "../../services/mesh/processes.ts";
import { openSql, type Sql } from "../harness/ledger.ts";
import { startTestMesh } from "../harness/mesh.ts";
import { randomFrom, testSeed } from "../harness/residents.ts";
import { type Answer, login, type RestClient, restClient } from "../harness/rest.ts";

const COMMANDS = 2_000;
const CONCURRENCY = 16;
const FAMILIES = 40;
const VICTIMS = { pelaporan: 5, penduduk: 5, statistik: 2, notifikasi: 1, integrasi: 1 } as const;
const RETRY_MS = 100;
const LIMIT_MS = 180_000;

const seed = testSeed();
const random = randomFrom(seed);
const pick = <T>(among: readonly T[]): T => among[Math.floor(random() * among.length)]!;
const chance = (probability: number) => random() < probability;

const OFFICES = [
  { kelurahan: "32.01.01.1006", operator: "operator", supervisor: "supervisor", kota: "kota" },
  { kelurahan: "32.01.02.2001", operator: "operator2", supervisor: "supervisor2", kota: "kota" },
  { kelurahan: "32.04.37.2001", operator: "operator3", supervisor: "supervisor3", kota: "kota2" },
] as const;
type Office = (typeof OFFICES)[number];
type Account = Office["operator" | "supervisor" | "kota"];
const ACCOUNTS = [
  ...new Set(OFFICES.flatMap(({ operator, supervisor, kota }) => [operator, supervisor, kota])),
];

let mesh: Mesh;
let sql: Sql;
let call: RestClient;
let endsAt: number;
const tokens = {} as Record<Account, string>;

/** What is known of the registry, as far as anybody has seen it: NIKs that may be of the dead, cards that may be closed. */
const pool = {
  nik: [] as string[],
  ibu: [] as string[],
  nomorKk: [] as string[],
  /** Numbers under which people travel, or did. */
  surat: [] as string[],
  laporan: [] as Known[],
};
type Known = {
  name: string;
  etag: string;
  status: string;
  office: Office;
  isi: object;
  /** Whether its effect has been seen. */
  isSeen: boolean;
  /** Whether people are, or were, in transit by it. */
  travels?: boolean;
  /** Other reports that may tell of the same. */
  mirip: Mirip[];
};
type Mirip = { laporan: string; disisihkan?: object };
const outcomes = new Map<string, number>();

before(async () => {
  mesh = await startTestMesh({}, { maxRestartDelayMs: 500 });
  sql = openSql(mesh);
  call = restClient(mesh.urls.gateway!);
  for (const account of ACCOUNTS) tokens[account] = await login(mesh.urls.gateway!, account);
  endsAt = performance.now() + LIMIT_MS;
});
after(async () => {
  await sql?.close();
  await mesh?.stop();
});

test(`${COMMANDS} commands of many people at once, with kills in between, leave registry and ledger whole`, async () => {
  await Promise.all(Array.from({ length: FAMILIES }, (_, index) => settle(OFFICES[index % OFFICES.length]!)));
  const kills = Object.entries(VICTIMS).flatMap(([victim, times]) => Array<string>(times).fill(victim));
  const every = COMMANDS / (kills.length + 1);
  let begun = 0;
  let killed = 0;

  async function person(): Promise<void> {
    while (begun < COMMANDS) {
      begun++;
      await command();
    }
  }
  async function killer(): Promise<void> {
    for (const victim of shuffled(kills)) {
      while (begun < every * (killed + 1)) await sleep(5);
      await mesh.waitServing(victim);
      mesh.kill(victim);
      killed++;
    }
  }
  await Promise.all([killer(), ...Array.from({ length: CONCURRENCY }, person)]);
  console.log(`${killed} kills; ${JSON.stringify(Object.fromEntries([...outcomes].sort()))}`);
  for (const victim of Object.keys(VICTIMS)) await mesh.waitServing(victim);

  await eventuallyZero("pelaporan", "select count(*) from perintah_efek where settled_at is null");
  await assertRegistry();
  const effects = "select count(*) from peristiwa where jenis = 'berlaku'";
  assert.equal(
    await sql.number("pelaporan", effects),
    await sql.number("penduduk", "select count(*) from peristiwa"),
    "each effect that a report tells of is in the registry, and no other",
  );
  assert.ok((await sql.number("pelaporan", effects)) > COMMANDS / 50, "hardly anything took effect");
  await assertLedger();
  await assertReplay();
});

// What people do.

async function command(): Promise<void> {
  if (chance(0.3) || pool.laporan.length === 0) return await submit();
  const laporan = pick(pool.laporan.slice(-150));
  if (chance(0.15)) return await nonsense(laporan);
  const { operator, supervisor, kota } = laporan.office;
  switch (laporan.status) {
    case "STATUS_DIAJUKAN":
      if (chance(0.08)) return await act(laporan, "return", supervisor, { alasan: "kurang lengkap" });
      if (chance(0.04)) return await act(laporan, "reject", supervisor, { alasan: "tidak benar" });
      if (chance(0.03)) return await act(laporan, "cancel", operator, { alasan: "salah" });
      {
        const open = laporan.mirip.find(({ disisihkan }) => !disisihkan);
        const dismissal = { kemiripan: open?.laporan, alasan: "bukan orang yang sama" };
        if (open && chance(0.8)) return await act(laporan, "dismissKemiripan", supervisor, dismissal);
      }
      return await act(laporan, "verify", supervisor);
    case "STATUS_DIVERIFIKASI":
      if (chance(0.05)) return await act(laporan, "return", kota, { alasan: "kurang lengkap" });
      return await act(laporan, "approve", kota);
    case "STATUS_DIKEMBALIKAN":
      return await act(laporan, "resubmit", operator, { isi: laporan.isi });
    case "STATUS_DISAHKAN":
      if (!laporan.isSeen) return await look(laporan);
      if (chance(0.25)) return await act(laporan, "revoke", kota, { alasan: "putusan pengadilan" });
      if (laporan.travels && chance(0.4)) {
        return await act(laporan, "cancelPerpindahan", kota, { alasan: "batal pindah" });
      }
      if (chance(0.1)) return await act(laporan, "reapply", kota);
      return await look(laporan);
    default:
      return await submit();
  }
}

/** Any verb by anybody, with an etag that may be another's. */
async function nonsense(laporan: Known): Promise<void> {
  const verb = pick([
    "verify",
    "approve",
    "return",
    "reject",
    "cancel",
    "resubmit",
    "revoke",
    "cancelPerpindahan",
    "reapply",
  ]);
  const takesReason = !["verify", "approve", "resubmit", "reapply"].includes(verb);
  const more = {
    ...(takesReason ? { alasan: "coba" } : {}),
    ...(verb === "resubmit" ? { isi: laporan.isi } : {}),
  };
  const etag = chance(0.5) ? laporan.etag : String(1 + Math.floor(random() * 6));
  await act({ ...laporan, etag }, verb, pick(ACCOUNTS), more);
}

async function submit(): Promise<void> {
  const office = pick(OFFICES);
  const isi = formulir(office);
  const who = chance(0.95) ? office.operator : pick(ACCOUNTS);
  const json = { requestId: randomUUID(), kodeWilayah: office.kelurahan, isi };
  const answer = await insist("POST /v1/laporan", "submit", { token: tokens[who], json });
  if (answer.status !== 201) return;
  const { name, etag, status, kemiripan: mirip = [] } = answer.body;
  pool.laporan.push({ name, etag, status, office, isi, isSeen: false, mirip });
}

async function act(laporan: Known, verb: string, who: Account, more: object = {}): Promise<void> {
  const json = { requestId: randomUUID(), etag: laporan.etag, ...more };
  const answer = await insist(`POST /v1/${laporan.name}:${verb}`, verb, { token: tokens[who], json });
  if (answer.status === 200) note(answer);
  else if (answer.status === 409) await look(laporan);
}

async function look(laporan: Known): Promise<void> {
  const token = tokens[laporan.office.kota];
  const answer = await insist(`GET /v1/${laporan.name}`, "get", { token });
  if (answer.status === 200) note(answer);
}

/** Learns from a report what others may need: who was born, where there are cards now, under which number people travel. */
function note({ body }: Answer): void {
  const { name, etag, status, efek, kemiripan: mirip = [] } = body;
  const known = pool.laporan.find((laporan) => laporan.name === name);
  if (!known) return;
  Object.assign(known, { etag, status, mirip });
  if (efek?.status !== "STATUS_BERLAKU" || known.isSeen) {
    if (efek?.status === "STATUS_GAGAL") known.isSeen = true;
    return;
  }
  known.isSeen = true;
  const { nomorSuratPindah: nomor } = efek;
  if (nomor?.startsWith("SKPWNI")) {
    pool.surat.push(nomor);
    known.travels = true;
  }
  void Promise.all((efek.kartuKeluarga ?? []).map((card: string) => learn(card, known.office))).catch(
    () => {},
  );
}

async function learn(card: string, { operator, kota }: Office): Promise<void> {
  for (const account of [operator, kota]) {
    const answer = await call(`GET /v1/${card}`, { token: tokens[account] });
    if (answer.status !== 200) continue;
    if (!pool.nomorKk.includes(answer.body.nomorKk)) pool.nomorKk.push(answer.body.nomorKk);
    for (const { nik } of answer.body.anggota ?? []) if (!pool.nik.includes(nik)) pool.nik.push(nik);
    return;
  }
}

/** One call, repeated with the same request_id for as long as a neighbour is away. */
async function insist(what: string, verb: string, options: Parameters<RestClient>[1]): Promise<Answer> {
  for (;;) {
    const answer = await call(what, options).catch(() => undefined);
    if (answer !== undefined && ![502, 503, 504].includes(answer.status)) {
      const outcome = `${verb} ${answer.status}`;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      assert.ok([200, 201, 400, 403, 404, 409, 412].includes(answer.status), `${what}: ${answer.text}`);
      return answer;
    }
    assert.ok(performance.now() < endsAt, `${what}: no answer in time: ${answer?.text}`);
    await sleep(RETRY_MS);
  }
}

// What they report.

function formulir(office: Office): object {
  const pelapor = { nik: pick(pool.nik), nama: "Pelapor" };
  const draw = random();
  if (draw < 0.3) return { pelapor, kelahiran: kelahiran() };
  if (draw < 0.45) return { pelapor: { ...pelapor, nik: "3201010101600001" }, kematian: kematian() };
  if (draw < 0.75 || pool.surat.length === 0) return { pelapor, pindah: pindah(office) };
  return { pelapor, datang: datang() };
}

function kelahiran() {
  return {
    nama: `Anak ${pick(["Dewi", "Budi", "Sari", "Rudi"])} ${"abcdefghij"[Math.floor(random() * 10)]}`,
    jenisKelamin: pick(["JENIS_KELAMIN_PEREMPUAN", "JENIS_KELAMIN_LAKI_LAKI"]),
    tempatLahir: "Bogor",
    tanggalLahir: daysAgo(1 + Math.floor(random() * 20)),
    beratGram: 3000,
    panjangCm: 48,
    urutan: 1 + Math.floor(random() * 30),
    nikIbu: pick(pool.ibu),
    namaIbu: "Ibu",
    nomorKk: pick(pool.nomorKk),
    saksi: [
      { nik: "3201010101700001", nama: "Ali" },
      { nik: "3201010101700002", nama: "Umar" },
    ],
    penolong: "PENOLONG_DOKTER",
  };
}

function kematian() {
  return {
    nik: pick(pool.nik),
    tanggalKematian: daysAgo(1),
    tempatKematian: "Bogor",
    sebab: "SEBAB_LAINNYA",
    saksi: { nik: "3201010101700001", nama: "Ali" },
  };
}

function pindah({ kelurahan: asal }: Office) {
  const nik = chance(0.5) ? [] : [pick(pool.nik)];
  const common = {
    nomorKk: pick(pool.nomorKk),
    nik,
    alamatTujuan: "Jl. Melati 5",
    alasan: "ALASAN_PINDAH_KELUARGA",
  };
  if (chance(0.1)) return { ...common, negaraTujuan: "MY", klasifikasi: "KLASIFIKASI_LUAR_NEGERI" };
  const tujuan = pick(OFFICES).kelurahan;
  const klasifikasi =
    tujuan === asal
      ? "DALAM_DESA"
      : tujuan.slice(0, 5) === asal.slice(0, 5)
        ? "ANTAR_KECAMATAN"
        : "ANTAR_KABUPATEN";
  return { ...common, kodeWilayahTujuan: tujuan, klasifikasi: `KLASIFIKASI_${klasifikasi}` };
}

function datang() {
  const nomorSkpwni = pick(pool.surat);
  const tujuan = chance(0.5)
    ? { nomorKk: pick(pool.nomorKk) }
    : { kartuBaru: { nikKepala: pick(pool.nik), alamat: "Jl. Mawar 7" } };
  return chance(0.9)
    ? { nomorSkpwni, ...tujuan }
    : { luarNegeri: { nik: pick(pool.nik), nomorSkdln: "SKDLN/1" }, ...tujuan };
}

/** A family of two to five with its card. */
async function settle({ kelurahan: kodeWilayah, operator }: Office): Promise<void> {
  const token = tokens[operator];
  const people = [
    { shdk: "KEPALA_KELUARGA", jenisKelamin: "LAKI_LAKI", tanggalLahir: "1980-02-03" },
    { shdk: "ISTRI", jenisKelamin: "PEREMPUAN", tanggalLahir: "1985-04-05" },
    { shdk: "ANAK", jenisKelamin: "LAKI_LAKI", tanggalLahir: "2003-06-07" },
    { shdk: "ANAK", jenisKelamin: "PEREMPUAN", tanggalLahir: "2012-08-09" },
    { shdk: "ANAK", jenisKelamin: "LAKI_LAKI", tanggalLahir: "2019-10-11" },
  ].slice(0, 2 + Math.floor(random() * 4));
  const anggota = [];
  for (const { shdk, ...person } of people) {
    const jenisKelamin = `JENIS_KELAMIN_${person.jenisKelamin}`;
    const { tanggalLahir } = person;
    const issued = await call("POST /v1/penduduk:issueNik", {
      token,
      json: { kodeWilayah, tanggalLahir, jenisKelamin },
    });
    assert.equal(issued.status, 200, issued.text);
    const { nik } = issued.body;
    const kawin = shdk === "ANAK" ? "BELUM_KAWIN" : "KAWIN";
    const json = {
      nik,
      nama: `Warga ${shdk.replace("_", " ")}`,
      alamat: "Jl. A",
      kodeWilayah,
      statusPerkawinan: `STATUS_PERKAWINAN_${kawin}`,
    };
    const registered = await call("POST /v1/penduduk", { token, json });
    assert.equal(registered.status, 201, registered.text);
    anggota.push({ nik, shdk: `SHDK_${shdk}` });
    pool.nik.push(nik);
    if (shdk === "ISTRI") pool.ibu.push(nik);
  }
  const made = await call("POST /v1/kartuKeluarga", {
    token,
    json: { kodeWilayah, alamat: "Jl. A", anggota },
  });
  assert.equal(made.status, 201, made.text);
  pool.nomorKk.push(made.body.nomorKk);
}

// What must hold.

const [AKTIF, DALAM_PERPINDAHAN] = [1, 3];

async function assertRegistry(): Promise<void> {
  const none: Record<string, string> = {
    "a living resident without a family card": `select count(*) from penduduk where status = ${AKTIF} and kartu_keluarga is null`,
    "a resident in transit who is not under exactly one open transfer": `select count(*) from penduduk p where status = ${DALAM_PERPINDAHAN}
       and 1 <> (select count(*) from perpindahan_anggota a join perpindahan s on s.id = a.perpindahan
                 where a.penduduk = p.id and s.status = 1 and s.kode_wilayah_tujuan <> '')`,
    "an open transfer of who is not in transit": `select count(*) from perpindahan s join perpindahan_anggota a on a.perpindahan = s.id
       join penduduk p on p.id = a.penduduk where s.status = 1 and s.kode_wilayah_tujuan <> '' and p.status <> ${DALAM_PERPINDAHAN}`,
    "a card with two heads": `select count(*) from (select 1 from penduduk where status = ${AKTIF} and shdk = 1
       group by kartu_keluarga having count(*) > 1) as two`,
    "a resident who lives elsewhere than their card": `select count(*) from penduduk p join kartu_keluarga k on k.id = p.kartu_keluarga
       where p.status = ${AKTIF} and p.kode_wilayah <> k.kode_wilayah`,
    "a NIK twice": "select count(*) - count(distinct nik) from penduduk",
  };
  for (const [what, query] of Object.entries(none))
    assert.equal(await sql.number("penduduk", query), 0, what);
}

const run = promisify(execFile);

async function tool(script: string, ...args: string[]): Promise<string> {
  const env = { ...process.env, LAMPID_DATA_DIR: mesh.dataDir };
  const { stdout } = await run(process.execPath, [join(ROOT, script), ...args], { env });
  return stdout;
}

/** Registry, events and ledger agree in every cell; the tool waits for what is on its way. */
async function assertLedger(): Promise<void> {
  console.log(await tool("services/mesh/reconcile.ts"));
}

/** The state that is read is the fold of the events. */
async function assertReplay(): Promise<void> {
  const state = () => sql.rows("pelaporan", "select * from laporan order by id");
  const before = await state();
  await tool("services/mesh/rebuild.ts", "pelaporan");
  assert.deepEqual(await state(), before);
}

async function eventuallyZero(database: "pelaporan", query: string): Promise<void> {
  while ((await sql.number(database, query)) > 0) {
    assert.ok(performance.now() < endsAt, `not zero in time: ${query}`);
    await sleep(RETRY_MS);
  }
}

function daysAgo(days: number): string {
  return new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
