// Ids for the residents and family cards of a batch: UUIDs of version 7 (RFC 9562), in order, with randomness fetched once.
import { randomFillSync } from "node:crypto";

/** The next id; its bytes are good until the next call. */
export type IdSource = () => Uint8Array;

/** Random bytes are fetched for so many ids at a time: one by one, they were a third of the work on a batch. */
const POOL = 1_024;
const RANDOM_BYTES = 8;
/** Ids within one millisecond are told apart, and put in order, by 12 bits. */
const PER_MS = 1 << 12;

export function idSource(at: Date): IdSource {
  const id = new Uint8Array(16);
  const pool = new Uint8Array(POOL * RANDOM_BYTES);
  let used = POOL;
  let count = 0;
  return () => {
    if (used === POOL) {
      randomFillSync(pool);
      used = 0;
    }
    const ms = at.getTime() + Math.floor(count / PER_MS);
    const sequence = count++ % PER_MS;
    const high = Math.floor(ms / 2 ** 16);
    id[0] = high >>> 24;
    id[1] = high >>> 16;
    id[2] = high >>> 8;
    id[3] = high;
    id[4] = ms / 2 ** 8;
    id[5] = ms;
    id[6] = 0x70 | (sequence >>> 8);
    id[7] = sequence;
    for (let n = 0; n < RANDOM_BYTES; n++) id[8 + n] = pool[used * RANDOM_BYTES + n]!;
    id[8] = 0x80 | (id[8]! & 0x3f);
    used++;
    return id;
  };
}
