// From an approved birth to a PDF whose code a stranger verifies, end to end on a real mesh.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "../../services/mesh/processes.ts";
import { birthReport } from "../harness/birth-report.ts";
import { eventually } from "../harness/eventually.ts";
import { openSql, type Sql } from "../harness/ledger.ts";
import { lookAt, type RunningMesh, startTestMesh, type TestMesh } from "../harness/mesh.ts";
import { assertStatus, login, type RestClient, restClient } from "../harness/rest.ts";

const run = promisify(execFile);
const KELURAHAN = "32.01.01.1006";

/** Its own: others compare all residents with all registrations, and births are none. */
let own: TestMesh;
let mesh: RunningMesh;
let sql: Sql;
let call: RestClient;
let folder: string;
const tokens = {} as Record<"operator" | "operator2" | "supervisor" | "kota", string>;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "lampid-dokumen-"));
  own = await startTestMesh({}, { maxRestartDelayMs: 500 });
  mesh = lookAt(own.dataDir, own.stop, own.documentsUrl);
  sql = openSql(mesh);
  call = restClient(mesh.urls.gateway!);
  for (const name of ["operator", "operator2", "supervisor", "kota"] as const) {
    tokens[name] = await login(mesh.urls.gateway!, name);
  }
});
after(async () => {
  await sql?.close();
  await mesh?.stop();
  rmSync(folder, { recursive: true });
});

async function answered(request: string, who: keyof typeof tokens, json?: object) {
  const answer = await call(request, { token: tokens[who], ...(json ? { json } : {}) });
  assert.ok(answer.status < 300, `${request}: ${answer.text}`);
  return answer.body;
}

/** A mother on a card of her own. */
async function mother(): Promise<{ nikIbu: string; nomorKk: string }> {
  const person = {
    kodeWilayah: KELURAHAN,
    jenisKelamin: "JENIS_KELAMIN_PEREMPUAN",
    tanggalLahir: "1992-08-09",
  };
  const { nik: nikIbu } = await answered("POST /v1/penduduk:issueNik", "operator", {
    requestId: randomUUID(),
    ...person,
  });
  await answered("POST /v1/penduduk", "operator", {
    requestId: randomUUID(),
    nik: nikIbu,
    nama: "Siti Aminah",
    alamat: "Jl. Mayor Oking No. 1",
    tempatLahir: "Bogor",
    agama: "AGAMA_ISLAM",
    statusPerkawinan: "STATUS_PERKAWINAN_KAWIN",
    ...person,
  });
  const { nomorKk } = await answered("POST /v1/kartuKeluarga", "operator", {
    requestId: randomUUID(),
    kodeWilayah: KELURAHAN,
    alamat: "Jl. Mayor Oking No. 1",
    anggota: [{ nik: nikIbu, shdk: "SHDK_KEPALA_KELUARGA" }],
  });
  return { nikIbu, nomorKk };
}

type Laporan = { name: string; nomor: string; etag: string; efek?: { nomorAkta?: string } };

const approvedBirth = async () => approved(birthReport({ kelahiran: await mother() }));

async function approved(isi: object): Promise<Laporan> {
  let laporan: Laporan = await answered("POST /v1/laporan", "operator", {
    requestId: randomUUID(),
    kodeWilayah: KELURAHAN,
    isi,
  });
  for (const [verb, who] of [["verify", "supervisor"] as const, ["approve", "kota"] as const]) {
    const json = { requestId: randomUUID(), etag: laporan.etag };
    laporan = await answered(`POST /v1/${laporan.name}:${verb}`, who, json);
  }
  return laporan;
}

async function documentsOf({ name }: Laporan) {
  const { dokumen = [] } = await answered(`GET /v1/dokumen?laporan=${name}`, "operator");
  return dokumen;
}

const verify = async (name: string, pernyataan: string) =>
  (await call(`GET /v1/${name}:verify?pernyataan=${pernyataan}`)).body;

test("an approved birth has a certificate that anyone verifies, until the report is revoked", async () => {
  const laporan = await approvedBirth();
  await eventually(async () => (await documentsOf(laporan)).length === 1, 30_000);
  const [dokumen] = await documentsOf(laporan);
  assert.deepEqual(
    [dokumen.jenis, dokumen.status, dokumen.nomorLaporan],
    ["JENIS_KUTIPAN_AKTA_KELAHIRAN", "STATUS_BERLAKU", laporan.nomor],
  );
  const inEffect: Laporan = await answered(`GET /v1/${laporan.name}`, "kota");
  assert.equal(dokumen.nomor, inEffect.efek!.nomorAkta);

  const url = `${mesh.urls.gateway}/v1/${dokumen.name}:download`;
  const headers = { authorization: `Bearer ${tokens.operator}` };
  const answer = await fetch(url, { headers });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-type"), "application/pdf");
  const pdf = Buffer.from(await answer.arrayBuffer());
  assert.ok(pdf.subarray(0, 5).equals(Buffer.from("%PDF-")));
  assert.ok(
    pdf.equals(Buffer.from(await (await fetch(url, { headers })).arrayBuffer())),
    "the same bytes again",
  );
  assertStatus(await call(`GET /v1/${dokumen.name}:download`), 401, "Unauthenticated");
  assertStatus(await call(`GET /v1/${dokumen.name}`, { token: tokens.operator2 }), 403, "PermissionDenied");

  const good = await verify(dokumen.name, dokumen.pernyataan);
  assert.deepEqual([good.hasil, good.nomor], ["HASIL_BERLAKU", dokumen.nomor]);
  const posted = await call("POST /v1/dokumen:verify", { json: { pernyataan: dokumen.pernyataan } });
  assert.deepEqual(posted.body, good);
  const forged = `${dokumen.pernyataan.slice(0, -10)}AAAAAAAAAA`;
  assert.equal((await verify(dokumen.name, forged)).hasil, "HASIL_TIDAK_DIKENAL");

  const jwks = await call("GET /v1/dokumen:kunci");
  const keys = join(folder, "jwks.json");
  writeFileSync(keys, jwks.text);
  writeFileSync(join(folder, "akta.pdf"), pdf);
  const verifier = ["run", "-s", "verify-dokumen", "--", join(folder, "akta.pdf"), "--jwks", keys];
  const { stdout } = await run("npm", verifier, { cwd: ROOT });
  assert.match(stdout, /^GENUINE: /);
  assert.ok(stdout.includes(laporan.nomor));
  await assert.rejects(
    run("npm", ["run", "-s", "verify-dokumen", "--", forged, "--jwks", keys], { cwd: ROOT }),
  );
  const admin = await (await fetch(`${mesh.adminUrls.dokumen}/jwks.json`)).json();
  assert.deepEqual(admin, jwks.body);

  await answered(`POST /v1/${laporan.name}:revoke`, "kota", {
    requestId: randomUUID(),
    etag: inEffect.etag,
    alasan: "Penetapan pengadilan",
    nomorPutusan: "12/Pdt.P/2026/PN Cbi",
  });
  await eventually(
    async () => (await verify(dokumen.name, dokumen.pernyataan)).hasil === "HASIL_DICABUT",
    30_000,
  );
  const refused = await call(`GET /v1/${dokumen.name}:download`, { token: tokens.operator });
  assertStatus(refused, 400, "FailedPrecondition", "DOKUMEN_REVOKED");
});

test("a death that is corrected has a new certificate, of the same person, and the old one is revoked", async () => {
  const { nikIbu: nik } = await mother();
  const { pelapor } = birthReport();
  const died = (tempatKematian: string) => ({
    pelapor,
    kematian: {
      nik,
      tanggalKematian: new Date(Date.now() - 86_400_000).toISOString().slice(0, 10),
      tempatKematian,
      sebab: "SEBAB_SAKIT_ATAU_TUA",
      saksi: { nik: "3201010101700001", nama: "Ali" },
    },
  });
  const laporan = await approved(died("RSUD Cibinong"));
  await eventually(async () => (await documentsOf(laporan)).length === 1, 30_000);
  const [first] = await documentsOf(laporan);
  assert.equal(first.jenis, "JENIS_KUTIPAN_AKTA_KEMATIAN");
  const { etag } = await answered(`GET /v1/${laporan.name}`, "kota");
  await answered(`POST /v1/${laporan.name}:correct`, "kota", {
    requestId: randomUUID(),
    etag,
    alasan: "Tempat kematian keliru",
    isi: died("Rumah"),
  });
  await eventually(async () => (await documentsOf(laporan)).length === 2, 30_000);
  const [old, corrected] = await documentsOf(laporan);
  assert.deepEqual([old.name, old.status], [first.name, "STATUS_DICABUT"]);
  assert.deepEqual([corrected.status, corrected.nomor], ["STATUS_BERLAKU", first.nomor]);
  const text = "select fakta::text from dokumen where laporan = $1 and status = 1";
  const [{ fakta }] = await sql.rows("dokumen", text, [laporan.name]);
  assert.match(fakta, /Siti Aminah.*Rumah/);
});

test("an admin of the kota revokes a document alone, and the report stays", async () => {
  const laporan = await approvedBirth();
  await eventually(async () => (await documentsOf(laporan)).length === 1, 30_000);
  const [{ name, etag, pernyataan }] = await documentsOf(laporan);
  const json = { requestId: randomUUID(), etag, alasan: "Salah cetak" };
  const byOperator = await call(`POST /v1/${name}:revoke`, { token: tokens.operator, json });
  assertStatus(byOperator, 403, "PermissionDenied");
  const revoked = await answered(`POST /v1/${name}:revoke`, "kota", json);
  assert.deepEqual([revoked.status, revoked.alasan], ["STATUS_DICABUT", "Salah cetak"]);
  assert.equal((await verify(name, pernyataan)).hasil, "HASIL_DICABUT");
});

test("processes are killed as reports take effect: each has one document all the same", async () => {
  const reports: Laporan[] = [];
  for (const victim of ["dokumen", "penduduk", "dokumen", "pelaporan"]) {
    await own.waitServing();
    reports.push(await approvedBirth());
    own.kill(victim);
  }
  await own.waitServing();
  const names = reports.map(({ name }) => name);
  const count = () => sql.number("dokumen", "select count(*) from dokumen where laporan = any($1)", [names]);
  await eventually(async () => (await count()) >= names.length, 60_000);
  const documents = await sql.rows("dokumen", "select laporan, status from dokumen where laporan = any($1)", [
    names,
  ]);
  assert.deepEqual(documents.map(({ laporan }) => laporan).sort(), names.sort());
  assert.ok(documents.every(({ status }) => status === 1));
  const kept = await sql.rows("dokumen", "select fakta::text || pernyataan as text from dokumen");
  for (const { text } of kept) assert.ok(!/\d{16}/.test(text), "no full NIK is kept");
});
