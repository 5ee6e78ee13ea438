// Tells the network address that an anonymous caller is counted by.
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
  if (address.startsWith("::ffff:")) {
    return address.slice("::ffff:".length);
  }
  return address.includes(":") ? networkOf(address) : address.slice(0, 64);
}

function networkOf(address: string): string {
  const [head = "", tail] = address.split("::", 2);
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const after = tail === "" ? [] : tail.split(":");
    while (groups.length + after.length < 8) {
      groups.push("0");
    }
  }
  return `${groups.slice(0, 4).join(":")}::/64`.slice(0, 64);
}
