// A client's HTTP/2 connection (RFC 9113) for many small requests: what they write in one turn of the event loop is one write.
import type { Socket } from "node:net";
import {
  encodeName,
  type HeaderList,
  HpackDecoder,
  HpackError,
  stringBytesMax,
  writeString,
} from "./hpack.ts";

/** Why a request ended without the end of its answer. */
export type Failure =
  /** The server reset it. */
  | { readonly kind: "reset"; readonly errorCode: number }
  /** The server has not looked at it, and says so: it can be sent again. */
  | { readonly kind: "refused" }
  /** The connection broke, and nobody knows how far the server came. */
  | { readonly kind: "lost"; readonly cause: Error };

/** What a request hears of its answer. After `onFailure`, and after an `isEnd`, it hears no more. */
export interface ExchangeListener {
  /** Headers, and later perhaps trailers. */
  onHeaders(headers: HeaderList, isEnd: boolean): void;
  /** Bytes of the body; they stay valid. Each must be credited once it is used, or the server stops to send. */
  onData(bytes: Buffer, isEnd: boolean): void;
  onFailure(failure: Failure): void;
}

export interface ConnectionOptions {
  /** Bytes of an answer that the server may send before they are credited. */
  readonly windowBytes: number;
  /** Size of the headers of an answer. */
  readonly headerBytesMax: number;
  /** Finds a peer that went away without a FIN. Default: nobody looks. */
  readonly keepalive?: { readonly timeMs: number; readonly timeoutMs: number };
}

export interface ConnectionEvents {
  /** The server's settings are here: it speaks HTTP/2. */
  readonly onReady: () => void;
  /** Requests may have room again. */
  readonly onRoom: () => void;
  /** It takes no more requests; those that are open may end. */
  readonly onDraining: () => void;
  readonly onClosed: (cause: Error) => void;
}

/** RFC 9113, 7. */
export const errorCodes = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
} as const;

export class Connection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #events: ConnectionEvents;
  readonly #decoder: HpackDecoder;
  readonly #exchanges = new Map<number, Exchange>();
  /** Exchanges with bytes that flow control holds back, in the order in which they get a turn. */
  readonly #blocked = new Set<Exchange>();
  /** Exchanges whose sender waits for room. For Exchange, too. */
  readonly _waiting = new Set<Exchange>();
  readonly #names = new Map<string, Buffer>();
  #nextId = 1;
  #isReady = false;
  #isDraining = false;
  #isClosed = false;

  // What is written: the bytes of `#slab` from `#start` to `#end` are not yet with the socket.
  #slab = Buffer.allocUnsafeSlow(slabBytes);
  #start = 0;
  #end = 0;
  #isFlushing = false;

  // What is read: the beginning of a frame whose end has not come.
  #partial: Buffer | undefined;
  #partialBytes = 0;
  /** A header block that CONTINUATION frames go on with. */
  #block:
    | { readonly id: number; readonly isEnd: boolean; readonly parts: Buffer[]; bytes: number }
    | undefined;

  // Flow control. Of what the peer sends, the connection's share is credited as it comes: the exchanges bound it.
  #sendWindow = defaultWindowBytes;
  #peerWindowBytes = defaultWindowBytes;
  #peerFrameBytesMax = 16_384;
  #peerExchangesMax = Number.POSITIVE_INFINITY;
  #uncredited = 0;

  #readAtMs = performance.now();
  #pingedAtMs = 0;
  #keepalive: NodeJS.Timeout | undefined;

  /** Takes a socket that is connected, or about to be. */
  constructor(socket: Socket, options: ConnectionOptions, events: ConnectionEvents) {
    this.#socket = socket;
    this.#options = options;
    this.#events = events;
    this.#decoder = new HpackDecoder({ listBytesMax: options.headerBytesMax, tableBytesMax: 0 });
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#onChunk(chunk));
    socket.on("end", () => this.#close(new Error("the server closed the connection")));
    socket.on("error", (error) => this.#close(error));
    socket.on("close", () => this.#close(new Error("the connection was closed")));
    socket.on("drain", () => this.#wake());
    this.#writeBytes(preface);
    this.#writeSettings();
    this.#writeWindowUpdate(0, connectionWindowBytes - defaultWindowBytes);
    if (options.keepalive !== undefined) {
      const { timeMs, timeoutMs } = options.keepalive;
      this.#keepalive = setInterval(
        () => this.#lookAlive(timeMs, timeoutMs),
        Math.min(timeMs, timeoutMs),
      ).unref();
    }
  }

  /** Whether it takes another request now. */
  get hasRoom(): boolean {
    return this.#isReady && this.isUsable && this.#exchanges.size < this.#peerExchangesMax;
  }

  /** Whether it takes requests at all, once there is room. */
  get isUsable(): boolean {
    return !this.#isDraining && !this.#isClosed;
  }

  /**
   * Begins a request: `head` is an encoded header block, `headers` come on top of it, in lower case and printable ASCII. Call it
   * only while there is room. The body follows by `send`.
   */
  open(head: Buffer, headers: HeaderList, listener: ExchangeListener): Exchange {
    const id = this.#nextId;
    this.#nextId += 2;
    if (id > lastIdMax) {
      this.#drain();
    }
    const exchange = new Exchange(this, id, listener, this.#peerWindowBytes, this.#options.windowBytes);
    this.#exchanges.set(id, exchange);
    let bytesMax = frameHeadBytes + head.length;
    for (let i = 0; i < headers.length; i += 2) {
      bytesMax += this.#nameOf(headers[i]!).length + stringBytesMax(headers[i + 1]!);
    }
    this.#reserve(bytesMax);
    const start = this.#end;
    let at = start + frameHeadBytes;
    at += head.copy(this.#slab, at);
    for (let i = 0; i < headers.length; i += 2) {
      at += this.#nameOf(headers[i]!).copy(this.#slab, at);
      at = writeString(this.#slab, at, headers[i + 1]!);
    }
    const bytes = at - start - frameHeadBytes;
    if (bytes <= this.#peerFrameBytesMax) {
      this.#writeFrameHead(bytes, frameTypes.headers, flags.endHeaders, id);
      this.#end = at;
    } else {
      this.#writeLongBlock(Buffer.from(this.#slab.subarray(start + frameHeadBytes, at)), id);
    }
    return exchange;
  }

  /** Takes no more requests, and closes when those that are open have ended. */
  close(): void {
    this.#drain();
    this.#closeWhenDone();
  }

  /** Closes at once. */
  destroy(cause: Error): void {
    this.#close(cause);
  }

  // For Exchange alone.

  /** Writes body bytes, or keeps them until flow control lets them go. */
  _send(exchange: Exchange, bytes: Uint8Array, isEnd: boolean): void {
    if (
      exchange._pending.length === 0 &&
      bytes.length <= exchange._sendWindow &&
      bytes.length <= this.#sendWindow &&
      bytes.length <= this.#peerFrameBytesMax
    ) {
      this.#writeData(exchange, bytes, isEnd);
    } else {
      exchange._pending.push({ bytes, isEnd });
      this.#blocked.add(exchange);
      this.#writeBlocked(exchange);
    }
  }

  _credit(exchange: Exchange, bytes: number): void {
    if (!this.#isClosed) {
      this.#writeWindowUpdate(exchange.id, bytes);
    }
  }

  _reset(exchange: Exchange, errorCode: number): void {
    if (this.#exchanges.has(exchange.id) && !this.#isClosed) {
      this.#writeReset(exchange.id, errorCode);
      this.#forget(exchange);
    }
  }

  _isSent(exchange: Exchange): boolean {
    return exchange._isOver || (exchange._pending.length === 0 && !this.#isCongested());
  }

  // Reading.

  #onChunk(chunk: Buffer): void {
    this.#readAtMs = performance.now();
    this.#pingedAtMs = 0;
    let at = 0;
    while (at < chunk.length && !this.#isClosed) {
      if (this.#partial !== undefined) {
        at = this.#fillPartial(this.#partial, chunk, at);
        continue;
      }
      const left = chunk.length - at;
      const bytes = left < frameHeadBytes ? frameHeadBytes : frameHeadBytes + chunk.readUIntBE(at, 3);
      if (left >= frameHeadBytes && bytes > frameHeadBytes + frameBytesMax) {
        this.#fail(errorCodes.frameSizeError, "a frame that is larger than allowed");
        return;
      }
      if (left < bytes) {
        this.#partial = Buffer.allocUnsafe(bytes);
        this.#partialBytes = chunk.copy(this.#partial, 0, at);
        return;
      }
      this.#onFrame(chunk, at, bytes - frameHeadBytes);
      at += bytes;
    }
  }

  /** Adds to the frame that has begun. Returns where the chunk goes on. */
  #fillPartial(partial: Buffer, chunk: Buffer, at: number): number {
    const taken = chunk.copy(partial, this.#partialBytes, at);
    this.#partialBytes += taken;
    if (this.#partialBytes === partial.length) {
      this.#partial = undefined;
      const bytes = partial.readUIntBE(0, 3);
      if (partial.length === frameHeadBytes && bytes > 0) {
        if (bytes > frameBytesMax) {
          this.#fail(errorCodes.frameSizeError, "a frame that is larger than allowed");
          return chunk.length;
        }
        this.#partial = Buffer.allocUnsafe(frameHeadBytes + bytes);
        this.#partialBytes = partial.copy(this.#partial);
      } else {
        this.#onFrame(partial, 0, bytes);
      }
    }
    return at + taken;
  }

  #onFrame(frame: Buffer, start: number, bytes: number): void {
    const type = frame[start + 3]!;
    const flag = frame[start + 4]!;
    const id = frame.readUInt32BE(start + 5) & 0x7fffffff;
    const at = start + frameHeadBytes;
    if (this.#block !== undefined && (type !== frameTypes.continuation || id !== this.#block.id)) {
      this.#fail(errorCodes.protocolError, "a header block that does not go on");
      return;
    }
    if (!this.#isReady && type !== frameTypes.settings) {
      this.#fail(errorCodes.protocolError, "no HTTP/2 settings");
      return;
    }
    switch (type) {
      case frameTypes.data:
        this.#onData(frame, at, bytes, flag, id);
        break;
      case frameTypes.headers:
        this.#onHeaders(frame, at, bytes, flag, id);
        break;
      case frameTypes.continuation:
        this.#onContinuation(frame.subarray(at, at + bytes), flag);
        break;
      case frameTypes.reset:
        this.#onReset(id, bytes === 4 ? frame.readUInt32BE(at) : errorCodes.protocolError);
        break;
      case frameTypes.settings:
        this.#onSettings(frame, at, bytes, flag);
        break;
      case frameTypes.ping:
        if (bytes !== 8) {
          this.#fail(errorCodes.frameSizeError, "a PING of another size");
        } else if ((flag & flags.ack) === 0) {
          this.#writeFrame(frameTypes.ping, flags.ack, 0, frame.subarray(at, at + 8));
        }
        break;
      case frameTypes.goaway:
        this.#onGoaway(
          bytes >= 8 ? frame.readUInt32BE(at) & 0x7fffffff : 0,
          frame.subarray(at + 4, at + bytes),
        );
        break;
      case frameTypes.windowUpdate:
        this.#onWindowUpdate(id, bytes === 4 ? frame.readUInt32BE(at) & 0x7fffffff : 0);
        break;
      case frameTypes.pushPromise:
        this.#fail(errorCodes.protocolError, "a pushed answer, which was not allowed");
        break;
      // PRIORITY, and what a later RFC adds, is not for us.
    }
  }

  #onData(frame: Buffer, start: number, bytes: number, flag: number, id: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited >= connectionWindowBytes / 2) {
      this.#writeWindowUpdate(0, this.#uncredited);
      this.#uncredited = 0;
    }
    const exchange = this.#exchanges.get(id);
    if (exchange === undefined) {
      // Of an exchange that was reset here before the server heard of it.
      if (id === 0 || id >= this.#nextId) {
        this.#fail(errorCodes.protocolError, "data of a request that was not made");
      }
      return;
    }
    exchange._receiveWindow -= bytes;
    if (exchange._receiveWindow < 0) {
      this.#fail(errorCodes.flowControlError, "more data than flow control allows");
      return;
    }
    let at = start;
    let end = start + bytes;
    if ((flag & flags.padded) !== 0) {
      const padding = frame[at++]!;
      end -= padding;
      if (bytes === 0 || end < at) {
        this.#fail(errorCodes.protocolError, "padding that is longer than its frame");
        return;
      }
      exchange.credit(padding + 1);
    }
    const isEnd = (flag & flags.endStream) !== 0;
    if (isEnd) {
      this.#onEnd(exchange);
    }
    exchange._listener.onData(frame.subarray(at, end), isEnd);
  }

  #onHeaders(frame: Buffer, start: number, bytes: number, flag: number, id: number): void {
    let at = start;
    let end = start + bytes;
    if ((flag & flags.padded) !== 0) {
      end -= frame[at++]!;
    }
    if ((flag & flags.priority) !== 0) {
      at += 5;
    }
    if (end < at || id === 0 || id >= this.#nextId) {
      this.#fail(errorCodes.protocolError, "headers that cannot be");
      return;
    }
    const isEnd = (flag & flags.endStream) !== 0;
    if ((flag & flags.endHeaders) !== 0) {
      this.#onBlock(frame.subarray(at, end), isEnd, id);
    } else {
      this.#block = { id, isEnd, parts: [frame.subarray(at, end)], bytes: end - at };
    }
  }

  #onContinuation(part: Buffer, flag: number): void {
    const block = this.#block;
    if (block === undefined) {
      this.#fail(errorCodes.protocolError, "a continuation of nothing");
      return;
    }
    block.parts.push(part);
    block.bytes += part.length;
    // Empty parts without an end would be a way to keep us busy.
    if (block.bytes > this.#options.headerBytesMax || block.parts.length > blockPartsMax) {
      this.#fail(errorCodes.enhanceYourCalm, "headers that are larger than allowed");
    } else if ((flag & flags.endHeaders) !== 0) {
      this.#block = undefined;
      this.#onBlock(Buffer.concat(block.parts), block.isEnd, block.id);
    }
  }

  #onBlock(block: Buffer, isEnd: boolean, id: number): void {
    let headers: HeaderList;
    try {
      headers = this.#decoder.decode(block);
    } catch (error) {
      if (!(error instanceof HpackError)) throw error;
      this.#fail(errorCodes.compressionError, error.message);
      return;
    }
    const exchange = this.#exchanges.get(id);
    if (exchange !== undefined) {
      if (isEnd) {
        this.#onEnd(exchange);
      }
      exchange._listener.onHeaders(headers, isEnd);
    }
  }

  /** The answer is complete. A request that is not has nobody left to read it. */
  #onEnd(exchange: Exchange): void {
    if (!exchange._hasSentEnd) {
      this.#writeReset(exchange.id, errorCodes.noError);
    }
    this.#forget(exchange);
  }

  #onReset(id: number, errorCode: number): void {
    const exchange = this.#exchanges.get(id);
    if (exchange !== undefined) {
      this.#forget(exchange);
      exchange._listener.onFailure(
        errorCode === errorCodes.refusedStream ? { kind: "refused" } : { kind: "reset", errorCode },
      );
    }
  }

  #onSettings(frame: Buffer, start: number, bytes: number, flag: number): void {
    if ((flag & flags.ack) !== 0) {
      return;
    }
    if (bytes % 6 !== 0) {
      this.#fail(errorCodes.frameSizeError, "settings of another size");
      return;
    }
    for (let at = start; at < start + bytes; at += 6) {
      const value = frame.readUInt32BE(at + 2);
      switch (frame.readUInt16BE(at)) {
        case settings.exchangesMax:
          this.#peerExchangesMax = value;
          break;
        case settings.windowBytes:
          if (value > windowBytesMax) {
            this.#fail(errorCodes.flowControlError, "a window that cannot be");
            return;
          }
          for (const exchange of this.#exchanges.values()) {
            exchange._sendWindow += value - this.#peerWindowBytes;
          }
          this.#peerWindowBytes = value;
          break;
        case settings.frameBytesMax:
          this.#peerFrameBytesMax = Math.min(Math.max(value, 16_384), slabBytes);
          break;
      }
    }
    this.#writeFrame(frameTypes.settings, flags.ack, 0, empty);
    if (!this.#isReady) {
      this.#isReady = true;
      this.#events.onReady();
    }
    this.#writeAllBlocked();
    this.#events.onRoom();
  }

  #onGoaway(lastId: number, detail: Buffer): void {
    this.#drain();
    for (const exchange of [...this.#exchanges.values()]) {
      if (exchange.id > lastId) {
        this.#forget(exchange);
        exchange._listener.onFailure({ kind: "refused" });
      }
    }
    if (detail.length >= 4 && detail.readUInt32BE(0) !== errorCodes.noError) {
      const text = detail.toString("latin1", 4, 4 + 100);
      this.#close(
        new Error(`the server ended the connection (${detail.readUInt32BE(0)}${text && `: ${text}`})`),
      );
    } else {
      this.#closeWhenDone();
    }
  }

  #onWindowUpdate(id: number, bytes: number): void {
    if (id === 0) {
      this.#sendWindow += bytes;
      if (bytes === 0 || this.#sendWindow > windowBytesMax) {
        this.#fail(errorCodes.flowControlError, "a window that cannot be");
        return;
      }
      this.#writeAllBlocked();
      return;
    }
    const exchange = this.#exchanges.get(id);
    if (exchange !== undefined) {
      exchange._sendWindow += bytes;
      if (this.#blocked.has(exchange)) {
        this.#writeBlocked(exchange);
      }
    }
  }

  // Writing.

  #writeAllBlocked(): void {
    for (const exchange of [...this.#blocked]) {
      if (this.#sendWindow <= 0) return;
      this.#writeBlocked(exchange);
    }
  }

  #writeBlocked(exchange: Exchange): void {
    const pending = exchange._pending;
    for (let next = pending[0]; next !== undefined; next = pending[0]) {
      const { bytes, isEnd } = next;
      const window = Math.max(0, Math.min(exchange._sendWindow, this.#sendWindow));
      const room = Math.min(bytes.length, window, this.#peerFrameBytesMax);
      if (room === 0 && bytes.length > 0) {
        // The others come first when the connection's window opens.
        this.#blocked.delete(exchange);
        this.#blocked.add(exchange);
        return;
      }
      if (room === bytes.length) {
        pending.shift();
        this.#writeData(exchange, bytes, isEnd);
      } else {
        this.#writeData(exchange, bytes.subarray(0, room), false);
        pending[0] = { bytes: bytes.subarray(room), isEnd };
      }
    }
    this.#blocked.delete(exchange);
    if (this._isSent(exchange)) exchange._wake();
  }

  /** Tells those who wait to send more that there is room. */
  #wake(): void {
    if (this._waiting.size > 0 && !this.#isCongested()) {
      for (const exchange of [...this._waiting]) {
        if (exchange._pending.length === 0) exchange._wake();
      }
    }
  }

  #writeData(exchange: Exchange, bytes: Uint8Array, isEnd: boolean): void {
    exchange._sendWindow -= bytes.length;
    this.#sendWindow -= bytes.length;
    exchange._hasSentEnd = isEnd;
    this.#writeFrame(frameTypes.data, isEnd ? flags.endStream : 0, exchange.id, bytes);
  }

  /** A header block of more than one frame. */
  #writeLongBlock(block: Buffer, id: number): void {
    for (let at = 0; at < block.length; at += this.#peerFrameBytesMax) {
      const part = block.subarray(at, at + this.#peerFrameBytesMax);
      const isLast = at + part.length === block.length;
      const type = at === 0 ? frameTypes.headers : frameTypes.continuation;
      this.#writeFrame(type, isLast ? flags.endHeaders : 0, id, part);
    }
  }

  #writeSettings(): void {
    const values: [id: number, value: number][] = [
      // Without a table the same headers are the same bytes, and decoded once (hpack.ts).
      [settings.tableBytes, 0],
      [settings.push, 0],
      [settings.windowBytes, this.#options.windowBytes],
      [settings.headerBytesMax, this.#options.headerBytesMax],
    ];
    const payload = Buffer.alloc(values.length * 6);
    for (const [i, [id, value]] of values.entries()) {
      payload.writeUInt16BE(id, i * 6);
      payload.writeUInt32BE(value, i * 6 + 2);
    }
    this.#writeFrame(frameTypes.settings, 0, 0, payload);
  }

  #writeWindowUpdate(id: number, bytes: number): void {
    this.#writeNumber(frameTypes.windowUpdate, id, bytes);
  }

  #writeReset(id: number, errorCode: number): void {
    this.#writeNumber(frameTypes.reset, id, errorCode);
  }

  #writeNumber(type: number, id: number, value: number): void {
    this.#reserve(frameHeadBytes + 4);
    this.#writeFrameHead(4, type, 0, id);
    this.#end += frameHeadBytes;
    this.#end = this.#slab.writeUInt32BE(value, this.#end);
  }

  #writeFrame(type: number, flag: number, id: number, payload: Uint8Array): void {
    this.#reserve(frameHeadBytes + payload.length);
    this.#writeFrameHead(payload.length, type, flag, id);
    this.#slab.set(payload, this.#end + frameHeadBytes);
    this.#end += frameHeadBytes + payload.length;
  }

  #writeBytes(bytes: Buffer): void {
    this.#reserve(bytes.length);
    this.#end += bytes.copy(this.#slab, this.#end);
  }

  /** Writes the head of a frame at `#end`, and leaves `#end` where it is. */
  #writeFrameHead(bytes: number, type: number, flag: number, id: number): void {
    const slab = this.#slab;
    const at = this.#end;
    slab[at] = bytes >>> 16;
    slab[at + 1] = bytes >>> 8;
    slab[at + 2] = bytes;
    slab[at + 3] = type;
    slab[at + 4] = flag;
    slab[at + 5] = id >>> 24;
    slab[at + 6] = id >>> 16;
    slab[at + 7] = id >>> 8;
    slab[at + 8] = id;
  }

  /** Makes room in the slab, and sees to it that what is written there leaves it. */
  #reserve(bytes: number): void {
    if (this.#slab.length - this.#end < bytes) {
      this.#flush();
      this.#slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, bytes));
      this.#start = 0;
      this.#end = 0;
    }
    if (!this.#isFlushing) {
      this.#isFlushing = true;
      // After all that this turn of the event loop has to say: a system call costs more than the request.
      setImmediate(this.#onTurnEnd);
    }
  }

  readonly #onTurnEnd = (): void => {
    this.#isFlushing = false;
    this.#flush();
    this.#wake();
  };

  /** Whether more would only wait here: in the socket, or for the end of this turn of the event loop. */
  #isCongested(): boolean {
    return this.#socket.writableNeedDrain || this.#end - this.#start >= slabBytes / 2;
  }

  #flush(): void {
    if (this.#end > this.#start && !this.#socket.destroyed) {
      this.#socket.write(this.#slab.subarray(this.#start, this.#end));
    }
    this.#start = this.#end;
  }

  #nameOf(name: string): Buffer {
    let encoded = this.#names.get(name);
    if (encoded === undefined) {
      encoded = encodeName(name);
      // Names come from an allow-list, but not always: callers may name what they like.
      if (this.#names.size < namesMax) {
        this.#names.set(name, encoded);
      }
    }
    return encoded;
  }

  // The end.

  #forget(exchange: Exchange): void {
    this.#exchanges.delete(exchange.id);
    this.#blocked.delete(exchange);
    exchange._pending.length = 0;
    exchange._isOver = true;
    exchange._wake();
    if (this.#isDraining) {
      this.#closeWhenDone();
    } else if (this.#exchanges.size === this.#peerExchangesMax - 1) {
      this.#events.onRoom();
    }
  }

  #drain(): void {
    if (!this.#isDraining) {
      this.#isDraining = true;
      this.#events.onDraining();
    }
  }

  #closeWhenDone(): void {
    if (this.#exchanges.size === 0 && !this.#isClosed) {
      this.#writeGoaway(errorCodes.noError);
      this.#close(new Error("the connection was closed"));
    }
  }

  /** The server broke the protocol: nothing on this connection can be trusted any more. */
  #fail(errorCode: number, reason: string): void {
    if (!this.#isClosed) {
      this.#writeGoaway(errorCode);
      this.#close(new Error(`the server broke the HTTP/2 protocol: ${reason}`));
    }
  }

  #writeGoaway(errorCode: number): void {
    const payload = Buffer.alloc(8);
    payload.writeUInt32BE(errorCode, 4);
    this.#writeFrame(frameTypes.goaway, 0, 0, payload);
  }

  #close(cause: Error): void {
    if (this.#isClosed) {
      return;
    }
    this.#isClosed = true;
    clearInterval(this.#keepalive);
    this.#flush();
    this.#socket.destroySoon();
    // What a peer that does not read has left of the last words is not worth a socket.
    const timer = setTimeout(() => this.#socket.destroy(), lingerMs).unref();
    this.#socket.once("close", () => clearTimeout(timer));
    this.#drain();
    for (const exchange of [...this.#exchanges.values()]) {
      this.#forget(exchange);
      exchange._listener.onFailure({ kind: "lost", cause });
    }
    this.#events.onClosed(cause);
  }

  #lookAlive(timeMs: number, timeoutMs: number): void {
    const nowMs = performance.now();
    if (this.#pingedAtMs > 0) {
      if (nowMs - this.#pingedAtMs >= timeoutMs) {
        this.#close(new Error(`the server answered no ping within ${timeoutMs} ms`));
        this.#socket.destroy();
      }
    } else if (nowMs - this.#readAtMs >= timeMs && this.#exchanges.size > 0) {
      this.#pingedAtMs = nowMs;
      this.#writeFrame(frameTypes.ping, 0, 0, Buffer.alloc(8));
    }
  }
}

/** One request and its answer. What begins with "_" is for its connection. */
export class Exchange {
  readonly id: number;
  readonly _listener: ExchangeListener;
  readonly _pending: { readonly bytes: Uint8Array; readonly isEnd: boolean }[] = [];
  _sendWindow: number;
  _receiveWindow: number;
  _hasSentEnd = false;
  _isOver = false;
  readonly #connection: Connection;
  readonly #windowBytes: number;
  #uncredited = 0;
  #waiter: (() => void) | undefined;

  constructor(
    connection: Connection,
    id: number,
    listener: ExchangeListener,
    sendWindow: number,
    receiveWindow: number,
  ) {
    this.id = id;
    this._listener = listener;
    this._sendWindow = sendWindow;
    this._receiveWindow = receiveWindow;
    this.#connection = connection;
    this.#windowBytes = receiveWindow;
  }

  /** Sends bytes of the body. They must not change afterwards. */
  send(bytes: Uint8Array, isEnd: boolean): void {
    if (!this._isOver) {
      this.#connection._send(this, bytes, isEnd);
    }
  }

  /** Resolves when what was sent has left, or nobody wants it any more: a stream that waits for it is never far ahead. */
  sent(): Promise<void> | undefined {
    if (this.#connection._isSent(this)) {
      return undefined;
    }
    return new Promise((resolve) => {
      this.#waiter = resolve;
      this.#connection._waiting.add(this);
    });
  }

  _wake(): void {
    if (this.#waiter !== undefined) {
      this.#waiter();
      this.#waiter = undefined;
      this.#connection._waiting.delete(this);
    }
  }

  /** So many bytes of the answer are used: the server may send as many more. */
  credit(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited >= this.#windowBytes / 2 && !this._isOver) {
      this._receiveWindow += this.#uncredited;
      this.#connection._credit(this, this.#uncredited);
      this.#uncredited = 0;
    }
  }

  /** Ends the exchange; its listener hears no more. */
  reset(errorCode: number): void {
    this.#connection._reset(this, errorCode);
  }
}

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
const empty = new Uint8Array();
const frameHeadBytes = 9;
/** What we allow (the default); a larger frame would only come later. */
const frameBytesMax = 16_384;
const slabBytes = 64 * 1024;
const defaultWindowBytes = 65_535;
const windowBytesMax = 2 ** 31 - 1;
/** Credited as it comes, so it bounds only what is on the way. */
const connectionWindowBytes = 8 * 1024 * 1024;
const lastIdMax = 2 ** 31 - 1_001;
const blockPartsMax = 64;
const lingerMs = 1_000;
const namesMax = 256;

const frameTypes = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

const flags = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

const settings = {
  tableBytes: 1,
  push: 2,
  exchangesMax: 3,
  windowBytes: 4,
  frameBytesMax: 5,
  headerBytesMax: 6,
} as const;
