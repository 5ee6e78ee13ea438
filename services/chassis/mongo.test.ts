import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Db, MongoCompatibilityError, MongoNetworkError, MongoServerError } from "mongodb";
import { ConfigError, configReader } from "./config.ts";
import { createLogger } from "./log.ts";
import {
  explainMongo,
  isMongoUnavailable,
  type Mongo,
  MongoUnsettled,
  probeMongo,
  readMongoUrl,
} from "./mongo.ts";

const fromServer = (code: number, message: string) => new MongoServerError({ code, message });

describe("the URL", () => {
  const read = (url: string) => readMongoUrl(configReader({ LAMPID_MONGO_URL: url }));

  test("may be any that the driver reads, also with a list of hosts", () => {
    for (const url of [
      "mongodb://127.0.0.1",
      "mongodb://lampid:geheim@a:27017,b:27017,c:27017/statistik?replicaSet=rs0&authSource=admin",
      "mongodb+srv://lampid:geheim@cluster.example/statistik",
    ]) {
      assert.equal(read(url), url);
    }
  });

  test("fails by name otherwise, and is not printed, for it may hold a password", () => {
    for (const bad of [
      "",
      "http://u:geheim@h",
      "geheim",
      "mongodb://u:geh@eim@h",
      "mongodb://u:geheim@h/?x=1",
    ]) {
      assert.throws(
        () => read(bad),
        (cause) => {
          assert.ok(cause instanceof ConfigError);
          assert.match(
            cause.message,
            /^LAMPID_MONGO_URL: expected a URL starting with mongodb:\/\/ or mongodb\+srv:/,
          );
          assert.doesNotMatch(cause.message, /geh|eim/);
          return true;
        },
      );
    }
  });
});

describe("a failure", () => {
  const wrapped = (cause: Error) =>
    Object.assign(new MongoServerError({ message: "bulk" }), { errorResponse: cause });

  test("is MongoDB's when the server, the way to it, or the account is what fails", () => {
    for (const cause of [
      new MongoNetworkError("connect ECONNREFUSED"),
      new MongoCompatibilityError("reports maximum wire version 8"),
      new MongoUnsettled("not by a majority yet"),
      Object.assign(new Error("querySrv ENOTFOUND"), { code: "ENOTFOUND" }),
      fromServer(18, "Authentication failed."),
      fromServer(13, "not authorized"),
      fromServer(10_107, "not primary"),
      fromServer(64, "waiting for replication timed out"),
      wrapped(new MongoNetworkError("connection 1 closed")),
    ]) {
      assert.ok(isMongoUnavailable(cause), cause.message);
    }
  });

  test("is the request's own otherwise: the same request would fail again", () => {
    for (const cause of [
      new RangeError("no 32-bit integer"),
      fromServer(11_000, "E11000 duplicate key"),
      fromServer(10_334, "BSONObj size is invalid"),
      wrapped(fromServer(17_419, "Resulting document after update is larger than 16777216")),
      Object.assign(new Error("bad"), { code: "ERR_INVALID_ARG_TYPE" }),
      "text",
    ]) {
      assert.ok(!isMongoUnavailable(cause), String(cause));
    }
  });

  test("is explained in one line that names the setting and what to do", () => {
    const selection = new Error("Server selection timed out", {
      cause: new MongoCompatibilityError("wire version 8"),
    });
    for (const [cause, line] of [
      [
        new MongoNetworkError("connect ECONNREFUSED"),
        /^MongoDB cannot be reached: start it, or check LAMPID_MONGO_URL/,
      ],
      [fromServer(18, "Authentication failed."), /^MongoDB refuses the account: check .* LAMPID_MONGO_URL/],
      [fromServer(13, "command requires authentication"), /grant it readWrite, or check LAMPID_MONGO_URL/],
      [selection, /^MongoDB is too old: LAMPID_MONGO_URL must name MongoDB 4.4 or newer/],
    ] as const) {
      assert.match(explainMongo(cause), line);
    }
  });
});

test("the probe tells health each time, and logs what changes", async () => {
  const stop = new AbortController();
  const answers = [
    undefined,
    new MongoNetworkError("connection closed"),
    new MongoNetworkError("connect ECONNREFUSED"),
    fromServer(18, "Authentication failed."),
    undefined,
  ];
  const db = {
    async command() {
      const cause = answers.shift();
      if (cause) throw cause;
    },
  };
  const mongo: Mongo = { db: async () => db as unknown as Db, close: async () => {} };
  const lines: string[] = [];
  const told: [boolean, string?][] = [];
  const log = createLogger("test", "info", {
    write: (line: string) => void lines.push(JSON.parse(line).msg),
  });
  await probeMongo(
    mongo,
    (working, reason) => {
      told.push([working, reason]);
      if (answers.length === 0) stop.abort();
    },
    log,
    stop.signal,
  );
  assert.deepEqual(
    told.map(([working]) => working),
    [true, false, false, false, true],
  );
  assert.match(told[1]![1]!, /cannot be reached/);
  assert.deepEqual(
    lines.map((line) => line.replace(/:.*/, "")),
    ["MongoDB reached", "MongoDB cannot be reached", "MongoDB refuses the account", "MongoDB reached"],
  );
});
