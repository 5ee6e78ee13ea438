// AccountStore in PostgreSQL, with the embedded issuer's own check of passwords.
import { after, before } from "node:test";
import { openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { postgresAccounts } from "../../services/auth/accounts.ts";
import { passwordHasher } from "../../services/auth/password-hash.ts";
import { postgresAccountStore } from "../../services/auth/postgres-account-store.ts";
import { createTestDatabase } from "../harness/database.ts";
import { type AccountStoreUnderTest, accountStoreContract } from "./accounts.contract.ts";

const log = createLogger("test", "silent");
let underTest: AccountStoreUnderTest;
let close: () => Promise<void>;

before(async () => {
  const { url, drop } = await createTestDatabase("auth");
  const [database, other] = [openDatabase({ url, name: "a", log }), openDatabase({ url, name: "b", log })];
  const hasher = passwordHasher({ cost: { ln: 4, r: 8, p: 1 } });
  const accounts = postgresAccounts({ database, hasher, clock: () => new Date() });
  underTest = {
    store: postgresAccountStore({ database, hasher }),
    replica: postgresAccountStore({ database: other, hasher }),
    async signIn(username, password) {
      const via = "lampid.auth.v1.AuthService/Login";
      const found = await accounts.signIn({ username, password, via, traceparent: "" });
      if (!found) return "denied";
      return found.isPasswordExpired ? "password_expired" : "granted";
    },
    async audited(traceparent) {
      const { rows } = await database.query(
        "select action, resource from audit where traceparent = $1 order by id",
        [traceparent],
      );
      return rows;
    },
    auditsAttempts: false,
  };
  close = async () => {
    await database.close();
    await other.close();
    await drop();
  };
});
after(() => close?.());

accountStoreContract("PostgreSQL", () => underTest);
