// MongoDB: one bounded client per process, what its errors mean, and a health probe that notices when it goes and comes back.
//
// The driver takes 30 MiB: import this only where MongoDB is used.
import {
  type Db,
  type DbOptions,
  MongoClient,
  MongoCompatibilityError,
  MongoError,
  ReadConcern,
  ReadPreference,
  WriteConcern,
} from "mongodb";
import { forever, pause } from "./backoff.ts";
import { ConfigError, type ConfigReader } from "./config.ts";
import type { HealthSetter } from "./health.ts";
import type { Logger } from "./log.ts";

export type Mongo = {
  /** The database, with a connection to the server; rejects after {@link CONNECT_TIMEOUT_MS} when there is none. */
  db: () => Promise<Db>;
  close: () => Promise<void>;
};

export type MongoOptions = {
  url: string;
  /** Shown in the server's log and currentOp; also the database, where the URL names none. */
  name: string;
  /** Connections at most. Default 8. */
  poolSize?: number;
  /** Longest the server may leave a request without an answer. Default 15 s. */
  answerTimeoutMs?: number;
};

const CONNECT_TIMEOUT_MS = 3_000;
const MAJORITY_TIMEOUT_MS = 5_000;
const PROBE_TIMEOUT_MS = 2_000;

/**
 * An event is noted as handled when its write is answered, so what is answered must outlive any one server: held by a
 * majority, and journaled, also by a standalone, which would otherwise answer up to 100 ms before. Said of the database,
 * for of the client the URL could say otherwise.
 */
const DURABLE: DbOptions = {
  writeConcern: new WriteConcern("majority", MAJORITY_TIMEOUT_MS, true),
  readConcern: new ReadConcern("majority"),
  readPreference: ReadPreference.primary,
};

/** The URL in this setting; not printed when it is wrong, for it may hold a password. Throws ConfigError. */
export function readMongoUrl(config: ConfigReader, key = "LAMPID_MONGO_URL"): string {
  const expected = "a URL starting with mongodb:// or mongodb+srv://";
  const url = config.optional(key);
  if (url === undefined) throw new ConfigError(key, expected);
  try {
    // The driver itself, since a list of hosts is no URL to the WHATWG; it connects to nothing yet.
    new MongoClient(url);
  } catch {
    throw new ConfigError(key, expected, "something that the driver cannot read");
  }
  return url;
}

/** Connects when it is first used. */
export function openMongo({ url, name, poolSize = 8, answerTimeoutMs = 15_000 }: MongoOptions): Mongo {
  const client = new MongoClient(url, {
    appName: `lampid-${name}`,
    maxPoolSize: poolSize,
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
    serverSelectionTimeoutMS: CONNECT_TIMEOUT_MS,
    waitQueueTimeoutMS: CONNECT_TIMEOUT_MS,
    // Not timeoutMS: in this release of the driver it has no effect.
    socketTimeoutMS: answerTimeoutMs,
    heartbeatFrequencyMS: 2_000,
  });
  const database = namesDatabase(url) ? undefined : name;
  return {
    async db() {
      // Each time: after a first connect that failed, the driver's client says "Topology is closed" for ever, unless it
      // is told to connect again. With a connection this costs nothing.
      await client.connect();
      return client.db(database, DURABLE);
    },
    close: () => client.close(),
  };
}

/** Asks MongoDB every second whether it answers this account, until the signal aborts; logs the changes only. */
export async function probeMongo(
  mongo: Mongo,
  health: HealthSetter,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  let last: Trouble | "none" | undefined;
  const tell = (trouble: Trouble | "none", line: string) => {
    if (trouble !== last) {
      if (trouble === "none") log.info(line);
      else log.warn(line);
    }
    last = trouble;
    health(trouble === "none", trouble === "none" ? "" : line);
  };
  await forever(
    signal,
    { baseMs: 250, maxMs: 1_000 },
    async () => {
      await ask(mongo);
      tell("none", "MongoDB reached");
      await pause(1_000, signal);
    },
    (cause) => tell(troubleOf(cause), explainMongo(cause)),
  );
}

/** Asks a server once whether it answers; rejects within 5 s with what {@link explainMongo} explains. */
export async function askMongo(url: string): Promise<void> {
  const mongo = openMongo({ url, name: "check" });
  try {
    await ask(mongo);
  } finally {
    await mongo.close();
  }
}

/** One line that says what is wrong, which setting it is about, and what to do. It holds no password. */
export function explainMongo(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  switch (troubleOf(cause)) {
    case "refused":
      return `MongoDB refuses the account: check user, password and authSource in LAMPID_MONGO_URL (${text})`;
    case "forbidden":
      return `MongoDB does not let this account at the database: grant it readWrite, or check LAMPID_MONGO_URL (${text})`;
    case "too old":
      return `MongoDB is too old: LAMPID_MONGO_URL must name MongoDB 4.4 or newer (${text})`;
    case "unreachable":
      return `MongoDB cannot be reached: start it, or check LAMPID_MONGO_URL (${text})`;
  }
}

/** What was written is on one server, and a majority has not confirmed it yet: nothing was lost, the same again may do. */
export class MongoUnsettled extends Error {
  override name = "MongoUnsettled";
}

/**
 * Whether MongoDB, or the way to it, is what fails, and not the request: then the same request may work later. That
 * includes an account that is refused, since an operator can grant it.
 */
export function isMongoUnavailable(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  // A bulk write wraps what the connection says.
  if ("errorResponse" in cause && isMongoUnavailable(cause.errorResponse)) return true;
  const code = "code" in cause ? cause.code : undefined;
  if (typeof code === "number" && UNAVAILABLE_CODES.has(code)) return true;
  // DNS answers with errors of Node's own.
  if (typeof code === "string" && /^E[A-Z]+$/.test(code)) return true;
  if (cause instanceof MongoError && UNAVAILABLE_LABELS.some((label) => cause.hasErrorLabel(label)))
    return true;
  return UNAVAILABLE_NAMES.has(cause.name);
}

type Trouble = "unreachable" | "refused" | "forbidden" | "too old";

function troubleOf(cause: unknown): Trouble {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === AUTHENTICATION_FAILED || code === ATLAS_ERROR) return "refused";
  if (code === UNAUTHORIZED) return "forbidden";
  for (let each = cause; each instanceof Error; each = each.cause) {
    if (each instanceof MongoCompatibilityError) return "too old";
  }
  return "unreachable";
}

async function ask(mongo: Mongo): Promise<void> {
  const db = await mongo.db();
  const late = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  // No ping: that is answered to everybody, also by a server that lets nobody in without a password.
  const question = { listCollections: 1, filter: { name: "" }, nameOnly: true, authorizedCollections: true };
  try {
    await db.command(question, { signal: late });
  } catch (cause) {
    // A server that is there and says nothing (frozen, or behind a link that drops packets) is away, too.
    if (late.aborted) throw new Error(`no answer within ${PROBE_TIMEOUT_MS} ms`, { cause });
    throw cause;
  }
}

/** The driver says "test" where the URL says nothing. */
function namesDatabase(url: string): boolean {
  return /^mongodb(\+srv)?:\/\/[^/?]+\/[^?]/.test(url);
}

const UNAUTHORIZED = 13;
const AUTHENTICATION_FAILED = 18;
const ATLAS_ERROR = 8000;

/** https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml */
const UNAVAILABLE_CODES: ReadonlySet<number> = new Set([
  UNAUTHORIZED,
  AUTHENTICATION_FAILED,
  ATLAS_ERROR,
  6, // HostUnreachable
  7, // HostNotFound
  50, // MaxTimeMSExpired
  64, // WriteConcernTimeout
  79, // UnknownReplWriteConcern
  89, // NetworkTimeout
  91, // ShutdownInProgress
  100, // UnsatisfiableWriteConcern
  133, // FailedToSatisfyReadPreference
  134, // ReadConcernMajorityNotAvailableYet
  189, // PrimarySteppedDown
  262, // ExceededTimeLimit
  9001, // SocketException
  10107, // NotWritablePrimary
  11600, // InterruptedAtShutdown
  11602, // InterruptedDueToReplStateChange
  13435, // NotPrimaryNoSecondaryOk
  13436, // NotPrimaryOrSecondary
  14031, // OutOfDiskSpace
]);

const UNAVAILABLE_LABELS = ["RetryableWriteError", "RetryableError", "SystemOverloadedError"] as const;

/** Names, for not all of these classes are exported. */
const UNAVAILABLE_NAMES: ReadonlySet<string> = new Set([
  "MongoUnsettled",
  "MongoNetworkError",
  "MongoNetworkTimeoutError",
  "MongoServerSelectionError",
  "MongoOperationTimeoutError",
  "MongoTopologyClosedError",
  "MongoNotConnectedError",
  "MongoClientClosedError",
  "MongoServerClosedError",
  "MongoPoolClosedError",
  "MongoPoolClearedError",
  "PoolClearedOnNetworkError",
  "MongoWaitQueueTimeoutError",
  "MongoCompatibilityError",
]);
