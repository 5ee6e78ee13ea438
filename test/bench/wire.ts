/**
 * What the choice of the wire is worth: unary calls a second, what one takes of the client's CPU, and streamed messages a second, for
 * each wire, client and server in two processes; and for the gateway's own client (gateway/transcoder/grpc-transport.ts), which
 * has no interceptors, to a server on grpc-js. Prints a table; the last line is JSON. `node test/bench/wire.ts [seconds]`
 */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { create, createFileRegistry } from "@bufbuild/protobuf";
import type { GenService } from "@bufbuild/protobuf/codegenv2";
import {
  type BytesValueSchema,
  FileDescriptorProtoSchema,
  file_google_protobuf_wrappers,
  type Int32ValueSchema,
  type StringValueSchema,
} from "@bufbuild/protobuf/wkt";
import type { Interceptor } from "@connectrpc/connect";
import { createWireClient } from "#chassis/wire/client.ts";
import { createWireServer, createWireTransport, type WireName, wireNames } from "#chassis/wire/wire.ts";
import { createGrpcTransport } from "../../gateway/transcoder/grpc-transport.ts";

const inFlight = 64;
const streamedBytes = 1024;
const seconds = Number(process.argv[2] ?? 5);
const serveWire = process.env.BENCH_SERVE as WireName | undefined;

type Methods = {
  unary: { methodKind: "unary"; input: typeof StringValueSchema; output: typeof StringValueSchema };
  download: {
    methodKind: "server_streaming";
    input: typeof Int32ValueSchema;
    output: typeof BytesValueSchema;
  };
};

const BenchService = benchService();
// As many as the chassis has at the least, doing nothing.
const interceptors: Interceptor[] = Array.from({ length: 3 }, () => (next) => (req) => next(req));

if (serveWire !== undefined) {
  await serve(serveWire);
} else {
  const results: Record<string, number | string>[] = [];
  const clients = [...wireNames, "gateway"] as const;
  for (const client of process.env.BENCH_WIRE ? [process.env.BENCH_WIRE as WireName] : clients) {
    results.push(await measure(client));
  }
  console.table(results);
  console.log(JSON.stringify({ bench: "wire", seconds, inFlight, streamedBytes, results }));
}

async function serve(wire: WireName): Promise<void> {
  const data = new Uint8Array(streamedBytes);
  const server = createWireServer({ wire, interceptors }).service(BenchService, {
    unary: (request) => request,
    async *download({ value }) {
      for (let i = 0; i < value; i++) {
        yield { value: data };
      }
    },
  });
  const { port } = await server.listen({ port: 0 });
  process.send?.(port);
  process.once("disconnect", () => process.exit(0));
}

async function measure(clientName: WireName | "gateway"): Promise<Record<string, number | string>> {
  const wire = clientName === "gateway" ? "grpc-js" : clientName;
  const child: ChildProcess = fork(import.meta.filename, { env: { ...process.env, BENCH_SERVE: wire } });
  const [port] = (await once(child, "message")) as [number];
  const options = { baseUrl: `http://127.0.0.1:${port}`, defaultTimeoutMs: 60_000 };
  const transport =
    clientName === "gateway"
      ? createGrpcTransport(options)
      : createWireTransport({ ...options, wire, interceptors });
  const client = createWireClient(BenchService, transport);
  const unary = async (untilMs: number) => {
    let calls = 0;
    const caller = async () => {
      for (; Date.now() < untilMs; calls++) {
        await client.unary({ value: "3273010101010001" });
      }
    };
    await Promise.all(Array.from({ length: inFlight }, caller));
    return calls;
  };
  const stream = async (untilMs: number) => {
    let messages = 0;
    for await (const _ of client.download({ value: 2 ** 31 - 1 })) {
      messages++;
      if (messages % 256 === 0 && Date.now() >= untilMs) {
        break;
      }
    }
    return messages;
  };
  const perSecond = async (run: (untilMs: number) => Promise<number>) => {
    await run(Date.now() + 1000);
    const startedMs = performance.now();
    const count = await run(Date.now() + seconds * 1000);
    return Math.round((count * 1000) / (performance.now() - startedMs));
  };
  const before = process.cpuUsage();
  const calls = await perSecond(unary);
  const { user, system } = process.cpuUsage(before);
  const result = {
    client: clientName,
    "unary calls/s": calls,
    // Of the time to warm up, too, in which as many are made a second.
    "client CPU us/call": Math.round((user + system) / (calls * (seconds + 1))),
    "streamed messages/s": await perSecond(stream),
  };
  transport.close();
  child.disconnect();
  await once(child, "exit");
  return result;
}

function benchService(): GenService<Methods> {
  const file = create(FileDescriptorProtoSchema, {
    name: "bench.proto",
    package: "bench.v1",
    syntax: "proto3",
    dependency: [file_google_protobuf_wrappers.proto.name],
    service: [
      {
        name: "BenchService",
        method: [
          {
            name: "Unary",
            inputType: ".google.protobuf.StringValue",
            outputType: ".google.protobuf.StringValue",
          },
          {
            name: "Download",
            inputType: ".google.protobuf.Int32Value",
            outputType: ".google.protobuf.BytesValue",
            serverStreaming: true,
          },
        ],
      },
    ],
  });
  const registry = createFileRegistry(file, () => file_google_protobuf_wrappers);
  return registry.getService("bench.v1.BenchService") as GenService<Methods>;
}
