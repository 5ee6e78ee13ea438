// The gateway's process between a new system and a legacy one: rollout, fall-back with its alert, shadows, rules that change.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import type { BusEvent, EventBus } from "#chassis/bus/event-bus.ts";
import { createPostgresBus } from "#chassis/bus/postgres-bus.ts";
import { createLogger } from "#chassis/log.ts";
import { createWireServer } from "#chassis/wire/wire.ts";
import { RuteDialihkan_Arah as Arah, RuteDialihkanSchema } from "#gen/lampid/gateway/v1/gateway_events_pb.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { createTestDatabase, freePort, type TestDatabase } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import { type GatewayProcess, startGateway } from "../harness/gateway.ts";

const rpc = "lampid.penduduk.v1.PendudukService/GetPenduduk";
const folder = mkdtempSync(join(tmpdir(), "lampid-legacy-"));
const rulesPath = join(folder, "routes.yaml");
const closers: (() => unknown)[] = [() => rmSync(folder, { recursive: true })];
const alerts: BusEvent[] = [];
let database: TestDatabase;
let bus: EventBus;
let gateway: GatewayProcess;
let legacyUrl: string;
let newPort: number;
let environment: Record<string, string>;
let tokens: string[];

before(async () => {
  database = await createTestDatabase("bus");
  bus = createPostgresBus({ url: database.url, name: "test", log: createLogger("test", "silent") });
  bus.subscribe({
    topic: "operasi-events",
    group: "test",
    handler: async (events) => void alerts.push(...events),
  });
  legacyUrl = await listen(({ url }, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ name: url!.slice("/lama/v1/".length), alamat: "lama" }));
  });
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const jwk = { ...(await exportJWK(publicKey)), kid: "1", alg: "ES256" };
  const issuer = await listen((_, response) => response.end(JSON.stringify({ keys: [jwk] })));
  const tokenOf = (subject: string, wilayah: string) =>
    new SignJWT({ role: "operator", wilayah })
      .setProtectedHeader({ alg: "ES256", kid: "1" })
      .setIssuer(issuer)
      .setAudience("lampid")
      .setSubject(subject)
      .setExpirationTime("1h")
      .sign(privateKey);
  tokens = await Promise.all(
    Array.from({ length: 40 }, (_, n) => tokenOf(`orang-${n}`, n < 10 ? "32.01.01" : "51.01")),
  );
  newPort = await freePort();
  setRules("rollout: {percent: 50}");
  environment = {
    LAMPID_ISSUER_URL: issuer,
    LAMPID_BUS_URL: database.url,
    LAMPID_LEGACY_ROUTES: rulesPath,
    LAMPID_UPSTREAM_PENDUDUK: `http://127.0.0.1:${newPort}`,
    LAMPID_RATE_LIMIT_PER_MINUTE: "1000000",
  };
  gateway = await startGateway(environment);
});

after(async () => {
  await gateway?.stop();
  await bus?.close();
  await database?.drop();
  for (const close of closers.reverse()) await close();
});

async function listen(handler: RequestListener): Promise<string> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function startNewSystem() {
  const server = createWireServer().service(PendudukService, {
    getPenduduk: ({ name }) => ({ penduduk: { name, alamat: "baru" } }),
  });
  await server.listen({ host: "127.0.0.1", port: newPort });
  return () => server.close(0);
}

function setRules(
  more: string,
  text = `routes: [{rpc: ${rpc}, baseUrl: "${legacyUrl}/lama", ${more}}]`,
): void {
  writeFileSync(rulesPath, text);
}

/** Other rules, told of by a signal, as the log says when they are taken. */
async function changeRules(more: string): Promise<void> {
  const taken = () => gateway.log().filter(({ msg }) => msg === "legacy routes").length;
  const before = taken();
  setRules(more);
  process.kill(gateway.pid, "SIGHUP");
  await eventually(() => taken() > before);
}

async function read(token = tokens[0]!, { url } = gateway): Promise<string> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${url}/v1/penduduk/1`, { headers });
  const body = (await response.json()) as { alamat?: string };
  return body.alamat ?? String(response.status);
}

const readAll = () => Promise.all(tokens.map((token) => read(token)));
const metrics = async () => (await fetch(`${gateway.adminUrl}/metrics`)).text();

test("of a rollout of half the same callers meet the new system every time, and stay in when it grows", async () => {
  closers.push(await startNewSystem());
  const first = await readAll();
  assert.deepEqual(new Set(first), new Set(["baru", "lama"]));
  assert.deepEqual(await readAll(), first);
  await changeRules("rollout: {percent: 75}");
  for (const [index, alamat] of (await readAll()).entries()) {
    if (first[index] === "baru") assert.equal(alamat, "baru");
  }
  await changeRules("rollout: {percent: 0}");
  assert.deepEqual(new Set(await readAll()), new Set(["lama"]));
  await changeRules("rollout: {percent: 100}");
  assert.deepEqual(new Set(await readAll()), new Set(["baru"]));
});

test("a rollout by wilayah is for the callers whose token lies in it", async () => {
  await changeRules('rollout: {wilayah: ["32.01"]}');
  const answers = await readAll();
  assert.deepEqual(new Set(answers.slice(0, 10)), new Set(["baru"]));
  assert.deepEqual(new Set(answers.slice(10)), new Set(["lama"]));
});

test("a file that is broken leaves the rules from before, and is told of in log and metric", async () => {
  setRules("", `routes: [{rpc: ${rpc}, baseUrl: "${legacyUrl}", rollout: {wilayah: ["99"]}}]`);
  process.kill(gateway.pid, "SIGHUP");
  await eventually(() => gateway.log().some(({ problems }) => /"99" is no code/.test(String(problems))));
  assert.equal(await read(tokens[0]), "baru");
  assert.match(await metrics(), /^gateway_legacy_rules_total\{.*outcome="rejected".*\} [1-9]/m);
});

test("shadows are reported on the admin port by path, without values", async () => {
  await changeRules("rollout: {percent: 100}, shadow: {}");
  assert.equal(await read(), "baru");
  let report: Record<string, { state: string; shadow?: { differs: number; paths: { path: string }[] } }> = {};
  await eventually(async () => {
    const text = await (await fetch(`${gateway.adminUrl}/legacy/diff`)).text();
    assert.doesNotMatch(text, /"(lama|baru)"/);
    report = JSON.parse(text);
    return report[rpc]?.shadow !== undefined;
  });
  assert.equal(report[rpc]!.state, "new");
  assert.deepEqual(
    report[rpc]!.shadow!.paths.map(({ path }) => path),
    ["alamat"],
  );
  assert.match(await metrics(), /^gateway_legacy_shadow_total\{.*outcome="differs".*\} 1$/m);
});

test("when the new system dies its traffic goes to the legacy one, an alert is published, and probes bring it back", async () => {
  await changeRules("rollout: {percent: 100}, fallback: {windowSeconds: 30, coolDownSeconds: 1}");
  await closers.pop()!();
  const during: string[] = [];
  await eventually(async () => {
    during.push(await read());
    return during.at(-1) === "lama";
  });
  assert.equal(during.filter((alamat) => alamat !== "lama").length, 20, during.join());
  await eventually(() => alerts.length === 1);
  const left = fromBinary(RuteDialihkanSchema, alerts[0]!.data);
  assert.equal(left.rpc, rpc);
  assert.equal(left.arah, Arah.LAMA);
  assert.equal(left.sistemLama, legacyUrl);
  assert.deepEqual([left.panggilan, left.gagal], [20, 20]);
  assert.ok(
    gateway
      .log()
      .some(({ level, method, state }) => level === "warn" && method === rpc && state === "legacy"),
  );
  assert.match(await metrics(), new RegExp(`^gateway_legacy_away\\{.*method="${rpc}".*\\} 1$`, "m"));

  // Probes fail meanwhile, which is no news.
  await eventually(async () => {
    await read();
    return (
      gateway.log().filter(({ state, msg }) => state === "legacy" && /fails/.test(String(msg))).length >= 2
    );
  });
  closers.push(await startNewSystem());
  await eventually(async () => {
    await read();
    return alerts.length > 1;
  }, 30_000);
  assert.equal(fromBinary(RuteDialihkanSchema, alerts[1]!.data).arah, Arah.BARU);
  assert.equal(alerts.length, 2);
  assert.deepEqual(new Set(await readAll()), new Set(["baru"]));
  assert.match(await metrics(), new RegExp(`^gateway_legacy_away\\{.*method="${rpc}".*\\} 0$`, "m"));
});

test("rules that cannot be used end the start, naming the variable and everything that is wrong", async () => {
  const path = join(folder, "broken.yaml");
  writeFileSync(path, "routes: [{rpc: Nothing/Here, baseUrl: x, rollout: {percent: 200}}]");
  const starting = startGateway({ LAMPID_BUS_URL: database.url, LAMPID_LEGACY_ROUTES: path });
  await assert.rejects(starting, /LAMPID_LEGACY_ROUTES: .*Nothing\/Here.*baseUrl.*percent/);
});

test("another provider of flags can be plugged in, and decides instead of the rules", async () => {
  const path = join(folder, "flags.mjs");
  const all = join(folder, "all.yaml");
  writeFileSync(all, `routes: [{rpc: ${rpc}, baseUrl: "${legacyUrl}/lama", rollout: {percent: 100}}]`);
  writeFileSync(
    path,
    `export default () => ({
      metadata: { name: "other" },
      resolveBooleanEvaluation: async (flag) => ({ value: flag !== "${rpc}" }),
    });`,
  );
  const other = await startGateway({ ...environment, LAMPID_LEGACY_ROUTES: all, LAMPID_LEGACY_FLAGS: path });
  closers.push(other.stop);
  assert.equal(await read(tokens[0], other), "lama");
  const starting = startGateway({ ...environment, LAMPID_LEGACY_FLAGS: join(folder, "none.mjs") });
  await assert.rejects(starting, /LAMPID_LEGACY_FLAGS: expected a module whose default export/);
});
