// Where an upstream is: one address, several, or a name whose addresses change.
import { lookup } from "node:dns/promises";
import { backoffMs } from "#chassis/backoff.ts";

export type Addresses =
  | { readonly kind: "fixed"; readonly baseUrls: readonly [string, ...string[]] }
  | { readonly kind: "name"; readonly host: string; readonly port: number };

export const addressesExpected = "http://host:port, several of them separated by commas, or dns:///name:port";

/** What `LAMPID_UPSTREAM_<NAME>` says; undefined when it is not {@link addressesExpected}. */
export function parseAddresses(text: string): Addresses | undefined {
  const [, name, digits] = /^dns:\/\/\/([A-Za-z0-9._-]+):(\d{1,5})$/.exec(text.trim()) ?? [];
  if (name !== undefined) {
    const port = Number(digits);
    return port > 0 && port < 65_536 ? { kind: "name", host: name, port } : undefined;
  }
  const baseUrls = text.split(",").map((each) => each.trim());
  const isGood = (each: string) => {
    const url = URL.canParse(each) ? new URL(each) : undefined;
    return url?.protocol === "http:" && url.pathname === "/" && url.search === "" && url.username === "";
  };
  return baseUrls.every(isGood) && new Set(baseUrls).size === baseUrls.length
    ? { kind: "fixed", baseUrls: baseUrls as [string, ...string[]] }
    : undefined;
}

export interface NameWatchOptions {
  readonly host: string;
  readonly port: number;
  /** Told of the base URLs, sorted, at first and after every change. */
  readonly onChange: (baseUrls: readonly string[]) => void;
  /** Told when the name cannot be resolved; what was known stays. */
  readonly onError?: (cause: unknown) => void;
  /** Default: 10 s. */
  readonly everyMs?: number;
  /** Default: the system's resolver, which knows search domains and /etc/hosts. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
}

/**
 * Resolves a name again and again: the system's resolver tells no TTL, and a service's addresses change when it is scaled. A
 * resolver that fails, or knows no address, takes none away: calls tell better than it who is there.
 */
export function watchName(options: NameWatchOptions): { close: () => void } {
  const { host, port, onChange, onError, everyMs = 10_000, resolve = resolveAll } = options;
  let known = "";
  let failures = 0;
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;

  async function look(): Promise<void> {
    let waitMs = everyMs;
    try {
      const addresses = [...new Set(await resolve(host))].sort();
      if (addresses.length === 0) throw new Error(`${host} has no address`);
      failures = 0;
      const found = addresses.join(" ");
      if (found !== known && !isClosed) {
        known = found;
        onChange(addresses.map((address) => baseUrlOf(address, port)));
      }
    } catch (cause) {
      waitMs = backoffMs(failures++, { baseMs: 500, maxMs: everyMs });
      onError?.(cause);
    }
    if (!isClosed) timer = setTimeout(look, waitMs).unref();
  }

  void look();
  return {
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}

async function resolveAll(host: string): Promise<string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

function baseUrlOf(address: string, port: number): string {
  return `http://${address.includes(":") ? `[${address}]` : address}:${port}`;
}
