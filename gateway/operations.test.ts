// Runs of the synchronisation as an outside caller meets them: operations with what they pack, and a run being watched.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type Any, AnySchema, anyPack } from "@bufbuild/protobuf/wkt";
import { createRouterTransport } from "@connectrpc/connect";
import { Operations } from "#gen/google/longrunning/operations_pb.ts";
import { file_google_rpc_error_details } from "#gen/google/rpc/error_details_pb.ts";
import { RekonsiliasiSchema, SinkronisasiSchema } from "#gen/lampid/integrasi/v1/sinkronisasi_pb.ts";
import { SinkronisasiService } from "#gen/lampid/integrasi/v1/sinkronisasi_service_pb.ts";
import { createGateway } from "./gateway.ts";
import { createListener } from "./listener.ts";
import { registryOfFiles } from "./registry.ts";

const id = "0198e6a0-0000-7000-8000-000000000001";
const run = `sinkronisasi/${id}`;
const operation = `operations/${id}`;
const typePrefix = "type.googleapis.com/lampid.integrasi.v1.";
const metadata = anyPack(SinkronisasiSchema, create(SinkronisasiSchema, { name: run, jumlah: 5 }));
const metadataJson = { "@type": `${typePrefix}Sinkronisasi`, name: run, jumlah: 5 };

/** What was called, with the name that it got. */
const called: string[] = [];
let response: Any = anyPack(RekonsiliasiSchema, create(RekonsiliasiSchema, { cocok: true }));
let onLeft = () => {};
const left = new Promise<void>((resolve) => {
  onLeft = resolve;
});

const transport = createRouterTransport((router) => {
  router.service(SinkronisasiService, {
    startSinkronisasi: () => ({ name: operation, metadata }),
    async *watchSinkronisasi({ name }, { signal }) {
      yield { sinkronisasi: { name, jumlah: 1 } };
      yield { sinkronisasi: { name, jumlah: 2 } };
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      onLeft();
    },
    pauseSinkronisasi({ name }) {
      called.push(`pause ${name}`);
      return { sinkronisasi: { name } };
    },
  });
  router.service(Operations, {
    listOperations({ name, pageSize }) {
      called.push(`list ${name} ${pageSize}`);
      return { operations: [{ name: operation, metadata }] };
    },
    getOperation({ name }) {
      called.push(`get ${name}`);
      return { name, metadata, done: true, result: { case: "response", value: response } };
    },
    cancelOperation({ name }) {
      called.push(`cancel ${name}`);
      return {};
    },
    deleteOperation({ name }) {
      called.push(`delete ${name}`);
      return {};
    },
  });
});
const services = [SinkronisasiService, Operations];
const gateway = createGateway({
  upstreams: [{ name: "integrasi", services, transport }],
  registry: registryOfFiles([file_google_rpc_error_details, ...services.map(({ file }) => file)]),
  verify: () => ({ subject: "1" }),
});
const listener = createListener({ handler: gateway.handle });
const { port } = await listener.listen(0, "127.0.0.1");
after(async () => {
  gateway.drain();
  await listener.close(100);
  gateway.close();
});

async function call(method: string, path: string) {
  const init = { method, body: "{}", headers: { "content-type": "application/json" } };
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, method === "POST" ? init : { method });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

test("starting a run answers with its operation, whose metadata is the run", async () => {
  const { status, body } = await call("POST", "/v1/sinkronisasi");
  assert.equal(status, 200);
  assert.deepEqual(body, { name: operation, metadata: metadataJson });
});

test("operations are listed, read, cancelled and deleted by the paths of google.longrunning", async () => {
  called.length = 0;
  const listed = await call("GET", "/v1/operations?pageSize=3");
  assert.deepEqual(listed.body, { operations: [{ name: operation, metadata: metadataJson }] });
  const read = await call("GET", `/v1/${operation}`);
  assert.deepEqual(read.body, {
    name: operation,
    metadata: metadataJson,
    done: true,
    response: { "@type": `${typePrefix}Rekonsiliasi`, cocok: true },
  });
  assert.deepEqual(await call("POST", `/v1/${operation}:cancel`), { status: 200, body: {} });
  assert.deepEqual(await call("DELETE", `/v1/${operation}`), { status: 200, body: {} });
  await call("GET", "/v1/operations/of/some/depth");
  assert.equal((await call("POST", `/v1/${operation}`)).status, 405);
  assert.equal((await call("POST", `/v1/${run}:pause`)).status, 200);
  assert.deepEqual(called, [
    "list operations 3",
    `get ${operation}`,
    `cancel ${operation}`,
    `delete ${operation}`,
    "get operations/of/some/depth",
    `pause ${run}`,
  ]);
});

test("an operation of a type that this gateway does not know is readable all the same", async () => {
  const known = response;
  response = create(AnySchema, { typeUrl: `${typePrefix}Later`, value: new Uint8Array([1, 2]) });
  const { status, body } = await call("GET", `/v1/${operation}`);
  response = known;
  assert.equal(status, 200);
  assert.deepEqual(body.metadata, metadataJson);
  assert.deepEqual(body.response, { "@type": `${typePrefix}Later`, value: "AQI=" });
});

test("a run is watched as Server-Sent Events, and its stream ends when the watcher goes", async () => {
  const leave = new AbortController();
  const answer = await fetch(`http://127.0.0.1:${port}/v1/${run}:watch`, {
    headers: { accept: "text/event-stream" },
    signal: leave.signal,
  });
  let text = "";
  for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes('"jumlah":2')) break;
  }
  leave.abort();
  assert.equal(
    text,
    `retry: 3000\n\ndata: {"name":"${run}","jumlah":1}\n\ndata: {"name":"${run}","jumlah":2}\n\n`,
  );
  await left;
});
