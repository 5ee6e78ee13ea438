// The main job, end to end on a real mesh: somebody logs in, registers residents, and they are stored, counted and notified.
import assert from "node:assert/strict";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { connect } from "node:http2";
import { after, before, describe, test } from "node:test";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { importJWK, type JWK, type JWTPayload, SignJWT } from "jose";
import { BadRequestSchema, ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { AuthService } from "#gen/lampid/auth/v1/auth_service_pb.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { StatistikService } from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import { issuerKey } from "../harness/issuer-key.ts";
import { assertLedgerAgrees, openSql, type Sql } from "../harness/ledger.ts";
import { type RunningMesh, useMesh } from "../harness/mesh.ts";
import { type Resident, residents, testSeed } from "../harness/residents.ts";
import {
  assertStatus,
  assertStatusBody,
  assertViolations,
  login,
  mitraToken,
  type RestClient,
  restClient,
} from "../harness/rest.ts";

const ACCOUNTS = ["operator", "operator2", "supervisor", "supervisor2", "kota", "pusat", "auditor"] as const;

const seed = testSeed();
const newResident = residents(seed, "registration");
let mesh: RunningMesh;
let sql: Sql;
let call: RestClient;
const tokens = {} as Record<(typeof ACCOUNTS)[number] | "mitra", string>;

before(async () => {
  mesh = await useMesh();
  sql = openSql(mesh);
  call = restClient(mesh.urls.gateway!);
  for (const name of ACCOUNTS) tokens[name] = await login(mesh.urls.gateway!, name);
  tokens.mitra = await mitraToken(mesh.urls.issuer!);
});
after(async () => {
  await sql?.close();
  await mesh?.stop();
});

function register(
  json: Record<string, unknown>,
  token = tokens.operator,
  headers: Record<string, string> = {},
) {
  return call("POST /penduduk", { token, json, headers });
}

/** Registers a new resident and returns the answer's body. */
async function registered(json: Record<string, unknown> = newResident(), token = tokens.operator) {
  const answer = await register(json, token);
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}

function rowsWithNik(nik: string): Promise<number> {
  return sql.number("penduduk", "select count(*) from penduduk where nik = $1", [nik]);
}

describe("POST /login", () => {
  for (const path of ["/login", "/v1/auth:login"]) {
    test(`${path} gives a demo account a bearer token`, async () => {
      const answer = await call(`POST ${path}`, { json: { username: "operator", password: "rahasia" } });
      assert.equal(answer.status, 200, answer.text);
      const { access_token, token_type, expires_in, ...rest } = answer.body;
      assert.match(access_token, /^[\w-]+\.[\w-]+\.[\w-]+$/);
      assert.equal(token_type, "Bearer");
      assert.ok(Number.isInteger(expires_in) && expires_in > 60);
      assert.deepEqual(rest, {});
      assert.equal(answer.headers.get("cache-control"), "no-store");
    });
  }

  test("a wrong password and an unknown account are the same 401", async () => {
    const wrong = await call("POST /login", { json: { username: "supervisor2", password: "rahasi" } });
    const unknown = await call("POST /login", {
      json: { username: `nobody-${randomUUID()}`, password: "rahasia" },
    });
    for (const answer of [wrong, unknown])
      assertStatus(answer, 401, "Unauthenticated", "CREDENTIALS_INVALID");
    assert.equal(wrong.body.message, unknown.body.message);
  });

  test("after five wrong tries in a minute a username gets 429 and hears when to try again; others do not", async () => {
    const guess = (username: string) => call("POST /login", { json: { username, password: "guess" } });
    const username = `guessed-${randomUUID()}`;
    for (let tries = 1; tries <= 5; tries++) assertStatus(await guess(username), 401, "Unauthenticated");
    const refused = await guess(username);
    assertStatus(refused, 429, "ResourceExhausted", "LOGIN_THROTTLED");
    const seconds = Number(refused.headers.get("retry-after"));
    assert.ok(seconds >= 1 && seconds <= 60, `Retry-After: ${seconds}`);
    assertStatus(await guess(`another-${randomUUID()}`), 401, "Unauthenticated");
  });

  test("an empty username and a missing password are violations", async () => {
    assertViolations(await call("POST /login", { json: { username: "" } }), ["username", "password"]);
  });
});

describe("GET /protected", () => {
  const me = (token?: string) => call("GET /protected", token === undefined ? {} : { token });

  for (const path of ["/protected", "/v1/auth/me"]) {
    test(`${path} tells the bearer of a valid token who they are`, async () => {
      const { status, body } = await call(`GET ${path}`, { token: tokens.operator });
      assert.equal(status, 200);
      assert.equal(typeof body.message, "string");
      assert.equal(body.username, "operator");
      assert.equal(body.role, "operator");
      assert.equal(body.wilayah, "32.01.01.1006");
    });
  }

  test("any role may ask, a machine client too", async () => {
    for (const [name, token] of Object.entries(tokens)) assert.equal((await me(token)).status, 200, name);
    assert.equal((await me(tokens.mitra)).body.role, "mitra");
  });

  test("without a token it is 401 with WWW-Authenticate", async () => {
    const answer = await me();
    assertStatus(answer, 401, "Unauthenticated");
    assert.match(answer.headers.get("www-authenticate") ?? "", /^Bearer/);
  });

  describe("a token that must not pass is 401:", () => {
    let key: JWK;
    before(async () => {
      key = await issuerKey(sql);
    });

    const claims = (): JWTPayload =>
      JSON.parse(Buffer.from(tokens.operator.split(".")[1]!, "base64url").toString());
    const now = () => Math.floor(Date.now() / 1000);
    async function signed(changes: JWTPayload, signingKey: JWK = key, header: object = {}): Promise<string> {
      return await new SignJWT({ ...claims(), ...changes })
        .setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid: key.kid!, ...header })
        .sign(await importJWK(signingKey, "ES256"));
    }
    const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

    test("(while one that the issuer's key signs with nothing changed does pass)", async () => {
      assert.equal((await me(await signed({}))).status, 200);
    });

    const refused: Record<string, () => string | Promise<string>> = {
      expired: () => signed({ iat: now() - 7200, exp: now() - 60 }),
      "without an expiry": () => signed({ exp: undefined as unknown as number }),
      "for another audience": () => signed({ aud: "another" }),
      "of another issuer": () => signed({ iss: "http://127.0.0.1:1" }),
      "signed with another key under our key's id": () =>
        signed(
          {},
          generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" }) as JWK,
        ),
      "with alg none": () => `${encoded({ alg: "none", typ: "at+jwt" })}.${encoded(claims())}.`,
      "signed with HMAC and the public key": () =>
        new SignJWT(claims())
          .setProtectedHeader({ alg: "HS256", kid: key.kid! })
          .sign(new TextEncoder().encode(JSON.stringify({ kty: key.kty, crv: key.crv, x: key.x, y: key.y }))),
      "with changed claims": () => {
        const [head, , signature] = tokens.operator.split(".");
        return `${head}.${encoded({ ...claims(), role: "admin_pusat", wilayah: "ID" })}.${signature}`;
      },
      "that is no token": () => "abc",
    };
    for (const [what, make] of Object.entries(refused)) {
      test(what, async () => assertStatus(await me(await make()), 401, "Unauthenticated"));
    }

    test("and it opens nothing else either", async () => {
      const token = await signed({ aud: "another" });
      const resident = newResident();
      assertStatus(await register(resident, token), 401, "Unauthenticated");
      assertStatus(await call("GET /stats", { token }), 401, "Unauthenticated");
      assert.equal(await rowsWithNik(resident.nik), 0);
    });
  });
});

describe("POST /penduduk", () => {
  test("a registration as the source documents print it is 201 with the resident, who is stored", async () => {
    const resident = newResident();
    const answer = await register(resident);
    assert.equal(answer.status, 201, answer.text);
    const { nik, nama, alamat, provinsi } = answer.body;
    assert.deepEqual({ nik, nama, alamat, provinsi }, resident);
    assert.match(answer.body.name, /^penduduk\/[0-9a-f-]{36}$/);
    assert.equal(answer.body.kodeWilayah, "32.01.01");
    assert.equal(answer.body.status, "STATUS_AKTIF");
    const [row] = await sql.rows(
      "penduduk",
      "select nama, alamat, kode_wilayah from penduduk where nik = $1",
      [nik],
    );
    assert.deepEqual(row, { nama, alamat, kode_wilayah: "32.01.01" });
  });

  test("/v1/penduduk takes all biodata and gives them back", async () => {
    const resident = newResident();
    const [day, month, year] = [6, 8, 10].map((at) => resident.nik.slice(at, at + 2));
    const isWoman = Number(day) > 40;
    const biodata = {
      ...resident,
      kodeWilayah: "32.01.01.1006",
      jenisKelamin: isWoman ? "JENIS_KELAMIN_PEREMPUAN" : "JENIS_KELAMIN_LAKI_LAKI",
      tanggalLahir: `19${year}-${month}-${String(Number(day) % 40).padStart(2, "0")}`,
      tempatLahir: "Cibinong",
      agama: "AGAMA_ISLAM",
      statusPerkawinan: "STATUS_PERKAWINAN_KAWIN",
      golonganDarah: "GOLONGAN_DARAH_AB_NEGATIF",
      pekerjaan: "Guru",
      rt: "001",
      rw: "012",
      namaIbu: "Kartini Wulandari",
      namaAyah: "Sudirman Hadi",
    };
    const answer = await call("POST /v1/penduduk", { token: tokens.operator, json: biodata });
    assert.equal(answer.status, 201, answer.text);
    for (const [field, value] of Object.entries(biodata)) assert.equal(answer.body[field], value, field);
  });

  test("a province may be given by code or in any case, and comes back by its usual name", async () => {
    assert.equal((await registered(newResident({ provinsi: "32" }))).provinsi, "Jawa Barat");
    assert.equal((await registered(newResident({ provinsi: "jawa  BARAT" }))).provinsi, "Jawa Barat");
    const jakarta = newResident({ kecamatan: "317101", provinsi: "dki jakarta" });
    assert.equal((await registered(jakarta, tokens.pusat)).provinsi, "DKI Jakarta");
  });

  test("a resident who has moved is registered where they live, not where their NIK was issued", async () => {
    const resident = {
      ...newResident({ kecamatan: "317101", provinsi: "Jawa Barat" }),
      kodeWilayah: "32.01.01.1006",
    };
    assert.equal((await registered(resident)).kodeWilayah, "32.01.01.1006");
  });

  test("every wrong field is named", async () => {
    const answer = await register({
      nik: "32010101019000011",
      nama: "B0di",
      alamat: "",
      provinsi: "Jawa Barat",
      rt: "x",
    });
    assertViolations(answer, ["nik", "nama", "alamat", "rt"]);
    assertViolations(await register({}), ["nik", "nama", "alamat"]);
  });

  test("the birth date and the sex must agree with the NIK", async () => {
    const resident = { ...newResident(), nik: "3201010203800001" };
    const answer = await register({
      ...resident,
      jenisKelamin: "JENIS_KELAMIN_PEREMPUAN",
      tanggalLahir: "1980-03-03",
    });
    assertViolations(answer, ["jenis_kelamin", "tanggal_lahir"]);
  });

  test("nobody registers outside their wilayah: 403, and nothing is stored", async () => {
    const inCibinong = newResident();
    const inGunungPutri = newResident({ kecamatan: "320102" });
    const inJakarta = newResident({ kecamatan: "317101", provinsi: "DKI Jakarta" });
    const refused: [Resident & { kodeWilayah?: string }, keyof typeof tokens][] = [
      [inGunungPutri, "operator"],
      [{ ...inCibinong, kodeWilayah: "32.01.01.1007" }, "operator"],
      [inCibinong, "operator2"],
      [inGunungPutri, "supervisor"],
      [inCibinong, "supervisor2"],
      [inJakarta, "kota"],
    ];
    for (const [resident, account] of refused) {
      assertStatus(await register(resident, tokens[account]), 403, "PermissionDenied", "WILAYAH_DENIED");
      assert.equal(await rowsWithNik(resident.nik), 0);
    }
    for (const account of ["auditor", "mitra"] as const) {
      assertStatus(await register(inCibinong, tokens[account]), 403, "PermissionDenied", "METHOD_DENIED");
    }
    assertStatus(await call("POST /penduduk", { json: inCibinong }), 401, "Unauthenticated");
    assert.equal(await rowsWithNik(inCibinong.nik), 0);
  });

  test("within it, everyone from operator up does", async () => {
    const inGunungPutri = () => newResident({ kecamatan: "320102" });
    for (const account of ["operator2", "supervisor2", "kota", "pusat"] as const) {
      await registered(inGunungPutri(), tokens[account]);
    }
    await registered({ ...newResident(), kodeWilayah: "32.01.01.1007" }, tokens.supervisor);
  });

  test("a NIK that is registered is 409, whatever else is said", async () => {
    const resident = newResident();
    await registered(resident);
    const again = await register({ ...resident, nama: newResident().nama });
    assertStatus(again, 409, "AlreadyExists", "NIK_REGISTERED");
    assert.equal(await rowsWithNik(resident.nik), 1);
  });
});

describe("an Idempotency-Key", () => {
  for (const [what, key] of [
    ["a word", `key-${randomUUID()}`],
    ["a UUID", randomUUID()],
    ["a sentence with every sign", `"order" #${randomUUID()}; a=b, c/d?`],
  ] as const) {
    test(`(${what}) gives the first answer again, and one row`, async () => {
      const resident = newResident();
      const headers = { "idempotency-key": key };
      const first = await register(resident, tokens.operator, headers);
      assert.equal(first.status, 201, first.text);
      const second = await register(resident, tokens.operator, headers);
      assert.equal(second.status, 201, second.text);
      assert.deepEqual(second.body, first.body);
      assert.equal(await rowsWithNik(resident.nik), 1);
      const other = await register(newResident(), tokens.operator, headers);
      assertStatus(other, 409, "Aborted");
    });
  }

  test("twenty calls with one at the same moment have one answer and one effect", async () => {
    const resident = newResident();
    const headers = { "idempotency-key": randomUUID() };
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => register(resident, tokens.operator, headers)),
    );
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [201]);
    assert.equal(new Set(answers.map(({ body }) => body.name)).size, 1);
    const events = "select count(*) from outbox where subject = $1";
    assert.equal(await sql.number("penduduk", events, [answers[0]!.body.name]), 1);
  });

  test("belongs to its caller: another's same key is another", async () => {
    const headers = { "idempotency-key": randomUUID() };
    const first = await register(newResident(), tokens.operator, headers);
    const second = await register(newResident(), tokens.supervisor, headers);
    assert.equal(first.status, 201);
    assert.equal(second.status, 201, second.text);
    assert.notEqual(second.body.name, first.body.name);
  });

  test("of a call that was refused is free for the corrected one", async () => {
    const resident = newResident();
    const headers = { "idempotency-key": randomUUID() };
    assertViolations(await register({ ...resident, nama: "1" }, tokens.operator, headers), ["nama"]);
    assert.equal((await register(resident, tokens.operator, headers)).status, 201);
  });
});

describe("GET /stats", () => {
  const counted = async (): Promise<Record<string, number>> => {
    const { status, body, text } = await call("GET /stats", { token: tokens.pusat });
    assert.equal(status, 200, text);
    assert.ok(Array.isArray(body));
    for (const { provinsi, jumlah } of body) {
      assert.equal(typeof provinsi, "string");
      assert.ok(Number.isInteger(jumlah), `${provinsi}: ${jumlah}`);
    }
    return Object.fromEntries(
      body.map(({ provinsi, jumlah }: { provinsi: string; jumlah: number }) => [provinsi, jumlah]),
    );
  };

  test("each province's number grows by exactly what was registered there", async () => {
    await assertLedgerAgrees(sql);
    const before = await counted();
    const many = 7;
    for (let n = 0; n < many; n++) await registered();
    const inAceh = newResident({ kecamatan: "110101", provinsi: "Aceh" });
    await registered(inAceh, tokens.pusat);
    const headers = { "idempotency-key": randomUUID() };
    const twice = newResident();
    for (let n = 0; n < 2; n++) await register(twice, tokens.operator, headers);
    assertStatus(await register(twice), 409, "AlreadyExists");
    await assertLedgerAgrees(sql);
    const now = await counted();
    assert.deepEqual(now, {
      ...before,
      Aceh: (before.Aceh ?? 0) + 1,
      "Jawa Barat": (before["Jawa Barat"] ?? 0) + many + 1,
    });
  });

  test("/v1/stats and the kecamatan say the same", async () => {
    const { body } = await call("GET /v1/stats", { token: tokens.pusat });
    const jawaBarat = body.find(({ kodeProvinsi }: { kodeProvinsi: string }) => kodeProvinsi === "32");
    const kecamatan = await call("GET /v1/stats/32/kecamatan", { token: tokens.pusat });
    assert.equal(kecamatan.status, 200, kecamatan.text);
    const sum = kecamatan.body.reduce((total: number, { jumlah }: { jumlah: number }) => total + jumlah, 0);
    assert.equal(sum, jawaBarat.jumlah);
    const cibinong = kecamatan.body.find(
      ({ kodeKecamatan }: { kodeKecamatan: string }) => kodeKecamatan === "32.01.01",
    );
    assert.equal(cibinong.kecamatan, "Cibinong");
  });

  test("whoever has the answer is told so, and has to be someone who may have it", async () => {
    const first = await call("GET /stats", { token: tokens.pusat });
    const headers = { "if-none-match": first.headers.get("etag") ?? "" };
    const again = await call("GET /v1/stats", { token: tokens.pusat, headers });
    assert.equal(again.status, 304);
    assert.equal(again.text, "");
    assertStatus(await call("GET /stats", { token: tokens.operator, headers }), 403, "PermissionDenied");
    assertStatus(await call("GET /stats", { headers }), 401, "Unauthenticated");
    await registered();
    await assertLedgerAgrees(sql);
    assert.equal((await call("GET /stats", { token: tokens.pusat, headers })).status, 200, "it has changed");
  });

  test("is for admin pusat alone", async () => {
    for (const [name, token] of Object.entries(tokens)) {
      if (name !== "pusat") assertStatus(await call("GET /stats", { token }), 403, "PermissionDenied");
    }
    assertStatus(await call("GET /stats"), 401, "Unauthenticated");
  });
});

describe("a message to the officer on duty", () => {
  test("is made once for each registration, without the full NIK", async () => {
    const niks = new Map<string, string>();
    for (let n = 0; n < 3; n++) {
      const { nama, nik } = await registered();
      niks.set(nama, nik);
    }
    await assertLedgerAgrees(sql);
    const { body, status } = await call("GET /v1/pesan?kodeWilayah=32.01.01&pageSize=100", {
      token: tokens.supervisor,
    });
    assert.equal(status, 200);
    type Pesan = { isi: string; templat: string };
    const all: Pesan[] = body.pesan;
    const texts = all.filter(({ templat }) => templat === "pendaftaran_baru").map(({ isi }) => isi);
    for (const [nama, nik] of niks) {
      const about = texts.filter((isi) => isi.includes(nama));
      assert.equal(about.length, 1, `messages about ${nama}`);
      assert.match(about[0]!, /^Pendaftaran baru/);
      assert.ok(!about[0]!.includes(nik));
    }
    for (const isi of texts) assert.doesNotMatch(isi, /\d{7,}/);
  });

  test("is shown from supervisor up, inside their wilayah, in pages", async () => {
    const list = (account: keyof typeof tokens, query: string) =>
      call(`GET /v1/pesan?${query}`, { token: tokens[account] });
    assertStatus(await list("operator", "kodeWilayah=32.01.01"), 403, "PermissionDenied");
    assertStatus(await list("supervisor", "kodeWilayah=32.01.02"), 403, "PermissionDenied");
    assertViolations(await list("pusat", "kodeWilayah="), ["kode_wilayah"]);
    const first = await list("pusat", "kodeWilayah=ID&pageSize=2");
    const token = encodeURIComponent(first.body.nextPageToken);
    const second = await list("pusat", `kodeWilayah=ID&pageSize=2&pageToken=${token}`);
    const names = [...first.body.pesan, ...second.body.pesan].map(({ name }: { name: string }) => name);
    assert.equal(new Set(names).size, 4);
    assert.deepEqual(names, [...names].sort().reverse());
  });
});

describe("the rest of the registry", () => {
  /** A date of birth in the past that few others have: 28 * 12 * 20 of them. */
  const randomBirth = () => {
    const part = (from: number, count: number) =>
      String(from + Math.floor(Math.random() * count)).padStart(2, "0");
    return `20${part(0, 20)}-${part(1, 12)}-${part(1, 28)}`;
  };

  test("a NIK that was issued registers its holder; the next of that day is one above", async () => {
    const json = {
      kodeWilayah: "32.01.01",
      tanggalLahir: randomBirth(),
      jenisKelamin: "JENIS_KELAMIN_PEREMPUAN",
    };
    const issue = async () => {
      const answer = await call("POST /v1/penduduk:issueNik", { token: tokens.operator, json });
      assert.equal(answer.status, 200, answer.text);
      return answer.body.nik as string;
    };
    const [nik, next] = [await issue(), await issue()];
    const [year, month, day] = json.tanggalLahir.split("-");
    assert.equal(nik.slice(0, 12), `320101${Number(day) + 40}${month}${year!.slice(2)}`);
    assert.equal(Number(next), Number(nik) + 1);
    assert.equal((await registered({ ...newResident(), nik })).tanggalLahir, json.tanggalLahir);
  });

  test("issuing is race-proof: 50 at once are 50 consecutive numbers", async () => {
    const json = {
      kodeWilayah: "32.01.01.1006",
      tanggalLahir: randomBirth(),
      jenisKelamin: "JENIS_KELAMIN_LAKI_LAKI",
    };
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => call("POST /v1/penduduk:issueNik", { token: tokens.operator, json })),
    );
    const serials = answers.map(({ body }) => Number(body.nik.slice(12))).sort((a, b) => a - b);
    assert.deepEqual(
      serials,
      Array.from({ length: 50 }, (_, index) => serials[0]! + index),
    );
  });

  test("a resident is read by name and by NIK, inside the wilayah alone", async () => {
    const resident = await registered();
    const byName = await call(`GET /v1/${resident.name}`, { token: tokens.operator });
    assert.deepEqual(byName.body, resident);
    const lookup = (nik: string, token: string) => call("POST /v1/penduduk:lookup", { token, json: { nik } });
    assert.deepEqual((await lookup(resident.nik, tokens.kota)).body, resident);
    assertStatus(
      await call(`GET /v1/${resident.name}`, { token: tokens.operator2 }),
      403,
      "PermissionDenied",
    );
    assertStatus(await lookup(resident.nik, tokens.supervisor2), 403, "PermissionDenied");
    assertStatus(await lookup(newResident().nik, tokens.pusat), 404, "NotFound");
    assertStatus(await call(`GET /v1/penduduk/${randomUUID()}`, { token: tokens.pusat }), 404, "NotFound");
    assertViolations(await call("GET /v1/penduduk/1", { token: tokens.pusat }), ["name"]);
  });

  test("a search finds a name that is almost right, by birth date and wilayah, in pages", async () => {
    const resident = await registered();
    const search = (json: object, token = tokens.kota) => call("POST /v1/penduduk:search", { token, json });
    const almost = `${resident.nama.slice(0, -1)}x`;
    const found = await search({ nama: almost, tanggalLahir: resident.tanggalLahir, kodeWilayah: "32.01" });
    assert.equal(found.status, 200, found.text);
    assert.equal(found.body.penduduk[0].name, resident.name);
    const elsewhere = await search({ nama: resident.nama, kodeWilayah: "32.01.02" });
    assert.ok(!(elsewhere.body.penduduk ?? []).some(({ name }: { name: string }) => name === resident.name));
    assertStatus(await search({ nama: resident.nama, kodeWilayah: "32" }), 403, "PermissionDenied");

    const shared = newResident().nama;
    for (let n = 0; n < 3; n++) await registered(newResident({ nama: shared }));
    const names = new Set<string>();
    let pageToken = "";
    do {
      const { body } = await search({ nama: shared, kodeWilayah: "32.01", pageSize: 1, pageToken });
      for (const { name, nama } of body.penduduk) if (nama === shared) names.add(name);
      pageToken = names.size < 3 ? body.nextPageToken : "";
    } while (pageToken);
    assert.equal(names.size, 3);
  });

  test("a family card joins its members, once", async () => {
    const [head, wife] = [await registered(), await registered()];
    const json = {
      kodeWilayah: "32.01.01.1006",
      alamat: "Jl. Raya Jakarta-Bogor No. 5",
      anggota: [
        { nik: wife.nik, shdk: "SHDK_ISTRI" },
        { nik: head.nik, shdk: "SHDK_KEPALA_KELUARGA" },
      ],
    };
    const create = (body: object) => call("POST /v1/kartuKeluarga", { token: tokens.operator, json: body });
    const card = await create(json);
    assert.equal(card.status, 201, card.text);
    assert.match(card.body.nomorKk, /^320101\d{10}$/);
    assert.deepEqual(
      card.body.anggota.map(({ nik }: { nik: string }) => nik),
      [head.nik, wife.nik],
    );
    const read = await call(`GET /v1/${card.body.name}`, { token: tokens.supervisor });
    assert.deepEqual(read.body, card.body);
    const member = await call(`GET /v1/${wife.name}`, { token: tokens.operator });
    assert.equal(member.body.nomorKk, card.body.nomorKk);
    assert.equal(member.body.shdk, "SHDK_ISTRI");

    assertStatus(await create(json), 400, "FailedPrecondition", "ALREADY_IN_KK");
    const unknown = { nik: newResident().nik, shdk: "SHDK_KEPALA_KELUARGA" };
    assertStatus(await create({ ...json, anggota: [unknown] }), 404, "NotFound", "NIK_UNKNOWN");
    const headless = await create({ ...json, anggota: [{ nik: head.nik, shdk: "SHDK_ANAK" }] });
    assertViolations(headless, ["anggota"]);
  });

  test("a partner's machine client verifies a card and never sees the data", async () => {
    const resident = await registered();
    const verify = (json: object, token = tokens.mitra) =>
      call("POST /v1/penduduk:verifyKtp", { token, json });
    const { nik, nama, alamat } = resident;
    const answer = await verify({
      nik,
      nama: nama.toUpperCase(),
      alamat: "Jl. Lain",
      tanggalLahir: resident.tanggalLahir,
    });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(answer.body, {
      found: true,
      nama: "COCOK_SESUAI",
      alamat: "COCOK_TIDAK_SESUAI",
      tanggalLahir: "COCOK_SESUAI",
    });
    assert.ok(!answer.text.includes(nama) && !answer.text.includes(alamat));
    const unknown = await verify({ nik: newResident().nik, nama });
    assert.equal(unknown.status, 200);
    assert.ok(!unknown.body.found);
    assertStatus(await verify({ nik }, tokens.auditor), 403, "PermissionDenied");
  });

  test("a change needs the current etag, changes what the mask names, and nothing else", async () => {
    const resident = await registered();
    const patch = (json: object, query = "", headers: Record<string, string> = {}) =>
      call(`PATCH /v1/${resident.name}${query}`, { token: tokens.operator, json, headers });
    const changed = await patch({ etag: resident.etag, pekerjaan: "Petani", alamat: "Jl. Baru 2" });
    assert.equal(changed.status, 200, changed.text);
    assert.equal(changed.body.pekerjaan, "Petani");
    assert.equal(changed.body.alamat, "Jl. Baru 2");
    assert.equal(changed.body.nama, resident.nama);
    assert.notEqual(changed.body.etag, resident.etag);

    assertStatus(await patch({ etag: resident.etag, pekerjaan: "Nelayan" }), 409, "Aborted", "ETAG_MISMATCH");
    const conditional = await patch({ etag: resident.etag, pekerjaan: "Nelayan" }, "", {
      "if-match": resident.etag,
    });
    assertStatus(conditional, 412, "Aborted", "ETAG_MISMATCH");

    const masked = await patch(
      { etag: changed.body.etag, pekerjaan: "Nelayan", alamat: "Jl. Lain" },
      "?updateMask=pekerjaan",
    );
    assert.equal(masked.status, 200, masked.text);
    assert.equal(masked.body.pekerjaan, "Nelayan");
    assert.equal(masked.body.alamat, "Jl. Baru 2");
    assertViolations(await patch({ etag: masked.body.etag, nik: newResident().nik }), ["penduduk.nik"]);
    assertStatus(
      await call(`PATCH /v1/${resident.name}`, { token: tokens.operator2, json: { etag: "1", rt: "1" } }),
      403,
      "PermissionDenied",
    );
  });
});

describe("through the gateway", () => {
  const protocols: Record<string, (baseUrl: string) => Transport> = {
    "Connect over HTTP/1.1, JSON": (baseUrl) =>
      createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
    "Connect over HTTP/2, binary": (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" }),
    "gRPC-Web over HTTP/1.1": (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
    gRPC: (baseUrl) => createGrpcTransport({ baseUrl }),
  };
  for (const [protocol, transportTo] of Object.entries(protocols)) {
    describe(protocol, () => {
      let transport: Transport;
      before(() => {
        transport = transportTo(mesh.urls.gateway!);
      });
      const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
      const failure = (promise: Promise<unknown>) =>
        promise.then(
          () => assert.fail("the call was not refused"),
          (cause) => ConnectError.from(cause),
        );

      test("logs in, registers and reads", async () => {
        const { accessToken } = await createClient(AuthService, transport).login({
          username: "operator",
          password: "rahasia",
        });
        const registry = createClient(PendudukService, transport);
        const resident = newResident();
        const { penduduk } = await registry.registerPenduduk(resident, as(accessToken));
        assert.equal(penduduk?.nama, resident.nama);
        const found = await registry.lookupPenduduk({ nik: resident.nik }, as(accessToken));
        assert.equal(found.penduduk?.name, penduduk?.name);
      });

      test("gets refusals with their code and details", async () => {
        const registry = createClient(PendudukService, transport);
        const resident = newResident();
        const anonymous = await failure(registry.registerPenduduk(resident));
        assert.equal(anonymous.code, Code.Unauthenticated);
        const invalid = await failure(
          registry.registerPenduduk({ ...resident, nama: "x;" }, as(tokens.operator)),
        );
        assert.equal(invalid.code, Code.InvalidArgument);
        assert.deepEqual(
          invalid
            .findDetails(BadRequestSchema)
            .flatMap((detail) => detail.fieldViolations.map(({ field }) => field)),
          ["nama"],
        );
        const outside = await failure(registry.registerPenduduk(resident, as(tokens.operator2)));
        assert.equal(outside.code, Code.PermissionDenied);
        assert.equal(outside.findDetails(ErrorInfoSchema)[0]?.reason, "WILAYAH_DENIED");
      });

      test("streams: the counters at once and again after a registration, and an export", async () => {
        const leave = new AbortController();
        const seen: number[] = [];
        const watched = createClient(StatistikService, transport).watchStats(
          {},
          { ...as(tokens.pusat), signal: leave.signal },
        );
        try {
          for await (const { stats } of watched) {
            seen.push(stats.reduce((sum, { jumlah }) => sum + jumlah, 0));
            if (seen.length === 1) await registered();
            if (seen.length > 1 && seen.at(-1)! > seen[0]!) leave.abort();
          }
        } catch (cause) {
          if (!leave.signal.aborted) throw cause;
        }
        assert.ok(seen.at(-1)! > seen[0]!, seen.join(" "));

        let exported = 0;
        const export_ = createClient(PendudukService, transport).exportPenduduk(
          { kodeWilayah: "32.01.01", batchSize: 10 },
          as(tokens.mitra),
        );
        for await (const { penduduk } of export_) {
          assert.ok(penduduk.length <= 10);
          exported += penduduk.length;
        }
        const stored = "select count(*) from penduduk where kode_wilayah like '32.01.01%'";
        assert.equal(exported, await sql.number("penduduk", stored));
      });

      test("a deadline is kept", async () => {
        const client = createClient(AuthService, transport);
        const late = await failure(
          client.login({ username: "operator", password: "rahasia" }, { timeoutMs: 1 }),
        );
        assert.equal(late.code, Code.DeadlineExceeded);
      });
    });
  }

  test("REST keeps the deadline of X-Server-Timeout, in seconds", async () => {
    const json = { username: "operator", password: "rahasia" };
    const late = await call("POST /login", { json, headers: { "x-server-timeout": "0.001" } });
    assertStatus(late, 504, "DeadlineExceeded");
    const inTime = await call("POST /login", { json, headers: { "x-server-timeout": "10" } });
    assert.equal(inTime.status, 200);
    for (const header of ["soon", "0", "-1"]) {
      assertViolations(await call("POST /login", { json, headers: { "x-server-timeout": header } }), [
        "X-Server-Timeout",
      ]);
    }
  });

  test("REST works over HTTP/2, too", async () => {
    const resident = newResident();
    const session = connect(mesh.urls.gateway!);
    try {
      const stream = session.request({
        ":method": "POST",
        ":path": "/penduduk",
        "content-type": "application/json",
        authorization: `Bearer ${tokens.operator}`,
      });
      stream.end(JSON.stringify(resident));
      const status = new Promise((resolve) =>
        stream.once("response", (headers) => resolve(headers[":status"])),
      );
      const text = (await stream.setEncoding("utf8").toArray()).join("");
      assert.equal(await status, 201, text);
      assert.equal(JSON.parse(text).nik, resident.nik);
    } finally {
      session.close();
    }
  });

  test("a path that is not there is 404, a method that is not allowed 405, both google.rpc.Status", async () => {
    assertStatus(await call("GET /nothing"), 404, "NotFound");
    const answer = await call("DELETE /penduduk", { token: tokens.operator });
    assert.equal(answer.status, 405);
    assertStatusBody(answer.body, "Unimplemented");
    assert.match(answer.headers.get("allow") ?? "", /POST/);
  });
});

test("in the end residents, events, counters and messages agree", async () => {
  const ledger = await assertLedgerAgrees(sql);
  console.log(JSON.stringify(ledger));
});
