// What the synchronisation's end-to-end tests and benches look at: the hub's switches, the registry as a whole, the counters.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "@connectrpc/connect";
import { createWireClient } from "#chassis/wire/client.ts";
import type { WireTransport } from "#chassis/wire/types.ts";
import { createWireTransport } from "#chassis/wire/wire.ts";
import { DukcapilHubService } from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { eventually } from "./eventually.ts";
import type { Sql } from "./ledger.ts";

/** What is known of a mesh, running or seen from outside. */
export type SyncMesh = { dataDir: string; urls: Record<string, string> };

/** Access token of the process integrasi, in the embedded profile and in that of the tests' Keycloak. */
export async function serviceToken({ dataDir, urls }: SyncMesh): Promise<string> {
  const issuer = process.env.LAMPID_ISSUER_URL ?? urls.issuer!;
  const secret =
    process.env.LAMPID_SERVICE_CLIENT_SECRET ??
    JSON.parse(readFileSync(join(dataDir, "secrets.json"), "utf8")).service;
  const discovery = await fetch(`${issuer}/.well-known/openid-configuration`);
  const { token_endpoint: endpoint } = (await discovery.json()) as { token_endpoint: string };
  const form = { grant_type: "client_credentials", client_id: "integrasi", client_secret: secret };
  const response = await fetch(endpoint, { method: "POST", body: new URLSearchParams(form) });
  const answer = (await response.json()) as { access_token: string };
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer.access_token;
}

/** To a process of the mesh, as integrasi calls it; close it when done. */
export async function serviceTransport(mesh: SyncMesh, name: string): Promise<WireTransport> {
  const token = await serviceToken(mesh);
  return createWireTransport({
    wire: "grpc-js",
    baseUrl: mesh.urls[name]!,
    readMaxBytes: 16 * 1024 * 1024,
    interceptors: [
      (next) => async (req) => {
        req.header.set("authorization", `Bearer ${token}`);
        return await next(req);
      },
    ],
  });
}

/** The hub as integrasi calls it; close the transport when done. */
export async function openHub(
  mesh: SyncMesh,
): Promise<{ hub: Client<typeof DukcapilHubService>; close: () => void }> {
  const transport = await serviceTransport(mesh, "dukcapil");
  return { hub: createWireClient(DukcapilHubService, transport), close: transport.close };
}

/** Of all that the registry knows but when, and by what id: equal for two runs that came to the same end. */
export async function registryHash(sql: Sql): Promise<string> {
  const [{ hash }] = await sql.rows(
    "penduduk",
    `select md5(string_agg(r::text, '|' order by r.nik)) as hash
     from (select p.nik, p.nama, p.alamat, p.kode_wilayah, p.tanggal_lahir, p.tempat_lahir, p.pekerjaan, p.rt, p.rw,
             p.nama_ibu, p.nama_ayah, p.jenis_kelamin, p.agama, p.status_perkawinan, p.golongan_darah, p.status, p.shdk,
             p.id_hub, p.versi, k.nomor_kk
           from penduduk p left join kartu_keluarga k on k.id = p.kartu_keluarga) r`,
  );
  return hash;
}

/** Waits until statistik's counters are the registry's living residents, kecamatan by kecamatan. */
export async function assertStatisticsAgree(sql: Sql): Promise<void> {
  const registry = await sql.rows(
    "penduduk",
    `select left(kode_wilayah, 8) as kode, count(*)::int as jumlah from penduduk where status = 1 group by 1 order by 1`,
  );
  let counted: unknown[] = [];
  await eventually(async () => {
    counted = await sql.countedByKecamatan();
    return JSON.stringify(counted) === JSON.stringify(registry);
  }, 30_000).catch(() => {});
  assert.deepEqual(counted, registry);
}

/** Waits until everything that the registry has told of is accepted by every system outside. */
export async function assertForwarded(sql: Sql): Promise<void> {
  await eventually(async () => {
    const told = await sql.number(
      "penduduk",
      "select count(*) from outbox where type ~ 'PendudukTerdaftar|BiodataDiperbarui|KartuKeluargaDibuat|PeristiwaBerlaku'",
    );
    const [{ heard, waiting }] = await sql.rows(
      "integrasi",
      `select (select count(*)::int from inbox) as heard, count(*)::int as waiting from pengiriman where status <> 2`,
    );
    return heard === told && waiting === 0;
  }, 60_000);
}
