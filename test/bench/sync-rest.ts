// The same records by REST, for `npm run bench:sync`: POSTed one by one to the gateway, and as JSON pages from the hub.
import type pg from "pg";
import { v7 as uuidv7 } from "uuid";
import {
  Penduduk_Agama as Agama,
  Penduduk_GolonganDarah as GolonganDarah,
  Penduduk_JenisKelamin as JenisKelamin,
  Penduduk_Shdk as Shdk,
  Penduduk_Status as Status,
  Penduduk_StatusPerkawinan as StatusPerkawinan,
} from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { copyIn } from "../../services/penduduk/penggabungan/copy-in.ts";
import { httpPost } from "./bench-mesh.ts";
import { runLoad } from "./http-load.ts";

/** A row of the hub as its REST pages have it (ProtoJSON: a field with its default is absent). */
export type HubRow = Record<string, string | boolean | undefined>;

const MAX_SECONDS = 120;

/** Registrations a second; each connection has one request at a time. */
export async function recordByRecord(
  gateway: string,
  token: string,
  rows: readonly HubRow[],
  connections: number,
) {
  const { hostname, port } = new URL(gateway);
  const requests = rows.map((row) => httpPost("/v1/penduduk", token, registrationOf(row)));
  let sent = 0;
  const { latenciesMs, seconds, errors, samples } = await runLoad({
    host: hostname,
    port: Number(port),
    connections,
    seconds: MAX_SECONDS,
    requests: requests.length,
    request: () => requests[sent++]!,
    expectStatus: 201,
  });
  return { perSecond: latenciesMs.length / seconds, errors, samples };
}

export type Pages = {
  /** Of the hub's REST side. */
  baseUrl: string;
  token: string;
  kodeWilayah: string;
  pageSize: number;
  gzip: boolean;
};

/** Pages one after the other, as a client has to: each names the next. Stops after `limit` rows. */
export async function* readPages({ baseUrl, token, kodeWilayah, pageSize, gzip }: Pages, limit: number) {
  let pageToken = "";
  for (let rows = 0; rows < limit; ) {
    const query = new URLSearchParams({
      kode_wilayah: kodeWilayah,
      page_size: String(pageSize),
      page_token: pageToken,
    });
    const response = await fetch(`${baseUrl}/v1/penduduk?${query}`, {
      headers: { authorization: `Bearer ${token}`, "accept-encoding": gzip ? "gzip" : "identity" },
    });
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
    const page = (await response.json()) as { penduduk?: HubRow[]; nextPageToken?: string };
    const { penduduk = [], nextPageToken = "" } = page;
    if (penduduk.length > 0) yield penduduk;
    rows += penduduk.length;
    if (nextPageToken === "") return;
    pageToken = nextPageToken;
  }
}

/** Family cards and residents of a page, one statement each, in one transaction. */
export async function upsertPage(client: pg.Client, page: readonly HubRow[]): Promise<void> {
  const families = familiesOf(page);
  await client.query("begin");
  if (families.length > 0) {
    await client.query(
      `insert into kartu_keluarga (id, nomor_kk, alamat, kode_wilayah, created_at)
       values ${placeholders(families.length, 5)} on conflict (nomor_kk) do nothing`,
      families.flat(),
    );
  }
  const rows = page.map(residentOf);
  await client.query(
    `insert into penduduk as p (${COLUMNS.join(", ")}, kartu_keluarga)
     select ${COLUMNS.map((column) => `v.${column}`).join(", ")}, k.id
     from (values ${placeholders(rows.length, COLUMNS.length + 1, TYPES)}) as v(${COLUMNS.join(", ")}, nomor_kk)
       left join kartu_keluarga k using (nomor_kk)
     on conflict (nik) do update set ${CHANGED.map((column) => `${column} = excluded.${column}`).join(", ")}
     where p.versi < excluded.versi`,
    rows.flat(),
  );
  await client.query("commit");
}

/** The same with COPY into a staging table, and one statement from there. */
export async function copyPage(client: pg.Client, page: readonly HubRow[]): Promise<void> {
  const text = (value: unknown) =>
    value === null ? "\\N" : String(value).replace(/[\\\t\n\r]/g, (found) => `\\${found}`);
  const lines = page.map((row) => `${residentOf(row).map(text).join("\t")}\n`).join("");
  const families = familiesOf(page);
  await client.query("begin");
  await client.query(
    `create temp table if not exists halaman (like penduduk, nomor_kk text) on commit delete rows;
     alter table halaman alter revision set default 1`,
  );
  await copyIn(client, `copy halaman (${COLUMNS.join(", ")}, nomor_kk) from stdin`, Buffer.from(lines));
  if (families.length > 0) {
    await client.query(
      `insert into kartu_keluarga (id, nomor_kk, alamat, kode_wilayah, created_at)
       values ${placeholders(families.length, 5)} on conflict (nomor_kk) do nothing`,
      families.flat(),
    );
  }
  await client.query(
    `insert into penduduk as p (${COLUMNS.join(", ")}, kartu_keluarga)
     select ${COLUMNS.map((column) => `v.${column}`).join(", ")}, k.id
     from halaman v left join kartu_keluarga k using (nomor_kk)
     on conflict (nik) do update set ${CHANGED.map((column) => `${column} = excluded.${column}`).join(", ")}
     where p.versi < excluded.versi`,
  );
  await client.query("commit");
}

const COLUMNS = [
  "id",
  "nik",
  "nama",
  "alamat",
  "kode_wilayah",
  "tanggal_lahir",
  "tempat_lahir",
  "pekerjaan",
  "rt",
  "rw",
  "nama_ibu",
  "nama_ayah",
  "jenis_kelamin",
  "agama",
  "status_perkawinan",
  "golongan_darah",
  "status",
  "shdk",
  "id_hub",
  "versi",
  "created_at",
  "updated_at",
];
const CHANGED = [...COLUMNS.slice(1), "kartu_keluarga"].filter((column) => column !== "created_at");
/** Of the columns that are no text. */
const CASTS: Record<string, string> = {
  id: "uuid",
  tanggal_lahir: "date",
  jenis_kelamin: "smallint",
  agama: "smallint",
  status_perkawinan: "smallint",
  golongan_darah: "smallint",
  status: "smallint",
  shdk: "smallint",
  id_hub: "bigint",
  versi: "bigint",
  created_at: "timestamptz",
  updated_at: "timestamptz",
};
const TYPES = [...COLUMNS, "nomor_kk"].map((column) => CASTS[column] ?? "text");

/** ($1, $2), ($3, $4) ...; types go with the first row, for the others follow it. */
function placeholders(rows: number, columns: number, types: readonly string[] = []): string {
  return Array.from({ length: rows }, (_, row) => {
    const cells = Array.from({ length: columns }, (_, column) => {
      const type = row === 0 && types[column] ? `::${types[column]}` : "";
      return `$${row * columns + column + 1}${type}`;
    });
    return `(${cells.join(", ")})`;
  }).join(", ");
}

const NOW = new Date().toISOString();

function residentOf(row: HubRow): unknown[] {
  const text = (name: string) => row[name] ?? "";
  return [
    uuidv7(),
    text("nik"),
    text("nama"),
    text("alamat"),
    text("kodeWilayah"),
    text("tanggalLahir"),
    text("tempatLahir"),
    text("pekerjaan"),
    text("rt"),
    text("rw"),
    text("namaIbu"),
    text("namaAyah"),
    numberOf(JenisKelamin, "JENIS_KELAMIN", row.jenisKelamin),
    numberOf(Agama, "AGAMA", row.agama),
    numberOf(StatusPerkawinan, "STATUS_PERKAWINAN", row.statusPerkawinan),
    numberOf(GolonganDarah, "GOLONGAN_DARAH", row.golonganDarah),
    numberOf(Status, "STATUS", row.status),
    numberOf(Shdk, "SHDK", row.shdk),
    text("id"),
    text("versi"),
    NOW,
    NOW,
    text("nomorKk"),
  ];
}

/** ProtoJSON names a member of an enum in full; our generated enums leave the common prefix out. */
function numberOf(members: Record<string, string | number>, prefix: string, name: unknown): number {
  return name === undefined ? 0 : Number(members[String(name).slice(prefix.length + 1)]);
}

function familiesOf(page: readonly HubRow[]): unknown[][] {
  const families = new Map<unknown, unknown[]>();
  for (const { nomorKk, alamat = "", kodeWilayah = "" } of page) {
    if (nomorKk && !families.has(nomorKk))
      families.set(nomorKk, [uuidv7(), nomorKk, alamat, kodeWilayah, NOW]);
  }
  return [...families.values()];
}

/** What the hub says of a resident, as a registration says it. */
function registrationOf(row: HubRow) {
  const { nik, nama, alamat, kodeWilayah, jenisKelamin, tanggalLahir, tempatLahir, agama } = row;
  const { statusPerkawinan, golonganDarah, pekerjaan, rt, rw, namaIbu, namaAyah } = row;
  return {
    nik,
    nama,
    alamat,
    kodeWilayah,
    jenisKelamin,
    tanggalLahir,
    tempatLahir,
    agama,
    statusPerkawinan,
    golonganDarah,
    pekerjaan,
    rt,
    rw,
    namaIbu,
    namaAyah,
  };
}
