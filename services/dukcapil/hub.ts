// The hub itself: its population, the time that has passed over it, and what registries have told it.
import { setImmediate as turn } from "node:timers/promises";
import { clone, create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { refuse, refuseFields } from "#chassis/refusal.ts";
import { type PendudukHub, PendudukHubSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { candidatesOf } from "./domain/find-nik.ts";
import { addRound, type Passed, passTime } from "./domain/pass-time.ts";
import { createRowFacts, readFacts } from "./domain/row-facts.ts";
import { createRowState, readState } from "./domain/row-state.ts";
import { rowText } from "./domain/row-text.ts";
import { createWorld, MAX_ROUNDS, type Population, VERSIONS_A_ROUND, type World } from "./domain/world.ts";
import { createEvents, type Events } from "./events.ts";
import type { Journal } from "./journal.ts";

export type Hub = {
  world: World;
  events: Events;
  /** Identifies the population: cursors of another one are not good here. */
  id: string;
  /** Number of the newest state of any row. */
  versi: () => number;
  /** Rows that were ever there. */
  jumlah: () => number;
  changePenduduk: (permil: number) => Promise<{ versi: number; jumlah: number }>;
  reportPeristiwa: (peristiwa: string, penduduk: PendudukHub) => Promise<number>;
  /** The newest present row with this NIK. */
  lookupPenduduk: (nik: string) => PendudukHub | undefined;
  /** A row as of a version, readable; undefined if it was not there. */
  rowAt: (index: number, asOf: number) => PendudukHub | undefined;
};

/** Largest row that an event may bring: batches of the largest size must stay below the mesh's 4 MiB a message. */
const MAX_EVENT_BYTES = 2_048;

/** @param churn permille of a round that has passed when a hub opens for the first time. */
export async function openHub(
  population: Population,
  journal: Pick<Journal, "entries" | "append">,
  churn = 0,
): Promise<Hub> {
  const world = createWorld(population);
  const events = createEvents();
  let newest = population.penduduk;
  let last: Promise<unknown> = Promise.resolve();

  /** One change at a time: numbers are given in the order of the journal. */
  function exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = last.then(work);
    last = done.catch(() => {});
    return done;
  }

  function count(passed: Passed): void {
    addRound(world, passed);
    newest = Math.max(newest, passed.versi);
  }

  /** The row with this NIK, by the newer of two. */
  function find(nik: string): { index: number; message: PendudukHub } | undefined {
    let found: { index: number; message: PendudukHub } | undefined;
    for (const index of [events.indexOf(nik), ...candidatesOf(world, nik)]) {
      const message = index === undefined ? undefined : rowAt(index, Number.MAX_SAFE_INTEGER);
      if (message?.nik === nik && (!found || message.versi > found.message.versi)) {
        found = { index: index!, message };
      }
    }
    return found;
  }

  function rowAt(index: number, asOf: number): PendudukHub | undefined {
    const event = events.stateOf(index, asOf);
    if (event) return clone(PendudukHubSchema, event.message);
    const state = createRowState();
    const facts = createRowFacts();
    const home = index < world.layout.penduduk ? world.layout.kelOf(index) : 0;
    if (!readState(world, index, home, asOf, state)) return undefined;
    readFacts(world, state, facts);
    // Enums are plain numbers in the domain, which knows no contract.
    return create(PendudukHubSchema, rowText(world, facts) as MessageInitShape<typeof PendudukHubSchema>);
  }

  function placeOf({ nik, kodeWilayah }: PendudukHub): number {
    const kel = world.layout.placeOf(kodeWilayah);
    if (kel < 0) {
      const description = "must be a kecamatan or kelurahan that exists";
      throw refuseFields([{ field: "penduduk.kode_wilayah", description, reason: "WILAYAH_UNKNOWN" }]);
    }
    if (!/^[0-9]{16}$/.test(nik)) {
      throw refuseFields([{ field: "penduduk.nik", description: "must be 16 digits", reason: "NIK_FORMAT" }]);
    }
    return kel;
  }

  function take(peristiwa: string, penduduk: PendudukHub): number {
    const kel = placeOf(penduduk);
    const index = find(penduduk.nik)?.index ?? world.nextIndex++;
    // After all of the last round, before any of the next.
    const versi = world.rounds.length * VERSIONS_A_ROUND + VERSIONS_A_ROUND / 2 + events.count;
    const message = clone(PendudukHubSchema, penduduk);
    Object.assign(message, { id: BigInt(index + 1), versi: BigInt(versi), peristiwa });
    events.add(index, kel, versi, message);
    newest = versi;
    return versi;
  }

  for (const entry of journal.entries) {
    if ("permil" in entry) count(passAtOnce(world, entry.permil, events.has));
    else take(entry.peristiwa, fromBinary(PendudukHubSchema, Buffer.from(entry.penduduk, "base64")));
  }
  if (churn > 0 && world.rounds.length === 0) {
    await journal.append({ putaran: 1, permil: churn });
    count(passAtOnce(world, churn, events.has));
  }

  return {
    world,
    events,
    id: `${population.seed}-${population.penduduk}`,
    versi: () => newest,
    jumlah: () => world.nextIndex,
    rowAt,
    lookupPenduduk: (nik) => find(nik)?.message,

    changePenduduk: (permil) =>
      exclusive(async () => {
        const putaran = world.rounds.length + 1;
        if (putaran > MAX_ROUNDS) {
          throw refuse("precondition", "ROUNDS_USED_UP", `this hub has had its ${MAX_ROUNDS} rounds`);
        }
        const passing = passTime(world, permil, events.has);
        let step = passing.next();
        for (; !step.done; step = passing.next()) await turn();
        await journal.append({ putaran, permil });
        count(step.value);
        return { versi: newest, jumlah: step.value.jumlah };
      }),

    reportPeristiwa: (peristiwa, penduduk) =>
      exclusive(async () => {
        const known = events.answerOf(peristiwa);
        if (known !== undefined) return known;
        placeOf(penduduk);
        const bytes = toBinary(PendudukHubSchema, penduduk, { writeUnknownFields: false });
        if (bytes.length > MAX_EVENT_BYTES) {
          const description = `must be no longer than ${MAX_EVENT_BYTES} bytes`;
          throw refuseFields([{ field: "penduduk", description, reason: "TOO_LONG" }]);
        }
        await journal.append({ peristiwa, penduduk: Buffer.from(bytes).toString("base64") });
        return take(peristiwa, fromBinary(PendudukHubSchema, bytes));
      }),
  };
}

/** Before anybody can ask, there is nobody to wait. */
function passAtOnce(world: World, permil: number, isFrozen: (index: number) => boolean): Passed {
  const passing = passTime(world, permil, isFrozen);
  let step = passing.next();
  while (!step.done) step = passing.next();
  return step.value;
}
