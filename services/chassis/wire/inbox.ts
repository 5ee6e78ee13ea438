/** Messages of one stream on their way to a consumer that sets the pace: at most one is held ahead of it. */

interface Waiter<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

export class Inbox<T> implements AsyncIterableIterator<T, undefined, undefined> {
  readonly #pull: () => void;
  readonly #decode: (bytes: Buffer) => T;
  readonly #onReturn: () => void;
  readonly #waiters: Waiter<T>[] = [];
  #held: Buffer | undefined;
  #ended = false;
  #error: unknown;

  /** `pull` asks the wire for one more message; `onReturn` hears that the consumer left early. */
  constructor(pull: () => void, decode: (bytes: Buffer) => T, onReturn: () => void) {
    this.#pull = pull;
    this.#decode = decode;
    this.#onReturn = onReturn;
  }

  /** One message from the wire, in answer to a pull. */
  push(bytes: Buffer): void {
    if (this.#ended) {
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter === undefined) {
      this.#held = bytes;
      return;
    }
    this.#deliver(bytes, waiter);
    this.#pull();
  }

  /** No more messages. With an error, the consumer gets it after what is held. */
  end(error?: unknown): void {
    if (this.#ended) {
      return;
    }
    this.#ended = true;
    this.#error = error;
    for (const waiter of this.#waiters.splice(0)) {
      this.#settle(waiter);
    }
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => {
      const held = this.#held;
      if (held !== undefined) {
        this.#held = undefined;
        this.#deliver(held, { resolve, reject });
        if (!this.#ended) {
          this.#pull();
        }
      } else if (this.#ended) {
        this.#settle({ resolve, reject });
      } else {
        this.#waiters.push({ resolve, reject });
      }
    });
  }

  return(): Promise<IteratorResult<T, undefined>> {
    if (!this.#ended) {
      this.#onReturn();
    }
    this.#held = undefined;
    this.#error = undefined;
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #deliver(bytes: Buffer, waiter: Waiter<T>): void {
    let value: T;
    try {
      value = this.#decode(bytes);
    } catch (error) {
      waiter.reject(error);
      this.#onReturn();
      this.end();
      return;
    }
    waiter.resolve({ done: false, value });
  }

  #settle(waiter: Waiter<T>): void {
    const error = this.#error;
    if (error === undefined) {
      waiter.resolve({ done: true, value: undefined });
    } else {
      // Once is enough: after an error an iterator is done.
      this.#error = undefined;
      waiter.reject(error);
    }
  }
}
