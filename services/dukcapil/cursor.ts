// Cursors: where a stream goes on, bound to what it selects.
import { createHash } from "node:crypto";
import { refuseFields } from "#chassis/refusal.ts";
import type { Hub } from "./hub.ts";
import { type Position, RowWalk, type Selection } from "./walk.ts";

const BYTES = 26;

/** 35 characters that depend on nothing but selection and position. */
export function writeCursor(hub: Hub, selection: Selection, { kel, isGuest, at }: Position): string {
  const bytes = Buffer.alloc(BYTES);
  bytes.writeBigUInt64BE(BigInt(selection.asOf), 0);
  bytes.writeUInt32BE(kel, 8);
  bytes.writeUInt8(isGuest ? 1 : 0, 12);
  bytes.writeUInt32BE(at, 13);
  digest(hub, selection).copy(bytes, 17, 0, BYTES - 17);
  return bytes.toString("base64url");
}

export type Request = { kodeWilayah: string; sinceVersi: bigint; asOfVersi: bigint };

/**
 * What a request selects, and from where; `asOf` is fixed by the cursor, by the request, or now.
 * @param field the cursor's name in the contract, for the refusal.
 * @throws Refused INVALID_ARGUMENT for the cursor of another stream, and for a version that is still to come.
 */
export function readSelection(
  hub: Hub,
  request: Request,
  cursor = "",
  field = "cursor",
): { selection: Selection; from: Position | undefined } {
  if (request.asOfVersi > BigInt(hub.versi())) {
    const description = `must be at most ${hub.versi()}, the hub's version`;
    throw refuseFields([{ field: "as_of_versi", description, reason: "VERSI_UNKNOWN" }]);
  }
  const { kodeWilayah } = request;
  // A version that is not there yet is newer than all: nothing is.
  const since = Number(request.sinceVersi);
  const asked = Number(request.asOfVersi);
  if (cursor === "") {
    return { selection: { kodeWilayah, since, asOf: asked || hub.versi() }, from: undefined };
  }
  const bytes = Buffer.from(cursor, "base64url");
  const refusal = refuseFields([
    { field, description: "must be that of the same stream", reason: "CURSOR_FOREIGN" },
  ]);
  if (bytes.length !== BYTES || bytes.toString("base64url") !== cursor) throw refusal;
  const asOf = Number(bytes.readBigUInt64BE(0));
  const selection: Selection = { kodeWilayah, since, asOf };
  const from = { kel: bytes.readUInt32BE(8), isGuest: bytes[12] === 1, at: bytes.readUInt32BE(13) };
  const isOurs =
    bytes.compare(digest(hub, selection), 0, BYTES - 17, 17) === 0 &&
    (asked === 0 || asked === asOf) &&
    RowWalk.has(hub, kodeWilayah, from);
  if (!isOurs) throw refusal;
  return { selection, from };
}

function digest(hub: Hub, { kodeWilayah, since, asOf }: Selection): Buffer {
  return createHash("sha256")
    .update(JSON.stringify([hub.id, kodeWilayah, since, asOf]))
    .digest();
}
