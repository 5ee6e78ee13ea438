// `npm run bench:verify`: the e-KTP check through the gateway, at a constant arrival rate, on a registry with residents in it.
//
// The last line is JSON: rps, p50_ms, p95_ms, errors.
import { parseArgs } from "node:util";
import { login } from "../harness/rest.ts";
import { httpPost, onBenchMesh, resident, round } from "./bench-mesh.ts";
import { percentile, runLoad } from "./http-load.ts";

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "10" },
    rate: { type: "string", default: "500" },
    residents: { type: "string", default: "10000" },
    help: { type: "boolean" },
  },
});
if (options.help) {
  console.log("usage: npm run bench:verify -- [--seconds 10] [--rate 500] [--residents 10000]");
  process.exit(0);
}
const residents = Number(options.residents);
const CONNECTIONS = 32;

await onBenchMesh(async (mesh) => {
  const { hostname: host, port } = new URL(mesh.urls.gateway!);
  const target = { host, port: Number(port), connections: CONNECTIONS };
  const token = await login(mesh.urls.gateway!, "kota");
  const seeding = await runLoad({
    ...target,
    seconds: residents / 1_000,
    rate: 1_000,
    expectStatus: 201,
    request: (n) => httpPost("/penduduk", token, resident(n)),
  });
  console.log(`${seeding.latenciesMs.length} residents registered`);
  const { latenciesMs, errors, samples, seconds } = await runLoad({
    ...target,
    seconds: Number(options.seconds),
    rate: Number(options.rate),
    expectStatus: 200,
    request: (n) => {
      const { nik, nama } = resident((n * 7_919) % residents);
      return httpPost("/v1/penduduk:verifyKtp", token, { nik, nama });
    },
  });
  for (const sample of samples) console.log(`error: ${sample}`);
  const [p50, p95] = [percentile(latenciesMs, 0.5), percentile(latenciesMs, 0.95)];
  console.log(
    JSON.stringify({
      rps: round(latenciesMs.length / seconds),
      p50_ms: round(p50),
      p95_ms: round(p95),
      errors,
    }),
  );
});
