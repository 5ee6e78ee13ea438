// SIAK as its worst days have it: down, slow, refusing, answering twice.
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import type { BreakerState } from "#chassis/breaker.ts";
import { PendudukHubSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { type Siak, type SiakOptions, siakSistem } from "./siak.ts";
import type { Perubahan } from "./sistem.ts";

const ID = "2de9a8d0-2c32-51e0-9951-79088f303f7e";
const NIK = "3201013101900001";
const LAPORAN = "laporan/01890000-0000-7000-8000-0000000000a1";
const never = new AbortController().signal;

const change: Perubahan = {
  id: ID,
  jenis: "kelahiran",
  laporan: LAPORAN,
  waktu: new Date("2026-11-20T03:00:00Z"),
  name: "penduduk/01890000-0000-7000-8000-000000000001",
  penduduk: create(PendudukHubSchema, {
    id: 7n,
    versi: 9n,
    nik: NIK,
    nama: "Budi",
    jenisKelamin: 1,
    status: 1,
    kodeWilayah: "32.01.01.1006",
    peristiwa: "01890000-0000-7000-8000-0000000000e1",
  }),
};

type Request = { method: string; path: string; headers: IncomingMessage["headers"]; body: string };
type Behaviour = (response: ServerResponse, request: Request) => void;

let requests: Request[];
let behave: Behaviour;
let base: string;
let stop: () => Promise<void>;
let siak: Siak | undefined;
let states: BreakerState[];

beforeEach(async () => {
  requests = [];
  states = [];
  behave = (response) => response.writeHead(202).end();
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { method = "", url: path = "", headers } = incoming;
    const request = { method, path, headers, body: Buffer.concat(chunks).toString() };
    requests.push(request);
    behave(response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  stop = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
});
afterEach(async () => {
  siak?.shutdown();
  await stop();
});

function open(options: Partial<SiakOptions> = {}): Siak {
  siak = siakSistem({
    url: `${base}/peristiwa`,
    timeoutMs: 200,
    openMs: 100,
    onState: (state) => states.push(state),
    ...options,
  });
  return siak;
}

describe("SIAK", () => {
  test("is told by a CloudEvents event in JSON, whose id is also the key of the repetition", async () => {
    assert.deepEqual(await open().send(change, never), { kind: "diterima" });
    const [{ method, path, headers, body }] = requests as [Request];
    assert.deepEqual(
      [method, path, headers["content-type"], headers["idempotency-key"], headers.authorization],
      ["POST", "/peristiwa", "application/cloudevents+json", ID, undefined],
    );
    assert.deepEqual(JSON.parse(body), {
      specversion: "1.0",
      id: ID,
      source: "/lampid/integrasi",
      type: "lampid.integrasi.v1.PerubahanPenduduk",
      subject: change.name,
      time: "2026-11-20T03:00:00.000Z",
      datacontenttype: "application/json",
      data: {
        jenis: "JENIS_KELAHIRAN",
        laporan: LAPORAN,
        penduduk: {
          nik: NIK,
          nama: "Budi",
          jenisKelamin: "JENIS_KELAMIN_LAKI_LAKI",
          kodeWilayah: "32.01.01.1006",
          status: "STATUS_AKTIF",
        },
      },
    });
  });

  test("gets a token of its issuer, once for many changes", async () => {
    behave = (response, { path, body, headers }) => {
      if (path !== "/token") return response.writeHead(204).end();
      assert.equal(body, "grant_type=client_credentials");
      assert.equal(headers.authorization, `Basic ${btoa("lampid:kunci")}`);
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ access_token: "T", token_type: "Bearer", expires_in: 60 }));
    };
    const client = { tokenUrl: `${base}/token`, id: "lampid", secret: "kunci" };
    const sistem = open({ client });
    for (let n = 0; n < 3; n++) assert.deepEqual(await sistem.send(change, never), { kind: "diterima" });
    assert.deepEqual(
      requests.map(({ path, headers }) => [path, headers.authorization?.split(" ")[0]]),
      [["/token", "Basic"], ...Array(3).fill(["/peristiwa", "Bearer"])],
    );
  });

  test("whose issuer gives no token is not asked, and what to look at is said", async () => {
    behave = (response, { path }) => {
      assert.equal(path, "/token");
      response.writeHead(401, { "content-type": "application/json" }).end('{"error":"invalid_client"}');
    };
    const answer = await open({ client: { tokenUrl: `${base}/token`, id: "lampid", secret: "salah" } }).send(
      change,
      never,
    );
    assert.match(JSON.stringify(answer), /gagal.*401 invalid_client.*check LAMPID_SIAK_CLIENT_ID/);
  });

  for (const status of [400, 413, 422]) {
    test(`that answers ${status} has refused, and what it says about it goes no further`, async () => {
      behave = (response) => response.writeHead(status).end(`${NIK} salah`);
      assert.deepEqual(await open().send(change, never), { kind: "ditolak", alasan: `HTTP ${status}` });
      assert.deepEqual(states, [], "a refusal is an answer: no reason to leave SIAK alone");
    });
  }

  for (const status of [302, 401, 403, 404, 409, 429, 500, 503]) {
    test(`that answers ${status} is tried again`, async () => {
      behave = (response) => response.writeHead(status, { location: "/elsewhere" }).end();
      const answer = await open().send(change, never);
      assert.equal(answer.kind, "gagal");
      assert.equal(requests.length, 1, "a redirect is not followed");
    });
  }

  test("that is slow is left after the time-out, and its late answer is no answer", async () => {
    behave = () => {};
    const answer = await open().send(change, never);
    assert.deepEqual(answer, { kind: "gagal", alasan: "DEADLINE_EXCEEDED" });
  });

  test("that is down is left alone for a while, then asked again by one call", async () => {
    await stop();
    const sistem = open();
    const answers = [];
    for (let n = 0; n < 4; n++) answers.push(await sistem.send(change, never));
    const refused = { kind: "gagal", alasan: "UNAVAILABLE ECONNREFUSED" };
    assert.deepEqual(answers, [refused, refused, refused, { kind: "gagal", alasan: "UNAVAILABLE" }]);
    assert.deepEqual(states, ["open"]);
    await new Promise((resolve) => setTimeout(resolve, 150));
    await sistem.send(change, never);
    assert.deepEqual(states, ["open", "halfOpen", "open"]);
  });

  test("that is back closes the circuit", async () => {
    behave = (response) => response.writeHead(503).end();
    const sistem = open();
    for (let n = 0; n < 3; n++) await sistem.send(change, never);
    behave = (response) => response.writeHead(202).end();
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.deepEqual(await sistem.send(change, never), { kind: "diterima" });
    assert.deepEqual(states, ["open", "halfOpen", "closed"]);
  });

  test("gets the same id when it did not hear that we had heard its answer", async () => {
    const sistem = open();
    await sistem.send(change, never);
    await sistem.send({ ...change, penduduk: { ...change.penduduk, nama: "Budi Santoso" } }, never);
    assert.deepEqual(
      requests.map(({ headers, body }) => [headers["idempotency-key"], JSON.parse(body).id]),
      [
        [ID, ID],
        [ID, ID],
      ],
    );
  });
});
