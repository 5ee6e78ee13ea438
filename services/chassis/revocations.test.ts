import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import {
  type Revocation,
  RevocationSchema,
  RevocationService,
} from "#gen/lampid/auth/v1/revocation_service_pb.ts";
import { createHealth } from "./health.ts";
import { createLogger } from "./log.ts";
import { followRevocations, revocationList } from "./revocations.ts";
import { startTelemetry } from "./telemetry.ts";

const second = 1_800_000_000;
const changed = (subject: string, over: { suspended?: boolean } = {}) =>
  create(RevocationSchema, { subject, changeTime: timestampFromMs(second * 1000 + 900), ...over });

describe("the list", () => {
  test("refuses tokens of a changed account from before the second of the change, and no other", () => {
    const { isRevoked, replace } = revocationList();
    replace([changed("a")]);
    assert.deepEqual(
      [second - 1, second, second + 1].map((issuedAt) =>
        isRevoked({ subject: "a", issuedAtSeconds: issuedAt }),
      ),
      [true, false, false],
    );
    assert.equal(isRevoked({ subject: "b", issuedAtSeconds: 0 }), false);
  });

  test("refuses every token of a suspended account, also one whose sign-in ended after the change", () => {
    const { isRevoked, replace } = revocationList();
    replace([changed("a", { suspended: true })]);
    assert.deepEqual(
      [second - 1, second, second + 60].map((issuedAt) =>
        isRevoked({ subject: "a", issuedAtSeconds: issuedAt }),
      ),
      [true, true, true],
    );
  });

  test("refuses all of an account whose change has no time", () => {
    const { isRevoked, replace } = revocationList();
    replace([create(RevocationSchema, { subject: "a" })]);
    assert.equal(isRevoked({ subject: "a", issuedAtSeconds: second }), true);
  });

  test("takes a token that does not say when it was issued for one from before", () => {
    const { isRevoked, replace } = revocationList();
    replace([changed("a")]);
    assert.deepEqual([isRevoked({ subject: "a" }), isRevoked({ subject: "b" })], [true, false]);
  });

  test("is replaced as a whole", () => {
    const { isRevoked, replace } = revocationList();
    replace([changed("a"), changed("b", { suspended: true })]);
    replace([changed("b")]);
    assert.deepEqual(
      [isRevoked({ subject: "a", issuedAtSeconds: 0 }), isRevoked({ subject: "b", issuedAtSeconds: second })],
      [false, false],
    );
  });
});

describe("a process that follows the list", () => {
  /** Follows an auth that answers as `answer` says; `asked` resolves when it was asked so many times more. */
  function follow(context: TestContext, everyMs = 5) {
    const auth = { answer: (): { revocations: Revocation[]; leftOff?: number } => ({ revocations: [] }) };
    let waiting: { more: number; resolve: () => void }[] = [];
    const transport = createRouterTransport((router) => {
      router.service(RevocationService, {
        listRevocations() {
          for (const each of waiting) if (--each.more < 0) each.resolve();
          waiting = waiting.filter(({ more }) => more >= 0);
          return auth.answer();
        },
      });
    });
    const lines: { level: string; msg: string }[] = [];
    const log = createLogger("test", "info", { write: (line) => void lines.push(JSON.parse(line)) });
    const health = createHealth();
    const list = revocationList();
    const ending = new AbortController();
    const ended = followRevocations({
      transport,
      onList: list.replace,
      everyMs,
      health: health.part("revocations", { isCritical: false }),
      log,
      meter: startTelemetry({ name: "test" }).meter,
      signal: ending.signal,
    });
    context.after(async () => {
      ending.abort();
      await ended;
    });
    /** When it was asked once more than so many times, it has dealt with the answers before. */
    const asked = (times: number) => new Promise<void>((resolve) => waiting.push({ more: times, resolve }));
    return { auth, list, health, lines, asked, ending, ended };
  }

  const away = () => {
    throw new ConnectError("away", Code.Unavailable);
  };

  test("asks at once and again, and forgets what is listed no longer", async (context) => {
    const { auth, list, health, asked } = follow(context);
    auth.answer = () => ({ revocations: [changed("a")] });
    await asked(2);
    assert.equal(list.isRevoked({ subject: "a", issuedAtSeconds: 0 }), true);
    assert.deepEqual(health.describe(), { revocations: "ok" });
    auth.answer = () => ({ revocations: [] });
    await asked(2);
    assert.equal(list.isRevoked({ subject: "a", issuedAtSeconds: 0 }), false);
  });

  test("keeps what it knows while auth is away, serves, says so once, and says when auth is back", async (context) => {
    const { auth, list, health, lines, asked } = follow(context);
    auth.answer = () => ({ revocations: [changed("a", { suspended: true })] });
    await asked(2);
    auth.answer = away;
    await asked(8);
    assert.equal(list.isRevoked({ subject: "a", issuedAtSeconds: second + 60 }), true);
    assert.match(health.describe().revocations!, /what it said last is in force/);
    assert.equal(health.serving(), true);
    auth.answer = () => ({ revocations: [] });
    await asked(2);
    assert.equal(list.isRevoked({ subject: "a", issuedAtSeconds: 0 }), false);
    assert.deepEqual(
      lines.map(({ level }) => level),
      ["warn", "info"],
    );
  });

  test("does not make a start before auth's a trouble", async (context) => {
    const { auth, lines, asked } = follow(context);
    auth.answer = away;
    await asked(2);
    auth.answer = () => ({ revocations: [] });
    await asked(2);
    assert.deepEqual(lines, []);
  });

  test("shows a list that auth had to cut short", async (context) => {
    const { auth, health, asked } = follow(context);
    auth.answer = () => ({ revocations: [], leftOff: 3 });
    await asked(2);
    assert.match(health.describe().revocations!, /^3 accounts are missing/);
    assert.equal(health.serving(), true);
  });

  test("ends when it is told to, while it waits", async (context) => {
    const { asked, ending, ended } = follow(context, 60_000);
    await asked(0);
    ending.abort();
    await ended;
  });
});
