/**
 * Repairs four faults of @grpc/grpc-js 1.14.7 from outside; each is a conformance case that fails without it. Importing
 * this file applies them once per process. Delete a repair when `test/conformance/run.ts` passes without it.
 */

import type { ServerHttp2Stream } from "node:http2";
import { status as Status, type StatusObject } from "@grpc/grpc-js";
import { BaseServerInterceptingCall } from "@grpc/grpc-js/build/src/server-interceptors.js";
import { Http2SubchannelCall } from "@grpc/grpc-js/build/src/subchannel-call.js";

/** The private parts touched. Their names are checked below, and the version is pinned in package.json. */
interface ClientCall {
  finalStatus: StatusObject | null;
  statusOutput: boolean;
  serverEndedCall: boolean;
  readsClosed: boolean;
  canPush: boolean;
  isPushPending: boolean;
  isReadFilterPending: boolean;
  unpushedReadMessages: Buffer[];
  http2Stream: { destroyed: boolean; resume(): void };
  decoder: Decoder;
  endCall(status: StatusObject): void;
  maybeOutputStatus(): void;
  outputStatus(): void;
  push(message: Buffer): void;
  startRead(): void;
  cancelWithStatus(status: number, details: string): void;
}

interface ServerCall {
  decoder: Decoder;
  incomingEncoding: string;
  stream: ServerHttp2Stream;
  decompressMessage(message: Buffer, encoding: string): Buffer | Promise<Buffer>;
  handleEndEvent(): void;
  sendStatus(status: { code: Status; details: string }): void;
}

interface Decoder {
  /** 0 between messages. */
  readState: number;
}

const client = Http2SubchannelCall.prototype as unknown as ClientCall;
const server = BaseServerInterceptingCall.prototype as unknown as ServerCall;

for (const [prototype, names] of [
  [client, ["endCall", "maybeOutputStatus", "outputStatus", "push", "startRead", "cancelWithStatus"]],
  [server, ["decompressMessage", "handleEndEvent", "sendStatus"]],
] as const) {
  for (const name of names) {
    if (typeof (prototype as unknown as Record<string, unknown>)[name] !== "function") {
      throw new Error(`this version of @grpc/grpc-js has no ${name}: review mend-grpc-js.ts`);
    }
  }
}

const incomplete = { code: Status.INTERNAL, details: "protocol error: incomplete message" };

// 1. A server's error status overtakes the messages sent before it, and those not yet read are dropped. Here it waits
//    its turn, as an OK status does; what this side decides (cancellation, deadline) still ends the call at once.
// 2. A response that ends inside a message passes for complete.
const { endCall, cancelWithStatus } = client;

client.maybeOutputStatus = function () {
  const final = this.finalStatus;
  if (final === null || this.statusOutput) {
    return;
  }
  const ok = final.code === Status.OK;
  if (ok || this.serverEndedCall) {
    const noMore = this.readsClosed || (!ok && this.http2Stream.destroyed);
    if (!noMore || this.unpushedReadMessages.length > 0 || this.isReadFilterPending || this.isPushPending) {
      return;
    }
    if (ok && this.decoder.readState !== 0) {
      this.finalStatus = { ...incomplete, metadata: final.metadata };
    }
  }
  this.outputStatus();
};

client.endCall = function (status) {
  endCall.call(this, status);
  this.maybeOutputStatus();
};

client.cancelWithStatus = function (status, details) {
  cancelWithStatus.call(this, status, details);
  if (!this.statusOutput) {
    // A server's error was waiting for a reader that has now left.
    this.unpushedReadMessages = [];
    this.outputStatus();
  }
};

client.startRead = function () {
  const final = this.finalStatus;
  if (final !== null && final.code !== Status.OK && this.unpushedReadMessages.length === 0) {
    if (!this.serverEndedCall || this.http2Stream.destroyed) {
      this.readsClosed = true;
      this.maybeOutputStatus();
      return;
    }
  }
  this.canPush = true;
  const message = this.unpushedReadMessages.shift();
  if (message !== undefined) {
    this.push(message);
    return;
  }
  this.http2Stream.resume();
};

// 3. A request message in an encoding that nobody knows, or compressed when none was declared, is read as it is.
const { decompressMessage, handleEndEvent } = server;
const encodings = new Set(["identity", "deflate", "gzip"]);

server.decompressMessage = function (message, encoding) {
  if (!encodings.has(this.incomingEncoding)) {
    return Promise.reject({
      code: Status.UNIMPLEMENTED,
      details: `unknown compression "${this.incomingEncoding}": supported encodings are ${[...encodings].join(",")}`,
    });
  }
  if (message[0] === 1 && this.incomingEncoding === "identity") {
    return Promise.reject({
      code: Status.INTERNAL,
      details: "protocol error: received compressed message without grpc-encoding",
    });
  }
  return decompressMessage.call(this, message, encoding);
};

// 4. A request that ends inside a message passes for complete.
server.handleEndEvent = function () {
  if (this.decoder.readState !== 0) {
    this.sendStatus(incomplete);
    return;
  }
  handleEndEvent.call(this);
};
