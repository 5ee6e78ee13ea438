// `npm run replay -- TOPIC`: puts the dead-lettered events of a topic back, after what poisoned them was mended.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { topics } from "#chassis/bus/event-bus.ts";
import { openBus } from "#chassis/bus/open-bus.ts";
import { configReader } from "#chassis/config.ts";
import { createLogger } from "#chassis/log.ts";
import { readMeshState } from "./data-dir.ts";
import { POSTGRES_PORT } from "./processes.ts";

const [topic = "--help"] = process.argv.slice(2);
const known = topics.find((name) => name === topic);
if (!known) {
  console.log(`usage: npm run -s replay -- TOPIC

Puts the events of TOPIC.dlq back on TOPIC. Consumers count each event once, so a replay too many does no harm.
Topics: ${topics.join(", ")}
Variables: LAMPID_KAFKA_BROKERS and what goes with it (npm run topics -- --help), or LAMPID_BUS_URL, or LAMPID_DATA_DIR
(default .lampid) of the running mesh.`);
  process.exit(topic === "--help" ? 0 : 2);
}

// A terminal needs the answer alone; what is wrong comes as the error below.
const log = createLogger("replay", "error");
const bus = process.env.LAMPID_KAFKA_BROKERS
  ? await openBus("cluster", { config: configReader(process.env), name: "replay", log })
  : await openBus("embedded", { config: configReader({ LAMPID_BUS_URL: busUrl() }), name: "replay", log });
try {
  console.log(`${await bus.replay(known)} events are back on ${known}`);
} catch (cause) {
  console.error(`replay: ${cause instanceof Error ? cause.message : cause}`);
  process.exitCode = 1;
} finally {
  await bus.close();
}

function busUrl(): string {
  if (process.env.LAMPID_BUS_URL) return process.env.LAMPID_BUS_URL;
  const dataDir = resolve(process.env.LAMPID_DATA_DIR || ".lampid");
  const state = readMeshState(dataDir);
  if (!state) {
    console.error(
      `replay: no mesh is running on ${dataDir}: run npm start, or set LAMPID_DATA_DIR or LAMPID_BUS_URL`,
    );
    process.exit(1);
  }
  const { roles } = JSON.parse(readFileSync(join(dataDir, "secrets.json"), "utf8"));
  return `postgres://bus:${roles.bus}@127.0.0.1:${POSTGRES_PORT + state.portOffset}/bus`;
}
