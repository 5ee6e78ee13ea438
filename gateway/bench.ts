// Measures what the gateway costs a REST call, without upstream processes: `npm run bench:transcoder` prints a table and one JSON line.
import { fork } from "node:child_process";
import http from "node:http";
import type { AddressInfo } from "node:net";
import {
  create,
  createRegistry,
  fromBinary,
  fromJson,
  type Message,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { breakTransport } from "#chassis/breaker.ts";
import { success_status } from "#gen/lampid/option/v1/http_pb.ts";
import { PendudukSchema } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import {
  ExportPendudukResponseSchema,
  PendudukService,
  RegisterPendudukRequestSchema,
  RegisterPendudukResponseSchema,
} from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { createGateway } from "./gateway.ts";
import { createListener } from "./listener.ts";
import { createRateLimiter } from "./rate-limit.ts";
import { createTranscoder } from "./transcoder/transcoder.ts";

const body = JSON.stringify({
  nik: "3201010101900001",
  nama: "Budi Santoso",
  alamat: "Jl. Merdeka 1",
  provinsi: "Jawa Barat",
});
const runMs = 4_000;
const batchRows = 500;
const downloadBatches = 400;

if (process.argv[2] === "load") {
  await load(Number(process.argv[3]));
} else if (process.argv[2] === "read") {
  await readAll(Number(process.argv[3]), process.argv[4]!, process.argv[5]!);
} else {
  if (process.argv[2] !== "downloads") await measure();
  await measureDownloads();
}

async function measure(): Promise<void> {
  const answer = create(RegisterPendudukResponseSchema, {
    penduduk: {
      name: "penduduk/x",
      nik: "3201010101900001",
      nama: "Budi Santoso",
      alamat: "Jl. Merdeka 1",
      etag: "1",
    },
  });
  const header = new Headers();
  // What is measured is the gateway, so the upstream answers at once.
  const transport = {
    unary: async () => ({ stream: false, message: answer, header, trailer: header }),
  } as unknown as Transport;
  const options = { successStatus: success_status };
  const text = JSON.stringify(toJson(RegisterPendudukResponseSchema, answer));

  const rows: Record<string, { rps: number; cpu_us: number }> = {};
  rows["bare http.Server"] = await run((request, response) => {
    request.on("data", () => {});
    request.on("end", () => {
      response.writeHead(201, {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(text),
      });
      response.end(text);
    });
  });
  const transcoder = createTranscoder({
    services: [PendudukService],
    transportFor: () => transport,
    ...options,
  });
  rows["+ transcoder"] = await run((request, response) => transcoder.handle(request, response, undefined));
  const gateway = createGateway({
    upstreams: [{ name: "penduduk", services: [PendudukService], transport }],
    registry: createRegistry(),
    verify: () => ({ subject: "bench" }),
    limits: { callsPerMinute: 1_000_000_000 },
    ...options,
  });
  rows["+ gateway and listener"] = await runListener(gateway.handle);
  gateway.close();
  console.table(rows);

  const parts = {
    fromJson: time(() => fromJson(RegisterPendudukRequestSchema, JSON.parse(body))),
    toJson: time(() => JSON.stringify(toJson(RegisterPendudukResponseSchema, answer))),
    toBinary: time(() =>
      toBinary(RegisterPendudukRequestSchema, fromJson(RegisterPendudukRequestSchema, JSON.parse(body))),
    ),
    fromBinary: (() => {
      const bytes = toBinary(RegisterPendudukResponseSchema, answer);
      return time(() => fromBinary(RegisterPendudukResponseSchema, bytes));
    })(),
    breaker: await breakerCost(transport, answer),
    rateLimit: await rateLimitCost(),
  };
  console.table(parts);
  const cpu = (name: string) => rows[name]!.cpu_us;
  console.log(
    JSON.stringify({
      transcoder_us: round(cpu("+ transcoder") - cpu("bare http.Server")),
      gateway_us: round(cpu("+ gateway and listener") - cpu("bare http.Server")),
      req_per_cpu_s: Math.round(1e6 / cpu("+ gateway and listener")),
      ...Object.fromEntries(Object.entries(parts).map(([name, us]) => [`${name}_us`, us])),
    }),
  );
}

/** What a server stream costs: ExportPenduduk, 500 residents a message, read by another process. */
async function measureDownloads(): Promise<void> {
  const penduduk = Array.from({ length: batchRows }, (_, n) =>
    create(PendudukSchema, {
      name: `penduduk/0198e6a0-0000-7000-8000-${String(n).padStart(12, "0")}`,
      nik: String(3201010101900000 + n),
      nama: `Budi Santoso ${n}`,
      alamat: `Jl. Merdeka ${n}`,
      provinsi: "Jawa Barat",
      kodeWilayah: "32.01.01.1006",
      jenisKelamin: 1,
      tanggalLahir: "1990-01-01",
      tempatLahir: "Bogor",
      agama: 1,
      statusPerkawinan: 2,
      golonganDarah: 1,
      pekerjaan: "Guru",
      rt: "001",
      rw: "002",
      namaIbu: "Aminah",
      namaAyah: "Agus",
      nomorKk: "3201010101900001",
      shdk: 1,
      status: 1,
      etag: "1",
      createTime: { seconds: 1_790_000_000n },
      updateTime: { seconds: 1_790_000_000n },
    }),
  );
  const whole = create(ExportPendudukResponseSchema, { penduduk, cursor: "32:32.01.01.1006:x" });
  const basic = create(ExportPendudukResponseSchema, {
    cursor: whole.cursor,
    penduduk: penduduk.map(
      ({ name, nik, nama, provinsi, kodeWilayah, jenisKelamin, tanggalLahir, status, updateTime }) =>
        create(PendudukSchema, {
          ...{ name, nik, nama, provinsi, kodeWilayah, jenisKelamin, tanggalLahir, status, updateTime },
        }),
    ),
  });
  const messages = { "23 fields": whole, "9 fields": basic };
  const rows: Record<string, Record<string, number>> = {};
  for (const [name, message] of Object.entries(messages)) {
    const bytes = toBinary(ExportPendudukResponseSchema, message);
    const decodeUs = time(() => fromBinary(ExportPendudukResponseSchema, bytes), 400);
    const toJsonUs = time(() => toJson(ExportPendudukResponseSchema, message), 400);
    const textUs = time(() => JSON.stringify(toJson(ExportPendudukResponseSchema, message)), 400);
    const text = JSON.stringify(toJson(ExportPendudukResponseSchema, message));
    rows[`${name}: decode`] = perRow(decodeUs, bytes.byteLength);
    rows[`${name}: to JSON objects`] = perRow(toJsonUs, 0);
    rows[`${name}: to JSON text`] = perRow(textUs, Buffer.byteLength(text));
    const decoded = () => fromBinary(ExportPendudukResponseSchema, bytes);
    for (const encoding of ["identity", "gzip"]) {
      rows[`${name}: download, ${encoding}`] = await downloadRow(decoded, "*/*", encoding);
    }
    rows[`${name}: download, events`] = await downloadRow(decoded, "text/event-stream", "identity");
  }
  console.table(rows);
  console.log(JSON.stringify(rows));

  function perRow(us: number, bytes: number) {
    return {
      rows_s: Math.round((batchRows / us) * 1e6),
      us_row: round(us / batchRows),
      bytes_row: round(bytes / batchRows),
    };
  }
}

/** Rows a second from an upstream that answers at once, and what they cost this process. */
async function downloadRow(next: () => Message, accept: string, encoding: string) {
  async function* messages() {
    for (let n = 0; n < downloadBatches; n++) yield next();
  }
  const header = new Headers();
  const transport = {
    stream: async () => ({ stream: true, message: messages(), header, trailer: header }),
  } as unknown as Transport;
  const gateway = createGateway({
    upstreams: [{ name: "penduduk", services: [PendudukService], transport }],
    registry: createRegistry(),
    verify: () => ({ subject: "bench" }),
    limits: { callsPerMinute: 1_000_000_000 },
  });
  const listener = createListener({ handler: gateway.handle });
  const { port } = await listener.listen(0, "127.0.0.1");
  const child = fork(import.meta.filename, ["read", String(port), accept, encoding]);
  await new Promise((resolve) => child.once("message", resolve)); // warm
  const before = process.cpuUsage();
  child.send("go");
  const { bytes, ms } = await new Promise<{ bytes: number; ms: number }>((resolve) =>
    child.once("message", resolve as never),
  );
  const { user, system } = process.cpuUsage(before);
  await listener.close(100);
  gateway.close();
  const count = batchRows * downloadBatches;
  return {
    rows_s: Math.round((count / ms) * 1000),
    us_row: round((user + system) / count),
    bytes_row: round(bytes / count),
  };
}

async function readAll(port: number, accept: string, encoding: string): Promise<void> {
  const path = "/v1/penduduk:export?kodeWilayah=32";
  const read = () =>
    new Promise<number>((resolve) => {
      const headers = { accept, "accept-encoding": encoding };
      http.get({ port, path, headers }, (response) => {
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
        });
        response.on("end", () => resolve(bytes));
      });
    });
  await read();
  process.send!("warm");
  await new Promise((resolve) => process.once("message", resolve));
  const startedAtMs = performance.now();
  const bytes = await read();
  process.send!({ bytes, ms: performance.now() - startedAtMs }, () => process.exit());
}

async function run(handler: (request: http.IncomingMessage, response: http.ServerResponse) => unknown) {
  const server = http.createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const row = await drive((server.address() as AddressInfo).port);
  server.closeAllConnections();
  server.close();
  return row;
}

async function runListener(handler: Parameters<typeof createListener>[0]["handler"]) {
  const listener = createListener({ handler });
  const { port } = await listener.listen(0, "127.0.0.1");
  const row = await drive(port);
  await listener.close(100);
  return row;
}

/** Loads a port from another process and counts this one's CPU. */
async function drive(port: number): Promise<{ rps: number; cpu_us: number }> {
  const child = fork(import.meta.filename, ["load", String(port)]);
  await new Promise((resolve) => child.once("message", resolve)); // warm
  const before = process.cpuUsage();
  const done = await new Promise<{ count: number }>((resolve) => child.once("message", resolve as never));
  const { user, system } = process.cpuUsage(before);
  return { rps: Math.round((done.count / runMs) * 1000), cpu_us: round((user + system) / done.count) };
}

async function load(port: number): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  let count = 0;
  const headers = {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "x-request-id": "6f0dbb8e-3a8f-4c0c-9c1f-0e1d6f5a7b21",
  };
  const next = () => {
    const request = http.request({ port, agent, method: "POST", path: "/penduduk", headers }, (response) => {
      if (response.statusCode !== 201) {
        throw new Error(`status ${response.statusCode}`);
      }
      response.resume();
      response.on("end", () => {
        count++;
        next();
      });
    });
    request.end(body);
  };
  for (let i = 0; i < 64; i++) {
    next();
  }
  setTimeout(() => {
    process.send!("warm");
    count = 0;
    setTimeout(() => process.send!({ count }, () => process.exit()), runMs);
  }, 1_500);
}

function time(f: () => unknown, count = 100_000): number {
  for (let i = 0; i < count / 4; i++) f();
  const startedAtMs = performance.now();
  for (let i = 0; i < count; i++) f();
  return round(((performance.now() - startedAtMs) / count) * 1000);
}

async function timeAsync(f: () => Promise<unknown>, count = 100_000): Promise<number> {
  for (let i = 0; i < count / 4; i++) await f();
  const startedAtMs = performance.now();
  for (let i = 0; i < count; i++) await f();
  return round(((performance.now() - startedAtMs) / count) * 1000);
}

async function breakerCost(transport: Transport, input: Message): Promise<number> {
  const breaker = breakTransport(transport, { name: "bench" });
  const call = (through: Transport) => () =>
    through.unary(PendudukService.method.registerPenduduk, undefined, 1_000, undefined, input as never);
  const cost = (await timeAsync(call(breaker))) - (await timeAsync(call(transport)));
  breaker.shutdown();
  return round(cost);
}

function rateLimitCost(): Promise<number> {
  const limiter = createRateLimiter({ perMinute: 1_000_000_000 });
  return timeAsync(() => limiter.consume("s:bench"));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
