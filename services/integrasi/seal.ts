// Seals rows that were put aside: AES-256-GCM, bound to the id under which they are stored.
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { ConfigError } from "#chassis/config.ts";
import { refuse } from "#chassis/refusal.ts";

export type Seal = {
  /** @param id UUID of the stored row: what is sealed for one cannot be passed off as another's. */
  seal: (id: string, plain: Uint8Array) => Buffer;
  /** @throws Refused FAILED_PRECONDITION when none of the keys opens it. */
  open: (id: string, sealed: Uint8Array) => Buffer;
};

/** Keys by number; `current` seals, all of them open. */
export type QuarantineKeys = { current: number; keys: ReadonlyMap<number, Buffer> };

const ALGORITHM = "aes-256-gcm";
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** What a lone key is called. */
const FIRST_KEY = 1;

/** The layout: key number (1 byte), nonce (12), ciphertext, tag (16). */
export function sealWith({ current, keys }: QuarantineKeys): Seal {
  return {
    seal(id, plain) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(ALGORITHM, keys.get(current)!, nonce);
      cipher.setAAD(Buffer.from(id));
      return Buffer.concat([
        Buffer.of(current),
        nonce,
        cipher.update(plain),
        cipher.final(),
        cipher.getAuthTag(),
      ]);
    },

    open(id, sealed) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
      const number = bytes[0];
      const key = number === undefined ? undefined : keys.get(number);
      if (!key || bytes.length < 1 + NONCE_BYTES + TAG_BYTES) {
        throw unreadable(`it was sealed with key ${number}, which LAMPID_QUARANTINE_KEY_FILE does not have`);
      }
      const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(1, 1 + NONCE_BYTES));
      decipher.setAAD(Buffer.from(id));
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
      try {
        return Buffer.concat([
          decipher.update(bytes.subarray(1 + NONCE_BYTES, -TAG_BYTES)),
          decipher.final(),
        ]);
      } catch {
        throw unreadable(`key ${number} of LAMPID_QUARANTINE_KEY_FILE is not the one it was sealed with`);
      }
    },
  };
}

/**
 * Reads a key file: a key a line, 32 bytes in base64 or hex, "NUMBER:KEY" (0 to 255) or a lone KEY, which is number 1.
 * The first line seals; older ones stay below it for as long as rows are sealed with them.
 * @throws ConfigError, which quotes nothing of the file.
 */
export function readQuarantineKeys(path: string): QuarantineKeys {
  const expected = `a file with ${KEY_BYTES} bytes in base64 or hex, "NUMBER:KEY" a line when there are several`;
  const fail = (found: string): never => {
    throw new ConfigError("LAMPID_QUARANTINE_KEY_FILE", expected, found);
  };
  let text = "";
  try {
    // Not the group's rights: Kubernetes gives a mounted secret to a group.
    if (statSync(path).mode & 0o007) fail(`${path}, which everybody on this machine may read (chmod 600)`);
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    fail(`${path}, which cannot be read (${(cause as NodeJS.ErrnoException).code})`);
  }
  const keys = new Map<number, Buffer>();
  for (const line of text.split(/\r?\n/).map((each) => each.trim())) {
    if (line === "") continue;
    const match = /^(?:(\d{1,3}):)?([\w+/-]+={0,2})$/.exec(line);
    const number = Number(match?.[1] ?? FIRST_KEY);
    const key = match && keyOf(match[2]!);
    if (!key || number > 255) return fail(`something else in ${path}`);
    if (keys.has(number)) fail(`key ${number} twice in ${path}`);
    keys.set(number, key);
  }
  const [current] = keys.keys();
  return current === undefined ? fail(`nothing in ${path}`) : { current, keys };
}

function keyOf(text: string): Buffer | undefined {
  const key = /^[0-9a-fA-F]{64}$/.test(text) ? Buffer.from(text, "hex") : Buffer.from(text, "base64");
  return key.length === KEY_BYTES ? key : undefined;
}

function unreadable(why: string) {
  return refuse("precondition", "KARANTINA_UNREADABLE", `the row cannot be opened: ${why}`);
}
