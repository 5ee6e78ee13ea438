// A mesh of its own whose reads of residents an older system answers, too: the registry dies, people are told, and it comes back.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { eventually } from "../harness/eventually.ts";
import { startTestMesh, type TestMesh } from "../harness/mesh.ts";
import { login, type RestClient, restClient } from "../harness/rest.ts";

const rpc = "lampid.penduduk.v1.PendudukService/GetPenduduk";
const folder = mkdtempSync(join(tmpdir(), "lampid-legacy-"));
let seen = 0;
const legacy = createServer((request, response) => {
  seen++;
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ nama: "dari sistem lama", path: request.url }));
});
let mesh: TestMesh;
let call: RestClient;
let token: string;

before(async () => {
  await new Promise<void>((resolve) => legacy.listen(0, "127.0.0.1", resolve));
  const { port } = legacy.address() as AddressInfo;
  const rules = join(folder, "routes.yaml");
  writeFileSync(
    rules,
    `routes:
       - rpc: ${rpc}
         baseUrl: http://127.0.0.1:${port}
         rollout: { percent: 100 }
         fallback: { coolDownSeconds: 3 }`,
  );
  mesh = await startTestMesh({ LAMPID_LEGACY_ROUTES: rules });
  call = restClient(mesh.urls.gateway!);
  token = await login(mesh.urls.gateway!, "pusat");
});

after(async () => {
  await mesh?.stop();
  legacy.closeAllConnections();
  legacy.close();
  rmSync(folder, { recursive: true });
});

/** Of a resident whom nobody has: the registry says 404, which is an answer. */
const read = async () => (await call(`GET /v1/penduduk/${randomUUID()}`, { token })).status;

async function messages(): Promise<{ templat: string; isi: string }[]> {
  const { body } = await call("GET /v1/pesan?kode_wilayah=ID&page_size=50", { token });
  return body.pesan ?? [];
}

test("the registry dies: its reads are answered by the old system, officers are told, and told again when it is back", async () => {
  for (let n = 0; n < 5; n++) assert.equal(await read(), 404);
  assert.equal(seen, 0);
  await eventually(async () => {
    // Its supervisor starts it again each time; until then there is nothing to kill.
    if (mesh.pid("penduduk") !== undefined) mesh.kill("penduduk");
    const answers = await Promise.all(Array.from({ length: 20 }, read));
    return answers.includes(200);
  }, 60_000);
  assert.ok(seen > 0);
  await eventually(
    async () => (await messages()).some(({ templat }) => templat === "rute_dialihkan"),
    30_000,
  );
  const { isi } = (await messages()).find(({ templat }) => templat === "rute_dialihkan")!;
  assert.ok(isi.includes(rpc), isi);

  await eventually(async () => {
    await read();
    return (await messages()).some(({ templat }) => templat === "rute_pulih");
  }, 60_000);
  const before = seen;
  for (let n = 0; n < 5; n++) assert.equal(await read(), 404);
  assert.equal(seen, before);
});
