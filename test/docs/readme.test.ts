// The README's steps, followed: they cannot rot.
import assert from "node:assert/strict";
import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { ROOT } from "../../services/mesh/processes.ts";
import { freePort } from "../harness/database.ts";

const readme = readFileSync(join(ROOT, "README.md"), "utf8");
const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
/** OPA compiles the policy, and go installs OPA; CI has it. */
const canBuildPolicy = spawnSync("go", ["version"]).status === 0;
let copy: string;
let issuer: Server;

before(() => {
  copy = mkdtempSync(join(tmpdir(), "lampid-readme-"));
  for (const path of [
    "proto",
    "gen",
    "services",
    "gateway",
    "buf.yaml",
    "buf.gen.yaml",
    "package.json",
    "tsconfig.json",
  ]) {
    cpSync(join(ROOT, path), join(copy, path), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
});

after(() => {
  issuer?.close();
  rmSync(copy, { recursive: true, force: true });
});

test("every npm script that the README names exists", () => {
  const named = [...readme.matchAll(/npm (?:run (?:-s )?)?([a-z]+(?:[:-][a-z-]+)?)/g)].map(
    (match) => match[1]!,
  );
  for (const name of new Set(named.filter((each) => !["alone", "run", "clone", "packages"].includes(each)))) {
    assert.ok(scripts[name], `npm run ${name}`);
  }
});

test("every file and folder that the README names exists", () => {
  const named = [...readme.matchAll(/`((?:services|proto|gateway|test|docs)\/[\w./-]+)`/g)].map(
    (match) => match[1]!,
  );
  for (const path of new Set(named)) {
    if (path.includes("contoh")) continue;
    assert.ok(spawnSync("test", ["-e", join(ROOT, path)]).status === 0, path);
  }
});

test("adding a field by the README's steps regenerates, type-checks and is no break", () => {
  const path = join(copy, "proto/lampid/auth/v1/auth_service.proto");
  const field = "  // OAuth 2.0 scopes of the token.\n  repeated string scopes = 6;\n";
  const text = readFileSync(path, "utf8");
  assert.ok(text.includes(field));
  writeFileSync(path, text.replace(field, `${field}  // An added field.\n  string tambahan = 7;\n`));
  run(["proto/tools/contracts.ts", "generate"]);
  assert.match(readFileSync(join(copy, "gen/lampid/auth/v1/auth_service_pb.ts"), "utf8"), /tambahan/);
  run(["proto/tools/contracts.ts", "breaking"], { CI: "" });
});

test("adding a service by the README's steps gives a process that answers", {
  skip: skipReason(),
}, async () => {
  for (const { info, code } of fences()) {
    const [, file] = /file=(\S+)/.exec(info) ?? [];
    const [, target, marker] = /insert=(\S+) after=(.+)/.exec(info) ?? [];
    if (file) {
      mkdirSync(dirname(join(copy, file)), { recursive: true });
      writeFileSync(join(copy, file), code);
    } else if (target && marker) {
      const path = join(copy, target);
      const text = readFileSync(path, "utf8");
      assert.ok(text.includes(marker), `${target} no longer holds "${marker}"`);
      writeFileSync(path, text.replace(marker, `${marker}\n${code.trimEnd()}`));
    }
  }
  run(["proto/tools/contracts.ts", "generate"]);
  assert.equal(spawnSync("services/chassis/policy/build.sh", { cwd: copy }).status, 0);
  assert.equal(spawnSync(join(ROOT, "node_modules/.bin/tsc"), ["-p", "."], { cwd: copy }).status, 0, "tsc");

  const { issuerUrl, token } = await startIssuer();
  const [port, adminPort] = [await freePort(), await freePort()];
  const env = {
    PATH: process.env.PATH,
    LAMPID_PORT: String(port),
    LAMPID_ADMIN_PORT: String(adminPort),
    LAMPID_ISSUER_URL: issuerUrl,
  };
  const child = spawn(process.execPath, ["services/contoh/main.ts"], {
    cwd: copy,
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    await serving(adminPort);
    assert.deepEqual(await callFromCopy(port, token), { salam: "Halo, Siti" });
    assert.match((await callFromCopy(port, "")).code, /unauthenticated/);
  } finally {
    child.kill("SIGTERM");
    await once(child, "exit");
  }
});

function skipReason(): string | false {
  if (canBuildPolicy) return false;
  if (process.env.CI) throw new Error("go is needed to build OPA");
  return "go is not installed, so OPA cannot be built";
}

function fences(): { info: string; code: string }[] {
  return [...readme.matchAll(/^```([^\n]+)\n([\s\S]*?)^```$/gm)].map((match) => ({
    info: match[1]!,
    code: match[2]!,
  }));
}

function run(args: string[], env: Record<string, string> = {}): void {
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd: copy,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  assert.equal(status, 0, `${args.join(" ")}: ${stderr}`);
}

/** The client is of the copy, for only there the service is generated. */
async function callFromCopy(port: number, token: string) {
  const script = `
    import { createClient } from "@connectrpc/connect";
    import { Code } from "@connectrpc/connect";
    import { createWireTransport } from "#chassis/wire/wire.ts";
    import { ContohService } from "#gen/lampid/contoh/v1/contoh_service_pb.ts";
    const transport = createWireTransport({ baseUrl: "http://127.0.0.1:${port}", defaultTimeoutMs: 5000 });
    const client = createClient(ContohService, transport);
    try {
      const { salam } = await client.greet({ nama: "Siti" }, { headers: ${token ? `{ authorization: "Bearer ${token}" }` : "{}"} });
      console.log(JSON.stringify({ salam }));
    } catch (error) {
      console.log(JSON.stringify({ code: Code[error.code].toLowerCase() }));
    }
    transport.close();`;
  const path = join(copy, "services/contoh/call.ts");
  writeFileSync(path, script);
  // Not spawnSync: the issuer that the service asks for its keys lives in this process.
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [path], { cwd: copy });
  assert.ok(stdout, stderr);
  return JSON.parse(stdout);
}

async function startIssuer() {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: "1", alg: "ES256" };
  issuer = createServer((_request, response) => response.end(JSON.stringify({ keys: [jwk] })));
  const port = await freePort();
  await new Promise<void>((resolve) => issuer.listen(port, "127.0.0.1", resolve));
  const issuerUrl = `http://127.0.0.1:${port}`;
  const token = await new SignJWT({ role: "operator", wilayah: "32.01.01.1006" })
    .setProtectedHeader({ alg: "ES256", kid: "1" })
    .setIssuer(issuerUrl)
    .setAudience("lampid")
    .setSubject("tester")
    .setExpirationTime("5m")
    .sign(privateKey);
  return { issuerUrl, token };
}

async function serving(adminPort: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/readyz`).catch(() => undefined);
    if (answer?.ok) return;
    await sleep(50);
  }
  assert.fail("the example service did not come up");
}
