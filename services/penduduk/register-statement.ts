// One statement that registers many: resident, event, audit row and answer commit together or not at all.
import type { Sql } from "#chassis/database.ts";
import type { RegisterCommand, RegisterOutcome } from "./store.ts";

/** Outcomes in the order of the commands. */
export async function registerStatement(
  sql: Sql,
  commands: readonly RegisterCommand[],
): Promise<RegisterOutcome[]> {
  const { rows } = await sql.query({
    name: "penduduk-register",
    text: STATEMENT,
    values: [JSON.stringify(commands.map(toRow))],
  });
  const exceptions = new Map(rows.map((row) => [row.id, row]));
  return commands.map(({ record }) => {
    const row = exceptions.get(record.id);
    if (!row) return { kind: "registered" };
    if (row.response) return { kind: "replayed", fingerprint: row.fingerprint, response: row.response };
    return { kind: "duplicate_nik" };
  });
}

// Rows go in as JSON: one parameter, written by JSON.stringify in native code, against 30 arrays escaped in JavaScript.
// They are inserted in the order of the NIK, so that two batches never wait for each other in a circle.
const STATEMENT = `
with incoming as materialized (
  select * from json_to_recordset($1::json) as r(
    id uuid, nik text, nama text, alamat text, kode_wilayah text, tanggal_lahir date, tempat_lahir text, pekerjaan text,
    rt text, rw text, nama_ibu text, nama_ayah text, jenis_kelamin smallint, agama smallint, status_perkawinan smallint,
    golongan_darah smallint, status smallint, at timestamptz,
    event_id uuid, topic text, key text, type text, payload text, event_subject text, traceparent text,
    actor text, role text, action text, keperluan text, kolom text[], request_id uuid, fingerprint text, response text)
), known as (
  select r.id, i.fingerprint, i.response
  from incoming r join idempotency i on i.subject = r.actor and i.request_id = r.request_id
), inserted as (
  insert into penduduk (id, nik, nama, alamat, kode_wilayah, tanggal_lahir, tempat_lahir, pekerjaan, rt, rw, nama_ibu,
    nama_ayah, jenis_kelamin, agama, status_perkawinan, golongan_darah, status, perubahan_lokal, created_at, updated_at)
  select id, nik, nama, alamat, kode_wilayah, tanggal_lahir, tempat_lahir, pekerjaan, rt, rw, nama_ibu, nama_ayah,
    jenis_kelamin, agama, status_perkawinan, golongan_darah, status, event_id, at, at
  from incoming r where not exists (select 1 from known where known.id = r.id)
  order by nik
  on conflict (nik) do nothing
  returning id
), fresh as materialized (
  select r.* from incoming r join inserted using (id)
), told as (
  insert into outbox (id, aggregatetype, aggregateid, type, payload, subject, traceparent, created_at)
  select event_id, topic, key, type, decode(payload, 'base64'), event_subject, traceparent, at from fresh
), audited as (
  insert into audit (created_at, subject, role, action, resource, wilayah, traceparent, keperluan, kolom)
  select at, actor, role, action, event_subject, kode_wilayah, traceparent, coalesce(keperluan, ''), coalesce(kolom, '{}')
  from fresh
), answered as (
  insert into idempotency (subject, request_id, fingerprint, response)
  select actor, request_id, decode(fingerprint, 'base64'), decode(response, 'base64') from fresh where request_id is not null
)
select r.id, known.fingerprint, known.response
from incoming r left join known using (id)
where not exists (select 1 from inserted where inserted.id = r.id)`;

function toRow({ record, event, audit, idempotency }: RegisterCommand) {
  return {
    id: record.id,
    nik: record.nik,
    nama: record.nama,
    alamat: record.alamat,
    kode_wilayah: record.kodeWilayah,
    tanggal_lahir: record.tanggalLahir,
    tempat_lahir: record.tempatLahir,
    pekerjaan: record.pekerjaan,
    rt: record.rt,
    rw: record.rw,
    nama_ibu: record.namaIbu,
    nama_ayah: record.namaAyah,
    jenis_kelamin: record.jenisKelamin,
    agama: record.agama,
    status_perkawinan: record.statusPerkawinan,
    golongan_darah: record.golonganDarah,
    status: record.status,
    at: event.time,
    event_id: event.id,
    topic: event.topic,
    key: event.key,
    type: event.type,
    payload: base64(event.data),
    event_subject: event.subject,
    traceparent: event.traceparent,
    actor: audit.subject,
    role: audit.role,
    action: audit.action,
    keperluan: audit.keperluan,
    kolom: audit.kolom,
    request_id: idempotency?.requestId,
    fingerprint: idempotency && base64(idempotency.fingerprint),
    response: idempotency && base64(idempotency.response),
  };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
