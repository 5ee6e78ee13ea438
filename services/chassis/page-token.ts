// Opaque page tokens (AIP-158): a keyset position bound to the filter it belongs to.
import { createHash } from "node:crypto";
import { refuseFields } from "./refusal.ts";

export const DEFAULT_PAGE_SIZE = 50;
export const MAX_PAGE_SIZE = 500;

/** 0 means the default, more than the maximum is capped; negative sizes are refused by the contract. */
export function pageSizeOf(requested: number): number {
  return requested === 0 ? DEFAULT_PAGE_SIZE : Math.min(requested, MAX_PAGE_SIZE);
}

/** @param position sort key of the last row. @param filter every field that selects or orders rows. */
export function writePageToken(position: readonly string[], filter: readonly unknown[]): string {
  return Buffer.from(JSON.stringify([digest(filter), ...position])).toString("base64url");
}

/** Shape of a part that is an id. */
export const UUID_PART = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The position in a token, undefined for the first page. A caller can write a token themselves, so each part must have
 * its shape: what it selects is no secret, but a database must be able to read it.
 * @throws Refused INVALID_ARGUMENT for a token of another query.
 */
export function readPageToken(
  token: string,
  filter: readonly unknown[],
  shape: readonly RegExp[],
  field = "page_token",
): string[] | undefined {
  if (token === "") return undefined;
  const refusal = refuseFields([
    {
      field,
      description: `must be the ${field === "page_token" ? "next_page_token" : field} of the same query`,
      reason: field,
    },
  ]);
  let decoded: unknown;
  try {
    decoded = JSON.parse(Buffer.from(token, "base64url").toString());
  } catch {
    throw refusal;
  }
  if (!Array.isArray(decoded) || decoded.length !== shape.length + 1) throw refusal;
  const [filterDigest, ...position] = decoded;
  if (filterDigest !== digest(filter)) throw refusal;
  if (position.some((part, index) => typeof part !== "string" || !shape[index]!.test(part))) throw refusal;
  return position;
}

function digest(filter: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(filter)).digest("base64url").slice(0, 16);
}
