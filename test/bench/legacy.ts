// What the legacy routes cost a call: node services/mesh/launch.mjs test/bench/legacy.ts
import http from "node:http";
import type { AddressInfo } from "node:net";
import { createRegistry } from "@bufbuild/protobuf";
import { createRouterTransport } from "@connectrpc/connect";
import { file_google_rpc_error_details } from "#gen/google/rpc/error_details_pb.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { createGateway } from "../../gateway/gateway.ts";
import { differencesOf } from "../../gateway/legacy/difference.ts";
import { createErrorWindow } from "../../gateway/legacy/error-window.ts";
import { createLegacyFront, type LegacyFront } from "../../gateway/legacy/legacy.ts";
import {
  callerKeyOf,
  flagsOfRules,
  isInRollout,
  openFlags,
  rulesProvider,
} from "../../gateway/legacy/rollout.ts";
import { defaultFallback, parseRules } from "../../gateway/legacy/rules.ts";
import { createShadows } from "../../gateway/legacy/shadow.ts";

const services = [PendudukService];
const registry = createRegistry(file_google_rpc_error_details, PendudukService.file);
const get = "lampid.penduduk.v1.PendudukService/GetPenduduk";
const context = { services, hasWilayah: () => true };
const agent = new http.Agent({ keepAlive: true });
const resident = { name: "penduduk/1", nik: "3201010101900001", nama: "Budi", alamat: "Jl. Merdeka 1" };

const old = http.createServer((_, response) => {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(resident));
});
const legacyUrl = await listen(old);
const rulesFor = (more: string) =>
  parseRules(`routes: [{rpc: ${get}, baseUrl: "${legacyUrl}", ${more}}]`, context);
const newSystem = rulesFor("rollout: {percent: 100}");
const [rule] = newSystem.values();
const provider = rulesProvider(() => rule);
const flags = flagsOfRules(provider);
const plugged = await openFlags("bench", provider);
const caller = { key: callerKeyOf("s:1"), wilayah: "32.01", role: "operator" };

await print("hash of a caller", 200_000, () => callerKeyOf("s:0198a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b"));
await print("rollout by the rules alone", 1_000_000, () => isInRollout(rule!.rollout, caller));
await print("rollout by our provider", 100_000, () => flags.isForNew(rule!, caller));
await print("rollout by a provider of OpenFeature", 100_000, () => plugged.isForNew(rule!, caller));
const window = createErrorWindow(
  defaultFallback,
  () => performance.now(),
  () => {},
);
await print("sliding window, one call", 1_000_000, () => window.admit()!("good"));
const [one, two] = [JSON.parse(JSON.stringify(resident)), JSON.parse(JSON.stringify(resident))];
await print("comparison of two residents", 200_000, () => differencesOf(one, two));

const none = await serve(undefined);
const other = await serve(
  rulesFor("rollout: {percent: 100}, fallback: false"),
  "/v1/penduduk:lookup",
  "POST",
);
const fresh = await serve(newSystem);
const legacy = await serve(rulesFor("rollout: {}"));
const shadowed = await serve(rulesFor("rollout: {percent: 100}, shadow: {percent: 10}"));
const ways = {
  "gateway without legacy routes": none,
  "a route without a rule": other,
  "a route at the new system": fresh,
  "a route at the new system, a tenth shadowed": shadowed,
  "a route at the legacy system": legacy,
};
const least: Record<string, number> = {};
// In turn, and the least of each: the machine is shared.
for (let round = 1; round <= 6; round++) {
  for (const [what, call] of Object.entries(ways)) {
    least[what] = Math.min(least[what] ?? Number.POSITIVE_INFINITY, await costOf(2_000, call));
  }
}
for (const [what, us] of Object.entries(least)) console.log(`${what}, over HTTP: ${us.toFixed(0)} us of CPU`);
process.exit(0);

/** A gateway with these rules, and a call of it; caller, gateway and services share this process. */
async function serve(rules: typeof newSystem | undefined, path = "/v1/penduduk/1", method = "GET") {
  let front: LegacyFront | undefined;
  if (rules !== undefined) {
    front = createLegacyFront({
      services,
      registry,
      flags: flagsOfRules(rulesProvider(() => rules.values().next().value)),
      shadows: createShadows({ now: () => new Date() }),
      authorize: () => {},
      timeout: { defaultMs: 15_000, maxMs: 60_000 },
      body: { maxBytes: 1024 * 1024, timeoutMs: 30_000 },
      answerBytesMax: 8 * 1024 * 1024,
      now: () => performance.now(),
    });
    front.update(rules);
  }
  const transport = createRouterTransport(({ service }) =>
    service(PendudukService, {
      getPenduduk: () => ({ penduduk: resident }),
      lookupPenduduk: () => ({ penduduk: resident }),
    }),
  );
  const gateway = createGateway({
    upstreams: [{ name: "penduduk", services, transport }],
    registry,
    verify: () => ({ subject: "1", wilayah: "32.01", role: "operator" }),
    legacy: front,
    limits: { callsPerMinute: 1_000_000_000 },
  });
  const url = await listen(http.createServer(gateway.handle));
  return () =>
    new Promise<void>((resolve, reject) => {
      const headers = { authorization: "Bearer t", "content-type": "application/json" };
      const request = http.request(url + path, { agent, method, headers }, (response) => {
        response.resume().once("end", resolve);
      });
      request.once("error", reject).end(method === "POST" ? "{}" : undefined);
    });
}

async function listen(server: http.Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function print(what: string, times: number, step: () => unknown): Promise<void> {
  console.log(`${what}: ${(await costOf(times, step)).toFixed(2)} us of CPU`);
}

async function costOf(times: number, step: () => unknown): Promise<number> {
  for (let n = 0; n < times / 10; n++) await step();
  const { user, system } = process.cpuUsage();
  for (let n = 0; n < times; n++) {
    const result = step();
    if (result instanceof Promise) await result;
  }
  const used = process.cpuUsage({ user, system });
  return (used.user + used.system) / times;
}
