// One statement that appends the events of many reports: event, contents, state, message, audit row, kept answer and command to
// the registry of each commit together or not at all.
import type { Sql } from "#chassis/database.ts";
import { type Jejak, jejakOf } from "./domain/kemiripan.ts";
import { EFEK_RECORD, efekRow } from "./efek-row.ts";
import { digestOf } from "./postgres-jejak.ts";
import { separate } from "./sensitif.ts";
import { STATE_COLUMNS, STATE_RECORD, stateRow } from "./state-row.ts";
import type { AppendCommand, Peristiwa } from "./store.ts";

/** Ids of the reports whose event was appended; another had added an event of that number to the others. */
export async function appendStatement(
  sql: Sql,
  commands: readonly AppendCommand[],
): Promise<ReadonlySet<string>> {
  const { rows } = await sql.query({
    name: "peristiwa-append",
    text: STATEMENT,
    values: [JSON.stringify(commands.map(toRow))],
  });
  return new Set(rows.map(({ laporan }) => laporan));
}

// In the order of the reports' ids, so that two batches never wait for each other in a circle. What hangs on an event that lost
// (its contents, its message) is not written: all of it comes from `fresh`.
const STATEMENT = `
with incoming as materialized (
  select * from json_to_recordset($1::json) as r(
    ${STATE_RECORD}, ${EFEK_RECORD},
    peristiwa text, pelaku text, tingkat text, waktu timestamptz, alasan text, data jsonb, isi text, sensitif text, jejak json,
    event_id uuid, topic text, key text, type text, payload text, event_subject text, traceparent text, event_time timestamptz,
    actor text, role text, action text, resource text, audit_wilayah text, audit_traceparent text, audit_at timestamptz,
    keperluan text, kolom text[], request_id uuid, fingerprint text, response text)
), appended as (
  insert into peristiwa (laporan, versi, jenis, pelaku, tingkat, waktu, alasan, data)
  select id, versi, peristiwa, pelaku, tingkat, waktu, alasan, data from incoming order by id
  on conflict on constraint peristiwa_versi do nothing
  returning laporan
), fresh as materialized (
  select r.* from incoming r join appended on appended.laporan = r.id
), said as (
  insert into isi_laporan (laporan, versi, isi, sensitif)
  select id, versi, decode(isi, 'base64'), decode(sensitif, 'base64') from fresh where isi is not null
), traced as materialized (
  select r.id, decode(j.kunci, 'hex') as kunci, j.lahir, j.urutan, j.nama, coalesce(j.dalam_perjalanan, false) as dalam_perjalanan
  from fresh r cross join json_to_recordset(r.jejak) as j(kunci text, lahir date, urutan smallint, nama text, dalam_perjalanan boolean)
), covered as (
  delete from jejak j using fresh r
  where j.laporan = r.id and r.jejak is not null
    and not exists (select 1 from traced t where t.id = j.laporan and t.kunci = j.kunci)
), followed as (
  insert into jejak (laporan, kunci, lahir, urutan, nama, dalam_perjalanan)
  select id, kunci, lahir, urutan, nama, dalam_perjalanan from traced
  on conflict (laporan, kunci) do update set lahir = excluded.lahir, urutan = excluded.urutan, nama = excluded.nama,
    dalam_perjalanan = excluded.dalam_perjalanan
), projected as (
  insert into laporan (${STATE_COLUMNS}) select ${STATE_COLUMNS} from fresh order by id
  on conflict (id) do update set versi = excluded.versi, status = excluded.status, terlambat = excluded.terlambat,
    nomor_keputusan = excluded.nomor_keputusan, pengaju = excluded.pengaju, pemverifikasi = excluded.pemverifikasi,
    pengesah = excluded.pengesah, efek = excluded.efek, updated_at = excluded.updated_at, sejak = excluded.sejak, eskalasi = excluded.eskalasi
  where laporan.versi < excluded.versi
), told as (
  insert into outbox (id, aggregatetype, aggregateid, type, payload, subject, traceparent, created_at)
  select event_id, topic, key, type, decode(payload, 'base64'), event_subject, traceparent, event_time from fresh
), commanded as (
  insert into perintah_efek (id, laporan, versi, traceparent) select event_id, id, versi, traceparent from fresh where commands
), left_for_transit as (
  insert into perpindahan (laporan, sejak, periksa_at, nomor_surat)
  select id, transit_since, transit_since, transit_number from fresh
  where transit_since is not null on conflict (laporan) do nothing
), left_transit as (
  update perpindahan p set selesai_at = fresh.waktu from fresh
  where p.laporan = fresh.id and fresh.transit_is_over and p.selesai_at is null
), in_transit_again as (
  update perpindahan p set selesai_at = null, periksa_at = fresh.waktu + interval '1 hour' from fresh
  where p.nomor_surat = fresh.transit_again and p.nomor_surat <> ''
), audited as (
  insert into audit (created_at, subject, role, action, resource, wilayah, traceparent, keperluan, kolom)
  select audit_at, actor, role, action, resource, audit_wilayah, audit_traceparent, coalesce(keperluan, ''), coalesce(kolom, '{}')
  from fresh
), answered as (
  insert into idempotency (subject, request_id, fingerprint, response)
  select actor, request_id, decode(fingerprint, 'base64'), decode(response, 'base64') from fresh where request_id is not null
)
select laporan from appended`;

function toRow({ id, peristiwa, laporan, event, audit, answer }: AppendCommand) {
  const said = "isi" in peristiwa ? separate(peristiwa.isi) : undefined;
  return {
    ...stateRow(id, laporan),
    ...efekRow(laporan),
    peristiwa: peristiwa.jenis,
    pelaku: peristiwa.pelaku,
    tingkat: peristiwa.tingkat,
    waktu: peristiwa.waktu,
    alasan: "alasan" in peristiwa ? peristiwa.alasan : "",
    data: dataOf(peristiwa),
    isi: said && base64(said.isi),
    sensitif: said && base64(said.sensitif),
    jejak: "isi" in peristiwa ? jejakOf(peristiwa.isi, laporan.kodeWilayah).map(jejakRow) : undefined,
    event_id: event.id,
    topic: event.topic,
    key: event.key,
    type: event.type,
    payload: base64(event.data),
    event_subject: event.subject,
    traceparent: event.traceparent,
    event_time: event.time,
    actor: audit.subject,
    role: audit.role,
    action: audit.action,
    resource: audit.resource,
    audit_wilayah: audit.wilayah,
    audit_traceparent: audit.traceparent,
    audit_at: audit.at,
    keperluan: audit.keperluan,
    kolom: audit.kolom,
    request_id: answer?.key.requestId,
    fingerprint: answer && base64(answer.key.fingerprint),
    response: answer && base64(answer.response),
  };
}

/** What an event says besides who, when, why and what the report says: nothing of a person. */
function dataOf(peristiwa: Peristiwa): object {
  switch (peristiwa.jenis) {
    case "diajukan": {
      const { nomor, laporan, kodeWilayah, tanggal, terlambat, kemiripan, jatuhTempo } = peristiwa;
      return { nomor, laporan, kodeWilayah, tanggal, terlambat, kemiripan, jatuhTempo };
    }
    case "diajukan_kembali": {
      const { terlambat, kemiripan } = peristiwa;
      return { terlambat, kemiripan };
    }
    case "tereskalasi":
      return { dari: peristiwa.dari };
    case "kemiripan_disisihkan":
      return { kemiripan: peristiwa.kemiripan };
    case "disahkan":
      return { nomorKeputusan: peristiwa.nomorKeputusan };
    case "berlaku": {
      const { perintah, hasil } = peristiwa;
      return { perintah, hasil };
    }
    case "gagal_berlaku": {
      const { perintah, keterangan } = peristiwa;
      return { perintah, keterangan };
    }
    case "diulang":
      return { perintah: peristiwa.perintah };
    case "dibetulkan":
    case "dicabut":
      return { nomorPutusan: peristiwa.nomorPutusan };
    case "diverifikasi":
    case "dikembalikan":
    case "ditolak":
    case "dibatalkan":
    case "perpindahan_dibatalkan":
    case "perpindahan_kedaluwarsa":
      return {};
    default:
      return peristiwa satisfies never;
  }
}

function jejakRow({ kunci, lahir, dalamPerjalanan }: Jejak) {
  return {
    kunci: digestOf(kunci).toString("hex"),
    lahir: lahir?.tanggal,
    urutan: lahir?.urutan,
    nama: lahir?.nama,
    dalam_perjalanan: dalamPerjalanan,
  };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
