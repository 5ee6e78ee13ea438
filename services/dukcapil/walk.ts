// The rows of a wilayah as of a version, one after the other, in an order that never changes.
import { lowerBound, type Range } from "./domain/layout.ts";
import { createRowState, type RowState, readState } from "./domain/row-state.ts";
import type { EventState } from "./events.ts";
import type { Hub } from "./hub.ts";

export type Selection = { kodeWilayah: string; since: number; asOf: number };

/** The next row to look at: of a kelurahan's own (by number), or of those who came to it. */
export type Position = { kel: number; isGuest: boolean; at: number };

export type Step = "row" | "pause" | "end";

/**
 * Kelurahan by kelurahan in the order of their codes: first its rows of the beginning who live there as of the version,
 * then who came: moved in, was born, was reported. What {@link next} has found stands in `state` or `event`.
 */
export class RowWalk {
  readonly state: RowState = createRowState();
  /** The row is what a registry has reported; then `state` is not. */
  event: EventState | undefined;
  readonly #hub: Hub;
  readonly #selection: Selection;
  readonly #range: Range;
  readonly #position: Position;
  #guests: number[] | undefined;
  #isStill = false;

  constructor(hub: Hub, selection: Selection, from?: Position) {
    const { layout } = hub.world;
    this.#hub = hub;
    this.#selection = selection;
    this.#range = layout.rangeOf(selection.kodeWilayah);
    const kel = this.#range.fromKel;
    this.#position = from ? { ...from } : { kel, isGuest: false, at: layout.kelStart[kel]! };
  }

  /** Where to go on after the row that was found. */
  position(): Position {
    return { ...this.#position };
  }

  /** Whether a position lies in what is walked: cursors come from outside. */
  static has({ world }: Hub, kodeWilayah: string, { kel, isGuest, at }: Position): boolean {
    const { fromKel, toKel } = world.layout.rangeOf(kodeWilayah);
    // The cursor of the last batch stands behind the last kelurahan.
    if (kel === toKel) return true;
    if (kel < fromKel || kel > toKel) return false;
    return isGuest || (at >= world.layout.kelStart[kel]! && at <= world.layout.kelStart[kel + 1]!);
  }

  /** Number of the row that was found. */
  get index(): number {
    return this.event?.index ?? this.state.index;
  }

  get versi(): number {
    return this.event?.versi ?? this.state.versi;
  }

  get kel(): number {
    return this.event?.kel ?? this.state.kel;
  }

  /** Goes to the next row; "pause" after looking at so many without finding one, to let others in. */
  next(maxLooks: number): Step {
    const { layout, rounds } = this.#hub.world;
    const position = this.#position;
    // Nothing ever changed: no row comes from elsewhere, none has an event.
    this.#isStill = rounds.length === 0 && this.#hub.events.size === 0;
    let looks = maxLooks;
    for (; position.kel < this.#range.toKel; this.#enter(position.kel + 1)) {
      if (!position.isGuest) {
        const end = layout.kelStart[position.kel + 1]!;
        while (position.at < end) {
          if (looks-- <= 0) return "pause";
          if (this.#look(position.at++, position.kel) && this.kel === position.kel) return "row";
        }
        position.isGuest = true;
        position.at = 0;
      }
      if (this.#isStill) continue;
      looks -= 1 + rounds.length;
      this.#guests ??= guestsOf(this.#hub, position.kel);
      for (const index of this.#guests) {
        if (index < position.at) continue;
        position.at = index + 1;
        if (this.#isGuestOf(position.kel, index)) return "row";
      }
      if (looks <= 0 && position.kel + 1 < this.#range.toKel) {
        this.#enter(position.kel + 1);
        return "pause";
      }
    }
    return "end";
  }

  #enter(kel: number): void {
    this.#position.kel = kel;
    this.#position.isGuest = false;
    this.#position.at = this.#hub.world.layout.kelStart[kel]!;
    this.#guests = undefined;
  }

  #isGuestOf(kel: number, index: number): boolean {
    const { layout } = this.#hub.world;
    const home = index < layout.penduduk ? layout.kelOf(index) : -1;
    return this.#look(index, home) && this.kel === kel && home !== kel;
  }

  #look(index: number, home: number): boolean {
    const { since, asOf, kodeWilayah } = this.#selection;
    this.event = this.#isStill ? undefined : this.#hub.events.stateOf(index, asOf);
    if (!this.event) return readState(this.#hub.world, index, home, asOf, this.state) && this.versi > since;
    // What was reported may name a kecamatan only: it is not in any one kelurahan of it.
    const isElsewhere = kodeWilayah.length === 13 && this.event.message.kodeWilayah !== kodeWilayah;
    return !isElsewhere && this.versi > since;
  }
}

/** Rows that came to a kelurahan at some time, by number. */
function guestsOf({ world, events }: Hub, kel: number): number[] {
  const found = new Set(events.rowsIn(kel));
  for (const { movers, births } of world.rounds) {
    for (let n = firstOf(movers.kels, kel); movers.kels[n] === kel; n++) found.add(movers.rows[n]!);
    for (let n = firstOf(births.kels, kel); births.kels[n] === kel; n++) found.add(births.first + n);
  }
  return [...found].sort((a, b) => a - b);
}

function firstOf(kels: Int32Array, kel: number): number {
  return lowerBound(kels.length, (n) => kels[n]! >= kel);
}
