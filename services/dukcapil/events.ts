// Rows as registries have reported them: kept in memory, few, and over what the simulator makes up.
import { toBinary } from "@bufbuild/protobuf";
import { type PendudukHub, PendudukHubSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";

export type EventState = {
  index: number;
  versi: number;
  /** Kelurahan with which it is streamed. */
  kel: number;
  message: PendudukHub;
  bytes: Uint8Array;
};

export type Events = ReturnType<typeof createEvents>;

export function createEvents() {
  const byIndex = new Map<number, EventState[]>();
  const byKel = new Map<number, Set<number>>();
  const byNik = new Map<string, number>();
  /** Event id -> version. */
  const answers = new Map<string, number>();
  let newest = 0;

  return {
    get size(): number {
      return byIndex.size;
    },
    /** Version of the newest state; 0 if there is none. */
    get newest(): number {
      return newest;
    },
    get count(): number {
      return answers.size;
    },
    answerOf: (peristiwa: string): number | undefined => answers.get(peristiwa),
    has: (index: number): boolean => byIndex.has(index),
    /** The state of a row as of a version; undefined if no event has touched it by then. */
    stateOf: (index: number, asOf: number): EventState | undefined =>
      byIndex.get(index)?.findLast((state) => state.versi <= asOf),
    indexOf: (nik: string): number | undefined => byNik.get(nik),
    /** Rows that an event has put there at some time. */
    rowsIn: (kel: number): Iterable<number> => byKel.get(kel) ?? [],

    add(index: number, kel: number, versi: number, message: PendudukHub): void {
      const state = { index, versi, kel, message, bytes: toBinary(PendudukHubSchema, message) };
      byIndex.set(index, [...(byIndex.get(index) ?? []), state]);
      byKel.set(kel, (byKel.get(kel) ?? new Set()).add(index));
      byNik.set(message.nik, index);
      answers.set(message.peristiwa, versi);
      newest = versi;
    },
  };
}
