// Keeps one connection to a server: opens it for the first request, again after a loss, and lets requests wait for room on it.
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { Connection, type ConnectionOptions } from "./connection.ts";

export interface ChannelOptions extends ConnectionOptions {
  /** `http://host:port` or `https://host:port`. */
  readonly origin: URL;
  /** Certificates, in PEM, that a server's must lead to. Default: those that Node knows. */
  readonly ca?: string;
  /** Wait between attempts to connect: from `minMs`, doubling, to `maxMs`. */
  readonly reconnect: { readonly minMs: number; readonly maxMs: number };
  /** How long a connection may take until the server has said that it speaks HTTP/2. */
  readonly connectTimeoutMs: number;
  /** Requests that may wait for a connection, or for room on it; more fail at once. */
  readonly waitingMax: number;
}

/** A request that wants a connection. Exactly one of the two is called, unless it is over before. */
export interface Waiter {
  /** Whether nobody waits for it any more. */
  readonly isOver: boolean;
  begin(connection: Connection): void;
  fail(cause: Error): void;
}

export class Channel {
  readonly #options: ChannelOptions;
  #connection: Connection | undefined;
  #waiting: Waiter[] = [];
  #backoffMs = 0;
  #retryAtMs = 0;
  #lastFailure = new Error("not connected");
  #isClosed = false;

  constructor(options: ChannelOptions) {
    this.#options = options;
  }

  /** Gives a request its connection: now, or as soon as there is one. While the server cannot be reached, it fails at once. */
  acquire(waiter: Waiter): void {
    const connection = this.#connection;
    if (connection?.hasRoom) {
      waiter.begin(connection);
    } else if (this.#isClosed) {
      waiter.fail(new Error("the transport is closed"));
    } else if (connection === undefined && performance.now() < this.#retryAtMs) {
      waiter.fail(this.#lastFailure);
    } else {
      if (this.#waiting.length >= this.#options.waitingMax) {
        this.#waiting = this.#waiting.filter(({ isOver }) => !isOver);
      }
      if (this.#waiting.length >= this.#options.waitingMax) {
        waiter.fail(new Error(`${this.#waiting.length} requests wait for the server already`));
        return;
      }
      this.#waiting.push(waiter);
      if (connection === undefined) {
        this.#connect();
      }
    }
  }

  /** Takes no more requests; those that are open may end. */
  close(): void {
    this.#isClosed = true;
    this.#connection?.close();
    this.#failWaiting(new Error("the transport is closed"));
  }

  #connect(): void {
    const socket = this.#open();
    let isReady = false;
    const late = setTimeout(
      () => connection.destroy(new Error(`no HTTP/2 within ${this.#options.connectTimeoutMs} ms`)),
      this.#options.connectTimeoutMs,
    );
    const connection = new Connection(socket, this.#options, {
      onReady: () => {
        clearTimeout(late);
        isReady = true;
        this.#backoffMs = 0;
        this.#retryAtMs = 0;
      },
      onRoom: () => this.#beginWaiting(connection),
      onDraining: () => {
        if (this.#connection === connection) {
          this.#connection = undefined;
          // Not before the connection has told its requests: those that it refuses come back here.
          queueMicrotask(() => this.#connectForWaiting());
        }
      },
      onClosed: (cause) => {
        clearTimeout(late);
        if (!isReady) {
          this.#lastFailure = cause;
          const { minMs, maxMs } = this.#options.reconnect;
          this.#backoffMs = Math.min(maxMs, Math.max(minMs, this.#backoffMs * 2));
          // Apart from each other, or all clients of a server that is back come at once.
          this.#retryAtMs = performance.now() + this.#backoffMs * (0.8 + Math.random() * 0.4);
          this.#failWaiting(cause);
        }
      },
    });
    this.#connection = connection;
  }

  #open(): Socket {
    const { ca, origin } = this.#options;
    const host = origin.hostname.replace(/^\[|\]$/g, "");
    if (origin.protocol === "https:") {
      return connectTls({
        host,
        port: Number(origin.port || 443),
        // A name for the server to choose its certificate by; an address is none (RFC 6066, 3).
        ...(isIP(host) === 0 && { servername: host }),
        ...(ca !== undefined && { ca }),
        ALPNProtocols: ["h2"],
      });
    }
    return connectTcp({ host, port: Number(origin.port || 80) });
  }

  #connectForWaiting(): void {
    if (this.#connection === undefined && !this.#isClosed && this.#waiting.some(({ isOver }) => !isOver)) {
      if (performance.now() < this.#retryAtMs) {
        this.#failWaiting(this.#lastFailure);
      } else {
        this.#connect();
      }
    }
  }

  #beginWaiting(connection: Connection): void {
    let begun = 0;
    while (begun < this.#waiting.length && connection.hasRoom) {
      const waiter = this.#waiting[begun++]!;
      if (!waiter.isOver) {
        waiter.begin(connection);
      }
    }
    this.#waiting.splice(0, begun);
  }

  #failWaiting(cause: Error): void {
    for (const waiter of this.#waiting.splice(0)) {
      if (!waiter.isOver) {
        waiter.fail(cause);
      }
    }
  }
}
