// The network that a caller is known by when nothing else is known of it.

/** An IPv4 address whole, an IPv6 address cut to its /64, which is what one subscriber has. */
export function networkAddress(address: string): string {
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
