// What the people who run the mesh rely on: grpcurl, tokens, health, metrics, and logs that name nobody.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "../../services/mesh/processes.ts";
import { assertLedgerAgrees, openSql, type Sql } from "../harness/ledger.ts";
import { type RunningMesh, useMesh } from "../harness/mesh.ts";
import { residents, testSeed } from "../harness/residents.ts";
import { login, type RestClient, restClient } from "../harness/rest.ts";
import { findTool } from "../harness/tools.ts";

const run = promisify(execFile);
const newResident = residents(testSeed(), "operations");
const { path: grpcurl, skip } = findTool("grpcurl");

const STANDARD = [
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
];
const SERVICES: Record<string, string[]> = {
  auth: ["lampid.auth.v1.AccountService", "lampid.auth.v1.AuthService", "lampid.auth.v1.RevocationService"],
  penduduk: [
    "lampid.penduduk.v1.PendudukService",
    "lampid.penggabungan.v1.PenggabunganService",
    "lampid.peristiwa.v1.PeristiwaService",
  ],
  statistik: ["lampid.statistik.v1.StatistikService"],
  notifikasi: ["lampid.notifikasi.v1.NotifikasiService"],
  pelaporan: [
    "lampid.pelaporan.v1.PelaporanInternalService",
    "lampid.pelaporan.v1.PelaporanService",
    "lampid.pelaporan.v1.PemeliharaanService",
  ],
  integrasi: [
    "google.longrunning.Operations",
    "lampid.integrasi.v1.PengirimanService",
    "lampid.integrasi.v1.SinkronisasiService",
  ],
  dokumen: ["lampid.dokumen.v1.DokumenService"],
  dukcapil: ["lampid.dukcapil.v1.DukcapilHubService"],
};
/** What the mesh offers to itself alone. */
const INTERNAL = [
  "lampid.auth.v1.RevocationService",
  "lampid.pelaporan.v1.PemeliharaanService",
  "lampid.penggabungan.v1.PenggabunganService",
  "lampid.peristiwa.v1.PeristiwaService",
  "lampid.pelaporan.v1.PelaporanInternalService",
  "lampid.dukcapil.v1.DukcapilHubService",
];
SERVICES.gateway = Object.values(SERVICES)
  .flat()
  .filter((service) => !INTERNAL.includes(service))
  .sort();

let mesh: RunningMesh;
let sql: Sql;
let call: RestClient;
before(async () => {
  mesh = await useMesh();
  sql = openSql(mesh);
  call = restClient(mesh.urls.gateway!);
});
after(async () => {
  await sql?.close();
  await mesh?.stop();
});

async function ask(process: string, args: string[], flags: string[] = []): Promise<string> {
  const address = mesh.urls[process]!.replace("http://", "");
  const { stdout } = await run(grpcurl, ["-plaintext", "-max-time", "10", ...flags, address, ...args]);
  return stdout;
}

async function printedToken(account: string): Promise<string> {
  const { stdout } = await run("npm", ["run", "-s", "token", "--", account], {
    cwd: ROOT,
    env: { ...process.env, LAMPID_DATA_DIR: mesh.dataDir },
  });
  return stdout.trim();
}

describe("grpcurl", { skip }, () => {
  for (const [process, services] of Object.entries(SERVICES)) {
    test(`lists and describes what ${process} offers, and finds it healthy`, async () => {
      const listed = (await ask(process, ["list"])).trim().split("\n");
      assert.deepEqual(listed, [...STANDARD, ...services].sort());
      const described = await ask(process, ["describe"]);
      for (const service of listed) assert.match(described, new RegExp(`${service} is a service:`));
      assert.equal(JSON.parse(await ask(process, ["grpc.health.v1.Health/Check"])).status, "SERVING");
      for (const service of services) {
        const health = await ask(
          process,
          ["grpc.health.v1.Health/Check"],
          ["-d", JSON.stringify({ service })],
        );
        assert.equal(JSON.parse(health).status, "SERVING", service);
      }
    });
  }

  test("describes a message with the types of its fields", async () => {
    const text = await ask("penduduk", ["describe", "lampid.penduduk.v1.RegisterPendudukRequest"]);
    assert.match(text, /string nik = 2/);
    assert.match(text, /\.lampid\.penduduk\.v1\.Penduduk\.Agama agama = 10/);
  });

  test("calls with a token of npm run token, at the service itself and through the gateway", async () => {
    const token = await printedToken("operator");
    for (const process of ["penduduk", "gateway"]) {
      const resident = newResident();
      const flags = ["-H", `authorization: Bearer ${token}`, "-d", JSON.stringify(resident)];
      const answer = JSON.parse(
        await ask(process, ["lampid.penduduk.v1.PendudukService/RegisterPenduduk"], flags),
      );
      assert.equal(answer.penduduk.nama, resident.nama);
    }
  });

  test("shows a refusal with its code and details", async () => {
    const flags = ["-d", JSON.stringify(newResident())];
    const refused = (await ask(
      "penduduk",
      ["lampid.penduduk.v1.PendudukService/RegisterPenduduk"],
      flags,
    ).catch((error) => error)) as { stderr: string };
    assert.match(refused.stderr, /Code: Unauthenticated/);
    assert.match(refused.stderr, /google\.rpc\.ErrorInfo/);
  });

  test("watches a stream", async () => {
    const [pusat, operator] = [await printedToken("pusat"), await printedToken("operator")];
    const address = mesh.urls.statistik!.replace("http://", "");
    const method = "lampid.statistik.v1.StatistikService/WatchStats";
    const args = ["-plaintext", "-max-time", "10", "-H", `authorization: Bearer ${pusat}`, address, method];
    const child = spawn(grpcurl, args, { stdio: ["ignore", "pipe", "ignore"] });
    try {
      let text = "";
      for await (const chunk of child.stdout.setEncoding("utf8")) {
        const first = text === "";
        text += chunk;
        if (first) {
          const answer = await call("POST /penduduk", { token: operator, json: newResident() });
          assert.equal(answer.status, 201, answer.text);
        }
        if ((text.match(/"waktu"/g) ?? []).length >= 2) break;
      }
      assert.equal(text.match(/"waktu"/g)?.length, 2, text);
    } finally {
      child.kill();
    }
  });
});

describe("npm run token", () => {
  test("prints one line, the token, for a person and for the machine client", async () => {
    for (const account of ["operator", "mitra"]) {
      const token = await printedToken(account);
      assert.equal((await call("GET /protected", { token })).body.username, account);
    }
  });

  test("an unknown account is one line and exit 1", async () => {
    const failed = (await printedToken("nobody-here").catch((error) => error)) as {
      code: number;
      stderr: string;
    };
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /^token: nobody-here: .+\n$/);
  });
});

test("npm run rebuild makes the list of reports again from their events, and says what it mended", async () => {
  const args = ["run", "-s", "rebuild", "--", "pelaporan"];
  const { stdout } = await run("npm", args, {
    cwd: ROOT,
    env: { ...process.env, LAMPID_DATA_DIR: mesh.dataDir },
  });
  assert.match(stdout, /^\d+ reports of \d+ events: 0 rows mended, 0 removed; [\d.]+ s\n$/);
});

describe("the admin port", () => {
  for (const process of Object.keys(SERVICES)) {
    test(`of ${process} says that it lives, serves, and how it fares`, async () => {
      const admin = restClient(mesh.adminUrls[process]!);
      assert.equal((await admin("GET /healthz")).status, 200);
      const ready = await admin("GET /readyz");
      assert.equal(ready.status, 200);
      assert.equal(ready.body.status, "SERVING");
      const metrics = await admin("GET /metrics");
      assert.equal(metrics.status, 200);
      assert.match(metrics.text, new RegExp(`target_info\\{service_name="${process}"`));
      assert.equal((await admin("GET /")).status, 404);
    });
  }

  test("counts calls by method and code", async () => {
    const { text } = await restClient(mesh.adminUrls.penduduk!)("GET /metrics");
    assert.match(text, /rpc_server_duration_count\{.*method="lampid\.penduduk\.v1\.PendudukService\/\w+"/);
  });
});

test("no log, no metric and no trace of the mesh holds a NIK or a name, not even of those refused", async () => {
  const token = await login(mesh.urls.gateway!, "operator");
  const refused = [
    newResident({ kecamatan: "320102" }),
    { ...newResident(), rt: "x" },
    { ...newResident(), gelar: 1 },
  ];
  for (const json of refused) assert.ok((await call("POST /penduduk", { token, json })).status >= 400);
  const cutOff = newResident();
  await call("POST /penduduk", { token, body: JSON.stringify(cutOff).slice(0, -1) });
  const unwanted = newResident();
  await call(`GET /v1/penduduk/${unwanted.nik}?nama=${encodeURIComponent(unwanted.nama)}`, { token });
  await call(`POST /penduduk?nik=${unwanted.nik}`, { token, json: unwanted });
  const stored = newResident();
  assert.equal((await call("POST /penduduk", { token, json: stored })).status, 201);
  assert.equal((await call("POST /penduduk", { token, json: stored })).status, 409);
  await call("POST /v1/penduduk:lookup", { token, json: { nik: stored.nik } });
  await call("POST /v1/penduduk:search", { token, json: { nama: stored.nama, kodeWilayah: "32.01.01" } });
  await assertLedgerAgrees(sql);

  const everyone = (await sql.rows("penduduk", "select nik, nama from penduduk")) as {
    nik: string;
    nama: string;
  }[];
  assert.ok(everyone.some(({ nik }) => nik === stored.nik));
  const people = [...everyone, ...refused, cutOff, unwanted];
  const texts = new Map<string, string>();
  const logs = join(mesh.dataDir, "log");
  for (const name of readdirSync(logs)) texts.set(name, readFileSync(join(logs, name), "utf8"));
  for (const [name, url] of Object.entries(mesh.adminUrls)) {
    texts.set(`metrics of ${name}`, (await restClient(url)("GET /metrics")).text);
  }
  for (const [where, text] of texts) {
    // "Null", stored by another test as a name, is a word that a log may use.
    const found = people.filter(
      ({ nik, nama }) => text.includes(nik) || (nama.includes(" ") && text.includes(nama)),
    );
    assert.deepEqual(found, [], `${where} names ${found.length} of ${people.length} people`);
    assert.doesNotMatch(text, /\b32010[12]\d{10}\b/, `${where} holds a NIK`);
  }
});
