// The population ledger over REST, on a real mesh: what is registered is in it within a second.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { civilDate } from "#chassis/civil-date.ts";
import { isCluster, type RunningMesh, useMesh } from "../harness/mesh.ts";
import { type ResidentMaker, residents, testSeed } from "../harness/residents.ts";
import { assertStatus, login, mitraToken, type RestClient, restClient } from "../harness/rest.ts";

const KELURAHAN = "32.01.01.1006";
const BULAN = civilDate(new Date()).slice(0, "2026-11".length);

let mesh: RunningMesh;
let call: RestClient;
let next: ResidentMaker;
let operator: string;
let pusat: string;

before(async () => {
  mesh = await useMesh();
  call = restClient(mesh.urls.gateway!);
  next = residents(testSeed(), "ledger");
  operator = await login(mesh.urls.gateway!, "operator");
  pusat = await login(mesh.urls.gateway!, "pusat");
});
after(() => mesh?.stop());

const ledger = async (kodeWilayah: string, token = pusat) => {
  const answer = await call(`GET /v1/ledger/${kodeWilayah}/bulan/${BULAN}`, { token });
  assert.equal(answer.status, 200, answer.text);
  return answer;
};

async function register(): Promise<void> {
  const answer = await call("POST /penduduk", {
    token: operator,
    json: { ...next(), kodeWilayah: KELURAHAN },
  });
  assert.equal(answer.status, 201, answer.text);
}

test("a registration is in the ledger of its kelurahan, and of every wilayah around it, within a second", async () => {
  const waits: number[] = [];
  for (let n = 0; n < 20; n++) {
    const before = (await ledger(KELURAHAN)).body.penyesuaian.registrasi;
    await register();
    const since = performance.now();
    while ((await ledger(KELURAHAN)).body.penyesuaian.registrasi === before) {
      assert.ok(performance.now() - since < 10_000, "it never came");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    waits.push(performance.now() - since);
  }
  const p95 = waits.toSorted((a, b) => a - b)[Math.ceil(waits.length * 0.95) - 1]!;
  assert.ok(p95 < 1_000, `after ${Math.round(p95)} ms at the 95th percentile`);
  for (const kode of [KELURAHAN, "32.01.01", "32.01", "32", "ID"]) {
    const { awal, lampid, penyesuaian, akhir } = (await ledger(kode)).body;
    const added = Object.values(penyesuaian as Record<string, number>).reduce((sum, each) => sum + each, 0);
    assert.equal(awal + lampid.lahir - lampid.mati - lampid.pindah + lampid.datang + added, akhir, kode);
    assert.ok(penyesuaian.registrasi >= 20, kode);
  }
});

test("an answer has an ETag, and is not sent again to who has it", async () => {
  const first = await ledger("31.71");
  const etag = first.headers.get("etag")!;
  const again = await call(`GET /v1/ledger/31.71/bulan/${BULAN}`, {
    token: pusat,
    headers: { "if-none-match": etag },
  });
  assert.equal(again.status, 304);
});

test("a series and the figures of the reports are given by their own paths, with their parts", async () => {
  const series = await call("GET /v1/ledger/32.01?bulanDari=2026-01", { token: pusat });
  assert.equal(series.status, 200, series.text);
  assert.equal(series.body.baris[0].bulan, "2026-01");
  assert.equal(series.body.baris.at(-1).bulan, BULAN);
  const stats = await call("GET /v1/lampid-stats/ID?tingkat=TINGKAT_KABUPATEN", { token: pusat });
  assert.equal(stats.status, 200, stats.text);
  assert.equal(stats.body.jumlah.wilayah, "Indonesia");
});

describe("a partner", () => {
  test("is given neither balances nor who is in transit, and nothing without the scope", async () => {
    const { body } = await ledger("32.01", await mitraToken(mesh.urls.issuer!, "statistik.read"));
    assert.deepEqual([body.awal, body.akhir, body.dibulatkan], [undefined, undefined, true]);
    assert.deepEqual(body.disamarkan.slice(0, 2), ["awal", "akhir"]);
    assert.equal(body.lampid.mati % 5, 0);
    // Keycloak gives a client all the scopes that it may have, whatever it asks for.
    if (isCluster()) return;
    const token = await mitraToken(mesh.urls.issuer!, "penduduk.verify");
    assertStatus(await call(`GET /v1/ledger/32.01/bulan/${BULAN}`, { token }), 403, "PermissionDenied");
  });
});

test("an operator is refused, and so is who asks about another wilayah or one that is none", async () => {
  const get = (kode: string, token: string) => call(`GET /v1/ledger/${kode}/bulan/${BULAN}`, { token });
  const supervisor = await login(mesh.urls.gateway!, "supervisor");
  assert.equal((await get("32.01.01", supervisor)).status, 200);
  assertStatus(await get("32.01", supervisor), 403, "PermissionDenied");
  assertStatus(await get(KELURAHAN, operator), 403, "PermissionDenied");
  assertStatus(await get("99.99", pusat), 404, "NotFound");
  assertStatus(await get("32.01", ""), 401, "Unauthenticated");
});
