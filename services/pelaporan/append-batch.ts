// Group commit of events: what arrives together shares a transaction (docs/decisions/0019).
import { createBatcher } from "#chassis/batcher.ts";
import { type Database, isOfOneRow, type Sql } from "#chassis/database.ts";
import { appendStatement } from "./append-statement.ts";
import type { AppendCommand, LaporanStore, NumberedCommand } from "./store.ts";

/** Connections for each of the two kinds, of the pool's eight: submissions of one kelurahan queue for the row of its serial. */
const LIMITS = { maxBatch: 50, maxInFlight: 2, maxQueue: 2_000 };

export type Appender = {
  /** false when another has added an event of that number. */
  append: (command: AppendCommand) => Promise<boolean>;
  appendNumbered: LaporanStore["appendNumbered"];
};

export function openAppender(db: Database): Appender {
  return {
    append: createBatcher({ ...LIMITS, run: (items) => eachOrAlone(items, (some) => appendAll(db, some)) }),
    appendNumbered: createBatcher({
      ...LIMITS,
      run: (items) =>
        eachOrAlone(items, (some) =>
          db.transaction(async (sql) => {
            const serials = await takeSerials(sql, some);
            const commands = some.map(({ prefix, compose }) => compose(serials.get(prefix)!.next().value!));
            await appendStatement(sql, commands);
            return commands;
          }),
        ),
    }),
  };
}

/** Of two that decide on one report in one batch, the first wins. */
async function appendAll(db: Database, commands: readonly AppendCommand[]): Promise<boolean[]> {
  const firsts = new Map(commands.toReversed().map((command) => [command.id, command]));
  const appended = await appendStatement(db, [...firsts.values()]);
  return commands.map((command) => firsts.get(command.id) === command && appended.has(command.id));
}

/** For each prefix, the serials of this transaction, in order. Prefixes are locked in one order by every batch. */
async function takeSerials(
  sql: Sql,
  items: readonly NumberedCommand[],
): Promise<Map<string, Generator<number, undefined>>> {
  const wanted = new Map<string, number>();
  for (const { prefix } of items) wanted.set(prefix, (wanted.get(prefix) ?? 0) + 1);
  const { rows } = await sql.query({
    name: "laporan-nomor",
    text: `insert into nomor as n (prefix, serial)
           select * from unnest($1::text[], $2::int[]) as w(prefix, wanted) order by prefix
           on conflict (prefix) do update set serial = n.serial + excluded.serial returning prefix, serial`,
    values: [[...wanted.keys()], [...wanted.values()]],
  });
  return new Map(rows.map(({ prefix, serial }) => [prefix, upTo(serial, wanted.get(prefix)!)]));
}

function* upTo(last: number, count: number): Generator<number, undefined> {
  for (let serial = last - count + 1; serial <= last; serial++) yield serial;
}

/** One item must not fail its neighbours: when the fault is of a row, each gets a transaction of its own. */
async function eachOrAlone<Item, Result>(
  items: readonly Item[],
  run: (items: readonly Item[]) => Promise<Result[]>,
): Promise<(Result | Error)[]> {
  try {
    return await run(items);
  } catch (cause) {
    if (items.length === 1 || !isOfOneRow(cause)) throw cause;
    const alone = async (item: Item) => (await run([item]))[0]!;
    return Promise.all(
      items.map((item) => alone(item).catch((own) => (own instanceof Error ? own : new Error(String(own))))),
    );
  }
}
