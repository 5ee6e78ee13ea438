// A stand-in for MongoDB: its wire protocol over a store in memory, for machines without MongoDB.
//
//   node test/engines/mongo-wire.ts     starts one until Ctrl-C, and prints its URL
//
// It is not MongoDB: no transactions, no update pipelines, no replica set, and nothing is left when it stops. Whoever
// uses it says so, and MONGO_URL points the same tests at a real server.

import { join } from "node:path";
import { MongoClient } from "mongodb";
import { freePort } from "../harness/database.ts";
import {
  isListening,
  javaClasses,
  launch,
  mavenJars,
  missing,
  type Restartable,
  restartable,
  workFolder,
} from "./engine.ts";

export type MongoWire = Restartable & {
  /** For LAMPID_MONGO_URL; names no database. */
  url: string;
  port: number;
};

export type MongoWireOptions = {
  /** Default: a free one. */
  port?: number;
  /** What it says it speaks. Default 13, MongoDB 5.0; {@link OLD_WIRE_VERSION} is too old for the driver. */
  wireVersion?: number;
};

/** MongoDB 4.2. The driver needs 9. */
export const OLD_WIRE_VERSION = 8;

const WIRE_VERSION = 13;
const ARTIFACTS = ["de.bwaldvogel:mongo-java-server:1.47.0", "org.slf4j:slf4j-simple:2.0.17"];

/** Why there is no MongoDB to test against here, or false. */
export const mongoMissing = () => (process.env.MONGO_URL ? false : mongoWireMissing());

export const mongoWireMissing = () => missing("java", "javac", "mvn");

export async function startMongoWire({
  port: wanted,
  wireVersion = WIRE_VERSION,
}: MongoWireOptions = {}): Promise<MongoWire> {
  const jars = mavenJars(...ARTIFACTS);
  const classes = javaClasses(join(import.meta.dirname, "mongo-wire", "Server.java"), jars);
  const folder = workFolder("mongo-wire");
  const port = wanted ?? (await freePort());
  const url = `mongodb://127.0.0.1:${port}`;
  const start = () =>
    launch({
      name: "mongo-wire",
      command: "java",
      args: [
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        `${classes}:${jars}/*`,
        "Server",
        String(port),
        String(wireVersion),
      ],
      folder,
      // The driver does not talk to an old one: that it listens has to do.
      isReady: () => (wireVersion < WIRE_VERSION ? isListening(port) : answers(url)),
    });
  return { url, port, ...(await restartable(start, folder)) };
}

/**
 * A MongoDB for a test: a real one by MONGO_URL, else the stand-in of this run, else one for this file. A test takes a
 * database of its own name and drops it.
 */
export async function useMongo(): Promise<{ url: string; isStandIn: boolean; stop: () => Promise<void> }> {
  const { MONGO_URL: real, LAMPID_TEST_MONGO_URL: shared } = process.env;
  if (real) return { url: real, isStandIn: false, stop: async () => {} };
  if (shared) return { url: shared, isStandIn: true, stop: async () => {} };
  return { ...(await startMongoWire()), isStandIn: true };
}

async function answers(url: string): Promise<boolean> {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 500, connectTimeoutMS: 500 });
  try {
    await client.db("admin").command({ ping: 1 });
    return true;
  } finally {
    await client.close();
  }
}

if (import.meta.main) {
  const mongo = await startMongoWire();
  console.log(`stand-in for MongoDB on ${mongo.url}; Ctrl-C stops it`);
  process.on("SIGINT", async () => {
    await mongo.stop();
    process.exit(0);
  });
}
