// A row of the hub and the resident of the same NIK: which of the two holds.

export type HubState = {
  idHub: number;
  versi: number;
  /** Id of the event it acknowledges, or "". */
  peristiwa: string;
};

export type LocalState = {
  /** undefined: no row of the hub has been merged into this resident. */
  idHub: number | undefined;
  versi: number;
  /** Id of the last change made here that the hub has not acknowledged. */
  perubahanLokal: string | undefined;
};

/** What a person has said of the row: that it holds against a local change, or that it is one. */
export type Order = "none" | "paksa" | "koreksi";

export type Decision =
  | "insert"
  | "update"
  /** Like update; the row of the hub that the resident came from is put aside as a duplicate. */
  | "replace"
  | "unchanged"
  | "stale"
  | "conflict"
  | "duplicate";

/**
 * Depends on the two states alone, never on the order in which rows arrive: two streams merge at the same time.
 *
 * - Of two rows of the hub with one NIK the one with the lower id is kept, the one that was registered first.
 * - A newer state holds, unless a change made here is not acknowledged by it. So a stale row cannot bring a dead resident
 *   back, and a newer one that does not know of the death cannot either.
 */
export function decideMerge(hub: HubState, local: LocalState | undefined, order: Order = "none"): Decision {
  if (!local) return "insert";
  if (order === "koreksi") return "update";
  const isPending =
    local.perubahanLokal !== undefined && local.perubahanLokal !== hub.peristiwa && order !== "paksa";
  if (local.idHub !== undefined && local.idHub !== hub.idHub) {
    if (hub.idHub > local.idHub) return "duplicate";
    return isPending ? "conflict" : "replace";
  }
  if (hub.versi === local.versi) return "unchanged";
  if (hub.versi < local.versi) return "stale";
  return isPending ? "conflict" : "update";
}
