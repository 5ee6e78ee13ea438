// What takes effect in the registry reaches the hub, and comes back with the next run as nothing new: whatever is killed between.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { civilDate } from "#chassis/civil-date.ts";
import { createWireClient } from "#chassis/wire/client.ts";
import { PengirimanPeristiwaSchema } from "#gen/lampid/integrasi/v1/integrasi_events_pb.ts";
import { Pengiriman_Status as Status } from "#gen/lampid/integrasi/v1/pengiriman_pb.ts";
import { PeristiwaService } from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";
import type { Mesh } from "../../services/mesh/mesh.ts";
import { eventually } from "../harness/eventually.ts";
import { openSql, type Sql } from "../harness/ledger.ts";
import { lookAt, startTestMesh } from "../harness/mesh.ts";
import { residents, testSeed } from "../harness/residents.ts";
import { login, type RestClient, restClient } from "../harness/rest.ts";
import { assertForwarded, openHub, serviceTransport } from "../harness/sync.ts";
import { KELURAHAN, kelahiran, kematian, requestOf } from "../penduduk/keluarga.ts";

const ROWS = 2_000;
const WITHIN_MS = 60_000;

const newResident = residents(testSeed(), "forwarding");

let mesh: Mesh;
let sql: Sql;
let call: RestClient;
let pusat: string;
let operator: string;
let hub: Awaited<ReturnType<typeof openHub>>;
/** Idempotency keys that SIAK has seen, with how often. */
const siak = new Map<string, number>();
let isSiakDown = false;
const siakServer = createServer(async (request, response) => {
  for await (const _ of request);
  if (isSiakDown) return void response.writeHead(503).end();
  const key = String(request.headers["idempotency-key"]);
  siak.set(key, (siak.get(key) ?? 0) + 1);
  response.writeHead(202).end();
});

before(async () => {
  await new Promise<void>((resolve) => siakServer.listen(0, "127.0.0.1", resolve));
  const { port } = siakServer.address() as AddressInfo;
  mesh = await startTestMesh({
    LAMPID_HUB_PENDUDUK: String(ROWS),
    LAMPID_SIAK_URL: `http://127.0.0.1:${port}/peristiwa`,
  });
  sql = openSql(mesh);
  call = restClient(mesh.urls.gateway!);
  pusat = await login(mesh.urls.gateway!, "pusat");
  operator = await login(mesh.urls.gateway!, "operator");
  hub = await openHub(mesh);
});
after(async () => {
  hub?.close();
  await sql?.close();
  await mesh?.stop();
  siakServer.close();
  siakServer.closeAllConnections();
});

async function register(count: number): Promise<{ name: string; nik: string; etag: string }[]> {
  const registered = [];
  for (let n = 0; n < count; n++) {
    const { status, text, body } = await call("POST /v1/penduduk", { token: operator, json: newResident() });
    assert.ok(status === 200 || status === 201, text);
    registered.push(body);
  }
  return registered;
}

/** A whole run; what became of its rows. */
async function synchronise(): Promise<Record<string, number>> {
  const { body } = await call("POST /v1/sinkronisasi", { token: pusat, json: {} });
  const { name } = body.metadata;
  let run: { keadaan: string; hasil: Record<string, number>; rekonsiliasi: { cocok: boolean } } | undefined;
  await eventually(async () => {
    run = (await call(`GET /v1/${name}`, { token: pusat })).body;
    return run!.keadaan === "KEADAAN_SELESAI";
  }, WITHIN_MS);
  assert.equal(run!.rekonsiliasi.cocok, true);
  return run!.hasil;
}

const pending = () =>
  sql.number("penduduk", "select count(*) from penduduk where perubahan_lokal is not null");

async function kill(name: string): Promise<void> {
  mesh.kill(name);
  await mesh.waitServing(name, WITHIN_MS);
}

describe("who was registered or changed here", () => {
  test("is told to the hub and to SIAK, and the next run finds nothing new and no conflict", async () => {
    await synchronise();
    const family = await register(3);
    const [head, , child] = family as [{ nik: string }, unknown, { name: string; nik: string }];
    const card = await call("POST /v1/kartuKeluarga", {
      token: operator,
      json: {
        kodeWilayah: KELURAHAN,
        alamat: "Jl. Merdeka No. 1",
        anggota: [
          { nik: head.nik, shdk: "SHDK_KEPALA_KELUARGA" },
          { nik: child.nik, shdk: "SHDK_ANAK" },
        ],
      },
    });
    assert.ok(card.status === 200 || card.status === 201, card.text);
    const { body: read } = await call(`GET /v1/${child.name}`, { token: operator });
    const changed = await call(`PATCH /v1/${child.name}`, {
      token: operator,
      json: { name: child.name, etag: read.etag, pekerjaan: "Nelayan" },
    });
    assert.equal(changed.status, 200, changed.text);
    assert.equal(await pending(), 3);

    await assertForwarded(sql);
    const { penduduk } = await hub.hub.lookupPenduduk({ nik: child.nik });
    assert.deepEqual(
      [penduduk!.pekerjaan, penduduk!.nomorKk, penduduk!.shdk],
      ["Nelayan", card.body.nomorKk, 4],
    );
    const hasil = await synchronise();
    assert.deepEqual([hasil.diperbarui, hasil.konflik, hasil.baru], [3, undefined, undefined]);
    assert.equal(await pending(), 0, "the hub has acknowledged each");
    assert.equal((await synchronise()).diperbarui, undefined, "and nothing is left to do");
    assert.deepEqual([...siak.values()], Array(6).fill(1), "SIAK has each change once");
  });

  test("and whom approved reports made or changed, of which the mesh is told as a whole", async () => {
    const family = await register(2);
    const anggota = family.map(({ nik }, n) => ({
      nik,
      shdk: n === 0 ? "SHDK_KEPALA_KELUARGA" : "SHDK_ISTRI",
    }));
    const card = await call("POST /v1/kartuKeluarga", {
      token: operator,
      json: { kodeWilayah: KELURAHAN, alamat: "Jl. Merdeka No. 2", anggota },
    });
    const transport = await serviceTransport(mesh, "penduduk");
    const registry = createWireClient(PeristiwaService, transport);
    const now = new Date();
    const today = civilDate(now);
    const reports = [
      kelahiran(card.body.nomorKk, { tanggalLahir: today }),
      kematian(family[0]!.nik, today),
    ].map((value) => requestOf({ case: "pengesahan", value }, { waktu: timestampFromDate(now) }));
    for (const report of reports) await registry.applyPeristiwa(report);
    transport.close();

    await assertForwarded(sql);
    const rows = await sql.rows("integrasi", "select aggregateid, payload from outbox");
    const told = rows.map(({ aggregateid, payload }) => {
      const { sistem, status } = fromBinary(PengirimanPeristiwaSchema, payload);
      assert.equal(status, Status.DITERIMA);
      return `${aggregateid} ${sistem}`;
    });
    assert.deepEqual(
      told.toSorted(),
      reports.flatMap(({ laporan }) => [`${laporan} 1`, `${laporan} 2`]).toSorted(),
    );
    const dead = await hub.hub.lookupPenduduk({ nik: family[0]!.nik });
    assert.equal(dead.penduduk!.status, 2);
    const hasil = await synchronise();
    assert.deepEqual([hasil.diperbarui, hasil.konflik, hasil.baru], [3, undefined, undefined]);
    assert.equal(await pending(), 0, "father, mother and child");
  });

  test("waits while hub and SIAK are down, whoever is killed meanwhile, and is told once they are back", async () => {
    await hub.hub.setGangguan({ gangguan: { matiMs: 60_000 } });
    isSiakDown = true;
    const before = siak.size;
    await register(20);
    await eventually(
      async () => (await waitingIn("dukcapil")) === 20 && (await waitingIn("siak")) === 20,
      WITHIN_MS,
    );
    const { body } = await call("GET /v1/pengiriman?status=STATUS_MENUNGGU&sistem=SISTEM_SIAK&pageSize=500", {
      token: pusat,
    });
    assert.equal(body.pengiriman.length, 20);
    await kill("integrasi");
    await kill("penduduk");
    await hub.hub.setGangguan({});
    isSiakDown = false;
    await eventually(async () => siak.size > before, WITHIN_MS);
    await kill("integrasi");
    await kill("dukcapil");
    await assertForwarded(sql);
    assert.equal(siak.size, before + 20);
    const hasil = await synchronise();
    assert.deepEqual([hasil.diperbarui, hasil.konflik], [20, undefined]);
    assert.equal(await pending(), 0);
  });
});

/** As the metrics say it. */
async function waitingIn(sistem: string): Promise<number> {
  const response = await fetch(`${lookAt(mesh.dataDir, async () => {}).adminUrls.integrasi}/metrics`).catch(
    () => undefined,
  );
  const text = (await response?.text()) ?? "";
  return Number(
    new RegExp(`lampid_pengiriman_waiting\\{[^}]*sistem="${sistem}"[^}]*\\} (\\d+)`).exec(text)?.[1] ?? -1,
  );
}
