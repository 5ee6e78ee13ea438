/** What the conformance runner and the programs under test say to each other: size-delimited messages over stdio. */

import type { Readable } from "node:stream";
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { type Code, ConnectError } from "@connectrpc/connect";
import type { WireName } from "#chassis/wire/wire.ts";
import type { Code as ConformanceCode } from "./gen/connectrpc/conformance/v1/config_pb.ts";
import {
  type Error as ConformanceError,
  ErrorSchema,
  type Header,
  HeaderSchema,
} from "./gen/connectrpc/conformance/v1/service_pb.ts";

/** The wire under test, from the environment: the runner starts these programs without arguments of ours. */
export function wireUnderTest(): WireName {
  return process.env.CONFORMANCE_WIRE === "connect-node" ? "connect-node" : "grpc-js";
}

/** Whether the client under test is the transcoder's transport, which is no wire between services. */
export function isTranscoderUnderTest(): boolean {
  return process.env.CONFORMANCE_WIRE === "transcoder";
}

/** Reads messages, each behind its size in four bytes, until the end of `stream`. */
export async function* readMessages<Desc extends DescMessage>(
  stream: Readable,
  desc: Desc,
): AsyncGenerator<MessageShape<Desc>> {
  let rest = Buffer.alloc(0);
  for await (const chunk of stream) {
    rest = Buffer.concat([rest, chunk as Buffer]);
    while (rest.byteLength >= 4 && rest.byteLength >= 4 + rest.readUInt32BE(0)) {
      const end = 4 + rest.readUInt32BE(0);
      yield fromBinary(desc, rest.subarray(4, end));
      rest = rest.subarray(end);
    }
  }
}

/** Writes one message to stdout behind its size in four bytes. */
export function writeMessage<Desc extends DescMessage>(desc: Desc, message: MessageShape<Desc>): void {
  const bytes = toBinary(desc, message);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(bytes.byteLength);
  process.stdout.write(Buffer.concat([size, bytes]));
}

export function headersFrom(list: Header[], into: Headers = new Headers()): Headers {
  for (const { name, value } of list) {
    for (const one of value) {
      into.append(name, one);
    }
  }
  return into;
}

export function headerList(headers: Headers): Header[] {
  const list: Header[] = [];
  headers.forEach((value, name) => {
    list.push(create(HeaderSchema, { name, value: value.split(", ") }));
  });
  return list;
}

export function connectError(error: ConformanceError): ConnectError {
  const connect = new ConnectError(error.message ?? "", error.code as number as Code);
  connect.details = error.details.map(({ typeUrl, value }) => ({ type: typeUrl.split("/").at(-1)!, value }));
  return connect;
}

export function conformanceError(error: ConnectError): ConformanceError {
  return create(ErrorSchema, {
    code: error.code as number as ConformanceCode,
    message: error.rawMessage,
    details: error.details.flatMap((detail) =>
      "type" in detail
        ? [create(AnySchema, { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value })]
        : [],
    ),
  });
}
