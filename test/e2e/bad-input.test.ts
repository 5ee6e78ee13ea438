// Bad input on a real mesh: each kind is refused with a google.rpc.Status, nothing is stored, and the processes live on.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { after, afterEach, before, describe, test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { openSql, type Sql } from "../harness/ledger.ts";
import { type RunningMesh, useMesh } from "../harness/mesh.ts";
import { type RawAnswer, rawRequest } from "../harness/raw-http.ts";
import { residents, testSeed } from "../harness/residents.ts";
import {
  type Answer,
  assertStatus,
  assertStatusBody,
  assertViolations,
  login,
  type RestClient,
  restClient,
} from "../harness/rest.ts";

const newResident = residents(testSeed(), "bad-input");
let mesh: RunningMesh;
let sql: Sql;
let call: RestClient;
let token: string;
let pids: (number | undefined)[];
let stored: object;
/** Begun at once and looked at in the end: the gateway's patience is 30 s. */
let slow: Record<"body" | "drip" | "head", Promise<RawAnswer>>;

const PROCESSES = ["gateway", "auth", "penduduk", "statistik", "notifikasi"];
const SLOW_MS = 45_000;

before(async () => {
  mesh = await useMesh();
  sql = openSql(mesh);
  call = restClient(mesh.urls.gateway!);
  token = await login(mesh.urls.gateway!, "operator");
  pids = PROCESSES.map(mesh.pid);
  stored = await countRows();
  const resident = JSON.stringify(newResident());
  const head = requestHead({ "content-length": String(resident.length) });
  slow = {
    body: rawRequest(mesh.urls.gateway!, head + resident.slice(0, 20), { withinMs: SLOW_MS }),
    drip: rawRequest(mesh.urls.gateway!, head, { drip: resident, everyMs: 400, withinMs: SLOW_MS }),
    head: rawRequest(mesh.urls.gateway!, "POST /penduduk HTTP/1.1\r\nhost: x\r\n", {
      drip: "x".repeat(100),
      withinMs: SLOW_MS,
    }),
  };
  // Whatever becomes of them is for their tests to say.
  for (const answer of Object.values(slow)) answer.catch(() => {});
});
afterEach(async () => {
  assert.deepEqual(PROCESSES.map(mesh.pid), pids, "a process was restarted");
  assert.deepEqual(await countRows(), stored, "something was stored");
  assert.equal((await call("GET /protected", { token })).status, 200, "the next request does not work");
});
after(async () => {
  await sql?.close();
  await mesh?.stop();
});

async function countRows(): Promise<object> {
  const [row] = await sql.rows(
    "penduduk",
    `select (select count(*) from penduduk) residents, (select count(*) from outbox) events,
       (select count(*) from audit) audits, (select count(*) from idempotency) answers, (select count(*) from serial) serials`,
  );
  return row;
}

function requestHead(headers: Record<string, string>): string {
  const lines = {
    host: "gateway",
    "content-type": "application/json",
    authorization: `Bearer ${token}`,
    ...headers,
  };
  const text = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST /penduduk HTTP/1.1\r\n${text.join("")}\r\n`;
}

function register(json: unknown): Promise<Answer> {
  return call("POST /penduduk", { token, json });
}

function send(body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Promise<Answer> {
  return call("POST /penduduk", {
    token,
    body,
    headers: { "idempotency-key": "the same each time", ...headers },
  });
}

/** The status of GET /protected on that connection, or the error code where no answer comes. */
function getMe(session: ClientHttp2Session, headers: Record<string, string> = {}): Promise<number | string> {
  return new Promise((resolve) => {
    const stream = session.request({ ":path": "/protected", authorization: `Bearer ${token}`, ...headers });
    stream.once("response", (answer) => resolve(Number(answer[":status"])));
    stream.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    stream.once("close", () => resolve("closed"));
    stream.resume();
  });
}

describe("a body that is no JSON of a resident", () => {
  const valid = JSON.stringify(newResident());
  const broken: Record<string, string | Uint8Array<ArrayBuffer>> = {
    "cut off": valid.slice(0, -1),
    "with a comma too many": valid.replace("}", ",}"),
    "plain text": "nik=3201010101900001",
    XML: "<penduduk/>",
    "a NUL byte between its members": valid.replace(",", ",\0"),
    "bytes that are not UTF-8": Buffer.concat([
      Buffer.from('{"nama":"'),
      Buffer.from([0xc3, 0x28]),
      Buffer.from('"}'),
    ]),
    "a list": `[${valid}]`,
    "a text": '"penduduk"',
    "a number": "1",
    "brackets 50,000 deep": "[".repeat(50_000) + "]".repeat(50_000),
  };
  for (const [what, body] of Object.entries(broken)) {
    test(what, async () => assertViolations(await send(body), ["body"]));
  }

  test("objects 5,000 deep", async () => {
    const deep = `${'{"nama":'.repeat(5_000)}1${"}".repeat(5_000)}`;
    assertViolations(await send(deep), ["nama"]);
  });

  test("nothing at all lacks what is required", async () => {
    assertViolations(await send("{}"), ["nik", "nama", "alamat"]);
    assertViolations(await send(""), ["nik", "nama", "alamat"]);
  });

  test("another content type or encoding is 415, and what is not in the encoding that it names is 400", async () => {
    assertStatus(await send(valid, { "content-type": "text/plain" }), 415, "InvalidArgument");
    assertStatus(await send(valid, { "content-encoding": "compress" }), 415, "InvalidArgument");
    assertStatus(await send(valid, { "content-encoding": "gzip" }), 400, "InvalidArgument");
  });
});

describe("a field that is wrong is named:", () => {
  const wrong: Record<string, [field: string | string[], change: Record<string, unknown>]> = {
    "an unknown one": ["gelar", { gelar: "Dr." }],
    "one of Object.prototype": ["__proto__x", { __proto__x: 1 }],
    "a name of 10,000 characters": ["nama", { nama: "a".repeat(10_000) }],
    "an address of 10,000 characters": ["alamat", { alamat: "a".repeat(10_000) }],
    "a NUL byte in a name": ["nama", { nama: "Siti\0" }],
    "a NUL byte in an address": ["alamat", { alamat: "Jl.\0" }],
    "a NUL byte in a province": ["provinsi", { provinsi: "Jawa Barat\0" }],
    "an emoji in a name": ["nama", { nama: "Siti 😀" }],
    "an emoji in an address": ["alamat", { alamat: "Jl. 😀 1" }],
    "a digit in a name": ["nama", { nama: "S1ti" }],
    "a semicolon in a name": ["nama", { nama: "Siti'; DROP TABLE penduduk; --" }],
    "markup in a name": ["nama", { nama: "<script>alert(1)</script>" }],
    "half a surrogate pair": ["nama", { nama: "Siti \ud800" }],
    "a line break in an address": ["alamat", { alamat: "Jl. Raya\nNo. 1" }],
    "a NIK that is a number": ["nik", { nik: 3201010101900001 }],
    "a name that is a number": ["nama", { nama: 5 }],
    "a name that is a list": ["nama", { nama: ["Siti"] }],
    "a name that is an object": ["nama", { nama: { depan: "Siti" } }],
    "an address that is a truth value": ["alamat", { alamat: true }],
    "a name that is null": ["nama", { nama: null }],
    "an enum by an unknown name": ["agama", { agama: "AGAMA_X" }],
    "an enum by an unknown number": ["agama", { agama: 99 }],
    "an RT that is a number": ["rt", { rt: 1 }],
    "two at once": [["nama", "rt"], { nama: 5, rt: 1 }],
    "a NIK of 15 digits": ["nik", { nik: "320101010190000" }],
    "a NIK of 17 digits": ["nik", { nik: "32010101019000011" }],
    "a NIK with a letter": ["nik", { nik: "320101010190000A" }],
    "a NIK in other digits": ["nik", { nik: "٣٢٠١٠١٠١٠١٩٠٠٠٠١" }],
    "a NIK with a line break": ["nik", { nik: "3201010101900001\n" }],
    "a NIK of 30 February": ["nik", { nik: "3201013002900001" }],
    "a NIK of a 29 February that was none": ["nik", { nik: "3201012902910001" }],
    "a NIK of month 13": ["nik", { nik: "3201010113900001" }],
    "a NIK of day 0": ["nik", { nik: "3201010001900001" }],
    "a NIK of day 35": ["nik", { nik: "3201013501900001" }],
    "a NIK of day 72, 32 for a woman": ["nik", { nik: "3201017201900001" }],
    "a NIK with serial 0000": ["nik", { nik: "3201010101900000" }],
    "a birth date that is none": ["tanggal_lahir", { nik: "3201010101900001", tanggalLahir: "1990-02-30" }],
    "a birth date to come": ["tanggal_lahir", { nik: "3201010101900001", tanggalLahir: "2990-01-01" }],
    "day + 40 for a man": [
      "jenis_kelamin",
      { nik: "3201014101900001", jenisKelamin: "JENIS_KELAMIN_LAKI_LAKI" },
    ],
    "no + 40 for a woman": [
      "jenis_kelamin",
      { nik: "3201010101900001", jenisKelamin: "JENIS_KELAMIN_PEREMPUAN" },
    ],
    "an unknown province": ["provinsi", { provinsi: "Jawa Selatan" }],
    "a province by an unknown code": ["provinsi", { provinsi: "99" }],
    "no province": ["provinsi", { provinsi: "" }],
    "a province that is not the NIK's": ["provinsi", { provinsi: "Aceh" }],
    "a kecamatan that no code list knows": ["nik", { nik: "3201990101900001" }],
    "a NIK of no province at all": ["nik", { nik: "9999990101900001" }],
    "a residence that no code list knows": ["kode_wilayah", { kodeWilayah: "32.01.01.9999" }],
    "a residence that is no code": ["kode_wilayah", { kodeWilayah: "320101" }],
    "a request_id that is no UUID": ["request_id", { requestId: "1" }],
  };
  for (const [what, [fields, change]] of Object.entries(wrong)) {
    test(what, async () =>
      assertViolations(await register({ ...newResident(), ...change }), [fields].flat()),
    );
  }
});

describe("a request that is too much", () => {
  const fiveMegabytes = JSON.stringify({ ...newResident(), alamat: "a".repeat(5 * 1024 * 1024) });

  test("a body of 5 MB is 413", async () => {
    assertStatus(await send(fiveMegabytes), 413, "ResourceExhausted");
  });

  test("a body of 5 MB that does not say so is 413", async () => {
    const chunks = fiveMegabytes
      .match(/.{1,65536}/gs)!
      .map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`);
    const request = `${requestHead({ "transfer-encoding": "chunked" })}${chunks.join("")}0\r\n\r\n`;
    const answer = await rawRequest(mesh.urls.gateway!, request);
    assertStatus(answer, 413, "ResourceExhausted");
  });

  for (const protocol of ["Connect", "gRPC"]) {
    test(`a message of 5 MB by ${protocol} is RESOURCE_EXHAUSTED`, async () => {
      const baseUrl = mesh.urls.gateway!;
      const sessionManager = new Http2SessionManager(baseUrl);
      const transport =
        protocol === "gRPC"
          ? createGrpcTransport({ baseUrl, sessionManager })
          : createConnectTransport({ baseUrl, httpVersion: "2", sessionManager });
      const options = { headers: { authorization: `Bearer ${token}` } };
      const refused = await createClient(PendudukService, transport)
        .registerPenduduk(JSON.parse(fiveMegabytes), options)
        .then(
          () => assert.fail("the call was not refused"),
          (cause) => ConnectError.from(cause),
        );
      assert.equal(Code[refused.code], "ResourceExhausted");
      sessionManager.abort();
    });
  }

  test("a header of 100 KB is 431", async () => {
    const request = requestHead({ "x-large": "x".repeat(100 * 1024), "content-length": "2" });
    assertStatus(await rawRequest(mesh.urls.gateway!, `${request}{}`), 431, "ResourceExhausted");
  });

  test("100 KB of headers over HTTP/2 reset their stream, and no other", async () => {
    const session = connect(mesh.urls.gateway!, { maxSendHeaderBlockLength: 1024 * 1024 });
    try {
      // Until a client has acknowledged the server's settings, Node's server does not hold it to them.
      await once(session, "remoteSettings");
      const headers = Object.fromEntries(
        Array.from({ length: 10 }, (_, n) => [`x-large-${n}`, "x".repeat(10 * 1024)]),
      );
      const [large, other] = await Promise.all([getMe(session, headers), getMe(session)]);
      assert.equal(large, "ERR_HTTP2_STREAM_ERROR");
      assert.equal(other, 200);
      assert.equal(await getMe(session), 200);
    } finally {
      session.destroy();
    }
  });

  // HPACK decoders give up on a single value of this size, and a connection whose header table is lost cannot go on.
  test("one header of 100 KB over HTTP/2 ends its connection, and no other", async () => {
    const session = connect(mesh.urls.gateway!, { maxSendHeaderBlockLength: 1024 * 1024 });
    const other = connect(mesh.urls.gateway!);
    session.on("error", () => {});
    try {
      assert.match(String(await getMe(session, { "x-large": "x".repeat(100 * 1024) })), /^ERR_HTTP2_/);
      assert.equal(await getMe(other), 200);
    } finally {
      session.destroy();
      other.destroy();
    }
  });

  test("a path of 100 KB is refused", async () => {
    const answer = await rawRequest(
      mesh.urls.gateway!,
      `GET /${"a".repeat(100 * 1024)} HTTP/1.1\r\nhost: x\r\n\r\n`,
    );
    assertStatus(answer, 431, "ResourceExhausted");
  });
});

describe("a request that is no HTTP", () => {
  const broken: Record<string, string> = {
    "a line of text": "hello\r\n\r\n",
    "TLS on a port without": "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
    "a header without a colon": "GET /stats HTTP/1.1\r\nhost: x\r\nbroken\r\n\r\n",
    "two lengths": "POST /penduduk HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
    "a length and chunks":
      "POST /penduduk HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
  };
  for (const [what, text] of Object.entries(broken)) {
    test(`${what} is 400`, async () => {
      assertStatus(await rawRequest(mesh.urls.gateway!, Buffer.from(text, "latin1")), 400, "InvalidArgument");
    });
  }

  test("a host that makes no URL is 400", async () => {
    const text = "GET /lampid.auth.v1.AuthService/GetMe HTTP/1.1\r\nhost: a b%\r\nconnection: close\r\n\r\n";
    assertStatus(await rawRequest(mesh.urls.gateway!, text), 400, "InvalidArgument");
  });

  test("a caller who leaves in the middle of a body leaves nothing", async () => {
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const leave = new AbortController();
        const body = new ReadableStream({
          start: (controller) => controller.enqueue(Buffer.from('{"nik":')),
        });
        const request = fetch(`${mesh.urls.gateway}/penduduk`, {
          method: "POST",
          headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
          body,
          duplex: "half",
          signal: leave.signal,
        } as RequestInit);
        setTimeout(() => leave.abort(), 50);
        await assert.rejects(request);
      }),
    );
  });
});

describe("names that only look bad are stored verbatim:", () => {
  for (const nama of [
    "Ma'ruf",
    "Siti Drop Table",
    "Muḥammad Nūr",
    "A. R. Nasution, S.H.",
    "Null",
    "Bobby-Tables",
  ]) {
    test(nama, async () => {
      const resident = newResident({ nama });
      const answer = await register(resident);
      assert.equal(answer.status, 201, answer.text);
      assert.equal(answer.body.nama, nama);
      const rows = await sql.rows("penduduk", "select nama from penduduk where nik = $1", [resident.nik]);
      assert.deepEqual(rows, [{ nama }]);
      stored = await countRows();
    });
  }
});

describe("a request that is slow", () => {
  test("with its head is 408 after 10 s", async () => {
    const answer = await slow.head;
    assertStatus(answer, 408, "DeadlineExceeded");
    assert.ok(answer.afterMs < 15_000, `${answer.afterMs} ms`);
  });

  for (const [what, which] of [
    ["that stops half-way", "body"],
    ["that comes byte by byte", "drip"],
  ] as const) {
    test(`with a body ${what} is 408`, async () => {
      const answer = await slow[which];
      assert.equal(answer.status, 408);
      assertStatusBody(answer.body, "DeadlineExceeded");
      assert.ok(answer.afterMs > 5_000 && answer.afterMs < 12_000, `${answer.afterMs} ms`);
    });
  }
});
