// compose.yaml without Docker: read by Compose's own loader, and held to what the mesh expects of it.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { parse, stringify } from "yaml";
import { CLUSTER_DEFAULTS } from "../../services/mesh/cluster-profile.ts";
import { cacheDir } from "../harness/tools.ts";
import { COMPOSE_FILE, type EngineName } from "./compose.ts";
import { missing, workFolder } from "./engine.ts";

/** As the loader prints it: defaults filled in, short forms spelled out, paths absolute. */
type Service = {
  image: string;
  environment: Record<string, string>;
  ports: { host_ip?: string; target: number; published: string }[];
  volumes?: { type: string; source: string }[];
  healthcheck?: { test: string[] };
};
type Project = { services: Record<EngineName, Service>; volumes: Record<string, object> };

const skip = missing("go");
const folder = workFolder("compose");
let loader: string;
let project: Project;

before(() => {
  if (skip) return;
  loader = composeLoader();
  project = JSON.parse(load(COMPOSE_FILE).stdout);
});
after(() => rmSync(folder, { recursive: true, force: true }));

const services = () => Object.entries(project.services);

/** The port of this machine by which a port of a container is reached. */
function published(name: EngineName, target: number): string {
  const port = project.services[name].ports.find((each) => each.target === target);
  assert.ok(port, `${name} publishes ${target}`);
  return `${port.host_ip}:${port.published}`;
}

describe("compose.yaml", { skip }, () => {
  test("is what the Compose Specification allows, and all it refers to is there", () => {
    const { status, stderr } = load(COMPOSE_FILE);
    assert.equal(status, 0, stderr);
    assert.deepEqual(Object.keys(project.services).sort(), [
      "kafka",
      "keycloak",
      "mongodb",
      "postgres",
      "valkey",
    ]);
  });

  test("names a version of every image", () => {
    for (const [name, { image }] of services()) assert.match(image, /:\d[\w.-]*$/, name);
  });

  test("says of every service when it is ready", () => {
    for (const [name, { healthcheck }] of services()) assert.ok(healthcheck?.test.length, name);
  });

  test("publishes ports to this machine alone: the passwords are well known", () => {
    for (const [name, { ports }] of services()) {
      assert.ok(ports.length > 0, name);
      for (const port of ports) assert.equal(port.host_ip, "127.0.0.1", `${name}: ${port.published}`);
    }
  });

  test("mounts only files that are here", () => {
    const mounts = services().flatMap(([name, { volumes = [] }]) =>
      volumes.map((each) => ({ name, ...each })),
    );
    for (const { name, type, source } of mounts) {
      if (type === "bind") assert.ok(existsSync(source), `${name} mounts ${source}`);
    }
  });

  test("has the ports, accounts and passwords that npm run start:cluster takes for granted", () => {
    const { postgres, kafka, mongodb, keycloak } = project.services;
    const mongo = mongodb.environment;
    assert.deepEqual(
      {
        LAMPID_POSTGRES_URL: `postgres://postgres:${postgres.environment.POSTGRES_PASSWORD}@${published("postgres", 5432)}/postgres`,
        LAMPID_KAFKA_BROKERS: published("kafka", 9092),
        LAMPID_MONGO_URL: `mongodb://${mongo.MONGO_INITDB_ROOT_USERNAME}:${mongo.MONGO_INITDB_ROOT_PASSWORD}@${published("mongodb", 27017)}/statistik?authSource=admin`,
        LAMPID_RATE_LIMIT_STORE: `redis://${published("valkey", 6379)}`,
        LAMPID_ISSUER_URL: `http://${published("keycloak", 8080)}/realms/lampid`,
        LAMPID_ISSUER_CLIENT_SECRET: keycloak.environment.LAMPID_ISSUER_CLIENT_SECRET,
        LAMPID_ISSUER_ADMIN_CLIENT_SECRET: keycloak.environment.LAMPID_ISSUER_ADMIN_CLIENT_SECRET,
        LAMPID_SERVICE_CLIENT_SECRET: keycloak.environment.LAMPID_INTEGRASI_CLIENT_SECRET,
      },
      CLUSTER_DEFAULTS,
    );
    // What an engine says of itself has to be where it is found, or its clients go elsewhere after the first answer.
    assert.match(
      kafka.environment.KAFKA_ADVERTISED_LISTENERS ?? "",
      new RegExp(`OUTSIDE://${CLUSTER_DEFAULTS.LAMPID_KAFKA_BROKERS}$`),
    );
    assert.equal(`${keycloak.environment.KC_HOSTNAME}/realms/lampid`, CLUSTER_DEFAULTS.LAMPID_ISSUER_URL);
  });
});

describe("a Compose file", { skip }, () => {
  type Written = { services: Record<string, Record<string, unknown>>; volumes: Record<string, unknown> };
  const brokenBy: [what: string, change: (file: Written) => void, says: RegExp][] = [
    ["an unknown key", ({ services }) => (services.kafka!.helthcheck = {}), /helthcheck/],
    ["a volume that is not declared", ({ volumes }) => delete volumes.mongodb, /undefined volume mongodb/],
    [
      "a service that is not there",
      ({ services }) => (services.kafka!.depends_on = ["zookeeper"]),
      /undefined service "zookeeper"/,
    ],
    ["a port that is none", ({ services }) => (services.valkey!.ports = ["127.0.0.1:x"]), /port/i],
    ["a text for a number", ({ services }) => (services.kafka!.healthcheck = { retries: "often" }), /often/],
    [
      "a default that does not end",
      ({ services }) => (services.postgres!.image = "${LAMPID:-postgres"),
      /interpolation/,
    ],
  ];

  function written(change: (file: Written) => void): string {
    const file = parse(readFileSync(COMPOSE_FILE, "utf8")) as Written;
    change(file);
    const path = join(folder, "compose.yaml");
    writeFileSync(path, stringify(file));
    return path;
  }

  test("that is a copy of ours is accepted", () => {
    assert.equal(load(written(() => {})).status, 0);
  });

  for (const [what, change, says] of brokenBy) {
    test(`with ${what} is refused`, () => {
      const { status, stderr } = load(written(change));
      assert.equal(status, 1);
      assert.match(stderr, says);
    });
  }
});

/** Without our environment: the test is about what a person gets who sets nothing. */
function load(path: string) {
  return spawnSync(loader, [path], { encoding: "utf8", env: {}, timeout: 10_000 });
}

/** compose-spec/ as a program in the cache, built once for what its sources are. */
function composeLoader(): string {
  const source = join(import.meta.dirname, "compose-spec");
  const hash = createHash("sha256");
  for (const name of ["main.go", "go.mod", "go.sum"]) hash.update(readFileSync(join(source, name)));
  const bin = join(cacheDir(), "bin");
  const path = join(bin, `compose-spec-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(path)) return path;
  mkdirSync(bin, { recursive: true });
  console.log(`building ${path}, once ...`);
  const stage = mkdtempSync(join(bin, ".build-"));
  try {
    const made = join(stage, "compose-spec");
    const args = ["build", "-C", source, "-mod=readonly", "-buildvcs=false", "-o", made, "."];
    execFileSync("go", args, {
      env: { ...process.env, GOFLAGS: "" },
      stdio: ["ignore", "ignore", "inherit"],
    });
    renameSync(made, path);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
  return path;
}
