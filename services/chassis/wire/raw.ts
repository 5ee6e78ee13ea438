/** Messages that stay encoded, so that a relay passes bytes on without decoding and encoding them again. */

import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

const encoded: unique symbol = Symbol("encoded");

interface Raw {
  readonly $typeName: string;
  readonly [encoded]: Uint8Array;
}

/**
 * Wraps the encoded bytes of a `desc` message so that they can be sent where such a message is expected. Every field
 * reads as undefined: do not put a raw message before code that looks inside, such as a validating interceptor.
 */
export function rawMessage<Desc extends DescMessage>(desc: Desc, bytes: Uint8Array): MessageShape<Desc> {
  // protobuf-es takes any object with the right $typeName for a message and hands it through `create` as it is.
  const raw: Raw = { $typeName: desc.typeName, [encoded]: bytes };
  return raw as unknown as MessageShape<Desc>;
}

/** The bytes inside a raw message; undefined for an ordinary message. */
export function rawBytes(message: object): Uint8Array | undefined {
  return (message as Partial<Raw>)[encoded];
}

export function encodeMessage<Desc extends DescMessage>(desc: Desc, message: MessageShape<Desc>): Uint8Array {
  try {
    return rawBytes(message) ?? toBinary(desc, message);
  } catch (cause) {
    throw new ConnectError(`cannot encode ${desc.typeName}`, Code.Internal, undefined, undefined, cause);
  }
}

export function decodeMessage<Desc extends DescMessage>(
  desc: Desc,
  bytes: Uint8Array,
  raw: boolean,
): MessageShape<Desc> {
  if (raw) {
    return rawMessage(desc, bytes);
  }
  try {
    return fromBinary(desc, bytes);
  } catch (cause) {
    throw new ConnectError(`cannot parse ${desc.typeName}`, Code.Internal, undefined, undefined, cause);
  }
}
