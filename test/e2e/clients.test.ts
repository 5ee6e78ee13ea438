// What partners call with: a page in a browser by connect-web, and curl. (grpcurl: operations.test.ts.)
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { build } from "esbuild";
import { ROOT } from "../../services/mesh/processes.ts";
import { browserMissing, startBrowser, type WatchedBrowser } from "../harness/browser.ts";
import { ALLOWED_ORIGIN, type RunningMesh, useMesh } from "../harness/mesh.ts";
import { residents, testSeed } from "../harness/residents.ts";
import { login, restClient } from "../harness/rest.ts";
import type * as PartnerPage from "./partner-page.ts";

/** A kecamatan that no other test file registers in. */
const KECAMATAN = "32.01.22";
const newResident = residents(testSeed(), "clients");
const niks: string[] = [];
let mesh: RunningMesh;
let gateway: string;
let pusat: string;

before(async () => {
  mesh = await useMesh();
  gateway = mesh.urls.gateway!;
  pusat = await login(gateway, "pusat");
  const call = restClient(gateway);
  for (let n = 0; n < 5; n++) {
    const resident = newResident({ kecamatan: KECAMATAN.replaceAll(".", "") });
    const answer = await call("POST /v1/penduduk", { token: pusat, json: resident });
    assert.equal(answer.status, 201, answer.text);
    niks.push(resident.nik);
  }
});
after(() => mesh?.stop());

/** What the page's bundle puts into the page's global scope. */
declare const partner: typeof PartnerPage;

describe("a web page with connect-web", { skip: browserMissing() }, () => {
  let browser: WatchedBrowser;
  let html: string;

  before(async () => {
    const { outputFiles } = await build({
      entryPoints: [join(ROOT, "test/e2e/partner-page.ts")],
      bundle: true,
      write: false,
      format: "iife",
      globalName: "partner",
      platform: "browser",
    });
    html = `<!doctype html><title>Mitra</title><script>${outputFiles[0]!.text.replaceAll("</script", "<\\/script")}</script>`;
    browser = await startBrowser();
  });
  after(() => browser?.close());

  for (const protocol of ["connect", "grpc-web"] as const) {
    test(`of an allowed origin calls by ${protocol}: one answer, a stream of them, and a refusal with its reason`, async () => {
      const { page, problems } = await browser.open(`${ALLOWED_ORIGIN}/`, html);
      const settings = { baseUrl: gateway, token: pusat, protocol };
      const me = await page.evaluate((given) => partner.whoAmI(given), settings);
      assert.deepEqual(me, { username: "pusat", role: "admin_pusat" });

      const batches = await page.evaluate(([given, wilayah]) => partner.exported(given, wilayah, 2), [
        settings,
        KECAMATAN,
      ] as const);
      assert.ok(batches.length >= 3, `${batches.length} batches`);
      assert.ok(niks.every((nik) => batches.flat().includes(nik)));
      assert.deepEqual(problems, []);

      const refused = await page.evaluate((given) => partner.refusalOf(given), { ...settings, token: "" });
      assert.deepEqual(refused, { code: "Unauthenticated", reason: "TOKEN_INVALID" });
    });
  }

  test("of another origin gets no answer", async () => {
    const { page, problems } = await browser.open("http://lain.localhost/", html);
    const settings = { baseUrl: gateway, token: pusat, protocol: "connect" as const };
    const refused = await page.evaluate((given) => partner.refusalOf(given), settings);
    assert.deepEqual(refused, { code: "Unknown", reason: undefined });
    assert.ok(
      problems.some((problem) => /No 'Access-Control-Allow-Origin' header/.test(problem)),
      problems.join("\n"),
    );
  });
});

describe("curl", {
  skip: spawnSync("curl", ["--version"]).status === 0 ? false : "curl is not on PATH",
}, () => {
  const run = promisify(execFile);
  /** Standard output, with `status` and the version of HTTP on a last line. */
  async function curl(
    path: string,
    ...args: string[]
  ): Promise<{ body: string; status: number; http: string }> {
    const format = "\n%{http_code} %{http_version}";
    const { stdout } = await run("curl", ["-sS", "-m", "20", "-w", format, ...args, `${gateway}${path}`]);
    const [, body, status, http] = /^([\s\S]*)\n(\d+) (\S+)$/.exec(stdout)!;
    return { body: body!, status: Number(status), http: http! };
  }
  const authorization = () => ["-H", `authorization: Bearer ${pusat}`];

  for (const [http, flag] of [
    ["1.1", "--http1.1"],
    ["2", "--http2-prior-knowledge"],
  ] as const) {
    test(`calls REST over HTTP/${http}: an answer, a refusal, and a stream line by line`, async () => {
      const me = await curl("/v1/auth/me", flag, ...authorization());
      assert.deepEqual([me.status, me.http], [200, http]);
      assert.equal(JSON.parse(me.body).username, "pusat");

      const refused = await curl("/v1/auth/me", flag);
      assert.equal(refused.status, 401);
      assert.equal(JSON.parse(refused.body).details[0].reason, "TOKEN_INVALID");

      const path = `/v1/penduduk:export?kode_wilayah=${KECAMATAN}&batch_size=2`;
      const download = await curl(path, flag, "--compressed", ...authorization());
      assert.equal(download.status, 200);
      const lines = download.body.trimEnd().split("\n");
      assert.ok(lines.length >= 3);
      const exported = lines.flatMap((line) =>
        JSON.parse(line).penduduk.map((each: { nik: string }) => each.nik),
      );
      assert.ok(niks.every((nik) => exported.includes(nik)));
    });
  }

  test("calls Connect, whose unary calls are a POST of JSON", async () => {
    const answer = await curl(
      "/lampid.auth.v1.AuthService/GetMe",
      ...authorization(),
      "-H",
      "content-type: application/json",
      "-d",
      "{}",
    );
    assert.equal(answer.status, 200);
    assert.equal(JSON.parse(answer.body).username, "pusat");
  });
});
