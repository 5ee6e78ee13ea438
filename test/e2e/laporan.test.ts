// A birth is reported over REST, end to end on a real mesh: returned, corrected, verified, approved by the demo accounts.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { eventually } from "../harness/eventually.ts";
import { openSql, type Sql } from "../harness/ledger.ts";
import { type RunningMesh, useMesh } from "../harness/mesh.ts";
import { assertStatus, assertViolations, login, type RestClient, restClient } from "../harness/rest.ts";

const KELURAHAN = "32.01.01.1006";
let mesh: RunningMesh;
let sql: Sql;
let call: RestClient;
const tokens = {} as Record<"operator" | "operator2" | "supervisor" | "supervisor2" | "kota", string>;

before(async () => {
  mesh = await useMesh();
  sql = openSql(mesh);
  call = restClient(mesh.urls.gateway!);
  for (const name of ["operator", "operator2", "supervisor", "supervisor2", "kota"] as const) {
    tokens[name] = await login(mesh.urls.gateway!, name);
  }
});
after(async () => {
  await sql?.close();
  await mesh?.stop();
});

let mothers = 0;
/** A birth of three days ago, of another mother each, as the form says it. */
const kelahiran = (over: object = {}) => ({
  pelapor: { nik: "3201010101800009", nama: "Budi Santoso", telepon: "+628111222333" },
  kelahiran: {
    nama: "Dewi Lestari",
    jenisKelamin: "JENIS_KELAMIN_PEREMPUAN",
    tempatLahir: "Bogor",
    tanggalLahir: new Date(Date.now() - 3 * 86_400_000).toISOString().slice(0, 10),
    beratGram: 3100,
    panjangCm: 49,
    urutan: 1,
    nikIbu: `3201014101${String(Date.now() % 10_000).padStart(4, "0")}${String(++mothers).padStart(2, "0")}`,
    namaIbu: "Siti Aminah",
    nomorKk: "3201010101200001",
    saksi: [
      { nik: "3201010101700001", nama: "Ali" },
      { nik: "3201010101700002", nama: "Umar" },
    ],
    penolong: "PENOLONG_BIDAN_PERAWAT",
    ...over,
  },
});

type Laporan = { name: string; etag: string; status: string };

async function transition(verb: string, laporan: Laporan, who: keyof typeof tokens, more: object = {}) {
  const json = { requestId: randomUUID(), etag: laporan.etag, ...more };
  return call(`POST /v1/${laporan.name}:${verb}`, { token: tokens[who], json });
}

async function moved(...args: Parameters<typeof transition>) {
  const answer = await transition(...args);
  assert.equal(answer.status, 200, answer.text);
  return answer.body;
}

async function submitted() {
  const json = { requestId: randomUUID(), kodeWilayah: KELURAHAN, isi: kelahiran() };
  const answer = await call("POST /v1/laporan", { token: tokens.operator, json });
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}

/** Whether a report is in the inbox of an account, whichever page it is on. */
async function isInInbox(name: string, who: keyof typeof tokens): Promise<boolean> {
  for (let pageToken = "", more = true; more; more = pageToken !== "") {
    const query = new URLSearchParams({ kotakMasuk: "true", pageSize: "100", pageToken });
    const page = await call(`GET /v1/laporan?${query}`, { token: tokens[who] });
    assert.equal(page.status, 200, page.text);
    if ((page.body.laporan ?? []).some((laporan: Laporan) => laporan.name === name)) return true;
    pageToken = page.body.nextPageToken ?? "";
  }
  return false;
}

test("a birth is reported, returned, corrected, verified and approved, and every step can be read afterwards", async () => {
  const first = await submitted();
  assert.match(first.nomor, /^L-3201011006-\d{8}-\d{4,}$/);
  assert.ok(await isInInbox(first.name, "supervisor"));
  assert.equal(await isInInbox(first.name, "supervisor2"), false);

  const alasan = "Urutan kelahiran tidak sesuai";
  const back = await moved("return", first, "supervisor", { alasan });
  assert.deepEqual([back.status, back.alasan], ["STATUS_DIKEMBALIKAN", alasan]);
  assert.ok(await isInInbox(first.name, "operator"));

  const again = await moved("resubmit", back, "operator", { isi: kelahiran({ urutan: 2 }) });
  const verified = await moved("verify", again, "supervisor");
  assert.ok(await isInInbox(first.name, "kota"));
  const approved = await moved("approve", verified, "kota");
  assert.deepEqual([approved.status, approved.etag], ["STATUS_DISAHKAN", "5"]);
  assert.equal(await isInInbox(first.name, "kota"), false);

  for (const step of [back, approved]) {
    const then = await call(`GET /v1/${first.name}?asOf=${encodeURIComponent(step.updateTime)}`, {
      token: tokens.kota,
    });
    assert.deepEqual(then.body, step);
  }
  // The family is in no registry: what an effect is, lampid-effects.test.ts has.
  await eventually(async () => {
    const now = await call(`GET /v1/${first.name}`, { token: tokens.kota });
    return now.body.efek.status === "STATUS_GAGAL";
  });
  const history = await call(`GET /v1/${first.name}:history`, { token: tokens.supervisor });
  assert.deepEqual(
    history.body.transisi.map(({ jenis }: { jenis: string }) => jenis.replace("JENIS_", "")),
    ["DIAJUKAN", "DIKEMBALIKAN", "DIAJUKAN_KEMBALI", "DIVERIFIKASI", "DISAHKAN", "GAGAL_BERLAKU"],
  );
  const told = `select count(*)::int from outbox where subject = '${first.name}'`;
  assert.equal(await sql.number("pelaporan", told), 6);
});

test("an inbox is watched by Server-Sent Events, and goes on from its cursor", async () => {
  const watched = async (query: string, until: string): Promise<string> => {
    const response = await fetch(`${mesh.urls.gateway}/v1/laporan:watch?kotakMasuk=true${query}`, {
      headers: { accept: "text/event-stream", authorization: `Bearer ${tokens.supervisor}` },
      signal: AbortSignal.timeout(20_000),
    });
    assert.equal(response.status, 200);
    let text = "";
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.includes(until)) break;
    }
    return text;
  };
  const text = await watched("", "PERUBAHAN_TERKINI");
  const cursor = [...text.matchAll(/"cursor":"([^"]+)"/g)].at(-1)![1]!;
  const laporan = await submitted();
  const later = await watched(`&cursor=${cursor}`, laporan.name);
  assert.ok(later.includes("PERUBAHAN_MASUK") && !later.includes("PERUBAHAN_ADA"), later);
});

test("refusals say in both languages what is wrong", async () => {
  const laporan = await submitted();
  assertStatus(await transition("verify", laporan, "supervisor2"), 403, "PermissionDenied", "WILAYAH_DENIED");
  assertStatus(await transition("verify", laporan, "operator"), 403, "PermissionDenied", "METHOD_DENIED");
  assertViolations(await transition("return", laporan, "supervisor"), ["alasan"]);
  assertStatus(await call(`GET /v1/${laporan.name}`, { token: tokens.operator2 }), 403, "PermissionDenied");
  const early = await transition("approve", laporan, "kota");
  assertStatus(early, 400, "FailedPrecondition", "LAPORAN_STATE");
  const words = early.body.details.find((detail: { locale?: string }) => detail.locale !== undefined);
  assert.equal(words.message, "The report is not at the step where this can be done.");
});

test("an etag of yesterday is 409, or 412 where If-Match has it", async () => {
  const laporan = await submitted();
  await moved("verify", laporan, "supervisor");
  assertStatus(await transition("verify", laporan, "supervisor"), 409, "Aborted", "ETAG_MISMATCH");
  const conditional = await call(`POST /v1/${laporan.name}:verify`, {
    token: tokens.supervisor,
    json: { requestId: randomUUID() },
    headers: { "if-match": `"${laporan.etag}"` },
  });
  assertStatus(conditional, 412, "Aborted", "ETAG_MISMATCH");
});

test("a step that is sent twice under one key is made once", async () => {
  const laporan = await submitted();
  const headers = { "idempotency-key": randomUUID() };
  const verify = () =>
    call(`POST /v1/${laporan.name}:verify`, {
      token: tokens.supervisor,
      json: { etag: laporan.etag },
      headers,
    });
  const [first, again] = [await verify(), await verify()];
  assert.deepEqual([first.status, again.status], [200, 200], first.text);
  assert.deepEqual(again.body, first.body);
});
