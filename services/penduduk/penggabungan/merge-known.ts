// Merges a batch of which some rows may be in the registry: asks which are, decides on each, and writes only what changes.
import { create, toBinary } from "@bufbuild/protobuf";
import { parse as parseUuid } from "uuid";
import type { Sql } from "#chassis/database.ts";
import { DaftarPendudukHubSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { Penduduk_Status as Status } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { BarisDisisihkan_Sebab as Sebab } from "#gen/lampid/penggabungan/v1/penggabungan_pb.ts";
import { type Decision, decideMerge, type LocalState } from "../domain/merge.ts";
import { type Batch, FAMILY_COLUMNS, goodRows, putFamily, rowAt, storedStatus } from "./batch.ts";
import { copyIn } from "./copy-in.ts";
import { asciiOf, FIELD, newHubRow, readRow, rowBounds } from "./hub-row.ts";
import { birthDaysOf } from "./hub-rules.ts";
import type { Effects, MergeOptions } from "./merge-batch.ts";
import { type IdSource, idSource } from "./new-ids.ts";
import { type PutAside, putAside } from "./put-aside.ts";
import { readResidents } from "./read-residents.ts";
import {
  finishCopy,
  microsOf,
  newCopyBuffer,
  putResident,
  RESIDENT_COLUMNS,
  type ResidentKeys,
} from "./resident-copy.ts";

/** A row of the batch whose NIK, or whose number at the hub, a resident has in another state. */
type Local = LocalState & { id: string };

/** What a row becomes; `local` is whom it meets. */
type Step = { index: number; decision: Decision; local: Local | undefined };

/** @param only these rows, by index. Default: all good ones. */
export async function mergeKnown(
  sql: Sql,
  batch: Batch,
  { order }: MergeOptions,
  known: ReadonlyMap<number, { versi: number; sebab: Sebab }>,
  effects: Effects,
  only?: readonly number[],
): Promise<void> {
  const { hasil } = effects;
  const keys = distinctRows(batch, effects, only ?? goodRows(batch));
  const locals = await findLocals(sql, keys);
  const row = newHubRow();
  const writes: Step[] = [];
  const losers: string[] = [];

  for (const [position, index] of keys.index.entries()) {
    rowAt(row, batch, index);
    const local = locals.get(position);
    const idHub = keys.idHub[position]!;
    const versi = keys.versi[position]!;
    const decision =
      local === "same"
        ? "unchanged"
        : decideMerge({ idHub, versi, peristiwa: asciiOf(row, FIELD.peristiwa) }, local, order);
    switch (decision) {
      case "insert":
      case "update":
      case "replace":
        writes.push({ index, decision, local: local === "same" ? undefined : local });
        if (decision === "replace") {
          hasil.ganda++;
          losers.push((local as Local).id);
        } else if (storedStatus(row) === Status.DITUTUP && order !== "koreksi") hasil.ditutup++;
        else if (decision === "insert") hasil.baru++;
        else hasil.diperbarui++;
        break;
      case "unchanged":
        hasil.takBerubah++;
        break;
      case "stale":
        hasil.kedaluwarsa++;
        effects.putAside.push(aside(Sebab.KEDALUWARSA, "STALE", local as Local));
        continue;
      case "conflict":
        hasil.konflik++;
        effects.putAside.push(aside(Sebab.KONFLIK, "LOCAL_CHANGE", local as Local));
        continue;
      case "duplicate":
        hasil.ganda++;
        effects.putAside.push(putAside(row, Sebab.GANDA, { alasan: "NIK_DUPLICATE", kolom: "nik" }));
        continue;
      default:
        decision satisfies never;
    }
    const asideVersi = known.get(idHub)?.versi;
    if (asideVersi !== undefined && asideVersi <= versi && order !== "koreksi") effects.restored.push(idHub);
  }
  effects.written += writes.length;
  if (losers.length > 0) effects.putAside.push(...(await loserRows(sql, losers)));
  await write(sql, batch, writes, order === "koreksi", effects);

  function aside(sebab: Sebab, alasan: string, { id }: Local): PutAside {
    return putAside(row, sebab, { alasan, kolom: "" }, id);
  }
}

type Keys = { index: number[]; nik: string[]; versi: number[]; idHub: number[] };

/** Of rows that the batch holds twice, one: the same again does not count, an older state is stale. */
function distinctRows(batch: Batch, { hasil, putAside: aside }: Effects, indexes: Iterable<number>): Keys {
  const row = newHubRow();
  const byId = new Map<number, { index: number; nik: string; versi: number }>();
  for (const index of indexes) {
    rowAt(row, batch, index);
    const idHub = row.value[FIELD.id]!;
    const mine = { index, nik: asciiOf(row, FIELD.nik), versi: row.value[FIELD.versi]! };
    const other = byId.get(idHub);
    if (other?.versi === mine.versi) hasil.dikirimUlang++;
    else if (other) hasil.kedaluwarsa++;
    if (!other || other.versi < mine.versi) byId.set(idHub, mine);
  }
  const byNik = new Map<string, number>();
  const keys: Keys = { index: [], nik: [], versi: [], idHub: [] };
  // In the order of their numbers: of two with one NIK the first is kept.
  for (const [idHub, { index, nik, versi }] of [...byId].sort(([a], [b]) => a - b)) {
    if (byNik.has(nik)) {
      hasil.ganda++;
      aside.push(putAside(rowAt(row, batch, index), Sebab.GANDA, { alasan: "NIK_DUPLICATE", kolom: "nik" }));
      continue;
    }
    byNik.set(nik, idHub);
    keys.index.push(index);
    keys.nik.push(nik);
    keys.versi.push(versi);
    keys.idHub.push(idHub);
  }
  return keys;
}

/**
 * Whom the rows meet, by position: nobody (absent), a resident in the very same state, or one to decide about, whose row is
 * then locked, so that nothing changes between the decision and the write.
 */
async function findLocals(sql: Sql, keys: Keys): Promise<Map<number, Local | "same">> {
  // A planner that has not seen the table grow would read all of it for each batch.
  await sql.query(
    "set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off",
  );
  const { rows } = await sql.query({
    name: "penggabungan-temui",
    text: `select k.position::int - 1 as position, coalesce(p.id, q.id) as id
           from unnest($1::text[], $2::bigint[], $3::bigint[]) with ordinality as k(nik, versi, id_hub, position)
             left join penduduk p on p.nik = k.nik
             left join penduduk q on p.id is null and q.id_hub = k.id_hub
           where p.id is null or p.versi <> k.versi or p.id_hub is distinct from k.id_hub`,
    values: [keys.nik, keys.versi, keys.idHub],
  });
  const found = new Map<number, Local | "same">(keys.index.map((_, position) => [position, "same"]));
  const toDecide = new Map<number, string>();
  for (const { position, id } of rows) {
    if (id === null) found.delete(position);
    else toDecide.set(position, id);
  }
  if (toDecide.size === 0) return found;
  const locked = await sql.query({
    name: "penggabungan-kunci",
    text: `select id, id_hub::float8 as "idHub", versi::float8 as versi, perubahan_lokal as "perubahanLokal"
           from penduduk where id = any($1::uuid[]) order by nik for update`,
    values: [[...toDecide.values()]],
  });
  const byId = new Map<string, Local>(
    locked.rows.map((local) => [
      local.id,
      { ...local, idHub: local.idHub ?? undefined, perubahanLokal: local.perubahanLokal ?? undefined },
    ]),
  );
  for (const [position, id] of toDecide) found.set(position, byId.get(id)!);
  return found;
}

async function write(
  sql: Sql,
  batch: Batch,
  steps: readonly Step[],
  isCorrection: boolean,
  effects: Effects,
): Promise<void> {
  if (steps.length === 0) return;
  const { living } = effects;
  const newId = idSource(batch.at);
  const families = await settleFamilies(sql, batch, steps, newId);
  effects.families = families;
  const inserts = newCopyBuffer(1024);
  const updates = newCopyBuffer(1024);
  const row = newHubRow();
  const atMicros = microsOf(batch.at);
  for (const { index, local } of steps) {
    rowAt(row, batch, index);
    const status = storedStatus(row);
    const nomorKk = asciiOf(row, FIELD.nomorKk);
    const keys: ResidentKeys = {
      id: local ? parseUuid(local.id) : newId().slice(),
      kartuKeluarga: nomorKk === "" ? undefined : families.get(nomorKk),
      status,
      birthDays: birthDaysOf(row)!,
      atMicros,
      ...(isCorrection
        ? { idHub: local?.idHub, versi: local?.versi ?? 0, perubahanLokal: newId() }
        : { idHub: row.value[FIELD.id]!, versi: row.value[FIELD.versi]!, perubahanLokal: undefined }),
    };
    putResident(local ? updates : inserts, row, keys);
    if (!local && status === Status.AKTIF) add(living, asciiOf(row, FIELD.kodeWilayah), 1);
  }
  if (inserts.rows > 0) {
    await copyIn(sql, `copy penduduk (${RESIDENT_COLUMNS}) from stdin (format binary)`, finishCopy(inserts));
  }
  if (updates.rows > 0) {
    for (const { kode, selisih } of await update(sql, finishCopy(updates))) add(living, kode, selisih);
  }
}

/** Ids of the family cards that the rows name; those that are not there are made. */
async function settleFamilies(
  sql: Sql,
  batch: Batch,
  steps: readonly Step[],
  newId: IdSource,
): Promise<Map<string, Uint8Array>> {
  const row = newHubRow();
  const named = new Map<string, number>();
  for (const { index } of steps) {
    const nomorKk = asciiOf(rowAt(row, batch, index), FIELD.nomorKk);
    if (nomorKk !== "" && !named.has(nomorKk)) named.set(nomorKk, index);
  }
  const { rows } = await sql.query({
    name: "penggabungan-keluarga",
    text: "select nomor_kk, id from kartu_keluarga where nomor_kk = any($1::text[])",
    values: [[...named.keys()]],
  });
  const ids = new Map<string, Uint8Array>(rows.map(({ nomor_kk, id }) => [nomor_kk, parseUuid(id)]));
  const copy = newCopyBuffer(1024);
  for (const [nomorKk, index] of named) {
    if (ids.has(nomorKk)) continue;
    const id = newId().slice();
    ids.set(nomorKk, id);
    putFamily(copy, rowAt(row, batch, index), id, microsOf(batch.at));
  }
  if (copy.rows > 0) {
    await copyIn(sql, `copy kartu_keluarga (${FAMILY_COLUMNS}) from stdin (format binary)`, finishCopy(copy));
  }
  return ids;
}

/** Gives the living residents more or fewer, by wilayah. The family card of a head goes where the head goes. */
async function update(sql: Sql, rows: Buffer): Promise<{ kode: string; selisih: number }[]> {
  await sql.query(
    "create temp table if not exists penggabungan_perubahan (like penduduk including defaults) on commit delete rows",
  );
  await copyIn(sql, `copy penggabungan_perubahan (${RESIDENT_COLUMNS}) from stdin (format binary)`, rows);
  const changed = await sql.query(UPDATE);
  await sql.query(`
    update kartu_keluarga k set alamat = s.alamat, kode_wilayah = s.kode_wilayah, revision = k.revision + 1,
      updated_at = s.updated_at
    from penggabungan_perubahan s
    where s.shdk = 1 and s.status = ${Status.AKTIF} and k.id = s.kartu_keluarga
      and (k.alamat, k.kode_wilayah) is distinct from (s.alamat, s.kode_wilayah)`);
  return changed.rows;
}

/** `created_at` stays; every other column is what the row says. */
const UPDATED = RESIDENT_COLUMNS.split(",")
  .map((column) => column.trim())
  .filter((column) => column !== "id" && column !== "created_at");
const UPDATE = `
  with changed as (
    update penduduk p set ${UPDATED.map((column) => `${column} = s.${column}`).join(", ")}, revision = p.revision + 1
    from penggabungan_perubahan s where p.id = s.id
    returning old.status as before, old.kode_wilayah as from_kode, new.status as after, new.kode_wilayah as to_kode
  )
  select kode, sum(selisih)::int as selisih
  from (
    select from_kode as kode, -1 as selisih from changed where before = ${Status.AKTIF}
    union all select to_kode, 1 from changed where after = ${Status.AKTIF}
  ) as moved
  group by 1 having sum(selisih) <> 0`;

/** Residents that another row of the hub takes over, as the rows they came from. */
async function loserRows(sql: Sql, ids: readonly string[]): Promise<PutAside[]> {
  // They are put aside as the hub sent them: a change made here is none of its business.
  const penduduk = (await readResidents(sql, ids)).map((resident) => ({
    ...resident.penduduk,
    peristiwa: "",
  }));
  const list = Buffer.from(toBinary(DaftarPendudukHubSchema, create(DaftarPendudukHubSchema, { penduduk })));
  const bounds = rowBounds(list);
  const row = newHubRow();
  return penduduk.map((_, index) => {
    readRow(row, list, bounds[index * 2]!, bounds[index * 2 + 1]!);
    return putAside(row, Sebab.GANDA, { alasan: "NIK_DUPLICATE", kolom: "nik" });
  });
}

function add(counts: Map<string, number>, kode: string, count: number): void {
  counts.set(kode, (counts.get(kode) ?? 0) + count);
}
