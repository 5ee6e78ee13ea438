// What the benches share: a mesh of their own, tokens, residents, requests, and a pause for what is still under way.
import { readFileSync } from "node:fs";
import pg from "pg";
import type { Mesh } from "../../services/mesh/mesh.ts";
import { startTestMesh } from "../harness/mesh.ts";
import { childrenOf } from "./process-usage.ts";

export const RATE_LIMIT = "100000000";

/** Runs `bench` on a fresh mesh with durable commits, and takes the mesh down whatever happens. */
export async function onBenchMesh(bench: (mesh: Mesh) => Promise<void>): Promise<void> {
  const mesh = await startTestMesh({ LAMPID_RATE_LIMIT_PER_MINUTE: RATE_LIMIT, LAMPID_LOG_LEVEL: "warn" });
  console.log(`LAMPID_RATE_LIMIT_PER_MINUTE raised to ${RATE_LIMIT}`);
  try {
    await bench(mesh);
  } finally {
    await mesh.stop();
  }
}

const GIVEN = [
  "Siti",
  "Budi",
  "Ahmad",
  "Dewi",
  "Rina",
  "Joko",
  "Putri",
  "Agus",
  "Wati",
  "Eko",
  "Nur",
  "Bambang",
  "Yuni",
];
const FAMILY = [
  "Santoso",
  "Wijaya",
  "Hidayat",
  "Lestari",
  "Nugroho",
  "Saputra",
  "Kusuma",
  "Siregar",
  "Nasution",
  "Halim",
];

/** The n-th resident, of ten kecamatan of 32.01; each NIK once. */
export function resident(n: number) {
  const two = (value: number) => String(value).padStart(2, "0");
  const kecamatan = two((n % 10) + 1);
  const day = two((Math.floor(n / 10) % 28) + 1);
  const month = two((Math.floor(n / 280) % 12) + 1);
  const year = two((Math.floor(n / 3_360) % 40) + 60);
  const serial = String((Math.floor(n / 134_400) % 9_999) + 1).padStart(4, "0");
  return {
    nik: `3201${kecamatan}${day}${month}${year}${serial}`,
    nama: `${GIVEN[n % GIVEN.length]} ${FAMILY[Math.floor(n / 7) % FAMILY.length]}`,
    alamat: `Jl. Merdeka No. ${n % 400}`,
    provinsi: "Jawa Barat",
  };
}

/** A POST as it goes over the wire. */
export function httpPost(path: string, token: string, message: unknown): string {
  const body = JSON.stringify(message);
  return `POST ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

/** Waits until every registration has been counted and told to the hub, or consumers would take part in the next measurement. */
export async function settled(mesh: Mesh): Promise<void> {
  const [registry, statistics, forwarding] = (["penduduk", "statistik", "integrasi"] as const).map(
    (database) => new pg.Pool({ connectionString: mesh.databaseUrl(database), max: 1 }),
  );
  const count = async (pool: pg.Pool | undefined, sql: string) => Number((await pool!.query(sql)).rows[0].n);
  const registered = await count(registry, "select count(*) as n from penduduk");
  const startedAt = performance.now();
  for (;;) {
    const counted = await count(
      statistics,
      "select coalesce(sum(jumlah), 0) as n from ledger where komponen = 'registrasi'",
    );
    const sent = await count(
      forwarding,
      "select count(*) as n from pengiriman where status = 2 and jenis = 1",
    );
    if (counted === registered && sent === registered) break;
    if (performance.now() - startedAt > 180_000)
      throw new Error(`${registered} registered, after 3 minutes only ${counted} counted and ${sent} told`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  console.log(
    `${registered} registered, all counted and told ${round((performance.now() - startedAt) / 1000)} s after the last one`,
  );
  await Promise.all([registry, statistics, forwarding].map((pool) => pool?.end()));
}

/** Sum of PSS of every process of the mesh, MiB; undefined where /proc does not tell. */
export function memoryMib(mesh: Mesh): number | undefined {
  try {
    const { supervisor, watchdog, processes } = JSON.parse(readFileSync(`${mesh.dataDir}/mesh.json`, "utf8"));
    const roots = [supervisor, watchdog, ...Object.values<{ pid?: number }>(processes)].map(
      (each) => each?.pid,
    );
    const pids = new Set(roots.filter(Boolean).flatMap(withChildren));
    return Math.round([...pids].reduce((sum, pid) => sum + pssKib(pid), 0) / 1024);
  } catch {
    return undefined;
  }
}

function withChildren(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(withChildren)];
}

function pssKib(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
}

export function round(value: number): number {
  return Math.round(value * 100) / 100;
}
