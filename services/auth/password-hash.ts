// Password hashes: scrypt (RFC 7914) with OWASP's parameters, a bounded number at a time.
import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";

/** `ln` is log2 of N. Memory of one hash: 128 * 2^ln * r bytes. */
export type ScryptCost = { ln: number; r: number; p: number };

export type PasswordHasher = {
  /** `$scrypt$ln=14,r=8,p=5$<salt>$<hash>`, base64 without padding. */
  hash: (password: string) => Promise<string>;
  /**
   * Whether the password fits the stored hash. Without one it takes as long and says no, so that an answer's time does
   * not tell whether an account exists.
   */
  verify: (password: string, stored: string | undefined) => Promise<boolean>;
};

export type PasswordHasherOptions = {
  cost?: ScryptCost;
  /** Hashes computed at once. Default 2: libuv's four threads also serve DNS, files and token verification. */
  concurrency?: number;
  /** Callers that may wait for their turn. Default 16, some two seconds of work. */
  maxWaiting?: number;
};

/** Thrown at once when too many hashes are waiting: a flood of logins is turned away, not queued. */
export class HasherBusy extends Error {
  constructor() {
    super("too many passwords are being checked");
    this.name = "HasherBusy";
  }
}

/** OWASP Password Storage Cheat Sheet, scrypt; 16 MiB and some 200 ms of one core each. */
const COST: ScryptCost = { ln: 14, r: 8, p: 5 };
const SALT_BYTES = 16;
const HASH_BYTES = 32;
const STORED = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

export function passwordHasher({
  cost = COST,
  concurrency = 2,
  maxWaiting = 16,
}: PasswordHasherOptions = {}): PasswordHasher {
  const turn = turnstile(concurrency, maxWaiting);
  const dummy = { cost, salt: randomBytes(SALT_BYTES), hash: randomBytes(HASH_BYTES) };

  return {
    async hash(password) {
      const salt = randomBytes(SALT_BYTES);
      const hash = await turn(() => derive(password, salt, HASH_BYTES, cost));
      return `$scrypt$ln=${cost.ln},r=${cost.r},p=${cost.p}$${unpadded(salt)}$${unpadded(hash)}`;
    },
    async verify(password, stored) {
      const expected = stored === undefined ? dummy : parse(stored);
      const found = await turn(() => derive(password, expected.salt, expected.hash.length, expected.cost));
      const fits = timingSafeEqual(found, expected.hash);
      // HMAC pads its key with zeros, so "rahasia" and "rahasia\0" have one hash: the second is nobody's password.
      return fits && stored !== undefined && !password.includes("\0");
    },
  };
}

function derive(password: string, salt: Buffer, bytes: number, { ln, r, p }: ScryptCost): Promise<Buffer> {
  const N = 2 ** ln;
  const options: ScryptOptions = { N, r, p, maxmem: 256 * N * r };
  // The same characters typed on two keyboards may be different code points (NIST SP 800-63B 5.1.1.2).
  const text = password.normalize("NFKC");
  return new Promise((resolve, reject) => {
    scrypt(text, salt, bytes, options, (cause, hash) => (cause ? reject(cause) : resolve(hash)));
  });
}

function parse(stored: string): { cost: ScryptCost; salt: Buffer; hash: Buffer } {
  const match = STORED.exec(stored);
  if (!match) throw new Error("a stored password hash is not in the expected form");
  const [ln, r, p] = [Number(match[1]), Number(match[2]), Number(match[3])];
  return {
    cost: { ln, r, p },
    salt: Buffer.from(match[4]!, "base64"),
    hash: Buffer.from(match[5]!, "base64"),
  };
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}

/** Lets `concurrency` pieces of work run at once and `maxWaiting` wait, first come first served. */
function turnstile(concurrency: number, maxWaiting: number) {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= concurrency) {
      if (waiting.length >= maxWaiting) throw new HasherBusy();
      // Whoever ends hands its place over, so `running` stays as it is.
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
