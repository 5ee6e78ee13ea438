// What happened to reports, in the order of its commits, from PostgreSQL.
import type { Database } from "#chassis/database.ts";
import { BARE_EVENT, type BareLaporan, bareEvent } from "./bare-events.ts";
import { evolve } from "./domain/laporan.ts";
import type { FeedStore, Perubahan } from "./feed.ts";

// As the outbox is read: below the oldest transaction that still runs, or one that commits late would be skipped.
const SETTLED = "xid < pg_snapshot_xmin(pg_current_snapshot())";

export function postgresFeedStore(db: Database): FeedStore {
  return {
    async head() {
      const { rows } = await db.query({
        name: "feed-head",
        text: `select p.xid::text, p.position::text from peristiwa p where p.${SETTLED}
               order by p.xid desc, p.position desc limit 1`,
      });
      const { xid, position } = rows[0] ?? { xid: "0", position: "0" };
      return { xid: BigInt(xid), urut: BigInt(position) };
    },

    async changesAfter({ xid, urut }, limit) {
      const { rows: changed } = await db.query({
        name: "feed-read",
        text: `select p.laporan as id, p.versi, p.xid::text, p.position::text from peristiwa p
               where (p.xid, p.position) > ($1::xid8, $2::bigint) and p.${SETTLED}
               order by p.xid, p.position limit $3`,
        values: [String(xid), String(urut), limit],
      });
      if (changed.length === 0) return [];
      const { rows: events } = await db.query({
        name: "feed-events",
        text: `select ${BARE_EVENT} from peristiwa where laporan = any($1::uuid[]) order by laporan, versi`,
        values: [[...new Set(changed.map(({ id }) => id))]],
      });
      const lives = new Map(
        [...Map.groupBy(events, ({ id }) => id)].map(([id, rows]) => [id, statesOf(rows)]),
      );
      return changed.map(({ id, versi, ...at }): Perubahan => {
        const states = lives.get(id)!;
        const before = states[versi - 2];
        return {
          posisi: { xid: BigInt(at.xid), urut: BigInt(at.position) },
          before: before && { ...before, id },
          after: { ...states[versi - 1]!, id },
        };
      });
    },
  };
}

/** The state after each event, the first first. */
function statesOf(rows: readonly unknown[]): BareLaporan[] {
  const states: BareLaporan[] = [];
  for (const row of rows) states.push(evolve(states.at(-1), bareEvent(row)));
  return states;
}
