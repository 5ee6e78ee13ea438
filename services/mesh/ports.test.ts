import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { describe, test } from "node:test";
import { assertPortsFree, freePortOffset } from "./ports.ts";
import { environmentOf, PROCESSES, portsOf, urlsOf } from "./processes.ts";

describe("ports", () => {
  test("a port in use is named with who needs it and how to move it", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    try {
      await assert.rejects(assertPortsFree([{ port, host: "127.0.0.1", what: "penduduk" }]), {
        message: `port ${port}, which penduduk needs, is in use: stop what uses it, or move all ports with LAMPID_PORT_OFFSET`,
      });
    } finally {
      server.close();
    }
  });

  test("a port that a connection of this machine happens to have is waited for, and that is said", async () => {
    const server = createServer((socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
    await once(client, "connect");
    const port = client.localPort!;
    const lines: string[] = [];
    // A reset leaves nothing behind; an orderly end would keep the port for a minute.
    setTimeout(() => client.resetAndDestroy(), 500);
    await assertPortsFree([{ port, host: "127.0.0.1", what: "PostgreSQL" }], {
      report: (line) => lines.push(line),
    });
    server.close();
    assert.deepEqual(lines, [
      `port ${port}, which PostgreSQL needs, was just used by a connection: waiting for it, a minute at most`,
    ]);
  });

  test("an address of another machine is named", async () => {
    await assert.rejects(
      assertPortsFree([{ port: 40_000, host: "192.0.2.1", what: "gateway" }]),
      /LAMPID_HOST: 192\.0\.2\.1/,
    );
  });

  test("two offsets at the same time differ, and neither has a port of the other", async () => {
    const offsets = await Promise.all([freePortOffset(), freePortOffset(), freePortOffset()]);
    assert.equal(new Set(offsets).size, 3);
    const ports = offsets.flatMap((portOffset) => portsOf(PROCESSES, { host: "127.0.0.1", portOffset }));
    assert.equal(new Set(ports.map(({ port }) => port)).size, ports.length);
  });
});

describe("the environment of a process", () => {
  const options = {
    processes: PROCESSES,
    env: {
      PATH: "/bin",
      SECRET: "x",
      LAMPID_LOG_LEVEL: "debug",
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://o",
      LAMPID_PORT: "1",
    },
    host: "0.0.0.0",
    portOffset: 100,
    dataDir: "/data",
    databaseUrl: (role: string, database = role) => `postgres://${role}@/${database}`,
  };
  const environmentFor = (name: string) => {
    const spec = PROCESSES.find((each) => each.name === name);
    assert.ok(spec);
    return environmentOf(spec, options);
  };

  test("says where it listens and where everyone else is, all moved by the offset", () => {
    const env = environmentFor("penduduk");
    assert.equal(env.LAMPID_PORT, "9102");
    assert.equal(env.LAMPID_ADMIN_PORT, "10102");
    assert.equal(env.LAMPID_ISSUER_URL, "http://127.0.0.1:8181");
    assert.equal(env.LAMPID_UPSTREAM_STATISTIK, "http://127.0.0.1:9105");
    assert.equal(env.LAMPID_UPSTREAM_DUKCAPIL, "http://127.0.0.1:9110");
    assert.equal(environmentFor("auth").LAMPID_ISSUER_PORT, "8181");
  });

  test("gives each the URL of its own database alone, and of the bus with its own role", () => {
    const env = environmentFor("statistik");
    assert.equal(env.LAMPID_DATABASE_URL, "postgres://statistik@/statistik");
    assert.equal(env.LAMPID_BUS_URL, "postgres://statistik@/bus");
    assert.equal(environmentFor("gateway").LAMPID_DATABASE_URL, undefined);
    assert.ok(!JSON.stringify(environmentFor("dukcapil")).includes("postgres://"));
  });

  test("tells integrasi alone where the key of its quarantine is, unless the user has", () => {
    const spec = (name: string) => PROCESSES.find((each) => each.name === name)!;
    const withKey = { ...options, quarantineKeyFile: "/data/quarantine.key" };
    const key = "LAMPID_QUARANTINE_KEY_FILE";
    assert.equal(environmentOf(spec("integrasi"), withKey)[key], "/data/quarantine.key");
    assert.equal(environmentOf(spec("penduduk"), withKey)[key], undefined);
    const ours = { ...withKey, env: { [key]: "/ours.key" } };
    assert.equal(environmentOf(spec("integrasi"), ours)[key], "/ours.key");
  });

  test("tells dokumen alone where the key is that it signs with", () => {
    const spec = (name: string) => PROCESSES.find((each) => each.name === name)!;
    const withKey = { ...options, dokumenKeyFile: "/data/dokumen-keys.json" };
    const key = "LAMPID_DOKUMEN_KEY_FILE";
    assert.equal(environmentOf(spec("dokumen"), withKey)[key], "/data/dokumen-keys.json");
    assert.equal(environmentOf(spec("integrasi"), withKey)[key], undefined);
  });

  test("only the gateway and the issuer listen beyond loopback", () => {
    const exposed = PROCESSES.filter(({ name }) => environmentFor(name).LAMPID_HOST !== "127.0.0.1");
    assert.deepEqual(
      exposed.map(({ name }) => name),
      ["gateway", "auth"],
    );
  });

  test("passes LAMPID_* and OTEL_* on, and nothing that is not ours", () => {
    const env = environmentFor("integrasi");
    assert.equal(env.LAMPID_LOG_LEVEL, "debug");
    assert.equal(env.OTEL_EXPORTER_OTLP_ENDPOINT, "http://o");
    assert.equal(env.SECRET, undefined);
  });

  test("a server on all addresses is reached on loopback", () => {
    assert.equal(urlsOf(PROCESSES, options).gateway, "http://127.0.0.1:8180");
  });
});
