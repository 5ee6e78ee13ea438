// The transcoder as a package of its own: packed, installed in an empty folder, and put in front of a server it never saw.
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ROOT } from "../../services/mesh/processes.ts";
import { routeGuideServer } from "./go-programs.ts";

const source = join(ROOT, "gateway/transcoder");
const folder = mkdtempSync(join(tmpdir(), "transcoder-package-"));
const server = routeGuideServer();
after(() => rmSync(folder, { recursive: true, force: true }));

/** The contract of Go's route_guide example, which has no annotation; `Missing` is not in it. */
const proto = `
syntax = "proto3";
package routeguide;
service RouteGuide {
  rpc GetFeature(Point) returns (Feature);
  rpc ListFeatures(Rectangle) returns (stream Feature);
  rpc RecordRoute(stream Point) returns (RouteSummary);
  rpc RouteChat(stream RouteNote) returns (stream RouteNote);
  rpc Missing(Point) returns (Feature);
}
message Point { int32 latitude = 1; int32 longitude = 2; }
message Rectangle { Point lo = 1; Point hi = 2; }
message Feature { string name = 1; Point location = 2; }
message RouteNote { Point location = 1; string message = 2; }
message RouteSummary { int32 point_count = 1; int32 feature_count = 2; int32 distance = 3; int32 elapsed_time = 4; }
`;

const rules = `
type: google.api.Service
config_version: 3
http:
  rules:
    - selector: routeguide.RouteGuide.GetFeature
      get: /v1/features/{latitude}/{longitude}
    - selector: routeguide.RouteGuide.ListFeatures
      get: /v1/features
    - selector: routeguide.RouteGuide.RecordRoute
      post: /v1/routes
      body: "*"
    - selector: routeguide.RouteGuide.RouteChat
      post: /v1/chat
      body: "*"
    - selector: routeguide.RouteGuide.Missing
      get: /v1/missing
`;

test("no file of the package needs what is not in it or in its dependencies", () => {
  const { dependencies } = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
  const root = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".ts") && !/\.test\.ts$|^fixture/.test(name),
  );
  for (const file of files) {
    const text = readFileSync(join(source, file), "utf8");
    for (const [, name] of text.matchAll(/(?:\bfrom\s|\bimport\s?\(?)\s*"([^"]+)"/g)) {
      const isOwn = name!.startsWith(".") && files.includes(join(dirname(file), name!));
      const owner = name!.split("/", name!.startsWith("@") ? 2 : 1).join("/");
      assert.ok(isOwn || name!.startsWith("node:") || dependencies[owner], `${file} imports ${name}`);
    }
  }
  for (const [name, version] of Object.entries(dependencies)) {
    assert.equal(version, root.dependencies[name], `${name}: the version that is tested here`);
  }
});

describe("installed in an empty folder", { skip: server.skip }, () => {
  const processes: ChildProcess[] = [];
  let base = "";
  let upstream = "";
  let transcode: ChildProcess;

  before(async () => {
    const packed = join(folder, "packed");
    const empty = join(folder, "empty");
    mkdirSync(packed);
    mkdirSync(empty);
    const npm = (args: string[], cwd: string) =>
      execFileSync("npm", args, { cwd, stdio: ["ignore", "ignore", "inherit"] });
    npm(["pack", "--silent", "--pack-destination", packed], source);
    writeFileSync(join(empty, "package.json"), "{}");
    const [archive] = readdirSync(packed);
    npm(
      ["install", "--silent", "--no-audit", "--no-fund", "--prefer-offline", join(packed, archive!)],
      empty,
    );

    writeFileSync(join(folder, "route_guide.proto"), proto);
    writeFileSync(join(folder, "rules.yaml"), rules);
    const image = join(folder, "image.binpb");
    execFileSync(join(ROOT, "node_modules/.bin/buf"), [
      "build",
      folder,
      "-o",
      image,
      "--path",
      join(folder, "route_guide.proto"),
    ]);

    const upstreamPort = await freePort();
    upstream = `http://127.0.0.1:${upstreamPort}`;
    processes.push(spawn(server.path, ["-port", String(upstreamPort)], { stdio: "ignore" }));
    await reachable(upstreamPort);
    transcode = spawn(
      process.execPath,
      [
        join(empty, "node_modules/@e-lampid/transcoder/dist/transcode.js"),
        ...["--descriptors", image, "--upstream", upstream, "--port", "0"],
        ...["--service-config", join(folder, "rules.yaml")],
      ],
      { cwd: empty, stdio: ["ignore", "pipe", "inherit"] },
    );
    processes.push(transcode);
    let said = "";
    for await (const chunk of transcode.stdout!.iterator({ destroyOnReturn: false })) {
      said += chunk;
      base = / at (http:\/\/\S+)/.exec(said)?.[1] ?? "";
      if (base !== "") break;
    }
    assert.match(
      said,
      /^GET \/v1\/features\/\{latitude\}\/\{longitude\} -> routeguide.RouteGuide\/GetFeature$/m,
    );
  });
  after(() => {
    for (const child of processes) child.kill("SIGKILL");
  });

  test("a unary method answers, by its path", async () => {
    const answer = await fetch(`${base}/v1/features/409146138/-746188906`);
    assert.deepEqual(
      [answer.status, await answer.json()],
      [
        200,
        {
          name: "Berkshire Valley Management Area Trail, Jefferson, NJ, USA",
          location: { latitude: 409146138, longitude: -746188906 },
        },
      ],
    );
  });

  test("a server stream comes line by line, and as an array to who asks for JSON", async () => {
    const box = "lo.latitude=400000000&lo.longitude=-750000000&hi.latitude=420000000&hi.longitude=-730000000";
    const lines = (await (await fetch(`${base}/v1/features?${box}`)).text()).trimEnd().split("\n");
    const headers = { accept: "application/json" };
    const array = await (await fetch(`${base}/v1/features?${box}`, { headers })).json();
    assert.ok(lines.length > 50);
    assert.deepEqual(
      array,
      lines.map((line) => JSON.parse(line)),
    );
  });

  test("a client stream is sent as lines, and a bidirectional one answers to its lines", async () => {
    const post = (path: string, body: string) =>
      fetch(base + path, { method: "POST", headers: { "content-type": "application/x-ndjson" }, body });
    const point = '{"latitude":409146138,"longitude":-746188906}\n';
    const counted = await post("/v1/routes", point.repeat(1000));
    const summary = (await counted.json()) as Record<string, number>;
    assert.deepEqual([summary.pointCount, summary.featureCount], [1000, 1000]);
    const note = '{"location":{"latitude":1},"message":"hello"}\n';
    assert.match(await (await post("/v1/chat", note)).text(), /"message":"hello"/);
    const broken = await post("/v1/routes", `${point}{"latitude":"north"}\n`);
    assert.equal(broken.status, 400);
    assert.match(await broken.text(), /line 2: must be an integer/);
  });

  test("what the server does not have, a wrong field and an unknown path are errors with a google.rpc.Status", async () => {
    for (const [path, status, code] of [
      ["/v1/missing", 501, 12],
      ["/v1/features/north/1", 400, 3],
      ["/v1/nowhere", 404, 5],
    ] as const) {
      const answer = await fetch(base + path);
      const body = (await answer.json()) as { code: number };
      assert.deepEqual([answer.status, body.code], [status, code], path);
    }
  });

  test("without its server it answers 503, and SIGTERM ends it", async () => {
    processes[0]!.kill("SIGKILL");
    await once(processes[0]!, "exit");
    assert.equal((await fetch(`${base}/v1/features/1/1`)).status, 503);
    transcode.kill("SIGTERM");
    assert.deepEqual(await once(transcode, "exit"), [0, null]);
  });
});

async function freePort(): Promise<number> {
  const probe = net.createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as net.AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}

/** Resolves when somebody listens. */
async function reachable(port: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    const socket = net.connect(port, "127.0.0.1");
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    assert.ok(tries < 200, `nobody listens on ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
