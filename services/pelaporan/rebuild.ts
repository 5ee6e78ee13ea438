// Makes the state of lists again from the events, while reports go on (docs/decisions/0019).
import type { Database, Sql } from "#chassis/database.ts";
import { BARE_EVENT, bareEvent } from "./bare-events.ts";
import { fold } from "./domain/laporan.ts";
import { STATE_COLUMNS, STATE_RECORD, stateRow } from "./state-row.ts";

export type Kemajuan = { laporan: number; peristiwa: number; diperbaiki: number; dihapus: number };

/** Reports a page. A page that is right is read by two statements and locks nothing. */
const PAGE = 500;
/** A writer that locked the same rows in another order: PostgreSQL ends one of the two. */
const MAX_ATTEMPTS = 5;
/** Lower than every id of a report. */
const FIRST = "00000000-0000-0000-0000-000000000000";

/** Yields after every page what was done so far; the last one at the end. */
export async function* rebuildLaporan(db: Database, page = PAGE): AsyncGenerator<Kemajuan> {
  const sum: Kemajuan = { laporan: 0, peristiwa: 0, diperbaiki: 0, dihapus: 0 };
  for (let after: string | undefined = FIRST; after !== undefined; ) {
    const { states, peristiwa, last } = await statesAfter(db, after, page);
    const suspects = await differing(db, states, after, last);
    if (suspects.length > 0) {
      const { diperbaiki, dihapus } = await mendInsistently(db, suspects);
      sum.diperbaiki += diperbaiki;
      sum.dihapus += dihapus;
    }
    sum.laporan += states.length;
    sum.peristiwa += peristiwa;
    after = last;
    yield { ...sum };
  }
}

type State = ReturnType<typeof stateRow>;

/** @returns `last` undefined when no report comes after these. */
async function statesAfter(sql: Sql, after: string, limit: number) {
  const { rows } = await sql.query({
    name: "rebuild-page",
    text: `select ${BARE_EVENT} from peristiwa
           where laporan in (
             select laporan from peristiwa where versi = 1 and laporan > $1 order by laporan limit $2)
           order by laporan, versi`,
    values: [after, limit],
  });
  const states = foldAll(rows);
  return { states, peristiwa: rows.length, last: states.length < limit ? undefined : states.at(-1)!.id };
}

/**
 * Reports of a page whose row is missing or wrong, and rows between its first and its last id without an event. Also those that
 * have moved on since they were folded: they are looked at again.
 */
async function differing(
  sql: Sql,
  states: readonly State[],
  after: string,
  last: string | undefined,
): Promise<string[]> {
  const { rows } = await sql.query({
    name: "rebuild-compare",
    text: `with expected as materialized (select * from json_to_recordset($1::json) as r(${STATE_RECORD}))
           select coalesce(e.id, l.id) as id
           from expected e
           full join (select ${STATE_COLUMNS} from laporan where id > $2 and ($3::uuid is null or id <= $3)) l using (id)
           where e.* is distinct from l.*`,
    values: [JSON.stringify(states), after, last ?? null],
  });
  return rows.map(({ id }) => id);
}

async function mendInsistently(db: Database, ids: readonly string[]) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction((sql) => mend(sql, ids));
    } catch (cause) {
      const isDeadlock = cause instanceof Error && "code" in cause && cause.code === "40P01";
      if (!isDeadlock || attempt === MAX_ATTEMPTS) throw cause;
    }
  }
}

/**
 * Whoever adds an event locks the row of its report before they commit, also a wrong row that they leave as it is. So with the
 * row in our hands, the events that can be read are all there are, and who adds the next one writes after us.
 */
async function mend(sql: Sql, ids: readonly string[]): Promise<{ diperbaiki: number; dihapus: number }> {
  await sql.query("select 1 from laporan where id = any($1::uuid[]) order by id for update", [ids]);
  const { rows: events } = await sql.query(
    `select ${BARE_EVENT} from peristiwa where laporan = any($1::uuid[]) order by laporan, versi`,
    [ids],
  );
  const states = foldAll(events);
  const known = new Set(states.map(({ id }) => id));
  const { rowCount: dihapus } = await sql.query("delete from laporan where id = any($1::uuid[])", [
    ids.filter((id) => !known.has(id)),
  ]);
  // A wrong row may hold the number of another: it waits for its own with one that nobody has.
  await sql.query(
    `update laporan l set nomor = 'salah-' || l.id
     from json_to_recordset($1::json) as r(id uuid, nomor text) where l.nomor = r.nomor and l.id <> r.id`,
    [JSON.stringify(states)],
  );
  const { rowCount: replaced } = await sql.query(
    `update laporan l set (${STATE_COLUMNS}) = (select ${prefixed("r")})
     from json_to_recordset($1::json) as r(${STATE_RECORD})
     where l.id = r.id and (${prefixed("l")}) is distinct from (${prefixed("r")})`,
    [JSON.stringify(states)],
  );
  // One that was missing, and is there now, was written by who has added an event since.
  const { rowCount: restored } = await sql.query(
    `insert into laporan (${STATE_COLUMNS}) select * from json_to_recordset($1::json) as r(${STATE_RECORD}) order by id
     on conflict (id) do nothing`,
    [JSON.stringify(states)],
  );
  return { diperbaiki: (replaced ?? 0) + (restored ?? 0), dihapus: dihapus ?? 0 };
}

function foldAll(rows: readonly { id: string }[]): State[] {
  return [...Map.groupBy(rows, ({ id }) => id)].map(([id, events]) =>
    stateRow(id, fold(events.map(bareEvent))!),
  );
}

function prefixed(table: string): string {
  return STATE_COLUMNS.split(", ")
    .map((column) => `${table}.${column}`)
    .join(", ");
}
