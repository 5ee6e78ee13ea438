// The life of an account with either issuer: made, given a password, used, suspended, let in again.
import assert from "node:assert/strict";
import { Code } from "@connectrpc/connect";
import { Account_Role as Role, Account_Status as Status } from "#gen/lampid/auth/v1/account_pb.ts";
import { assertRefused, refused } from "../harness/component.ts";
import { newUsername } from "./accounts.contract.ts";
import { type AuthComponent, bearer } from "./auth-component.ts";
import { askToken } from "./browser.ts";

export type LoginPages = {
  tokenUrl: string;
  /** Signs in with the initial password, chooses another on the page that then comes, and gives the tokens of lampid-web. */
  choosePassword: (
    username: string,
    initial: string,
    chosen: string,
  ) => Promise<{ accessToken: string; refreshToken: string }>;
};

const CHOSEN = "kuda nil makan siang";

export async function liveThroughAnAccount(mesh: AuthComponent, pages: LoginPages): Promise<void> {
  const { auth, accounts, revocations } = mesh;
  /** By what a real token of theirs says in "sub": suspended or not; undefined when nothing of theirs is revoked. */
  const revocationOf = async (subject: string) => {
    await new Promise((resolve) => setTimeout(resolve, 600)); // One reading serves everyone for half a second.
    const listed = (await revocations.listRevocations({})).revocations;
    return listed.find((each) => each.subject === subject)?.suspended;
  };
  const kota = bearer((await auth.login({ username: "kota", password: "rahasia" })).accessToken);
  const username = newUsername();
  const login = (password: string) => auth.login({ username, password });
  const refresh = (token: string) =>
    askToken(pages.tokenUrl, {
      grant_type: "refresh_token",
      client_id: "lampid-web",
      refresh_token: token,
    });

  const { account: made } = await accounts.createAccount(
    { username: username.toUpperCase(), role: Role.OPERATOR, kodeWilayah: "32.01.01.1006" },
    kota,
  );
  const { name = "", etag = "" } = made ?? {};
  assert.deepEqual(
    [made?.username, made?.role, made?.status],
    [username, Role.OPERATOR, Status.AKTIF],
    "stored in lower case",
  );
  assert.deepEqual((await accounts.getAccount({ name }, kota)).account, made);

  const { initialPassword } = await accounts.resetPassword({ name }, kota);
  assert.match(initialPassword, /^([a-z2-9]{4}-){3}[a-z2-9]{4}$/);
  await assertRefused(login(initialPassword), "FailedPrecondition", "PASSWORD_EXPIRED");
  const tokens = await pages.choosePassword(username, initialPassword, CHOSEN);
  await assertRefused(login(initialPassword), "Unauthenticated");
  const me = await auth.getMe({}, bearer(tokens.accessToken));
  assert.deepEqual(
    [`accounts/${me.subject}`, me.username, me.role, me.wilayah],
    [name, username, "operator", "32.01.01.1006"],
  );

  const change = { name, etag, role: Role.SUPERVISOR, kodeWilayah: "32.01.02" };
  const { account: moved } = await accounts.updateAccount({ account: change }, kota);
  const renewed = await refresh(tokens.refreshToken);
  assert.equal(renewed.status, 200, JSON.stringify(renewed.body));
  const after = await auth.getMe({}, bearer(renewed.body.access_token!));
  assert.deepEqual([after.role, after.wilayah], ["supervisor", "32.01.02"], "new tokens carry the new role");

  const { account: suspended } = await accounts.suspendAccount({ name }, kota);
  assert.deepEqual([suspended?.status, suspended?.role], [Status.DITANGGUHKAN, Role.SUPERVISOR]);
  assert.equal((await refused(login(CHOSEN))).code, Code.Unauthenticated);
  assert.ok((await refresh(renewed.body.refresh_token!)).status >= 400, "its session has ended");
  assert.equal(await revocationOf(me.subject), true);

  const { account: back } = await accounts.reactivateAccount({ name }, kota);
  assert.deepEqual(back, moved);
  assert.equal(await revocationOf(me.subject), false);
  await login(CHOSEN);
  assert.ok((await refresh(renewed.body.refresh_token!)).status >= 400, "the old session stays ended");

  const page = await accounts.listAccounts({ kodeWilayah: "32.01.02", pageSize: 500 }, kota);
  assert.deepEqual(
    page.accounts.find((each) => each.username === username),
    back,
  );
  const reset = await accounts.resetPassword({ name }, kota);
  await assertRefused(login(CHOSEN), "Unauthenticated");
  await assertRefused(login(reset.initialPassword), "FailedPrecondition", "PASSWORD_EXPIRED");

  const log = JSON.stringify(mesh.takeLog());
  for (const secret of [initialPassword, reset.initialPassword, CHOSEN]) assert.ok(!log.includes(secret));
}
