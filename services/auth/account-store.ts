// The port to the accounts of people, wherever the identity provider of the profile keeps them.
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { AuditEntry } from "#chassis/audit.ts";
import type { IdempotencyKey } from "#chassis/idempotency.ts";
import type { Authority } from "./domain/account.ts";

export type AccountRecord = Authority & {
  /** UUID; claim "sub". */
  id: string;
  /** Lower case. */
  username: string;
  isSuspended: boolean;
  createdAt: Date;
};

export type NewAccount = Authority & { username: string };

export type AccountQuery = {
  /** Any level, with everything inside it; "ID" for all. */
  wilayah: string;
  limit: number;
  /** The page before's `next`. */
  after: string | undefined;
};

/** Shape of {@link AccountPage.next}. */
export const CURSOR_PART = /^(\d{1,9}:)?[a-z0-9._-]{1,64}$/;

/** Accounts by username; `next` is where the next page begins, undefined on the last. */
export type AccountPage = { accounts: AccountRecord[]; next: string | undefined };

export type AccountChange<Desc extends DescMessage> = {
  key: IdempotencyKey;
  /** Who does what; `resource` is what it is about, as far as it has a name yet. */
  attempt: AuditEntry;
  answer: Desc;
  work: (tx: AccountTransaction) => Promise<{ answer: MessageShape<Desc>; resource: string }>;
};

export type AccountStore = {
  find: (id: string) => Promise<AccountRecord | undefined>;
  list: (query: AccountQuery) => Promise<AccountPage>;
  /**
   * Runs a change once per request id; a repetition gets the first answer again. No change goes unaudited: its row commits
   * with it, or, where the accounts are somebody else's, one row is there before it is tried and another after it.
   * Throws Refused ABORTED if the id was used with another request, UNAVAILABLE while the accounts cannot be reached.
   */
  change: <Desc extends DescMessage>(change: AccountChange<Desc>) => Promise<MessageShape<Desc>>;
};

/** What a change may do. */
export type AccountTransaction = {
  /** Nobody else in the mesh changes it until the change is done. */
  findForUpdate: (id: string) => Promise<AccountRecord | undefined>;
  /** Without a password. Undefined when the username is taken. */
  create: (account: NewAccount) => Promise<AccountRecord | undefined>;
  update: (id: string, authority: Authority) => Promise<void>;
  /** A suspended account has no sessions and gets none; its password stays. */
  setSuspended: (id: string, isSuspended: boolean) => Promise<void>;
  /** Good for choosing another one at the issuer's login page; its sessions end. */
  setInitialPassword: (id: string, password: string) => Promise<void>;
};
