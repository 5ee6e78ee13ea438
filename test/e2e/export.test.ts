// A partner's download, end to end on a real mesh: residents as NDJSON through the gateway, by field, resumed after a break.
import assert from "node:assert/strict";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { openSql, type Sql } from "../harness/ledger.ts";
import { type RunningMesh, useMesh } from "../harness/mesh.ts";
import { residents, testSeed } from "../harness/residents.ts";
import {
  assertStatus,
  assertViolations,
  login,
  mitraToken,
  type RestClient,
  restClient,
} from "../harness/rest.ts";

const BASIC = [
  "name",
  "nik",
  "nama",
  "provinsi",
  "kode_wilayah",
  "jenis_kelamin",
  "tanggal_lahir",
  "status",
  "update_time",
];
/** A kecamatan that no other test file registers in. */
const KECAMATAN = "32.01.21";
const PATH = `/v1/penduduk:export?kodeWilayah=${KECAMATAN}`;

const newResident = residents(testSeed(), "export");
const niks: string[] = [];
let mesh: RunningMesh;
let sql: Sql;
let call: RestClient;
let pusat: string;
let mitra: string;

before(async () => {
  mesh = await useMesh();
  sql = openSql(mesh);
  call = restClient(mesh.urls.gateway!);
  pusat = await login(mesh.urls.gateway!, "pusat");
  mitra = await mitraToken(mesh.urls.issuer!);
  for (let n = 0; n < 25; n++) {
    const resident = newResident({ kecamatan: KECAMATAN.replaceAll(".", "") });
    assert.equal((await call("POST /penduduk", { token: pusat, json: resident })).status, 201);
    niks.push(resident.nik);
  }
});
after(async () => {
  await sql?.close();
  await mesh?.stop();
});

type Batch = { penduduk: Record<string, unknown>[]; cursor: string };

/** Downloads an export and reads it as a program would: line by line. */
async function download(token: string, query = ""): Promise<Batch[]> {
  const answer = await call(`GET ${PATH}${query}`, { token });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers.get("content-type"), "application/x-ndjson");
  assert.equal(answer.headers.get("cache-control"), "no-store");
  assert.ok(answer.text === "" || answer.text.endsWith("\n"));
  return answer.text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

const niksOf = (batches: Batch[]) => batches.flatMap(({ penduduk }) => penduduk.map(({ nik }) => nik));
const fieldsOf = (batches: Batch[]) => [
  ...new Set(batches.flatMap(({ penduduk }) => penduduk.flatMap((each) => Object.keys(each)))),
];
const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

describe("GET /v1/penduduk:export", () => {
  test("gives every resident of the wilayah once, one batch a line", async () => {
    const batches = await download(mitra, "&batchSize=10");
    assert.ok(batches.length >= 3);
    assert.ok(batches.every(({ penduduk }) => penduduk.length <= 10));
    const exported = niksOf(batches);
    assert.equal(new Set(exported).size, exported.length);
    assert.ok(niks.every((nik) => exported.includes(nik)));
    const stored = `select count(*) from penduduk where kode_wilayah like '${KECAMATAN}%'`;
    assert.equal(exported.length, await sql.number("penduduk", stored));
  });

  test("gives a partner the basic fields, and the nation's administrator all", async () => {
    assert.deepEqual(
      fieldsOf(await download(mitra))
        .map(snakeCase)
        .toSorted(),
      BASIC.toSorted(),
    );
    const whole = fieldsOf(await download(pusat));
    for (const field of ["alamat", "etag"]) assert.ok(whole.includes(field), field);
  });

  test("gives the fields of a mask alone", async () => {
    const batches = await download(mitra, "&readMask=nik,kodeWilayah");
    assert.deepEqual(fieldsOf(batches).map(snakeCase), ["nik", "kode_wilayah"]);
    const asked = await call(`GET ${PATH}&readMask=nik,alamat`, { token: mitra });
    assertStatus(asked, 403, "PermissionDenied", "EXPORT_FIELDS_DENIED");
    const metadata = asked.body.details[0].metadata;
    assert.deepEqual(metadata, { fields: "alamat", scope: "penduduk.export.lengkap" });
    assertViolations(await call(`GET ${PATH}&readMask=gaji`, { token: mitra }), ["read_mask"]);
  });

  test("is resumed from the last line that arrived after a break", async () => {
    const first = await readLines(`${PATH}&batchSize=4`, mitra, 2);
    const rest = await download(mitra, `&batchSize=7&cursor=${encodeURIComponent(first.at(-1)!.cursor)}`);
    const exported = niksOf([...first, ...rest]);
    assert.deepEqual(exported.toSorted(), niksOf(await download(mitra)).toSorted());
    const foreign = `GET /v1/penduduk:export?kodeWilayah=32.01&cursor=${encodeURIComponent(first[0]!.cursor)}`;
    assertViolations(await call(foreign, { token: mitra }), ["cursor"]);
  });

  test("is compressed when asked for", async () => {
    const answer = await open(PATH, mitra, { "accept-encoding": "gzip" });
    assert.equal(answer.headers["content-encoding"], "gzip");
    const text = gunzipSync(Buffer.concat(await answer.toArray())).toString();
    assert.equal(text.split("\n").length - 1, (await download(mitra)).length);
  });

  test("is Server-Sent Events when asked for", async () => {
    const answer = await call(`GET ${PATH}&batchSize=10&readMask=nik`, {
      token: mitra,
      headers: { accept: "text/event-stream" },
    });
    assert.equal(answer.headers.get("content-type"), "text/event-stream");
    assert.match(answer.text, /^retry: \d+\n\n(data: \{.*\}\n\n){3,}event: end\ndata: \{\}\n\n$/);
    const none = await call(`GET ${PATH}`, { token: mitra, headers: { accept: "text/csv" } });
    assertStatus(none, 406, "InvalidArgument");
  });

  test("is refused as an HTTP error before it begins", async () => {
    assertStatus(await call(`GET ${PATH}`), 401, "Unauthenticated");
    const operator = await login(mesh.urls.gateway!, "operator");
    assertStatus(await call(`GET ${PATH}`, { token: operator }), 403, "PermissionDenied", "METHOD_DENIED");
    assertViolations(await call("GET /v1/penduduk:export", { token: mitra }), ["kode_wilayah"]);
  });

  test("leaves an audit row for every call that gave data", async () => {
    const count = () =>
      sql.number(
        "penduduk",
        "select count(*) from audit where action like '%/ExportPenduduk' and resource = $1",
        [`wilayah/${KECAMATAN}`],
      );
    const before = await count();
    await download(mitra);
    await call(`GET ${PATH}&readMask=agama`, { token: mitra });
    assert.equal(await count(), before + 1);
  });
});

/** Opens a download as curl would, without asking for compression. */
function open(path: string, token: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${mesh.urls.gateway}${path}`, {
      headers: { authorization: `Bearer ${token}`, ...headers },
      agent: false,
    });
    request.on("error", reject);
    request.on("response", resolve);
    request.end();
  });
}

/** Reads so many lines, and then hangs up. */
async function readLines(path: string, token: string, count: number): Promise<Batch[]> {
  const answer = await open(path, token);
  let text = "";
  for await (const chunk of answer) {
    text += chunk;
    if (text.split("\n").length > count) break;
  }
  return text
    .split("\n")
    .slice(0, count)
    .map((line) => JSON.parse(line));
}
