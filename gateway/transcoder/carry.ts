// Bytes that come in pieces and are wanted whole.
import { Code } from "@connectrpc/connect";
import { Refusal } from "./status.ts";

export interface Carry {
  /** Adds a piece; it may be used again afterwards. */
  keep(piece: Buffer): void;
  /** All that was kept, and a last piece. Begins anew. */
  take(last?: Buffer): Buffer;
}

/**
 * Both throw 413 when it is more than `maxBytes`. Pieces are copied together as they come: kept as they are, a body that is sent byte
 * by byte would take a hundred times its size.
 */
export function createCarry(maxBytes: number): Carry {
  let bytes = noBytes;
  let size = 0;

  function keep(piece: Buffer): void {
    const grown = size + piece.length;
    if (grown > maxBytes) {
      throw tooLarge(maxBytes);
    }
    if (grown > bytes.length) {
      const larger = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(grown, 2 * bytes.length)));
      bytes.copy(larger, 0, 0, size);
      bytes = larger;
    }
    piece.copy(bytes, size);
    size = grown;
  }
  return {
    keep,
    take(last = noBytes) {
      if (size === 0 && last.length <= maxBytes) {
        return last;
      }
      keep(last);
      const whole = bytes.subarray(0, size);
      bytes = noBytes;
      size = 0;
      return whole;
    },
  };
}

/** 413: a body, or a message of one, that is or would unpack to more than `maxBytes`. */
export function tooLarge(maxBytes: number): Refusal {
  return new Refusal(413, Code.ResourceExhausted, `the request body is larger than ${maxBytes} bytes`);
}

const noBytes = Buffer.alloc(0);
