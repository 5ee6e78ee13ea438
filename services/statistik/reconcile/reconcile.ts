// Compares registry, events and ledger while traffic goes on: what differs is looked at again, and only what stays is told.
import { pause } from "#chassis/backoff.ts";
import { NATION, wilayahContains } from "#chassis/wilayah.ts";
import type { Cell } from "../domain/ledger.ts";
import {
  type Difference,
  differenceKey,
  differencesIn,
  type Reading,
  type Registry,
} from "../domain/reconcile.ts";
import type { EventLog, Unreadable } from "./event-log.ts";

export type ReconcileDeps = {
  events: Pick<EventLog, "caughtUp" | "cells" | "events" | "unreadable">;
  /** Every cell, by full code and month. */
  ledger: () => Promise<Cell[]>;
  registry: () => Promise<Registry>;
  /** A kecamatan or wider; "ID" for everything. */
  wilayah: string;
  signal: AbortSignal;
  /** Longest time from a commit of the registry to the ledger, when nothing is behind. Default 1 s. */
  settleMs?: number;
  /** Default 10. */
  maxLooks?: number;
};

export type Report = {
  wilayah: string;
  isClean: boolean;
  /** Events that count, cells of the ledger, and kecamatan with residents, that were compared. */
  events: number;
  cells: number;
  kecamatan: number;
  differences: Difference[];
  unreadable: Unreadable[];
};

export async function reconcile(deps: ReconcileDeps): Promise<Report> {
  const { events, wilayah, signal, settleMs = 1_000, maxLooks = 10 } = deps;
  const isInside = ({ kode }: { kode: string }) => wilayahContains(wilayah, kode);

  async function read(): Promise<Reading> {
    await events.caughtUp();
    const ledger = await deps.ledger();
    return { ledger: ledger.filter(isInside), events: events.cells().filter(isInside) };
  }

  async function look() {
    const before = await read();
    const { residents, dalamPerpindahan } = await deps.registry();
    const inside = [...residents].filter(([kode]) => wilayahContains(wilayah, kode));
    const registry = { residents: new Map(inside), dalamPerpindahan };
    // What the registry had committed by then is on its way to the other two.
    await pause(settleMs, signal);
    return { before, registry, after: await read() };
  }

  let suspects: Set<string> | undefined;
  for (let looks = 1; ; looks++) {
    signal.throwIfAborted();
    const seen = await look();
    const found = differencesIn(seen)
      // Who is in transit is in no wilayah: of one alone there is nothing to compare.
      .filter(({ kode }) => kode !== "" || wilayah === NATION)
      .filter((difference) => suspects?.has(differenceKey(difference)) ?? true);
    if (found.length === 0 || looks === maxLooks) {
      const unreadable = events.unreadable();
      return {
        wilayah,
        isClean: found.length === 0 && unreadable.length === 0,
        events: events.events(),
        cells: seen.after.ledger.length,
        kecamatan: new Set([...seen.registry.residents.keys()].map((kode) => kode.slice(0, 8))).size,
        differences: found.map((each) => ({ ...each, kode: each.kode || NATION })),
        unreadable,
      };
    }
    suspects = new Set(found.map(differenceKey));
  }
}
