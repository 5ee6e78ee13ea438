// What is in the embedded PostgreSQL before the migrations: a database and a role per service, and their passwords.
import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { writeWhole } from "./data-dir.ts";
import { MeshError } from "./mesh-error.ts";

/** Each is a database and the login role that owns it. `bus` is the event bus: every role may connect to that one. */
export const DATABASES = [
  "auth",
  "penduduk",
  "pelaporan",
  "notifikasi",
  "statistik",
  "integrasi",
  "dokumen",
  "bus",
] as const;

export type DatabaseName = (typeof DATABASES)[number];

/** Login roles without a database. The front door may tell of itself on the bus, and nothing else (bus/migrations). */
const PUBLISHERS = ["gateway"] as const;

export type RoleName = DatabaseName | (typeof PUBLISHERS)[number];

const ROLES: readonly RoleName[] = [...DATABASES, ...PUBLISHERS];

/** `<dataDir>/secrets.json`. */
export type Secrets = {
  superuser: string;
  roles: Record<string, string>;
  /** Of the processes that call others by themselves, at the embedded issuer. */
  service: string;
};

/**
 * Databases and roles, each made when missing; grants and passwords are set at every start, so that a hand-edited
 * cluster or a new secrets.json comes right by itself.
 */
export async function provision(
  superuserUrl: string,
  { roles }: Secrets,
  { isShared = false }: { isShared?: boolean } = {},
): Promise<void> {
  await withClient(superuserUrl, async (client) => {
    const names = async (sql: string) =>
      new Set((await client.query<{ name: string }>(sql)).rows.map((row) => row.name));
    const [foundRoles, foundDatabases] = [
      await names("SELECT rolname AS name FROM pg_roles"),
      await names("SELECT datname AS name FROM pg_database"),
    ];
    const statements = foundRoles.has("bus_user") ? [] : ["CREATE ROLE bus_user NOLOGIN"];
    for (const name of ROLES) {
      const verb = foundRoles.has(name) ? "ALTER" : "CREATE";
      statements.push(
        `${verb} ROLE ${name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD '${roles[name]}'`,
      );
    }
    statements.push(`GRANT bus_user TO ${DATABASES.filter((name) => name !== "bus").join(", ")}`);
    // Of a server that others use, too, only our own databases are ours to close.
    if (!isShared) statements.push("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC");
    await client.query(statements.join(";\n"));
    for (const name of DATABASES) {
      // Cannot share a transaction, so it cannot share a query. 10 ms each.
      if (!foundDatabases.has(name)) await client.query(`CREATE DATABASE ${name} OWNER ${name}`);
    }
    await client.query(
      `REVOKE ALL ON DATABASE ${DATABASES.join(", ")} FROM PUBLIC; GRANT CONNECT ON DATABASE bus TO bus_user, ${PUBLISHERS.join(", ")}`,
    );
  });
  const penduduk = new URL(superuserUrl);
  penduduk.pathname = "/penduduk";
  await withClient(penduduk.href, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      "SELECT name FROM pg_available_extensions WHERE name IN ('pg_trgm', 'unaccent') AND installed_version IS NULL",
    );
    for (const { name } of rows) await client.query(`CREATE EXTENSION IF NOT EXISTS ${name}`);
  });
}

export async function withClient(url: string, use: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  // A server that is killed while we are idle between two queries must not end this process.
  client.on("error", () => {});
  try {
    await client.connect();
    await use(client);
  } finally {
    await client.end().catch(() => {});
  }
}

export function readSecrets(dataDir: string): Secrets | undefined {
  const path = join(dataDir, "secrets.json");
  if (!existsSync(path)) return undefined;
  try {
    const { superuser, roles, service } = JSON.parse(readFileSync(path, "utf8")) as Secrets;
    if (typeof superuser === "string" && typeof roles === "object") return { superuser, roles, service };
  } catch {
    // Falls through: whatever is wrong with it, the answer is the same.
  }
  throw new MeshError(`${path} cannot be read as JSON; delete it to get new passwords`);
}

/** Those of the data folder, completed and written before they are used: no server may have passwords nobody knows. */
export function settleSecrets(dataDir: string): { secrets: Secrets; isNew: boolean } {
  const found = readSecrets(dataDir);
  const secrets = completeSecrets(found);
  if (JSON.stringify(found) !== JSON.stringify(secrets)) {
    writeWhole(join(dataDir, "secrets.json"), `${JSON.stringify(secrets, null, 2)}\n`, 0o600);
  }
  return { secrets, isNew: found === undefined };
}

/**
 * The path of the key that rows in quarantine are sealed with, made when it is missing: rows that were sealed with a key
 * that is lost stay closed. It is no part of secrets.json, which integrasi must not read.
 */
export function settleQuarantineKey(dataDir: string): string {
  const path = join(dataDir, "quarantine.key");
  if (!existsSync(path)) writeWhole(path, `1:${randomBytes(32).toString("base64")}\n`, 0o600);
  return path;
}

/**
 * The path of the key that documents are signed with, made when it is missing, and beside it the public part, which whoever
 * verifies offline needs. A new key is put in front of the others: they sign no more, and verify what they signed.
 */
export function settleDokumenKey(dataDir: string): string {
  const path = join(dataDir, "dokumen-keys.json");
  if (!existsSync(path)) writeKeys(path, [newSigningKey()], 0o600);
  try {
    const keys: Record<string, string>[] = JSON.parse(readFileSync(path, "utf8")).keys;
    writeKeys(
      join(dataDir, "dokumen-jwks.json"),
      keys.map(({ d: _, ...publicPart }) => publicPart),
      0o644,
    );
  } catch {
    // The process reads it, too, and says what is wrong with it.
  }
  return path;
}

function writeKeys(path: string, keys: readonly object[], mode: number): void {
  writeWhole(path, `${JSON.stringify({ keys }, null, 2)}\n`, mode);
}

/** An Ed25519 key as JSON Web Key (RFC 8037). */
function newSigningKey() {
  const { kty, crv, x, d } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  // The thumbprint of RFC 7638: SHA-256 of the required members in the order of their names.
  const kid = createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url");
  return { kty, crv, x, kid, alg: "EdDSA", use: "sig", d };
}

/** The same on a server that is not ours, by its superuser's URL; one mesh a server, for the names are always the same. */
export async function provisionExternal(superuserUrl: string, dataDir: string) {
  const { secrets } = settleSecrets(dataDir);
  try {
    await provision(superuserUrl, secrets, { isShared: true });
  } catch (cause) {
    const { host } = new URL(superuserUrl);
    throw new MeshError(
      `PostgreSQL at ${host} cannot be used: ${(cause as Error).message}; check LAMPID_POSTGRES_URL (a superuser's)`,
      { cause },
    );
  }
  return {
    superuserUrl,
    url(role: RoleName, database: RoleName = role): string {
      const url = new URL(superuserUrl);
      return Object.assign(url, { username: role, password: secrets.roles[role], pathname: `/${database}` })
        .href;
    },
  };
}

/** Passwords are URL- and SQL-safe: letters, digits, - and _. */
export function completeSecrets(found: Secrets | undefined): Secrets {
  const password = () => randomBytes(24).toString("base64url");
  const known = Object.entries({ superuser: found?.superuser, service: found?.service, ...found?.roles });
  const valid = new Map(known.filter(([, text]) => /^[\w-]{16,}$/.test(text ?? "")));
  return {
    superuser: valid.get("superuser") ?? password(),
    service: valid.get("service") ?? password(),
    roles: Object.fromEntries(ROLES.map((name) => [name, valid.get(name) ?? password()])),
  };
}
