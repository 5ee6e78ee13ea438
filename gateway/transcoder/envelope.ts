// gRPC's framing of messages: a flag, four bytes of length, and the message.
import { Code, ConnectError } from "@connectrpc/connect";

/** What frames a message. */
export const envelopeHeadBytes = 5;

/** A message with its frame. */
export function envelope(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(envelopeHeadBytes + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, envelopeHeadBytes);
  return framed;
}

/** Takes bytes as they come, and gives messages as they are complete; holds one unfinished message at the most. */
export class EnvelopeReader {
  readonly #maxBytes: number;
  readonly #head = Buffer.allocUnsafe(envelopeHeadBytes);
  #headBytes = 0;
  #message: Buffer | undefined;
  #messageBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether nothing has begun that is not complete. */
  get isBetween(): boolean {
    return this.#headBytes === 0;
  }

  /**
   * Hands each message that is complete to `onMessage`, which may return false to hear of no more. Throws ConnectError:
   * RESOURCE_EXHAUSTED for a message that is too large, INTERNAL for one that is compressed, for nobody offered to take that.
   */
  push(bytes: Buffer, onMessage: (message: Buffer) => boolean): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#message === undefined) {
        if (this.#headBytes === 0 && bytes.length - at >= envelopeHeadBytes) {
          const start = at + envelopeHeadBytes;
          const end = start + this.#lengthOf(bytes, at);
          if (end <= bytes.length) {
            at = end;
            if (!onMessage(bytes.subarray(start, end))) return;
            continue;
          }
        }
        const taken = bytes.copy(this.#head, this.#headBytes, at);
        this.#headBytes += taken;
        at += taken;
        if (this.#headBytes < envelopeHeadBytes) return;
        this.#message = Buffer.allocUnsafe(this.#lengthOf(this.#head, 0));
        this.#messageBytes = 0;
      }
      const message = this.#message;
      const taken = bytes.copy(message, this.#messageBytes, at);
      this.#messageBytes += taken;
      at += taken;
      if (this.#messageBytes === message.length) {
        this.#message = undefined;
        this.#headBytes = 0;
        if (!onMessage(message)) return;
      }
    }
  }

  #lengthOf(head: Buffer, at: number): number {
    if (head[at] !== 0) {
      throw new ConnectError("protocol error: a compressed message, which was not asked for", Code.Internal);
    }
    const length = head.readUInt32BE(at + 1);
    if (length > this.#maxBytes) {
      throw new ConnectError(
        `message size ${length} is larger than configured readMaxBytes ${this.#maxBytes}`,
        Code.ResourceExhausted,
      );
    }
    return length;
  }
}
