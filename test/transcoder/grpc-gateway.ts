/**
 * Runs grpc-gateway's own integration tests with the transcode command in the place of its gateway, and prints the totals.
 * `npm run test:grpc-gateway`; exits non-zero when a test fails. The ports are the suite's: 7079, 7080, 8081, 8082, 8087, 8088,
 * 8089 and 9090 must be free.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../services/mesh/processes.ts";
import { gatewaySuite } from "./go-programs.ts";

/** Tests that start a Go gateway of their own, with options of its Go API: they say nothing about ours. */
const ITS_OWN = new Set([
  "TestForwardResponseOption",
  "TestForwardResponseOptionHTTPPathPattern",
  "TestNonStandardNames",
  "TestRequestQueryParamsInProcessGateway",
]);

const services = [
  "EchoService",
  "UnannotatedEchoService",
  "StreamService",
  "ABitOfEverythingService",
  "FlowCombination",
  "ExcessBodyService",
  "NonStandardService",
  "ResponseBodyService",
].flatMap((name) => ["--service", `grpc.gateway.examples.internal.proto.examplepb.${name}`]);

const suite = gatewaySuite(join(import.meta.dirname, "grpc-gateway/main_test.go.txt"));
if (suite.skip) {
  console.log(`grpc-gateway: SKIPPED: ${suite.skip}`);
  process.exit(0);
}
const folder = mkdtempSync(join(tmpdir(), "grpc-gateway-"));
const image = join(folder, "image.binpb");
spawnSync(suite.path, ["-descriptors", image], { stdio: "inherit" });
const transcode = spawn(
  process.execPath,
  [
    join(ROOT, "gateway/transcoder/transcode.ts"),
    ...["--dialect", "grpc-gateway", "--descriptors", image, "--upstream", "http://127.0.0.1:9090"],
    ...[
      "--host",
      "localhost",
      "--port",
      "8088",
      "--service-config",
      join(import.meta.dirname, "grpc-gateway/rules.yaml"),
    ],
    ...services,
  ],
  { stdio: ["ignore", "pipe", "inherit"] },
);
try {
  await Promise.race([once(transcode.stdout, "data"), once(transcode, "exit")]);
  const args = ["-endpoint", "127.0.0.1:9090", "-test.v", "-test.timeout", "120s"];
  const { stdout } = spawnSync(suite.path, args, { cwd: folder, encoding: "utf8", timeout: 150_000 });
  const results = [...stdout.matchAll(/^--- (PASS|FAIL|SKIP): (\w+)/gm)].filter(
    ([, , name]) => !ITS_OWN.has(name!),
  );
  const passed = results.filter(([, result]) => result === "PASS");
  console.log(
    `grpc-gateway: ${passed.length} of ${results.length} tests pass (${ITS_OWN.size} are about its Go API)`,
  );
  if (results.length === 0 || passed.length < results.length) {
    console.error(stdout);
    process.exitCode = 1;
  }
} finally {
  transcode.kill("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
}
