// Every step of a report reaches the office and the reporter by a provider that is really called, also over kill -9.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { birthReport, PELAPOR } from "../harness/birth-report.ts";
import { eventually } from "../harness/eventually.ts";
import { openSql, type Sql } from "../harness/ledger.ts";
import { startTestMesh, type TestMesh } from "../harness/mesh.ts";
import { assertViolations, login, type RestClient, restClient } from "../harness/rest.ts";

const KELURAHAN = "32.01.01.1006";
const PETUGAS = "+6281200000001";

type Sms = { to: string; body: string };

let mesh: TestMesh;
let sql: Sql;
let call: RestClient;
const tokens: Record<string, string> = {};
/** What the provider has taken, in order. */
const received: Sms[] = [];
/** Called when the provider has taken a message and has not answered yet. */
let beforeAnswer = () => {};

/** Poses as api.twilio.com. */
const provider = createServer((request, response: ServerResponse) => {
  let form = "";
  request.setEncoding("utf8").on("data", (chunk) => {
    form += chunk;
  });
  request.on("end", () => {
    const fields = new URLSearchParams(form);
    received.push({ to: fields.get("To")!, body: fields.get("Body")! });
    beforeAnswer();
    response.writeHead(201, { "content-type": "application/json" });
    response.end(JSON.stringify({ sid: "SM00000000000000000000000000000000", status: "queued" }));
  });
});

before(async () => {
  await new Promise<void>((resolve) => provider.listen(0, "127.0.0.1", resolve));
  mesh = await startTestMesh(
    {
      LAMPID_NOTIFIKASI_KANAL: "sms",
      LAMPID_PETUGAS_TELEPON: PETUGAS,
      TWILIO_ACCOUNT_SID: "AC00000000000000000000000000000001",
      TWILIO_AUTH_TOKEN: "rahasia",
      TWILIO_FROM: "+15005550006",
      TWILIO_BASE_URL: `http://127.0.0.1:${(provider.address() as AddressInfo).port}`,
    },
    { maxRestartDelayMs: 500 },
  );
  sql = openSql(mesh);
  call = restClient(mesh.urls.gateway!);
  for (const name of ["operator", "supervisor", "kota"]) tokens[name] = await login(mesh.urls.gateway!, name);
});
after(async () => {
  await sql?.close();
  await mesh?.stop();
  provider.closeAllConnections();
  await new Promise((resolve) => provider.close(resolve));
});

async function submit(pelapor: object = {}) {
  const json = { requestId: randomUUID(), kodeWilayah: KELURAHAN, isi: birthReport({ pelapor }) };
  return call("POST /v1/laporan", { token: tokens.operator!, json });
}

async function submitted(pelapor: object = {}) {
  const answer = await submit(pelapor);
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}

async function verify(laporan: { name: string; etag: string }) {
  const json = { requestId: randomUUID(), etag: laporan.etag };
  const answer = await call(`POST /v1/${laporan.name}:verify`, { token: tokens.supervisor!, json });
  assert.equal(answer.status, 200, answer.text);
  return answer.body;
}

const about = (nomor: string) => received.filter(({ body }) => body.includes(nomor));
const messagesOf = async (name: string) =>
  sql.rows(
    "notifikasi",
    "select penerima, kanal, templat, kode_wilayah, status from pesan where laporan = $1 order by id",
    [name],
  );

test("a reporter is told by the number that they left, an office by its own", async () => {
  const laporan = await submitted();
  await verify(laporan);
  await eventually(() => about(laporan.nomor).length === 4);
  const told = about(laporan.nomor);
  assert.deepEqual(
    told.map(({ to }) => to).sort(),
    [PETUGAS, PETUGAS, PELAPOR.telepon, PELAPOR.telepon].sort(),
  );
  for (const { body } of told) assert.ok(!/\d{16}/.test(body) && !body.includes(PELAPOR.nama), body);
  await eventually(async () => (await messagesOf(laporan.name)).every(({ status }) => status === 2));

  const page = await call("GET /v1/pesan?kodeWilayah=32.01", { token: tokens.kota! });
  const mine = page.body.pesan.filter((pesan: { laporan?: string }) => pesan.laporan === laporan.name);
  assert.equal(mine.length, 4);
  const whole = JSON.stringify(await sql.rows("notifikasi", "select * from pesan"));
  assert.ok(!whole.includes(PELAPOR.telepon), "no number of a reporter is kept");
  const read =
    "select count(*) from audit where action like '%/GetKontakPelapor' and role = 'service' and resource = $1";
  assert.ok((await sql.number("pelaporan", read, [laporan.name])) >= 2);
});

test("a reporter who wants no messages gets none, and one who chooses a channel leaves its address", async () => {
  const laporan = await submitted({ kanal: "KANAL_NONE" });
  await eventually(async () => (await messagesOf(laporan.name)).some(({ status }) => status === 4));
  assert.deepEqual(
    about(laporan.nomor).filter(({ to }) => to !== PETUGAS),
    [],
  );
  assertViolations(await submit({ kanal: "KANAL_EMAIL" }), ["isi.pelapor.email"]);
});

test("an office that wants to hear of nothing is told no more", async () => {
  const preferensi = (await call("GET /v1/preferensi", { token: tokens.supervisor! })).body;
  const aturan = [{ templat: "laporan_diajukan", kanal: [] }];
  const set = await call("PATCH /v1/preferensi", {
    token: tokens.supervisor!,
    json: { etag: preferensi.etag, aturan },
    headers: { "idempotency-key": randomUUID() },
  });
  assert.equal(set.status, 200, set.text);
  assert.deepEqual([set.body.name, set.body.etag], ["preferensi/32.01.01", "1"]);
  const laporan = await submitted();
  await eventually(async () => (await messagesOf(laporan.name)).some(({ status }) => status === 2));
  assert.deepEqual(
    (await messagesOf(laporan.name)).map(({ penerima }) => penerima),
    [2],
  );
  const undone = await call("PATCH /v1/preferensi", {
    token: tokens.supervisor!,
    json: { etag: "1", aturan: [] },
    headers: { "idempotency-key": randomUUID() },
  });
  assert.equal(undone.status, 200, undone.text);
});

test("notifikasi and pelaporan are killed: each step makes its messages once, and only what was being sent comes twice", async () => {
  const KILLS = 4;
  const reports: { name: string; nomor: string }[] = [];
  let killed = 0;
  // The worst moment: the provider has the message, and notifikasi will never know.
  beforeAnswer = () => {
    // One that was killed a moment ago has answers under way, too.
    if (killed >= KILLS || received.length % 5 !== 0 || mesh.pid("notifikasi") === undefined) return;
    killed++;
    mesh.kill("notifikasi");
    if (killed === 2 && mesh.pid("pelaporan") !== undefined) mesh.kill("pelaporan");
  };
  for (let n = 0; n < 12; n++) {
    for (;;) {
      const answer = await submit().catch(() => undefined);
      if (answer?.status === 201) {
        reports.push(answer.body);
        break;
      }
      assert.ok(answer === undefined || answer.status >= 500, answer?.text);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  const names = reports.map(({ name }) => name);
  const delivered = "select count(*) from pesan where laporan = any($1) and status = 2";
  await eventually(async () => {
    const count = await sql.number("notifikasi", delivered, [names]).catch(() => 0);
    return killed === KILLS && count === 2 * names.length;
  }, 60_000);
  beforeAnswer = () => {};
  for (const { name, nomor } of reports) {
    assert.equal((await messagesOf(name)).length, 2, nomor);
    const told = new Set(about(nomor).map(({ to }) => to));
    assert.deepEqual([...told].sort(), [PETUGAS, PELAPOR.telepon].sort(), nomor);
  }
  const sent = reports.flatMap(({ nomor }) => about(nomor)).length;
  console.log(`${killed} kills, ${2 * reports.length} messages, sent ${sent} times`);
  // A kill ends at most what was under way together: ten to the office, five to reporters.
  assert.ok(sent <= 2 * reports.length + 15 * KILLS);
});
