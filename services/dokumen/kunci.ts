// The keys that statements are signed with: the first signs, all verify.
import { readFileSync, statSync } from "node:fs";
import { ConfigError } from "#chassis/config.ts";

/** A public Ed25519 key as JSON Web Key (RFC 8037). */
export type KunciPublik = { kty: "OKP"; crv: "Ed25519"; x: string; kid: string; alg: "EdDSA"; use: "sig" };

export type Kunci = {
  /** The key that signs, with its secret part `d`. */
  penanda: KunciPublik & { d: string };
  /** All of them, the one that signs first. */
  publik: readonly KunciPublik[];
};

const KEY = "LAMPID_DOKUMEN_KEY_FILE";
const EXPECTED = 'a JSON Web Key Set of Ed25519 keys, each with "kid" and "x", the first with "d", too';
/** Ed25519: 32 bytes, base64url. */
const BYTES_32 = /^[A-Za-z0-9_-]{43}$/;

/** Throws {@link ConfigError}, which says what is wrong and nothing of the keys. */
export function readKunci(path: string): Kunci {
  let keys: unknown[];
  try {
    // Not the group's rights: Kubernetes gives a mounted secret to a group.
    if (statSync(path).mode & 0o007) {
      throw new ConfigError(KEY, EXPECTED, `${path}, which everybody on this machine may read (chmod 600)`);
    }
    keys = JSON.parse(readFileSync(path, "utf8")).keys;
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    throw new ConfigError(KEY, EXPECTED, `${path}, which cannot be read`);
  }
  if (!Array.isArray(keys) || keys.length === 0) throw new ConfigError(KEY, EXPECTED, "no keys");
  const publik = keys.map(publicPart);
  if (new Set(publik.map(({ kid }) => kid)).size < publik.length) {
    throw new ConfigError(KEY, EXPECTED, "two keys of one kid");
  }
  const { d } = keys[0] as { d?: unknown };
  if (typeof d !== "string" || !BYTES_32.test(d)) {
    throw new ConfigError(KEY, EXPECTED, 'a first key without "d"');
  }
  return { penanda: { ...publik[0]!, d }, publik };
}

/** The public keys of a JSON Web Key Set; throws on one that is something else. */
export function publicPart(key: unknown): KunciPublik {
  const { kty, crv, x, kid } = (key ?? {}) as Record<string, unknown>;
  const isKey = kty === "OKP" && crv === "Ed25519" && typeof x === "string" && BYTES_32.test(x);
  if (!isKey || typeof kid !== "string" || kid === "") {
    throw new ConfigError(KEY, EXPECTED, "a key of another kind");
  }
  return { kty, crv, x, kid, alg: "EdDSA", use: "sig" };
}
