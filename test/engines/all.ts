// Every engine of the cluster profile at once, and the settings by which a mesh finds them.
//
//   npm run engines     starts them until Ctrl-C, and prints the variables for npm run start:cluster
import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startTestPostgres } from "../harness/database.ts";
import { workFolder } from "./engine.ts";
import { kafkaMissing, startKafka } from "./kafka.ts";
import { keycloakAdmin, keycloakMissing, keycloakSecrets, startKeycloak } from "./keycloak.ts";
import { mongoMissing, startMongoWire } from "./mongo-wire.ts";
import { redisMissing, startRedis } from "./redis.ts";
import { toxiproxyMissing } from "./toxiproxy.ts";

export type Engines = {
  /** LAMPID_* of a mesh on these engines, and LAMPID_TEST_* by which test files find them. */
  env: Record<string, string>;
  stop: () => Promise<void>;
};

/** Why they cannot all run here, or false; with CI=true it throws instead. */
export function enginesMissing(): string | false {
  return kafkaMissing() || mongoMissing() || keycloakMissing() || toxiproxyMissing();
}

export async function startEngines(): Promise<Engines> {
  const stops: (() => Promise<void>)[] = [];
  async function started<T extends { stop: () => Promise<void> }>(
    name: string,
    engine: Promise<T>,
  ): Promise<T> {
    const begin = performance.now();
    const made = await engine;
    stops.push(made.stop);
    console.log(`${name} ready after ${((performance.now() - begin) / 1000).toFixed(1)} s`);
    return made;
  }
  const stop = async () => void (await Promise.allSettled(stops.map((each) => each())));
  try {
    const [kafka, mongo, keycloak, postgres, redis] = await Promise.all([
      started("Kafka", startKafka()),
      process.env.MONGO_URL
        ? { url: process.env.MONGO_URL }
        : started("MongoDB (a stand-in: the wire protocol over memory)", startMongoWire()),
      started("Keycloak", startKeycloak()),
      started("PostgreSQL", startTestPostgres()),
      // Without it the gateway counts alone, and everything else can be tested all the same.
      redisMissing() ? undefined : started("Redis", startRedis()),
    ]);
    const secrets = keycloakSecrets();
    return {
      env: {
        LAMPID_PROFILE: "cluster",
        LAMPID_POSTGRES_URL: postgres.superuserUrl,
        LAMPID_KAFKA_BROKERS: kafka.brokers,
        LAMPID_MONGO_URL: `${mongo.url}/statistik`,
        LAMPID_ISSUER_URL: keycloak.issuerUrl,
        ...(redis ? { LAMPID_RATE_LIMIT_STORE: redis.url } : {}),
        LAMPID_ISSUER_CLIENT_SECRET: secrets.login,
        LAMPID_ISSUER_ADMIN_CLIENT_SECRET: secrets.admin,
        LAMPID_SERVICE_CLIENT_SECRET: secrets.service,
        LAMPID_TEST_POSTGRES_URL: postgres.superuserUrl,
        LAMPID_TEST_KAFKA_BROKERS: kafka.brokers,
        LAMPID_TEST_MONGO_URL: mongo.url,
        LAMPID_TEST_KEYCLOAK_URL: keycloak.url,
        LAMPID_TEST_ISSUER_KEY: await plantSigningKey(keycloak.url, stops),
      },
      stop,
    };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

/**
 * Gives the realm a signing key whose private half is known here, so that a test can forge tokens that only the check it is
 * about can tell from real ones. Gives the path of the key, a JWK.
 */
async function plantSigningKey(url: string, stops: (() => Promise<void>)[]): Promise<string> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const token = await adminToken(url);
  const call = async (path: string, init: RequestInit = {}) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const response = await fetch(`${url}/admin/realms/lampid${path}`, { ...init, headers });
    if (!response.ok) throw new Error(`Keycloak: ${path}: ${response.status} ${await response.text()}`);
    return response;
  };
  const { id: parentId } = (await (await call("")).json()) as { id: string };
  await call("/components", {
    method: "POST",
    body: JSON.stringify({
      name: "test-key",
      parentId,
      providerId: "ecdsa-generated",
      providerType: "org.keycloak.keys.KeyProvider",
      config: {
        priority: ["1000"],
        enabled: ["true"],
        active: ["true"],
        ecdsaEllipticCurveKey: ["P-256"],
        ecdsaPrivateKey: [der(privateKey, "pkcs8")],
        ecdsaPublicKey: [der(publicKey, "spki")],
      },
    }),
  });
  const { x } = createPublicKey(privateKey).export({ format: "jwk" });
  const response = await fetch(`${url}/realms/lampid/protocol/openid-connect/certs`);
  const { keys } = (await response.json()) as { keys: { x?: string; kid: string }[] };
  const published = keys.find((key) => key.x === x);
  if (!published) throw new Error("Keycloak does not publish the key that it was given");
  const folder = workFolder("issuer-key");
  stops.push(async () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "key.json");
  writeFileSync(path, JSON.stringify({ ...privateKey.export({ format: "jwk" }), kid: published.kid }), {
    mode: 0o600,
  });
  return path;
}

function der(key: KeyObject, type: "pkcs8" | "spki"): string {
  return key.export({ format: "der", type } as { format: "der"; type: "pkcs8" }).toString("base64");
}

async function adminToken(url: string): Promise<string> {
  const { username, password } = keycloakAdmin();
  const body = new URLSearchParams({ grant_type: "password", client_id: "admin-cli", username, password });
  const response = await fetch(`${url}/realms/master/protocol/openid-connect/token`, {
    method: "POST",
    body,
  });
  const answer = (await response.json()) as { access_token?: string };
  if (!answer.access_token) throw new Error(`Keycloak gives its administrator no token: ${response.status}`);
  return answer.access_token;
}

if (import.meta.main) {
  const engines = await startEngines();
  for (const [name, value] of Object.entries(engines.env)) {
    if (!name.startsWith("LAMPID_TEST_")) console.log(`export ${name}='${value}'`);
  }
  console.log("Ctrl-C stops them");
  process.on("SIGINT", async () => {
    await engines.stop();
    process.exit(0);
  });
}
