// lampid.auth.v1.AccountService: contract to domain to store and back. Rules are in domain/account.ts.
import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { AuditEntry } from "#chassis/audit.ts";
import { actorOf, callerOf, requireWilayah } from "#chassis/caller.ts";
import { idempotencyKeyOf } from "#chassis/idempotency.ts";
import { methodName } from "#chassis/interceptors.ts";
import { pageSizeOf, readPageToken, writePageToken } from "#chassis/page-token.ts";
import { type FieldViolation, refuse, refuseFields } from "#chassis/refusal.ts";
import type { WilayahIndex } from "#chassis/wilayah.ts";
import {
  type Account,
  AccountSchema,
  Account_Role as RoleMessage,
  Account_Status as Status,
} from "#gen/lampid/auth/v1/account_pb.ts";
import {
  type AccountChange,
  AccountChangeSchema,
  type AccountService,
  CreateAccountRequestSchema,
  CreateAccountResponseSchema,
  ReactivateAccountRequestSchema,
  ReactivateAccountResponseSchema,
  ResetPasswordResponseSchema,
  SuspendAccountRequestSchema,
  SuspendAccountResponseSchema,
  UpdateAccountRequestSchema,
  UpdateAccountResponseSchema,
} from "#gen/lampid/auth/v1/account_service_pb.ts";
import {
  type AccountRecord,
  type AccountStore,
  type AccountTransaction,
  CURSOR_PART,
} from "./account-store.ts";
import {
  type Authority,
  checkAuthority,
  mayGiveRole,
  ROLES,
  type Role,
  whyNotAdminister,
} from "./domain/account.ts";
import { foldUsername } from "./login-throttle.ts";

export type AccountServiceDeps = {
  store: AccountStore;
  wilayah: WilayahIndex;
  clock: () => Date;
  newPassword: () => string;
};

export function accountService({
  store,
  wilayah,
  clock,
  newPassword,
}: AccountServiceDeps): ServiceImpl<typeof AccountService> {
  /** The account, when there is one where the caller may look. */
  function visible(ctx: HandlerContext, account: AccountRecord | undefined): AccountRecord {
    if (!account) throw refuse("notFound", "NOT_FOUND", "there is no such account");
    requireWilayah(ctx, account.wilayah);
    return account;
  }

  /** The account, when the caller may administer it. */
  function administered(ctx: HandlerContext, account: AccountRecord | undefined): AccountRecord {
    const found = visible(ctx, account);
    const denial = whyNotAdminister(callerOf(ctx), found);
    switch (denial) {
      case undefined:
        return found;
      case "own_account":
        throw refuse("forbidden", "OWN_ACCOUNT", "nobody administers their own account");
      case "role":
        throw roleDenied(ctx, found.role);
      default:
        return denial satisfies never;
    }
  }

  function requireRole(ctx: HandlerContext, role: Role): void {
    if (!mayGiveRole(callerOf(ctx), role)) throw roleDenied(ctx, role);
  }

  function requireFit(authority: Authority): void {
    const violations = checkAuthority(authority, wilayah.has);
    if (violations.length > 0) throw refuseFields(violations);
  }

  /** Where the request id was used before, the store does not ask again; so the policy is asked here, too. */
  async function preview(ctx: HandlerContext, id: string): Promise<AuditEntry> {
    return attemptOf(ctx, administered(ctx, await store.find(id)), clock());
  }

  const setSuspended = (ctx: HandlerContext, id: string, isSuspended: boolean) => {
    return async (tx: AccountTransaction) => {
      administered(ctx, await tx.findForUpdate(id));
      await tx.setSuspended(id, isSuspended);
      return { account: accountMessage(visible(ctx, await tx.findForUpdate(id))) };
    };
  };

  return {
    async createAccount(request, ctx) {
      const authority = { role: roleOf(request.role), wilayah: request.kodeWilayah };
      requireFit(authority);
      requireWilayah(ctx, authority.wilayah);
      requireRole(ctx, authority.role);
      return await store.change({
        key: idempotencyKeyOf(callerOf(ctx).subject, CreateAccountRequestSchema, request),
        attempt: attemptOf(ctx, { id: "new", wilayah: authority.wilayah }, clock()),
        answer: CreateAccountResponseSchema,
        work: async (tx) => {
          const account = await tx.create({ username: foldUsername(request.username), ...authority });
          if (!account) throw refuse("alreadyExists", "USERNAME_TAKEN", "this username is taken");
          return {
            answer: create(CreateAccountResponseSchema, { account: accountMessage(account) }),
            resource: accountName(account.id),
          };
        },
      });
    },

    async getAccount({ name }, ctx) {
      return { account: accountMessage(visible(ctx, await store.find(idOf(name)))) };
    },

    async listAccounts({ kodeWilayah, pageSize, pageToken }, ctx) {
      requireWilayah(ctx, kodeWilayah);
      const filter = [kodeWilayah];
      const after = readPageToken(pageToken, filter, [CURSOR_PART])?.[0];
      const page = await store.list({ wilayah: kodeWilayah, limit: pageSizeOf(pageSize), after });
      return {
        accounts: page.accounts.map(accountMessage),
        nextPageToken: page.next === undefined ? "" : writePageToken([page.next], filter),
      };
    },

    async updateAccount(request, ctx) {
      const message = request.account!;
      const change = authorityChange(message, request.updateMask?.paths);
      const id = idOf(message.name);
      return await store.change({
        key: idempotencyKeyOf(callerOf(ctx).subject, UpdateAccountRequestSchema, request),
        attempt: await preview(ctx, id),
        answer: UpdateAccountResponseSchema,
        work: async (tx) => {
          const before = administered(ctx, await tx.findForUpdate(id));
          if (message.etag !== etagOf(before)) {
            throw refuse(
              "conflict",
              "ETAG_MISMATCH",
              "the account has changed; read it again and repeat the change",
            );
          }
          const after = { ...before, ...change };
          requireFit(after);
          requireWilayah(ctx, after.wilayah);
          requireRole(ctx, after.role);
          await tx.update(id, { role: after.role, wilayah: after.wilayah });
          return {
            answer: create(UpdateAccountResponseSchema, { account: accountMessage(after) }),
            resource: message.name,
          };
        },
      });
    },

    async suspendAccount(request, ctx) {
      const id = idOf(request.name);
      const suspend = setSuspended(ctx, id, true);
      return await store.change({
        key: idempotencyKeyOf(callerOf(ctx).subject, SuspendAccountRequestSchema, request),
        attempt: await preview(ctx, id),
        answer: SuspendAccountResponseSchema,
        work: async (tx) => ({
          answer: create(SuspendAccountResponseSchema, await suspend(tx)),
          resource: request.name,
        }),
      });
    },

    async reactivateAccount(request, ctx) {
      const id = idOf(request.name);
      const reactivate = setSuspended(ctx, id, false);
      return await store.change({
        key: idempotencyKeyOf(callerOf(ctx).subject, ReactivateAccountRequestSchema, request),
        attempt: await preview(ctx, id),
        answer: ReactivateAccountResponseSchema,
        work: async (tx) => ({
          answer: create(ReactivateAccountResponseSchema, await reactivate(tx)),
          resource: request.name,
        }),
      });
    },

    async resetPassword({ name }, ctx) {
      const id = idOf(name);
      return await store.change({
        // No request id: an answer that is kept would be a password that is kept.
        key: { subject: callerOf(ctx).subject, requestId: "", fingerprint: new Uint8Array() },
        attempt: await preview(ctx, id),
        answer: ResetPasswordResponseSchema,
        work: async (tx) => {
          administered(ctx, await tx.findForUpdate(id));
          const initialPassword = newPassword();
          await tx.setInitialPassword(id, initialPassword);
          return { answer: create(ResetPasswordResponseSchema, { initialPassword }), resource: name };
        },
      });
    },
  };
}

const ROLE_MESSAGES: Record<Role, RoleMessage> = {
  operator: RoleMessage.OPERATOR,
  supervisor: RoleMessage.SUPERVISOR,
  admin_kota: RoleMessage.ADMIN_KOTA,
  admin_pusat: RoleMessage.ADMIN_PUSAT,
  auditor: RoleMessage.AUDITOR,
};

function roleOf(message: RoleMessage): Role {
  const role = ROLES.find((each) => ROLE_MESSAGES[each] === message);
  if (!role) throw new Error("the contract lets no other role through");
  return role;
}

/** Fields of AccountChange that name the account; every other one may change. */
const IDENTITY = ["name", "etag"];

/**
 * The selected values. Without a mask every field that is present.
 * @throws Refused INVALID_ARGUMENT for a path that is not a field or may not change or is absent, and for an empty change.
 */
function authorityChange(message: AccountChange, paths: readonly string[] | undefined): Partial<Authority> {
  const changeable = AccountChangeSchema.fields
    .map(({ name }) => name)
    .filter((name) => !IDENTITY.includes(name));
  const change: Partial<Authority> = {
    ...(message.role === undefined ? {} : { role: roleOf(message.role) }),
    ...(message.kodeWilayah === undefined ? {} : { wilayah: message.kodeWilayah }),
  };
  const given = [
    ...(change.role === undefined ? [] : ["role"]),
    ...(change.wilayah === undefined ? [] : ["kode_wilayah"]),
  ];
  const selected = paths?.length ? paths : given;
  const violations: FieldViolation[] = [];
  for (const path of selected) {
    if (!changeable.includes(path)) {
      const description = `"${path}" is not a field that may change`;
      violations.push({ field: "update_mask", reason: "FIELD_MASK", description });
    } else if (!given.includes(path)) {
      violations.push({ field: `account.${path}`, reason: "REQUIRED", description: "cannot be cleared" });
    }
  }
  if (selected.length === 0) {
    const description = "must hold at least one field to change";
    violations.push({ field: "account", reason: "REQUIRED", description });
  }
  if (violations.length > 0) throw refuseFields(violations);
  return {
    ...(selected.includes("role") ? { role: change.role! } : {}),
    ...(selected.includes("kode_wilayah") ? { wilayah: change.wilayah! } : {}),
  };
}

function roleDenied(ctx: HandlerContext, role: Role) {
  const own = callerOf(ctx).role;
  return refuse("forbidden", "ROLE_DENIED", `role "${own}" does not administer accounts of role "${role}"`);
}

function attemptOf(ctx: HandlerContext, account: { id: string; wilayah: string }, at: Date): AuditEntry {
  const { id, wilayah } = account;
  return { ...actorOf(ctx), action: methodName(ctx), resource: accountName(id), wilayah, at };
}

function accountName(id: string): string {
  return `accounts/${id}`;
}

/** The id in a resource name whose shape the contract has checked. */
function idOf(name: string): string {
  return name.slice(name.indexOf("/") + 1);
}

function accountMessage(record: AccountRecord): Account {
  const { id, username, role, wilayah, isSuspended, createdAt } = record;
  return create(AccountSchema, {
    name: accountName(id),
    username,
    role: ROLE_MESSAGES[role],
    kodeWilayah: wilayah,
    status: isSuspended ? Status.DITANGGUHKAN : Status.AKTIF,
    etag: etagOf(record),
    createTime: timestampFromDate(createdAt),
  });
}

/** Keycloak counts no versions, so this is made of what can change: equal contents, equal etag. */
function etagOf({ role, wilayah, isSuspended }: AccountRecord): string {
  return createHash("sha256")
    .update(JSON.stringify([role, wilayah, isSuspended]))
    .digest("base64url")
    .slice(0, 16);
}
