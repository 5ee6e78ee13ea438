// Tells the network address that an anonymous caller is counted by.
import { networkAddress } from "#chassis/network-address.ts";
import type { Request } from "./transcoder/status.ts";

/**
 * The address of the caller. With `trustedProxies` > 0 it is that many entries from the right of X-Forwarded-For: what
 * stands further left was written by the caller and proves nothing. IPv6 addresses are cut to their /64, which is what
 * one subscriber has.
 */
export function callerAddress(request: Request, trustedProxies: number): string {
  let address = request.socket.remoteAddress ?? "unknown";
  if (trustedProxies > 0) {
    const forwarded = String(request.headers["x-forwarded-for"] ?? "").split(",");
    address = forwarded.at(-trustedProxies)?.trim() || address;
  }
  return networkAddress(address);
}
