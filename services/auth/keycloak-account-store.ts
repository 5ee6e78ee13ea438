// Accounts that are users of a Keycloak realm: role and wilayah are attributes of theirs, the audit is ours.
import { appendToAudit } from "#chassis/audit.ts";
import { createLane } from "#chassis/batcher.ts";
import type { Database, Sql } from "#chassis/database.ts";
import { idempotently } from "#chassis/idempotency.ts";
import { Refused, refuse } from "#chassis/refusal.ts";
import { NATION, wilayahContains } from "#chassis/wilayah.ts";
import type {
  AccountPage,
  AccountQuery,
  AccountRecord,
  AccountStore,
  AccountTransaction,
} from "./account-store.ts";
import { type Authority, isRole, wilayahPath } from "./domain/account.ts";
import { type KeycloakAdmin, KeycloakRefusal, type KeycloakUser } from "./keycloak-admin.ts";

export type KeycloakAccountStoreDeps = { admin: KeycloakAdmin; database: Database };

/** Changes at the same time: each holds a connection while Keycloak works, and takes a second one for the audit. */
const LANE = { maxInFlight: 3, maxQueue: 100 };
/** How far a list's place may have moved since the page before, by accounts that were made or removed meanwhile. */
const DRIFT = 20;
/** Users a request for a list asks for: Keycloak takes some 5 ms for each that it has not in its cache. */
const CHUNK = 100;

export function keycloakAccountStore({ admin, database }: KeycloakAccountStoreDeps): AccountStore {
  const inTurn = createLane(LANE);

  return {
    find: async (id) => toRecord(await getUser(admin, id)),
    list: (query) => listAccounts(admin, query),

    change: ({ key, attempt, answer, work }) =>
      inTurn(() =>
        idempotently(database, key, answer, async (sql) => {
          let hasBegun = false;
          // On a connection of its own: it is there whatever becomes of us. One without a successor had an unknown end.
          const begin = async () => {
            if (hasBegun) return;
            await appendToAudit(database, { ...attempt, action: `${attempt.action} begun` });
            hasBegun = true;
          };
          try {
            const done = await work(accountTransaction(admin, sql, begin));
            await appendToAudit(sql, { ...attempt, resource: done.resource });
            return done.answer;
          } catch (cause) {
            if (hasBegun && hasDoneNothing(cause)) {
              await appendToAudit(database, { ...attempt, action: `${attempt.action} failed` });
            }
            throw cause;
          }
        }),
      ),
  };
}

function accountTransaction(admin: KeycloakAdmin, sql: Sql, begin: () => Promise<void>): AccountTransaction {
  /** Keycloak locks nothing for us: our processes keep each other out in the database they share. */
  const lock = (what: string) =>
    sql.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [`account ${what}`]);

  /** A PUT replaces what it names, so it names everything. */
  async function put(id: string, change: (user: KeycloakUser) => Partial<KeycloakUser>): Promise<void> {
    await begin();
    const user = found(await getUser(admin, id));
    const { status } = await admin.request("PUT", `users/${id}`, { body: { ...user, ...change(user) } });
    if (status === 404) throw gone();
  }

  async function endSessions(id: string): Promise<void> {
    await admin.request("POST", `users/${id}/logout`);
  }

  return {
    async findForUpdate(id) {
      await lock(id);
      return toRecord(await getUser(admin, id));
    },

    async create({ username, role, wilayah }) {
      await lock(username);
      const query = { username, exact: "true", briefRepresentation: "true" };
      if (((await admin.request("GET", "users", { query })).body as KeycloakUser[]).length > 0)
        return undefined;
      await begin();
      const body = { username, enabled: true, attributes: attributesOf({ role, wilayah }) };
      const { status, location } = await admin.request("POST", "users", { body });
      // Made by the console just now, or a name that only differs for us.
      if (status === 409) return undefined;
      return toRecord(await getUser(admin, location.slice(location.lastIndexOf("/") + 1)));
    },

    update: (id, authority) =>
      put(id, ({ attributes }) => ({ attributes: { ...attributes, ...attributesOf(authority) } })),

    async setSuspended(id, isSuspended) {
      await put(id, () => ({ enabled: !isSuspended }));
      if (isSuspended) await endSessions(id);
    },

    async setInitialPassword(id, password) {
      await begin();
      const body = { type: "password", value: password, temporary: true };
      const { status } = await admin.request("PUT", `users/${id}/reset-password`, { body });
      if (status === 404) throw gone();
      await endSessions(id);
    },
  };
}

/** Whether Keycloak has refused, as opposed to not having answered: then nobody knows. */
function hasDoneNothing(cause: unknown): boolean {
  return (
    cause instanceof KeycloakRefusal || (cause instanceof Refused && cause.refusal.kind !== "unavailable")
  );
}

/**
 * Keycloak searches attributes for equality, so an account carries every wilayah that contains it; looking at all accounts
 * instead took 3 s and more with 10,000 of them (docs/decisions/0009). It pages by offset, which moves when accounts are
 * made: the name that ended the page before is looked for around its place.
 */
async function listAccounts(
  admin: KeycloakAdmin,
  { wilayah, limit, after }: AccountQuery,
): Promise<AccountPage> {
  const search: Record<string, string> = wilayah === NATION ? {} : { q: `${PATH}:${wilayah}` };
  const chunk = Math.min(limit + 1 + DRIFT, CHUNK);
  const { offset: place, username: last } = readCursor(after);
  const accounts: AccountRecord[] = [];
  let next: string | undefined;
  let isResumed = last === undefined;
  let offset = isResumed ? 0 : Math.max(0, place - DRIFT);
  for (;;) {
    const query = { ...search, briefRepresentation: "false", first: String(offset), max: String(chunk) };
    const users = (await admin.request("GET", "users", { query })).body as KeycloakUser[];
    let from = 0;
    if (!isResumed) {
      // After the account that ended the page before; where that one is gone, after its place.
      const known = users.findIndex(({ username }) => username === last);
      from = known === -1 ? place - offset : known + 1;
      isResumed = true;
    }
    for (const [index, user] of users.entries()) {
      if (index < from) continue;
      const record = toRecord(user);
      if (!record || !(wilayah === NATION || wilayahContains(wilayah, record.wilayah))) continue;
      if (accounts.length === limit) return { accounts, next };
      accounts.push(record);
      next = `${offset + index + 1}:${record.username}`;
    }
    if (users.length < chunk) return { accounts, next: undefined };
    offset += users.length;
  }
}

function readCursor(cursor: string | undefined): { offset: number; username: string | undefined } {
  const [, offset = "0", username] = /^(\d+):(.*)$/.exec(cursor ?? "") ?? [];
  return { offset: Number(offset), username };
}

/** Attribute with the path of the wilayah, for searches alone: what an account is good for is the attribute wilayah. */
const PATH = "wilayah_jalur";

function attributesOf({ role, wilayah }: Authority): Record<string, string[]> {
  return { role: [role], wilayah: [wilayah], [PATH]: wilayahPath(wilayah) };
}

async function getUser(admin: KeycloakAdmin, id: string): Promise<KeycloakUser | undefined> {
  const { status, body } = await admin.request("GET", `users/${id}`);
  return status === 404 ? undefined : (body as KeycloakUser);
}

/** Undefined for a client's own user, and for one that the console made without a role: neither is an account. */
function toRecord(user: KeycloakUser | undefined): AccountRecord | undefined {
  const role = user?.attributes?.role?.[0];
  const wilayah = user?.attributes?.wilayah?.[0];
  if (!user || user.serviceAccountClientId || !isRole(role) || !wilayah) return undefined;
  return {
    id: user.id,
    username: user.username,
    role,
    wilayah,
    isSuspended: !user.enabled,
    createdAt: new Date(user.createdTimestamp),
  };
}

function found(user: KeycloakUser | undefined): KeycloakUser {
  if (!user) throw gone();
  return user;
}

function gone() {
  return refuse("notFound", "NOT_FOUND", "there is no such account");
}
