// What the hub's rows cost: `node test/dukcapil/rows-per-second.ts [residents]` prints rows a second, generated and streamed.
import { fork } from "node:child_process";
import { once } from "node:events";
import { createWireClient } from "#chassis/wire/client.ts";
import { rawBytes } from "#chassis/wire/raw.ts";
import { createWireTransport } from "#chassis/wire/wire.ts";
import { DukcapilHubService } from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { batchBuffer, batchReader, streamResponse } from "../../services/dukcapil/batches.ts";
import { openTestHub } from "../../services/dukcapil/fixture.ts";
import { asService, startHub } from "./running-hub.ts";

const penduduk = Number(process.argv[2] ?? 1_000_000);
const ROUNDS = 3;

if (process.send) await serve(process.send.bind(process));
else {
  await generate();
  await stream();
}

async function generate(): Promise<void> {
  const hub = await openTestHub({ penduduk });
  for (let round = 1; round <= ROUNDS; round++) {
    const reader = batchReader(hub, { kodeWilayah: "ID", since: 0, asOf: hub.versi() }, undefined, "");
    const buffer = batchBuffer(2_000);
    const meter = startMeter();
    let bytes = 0;
    for (let batch = await reader.read(buffer, 2_000); batch; batch = await reader.read(buffer, 2_000)) {
      bytes += streamResponse(batch).length;
    }
    meter.report("generated", bytes);
  }
}

/** The hub in a process of its own; the batches stay encoded here, as in integrasi. */
async function stream(): Promise<void> {
  const child = fork(import.meta.filename, [String(penduduk)], {
    execArgv: [
      "--max-semi-space-size=4",
      "--max-old-space-size=512",
      "--disable-warning=ExperimentalWarning",
    ],
  });
  const [port] = await once(child, "message");
  const rawResponses = ({ name }: { name: string }) => name === "StreamPenduduk";
  const transport = createWireTransport({ baseUrl: `http://127.0.0.1:${port}`, rawResponses });
  const client = createWireClient(DukcapilHubService, transport);
  for (let round = 1; round <= ROUNDS; round++) {
    const meter = startMeter();
    let bytes = 0;
    for await (const response of client.streamPenduduk({ kodeWilayah: "ID" }, asService)) {
      bytes += rawBytes(response)!.length;
    }
    meter.report("streamed", bytes);
  }
  transport.close();
  child.send("end");
  const [rss] = await once(child, "message");
  console.log(`hub: ${Math.round(rss / 2 ** 20)} MiB resident at the end`);
}

async function serve(tell: (message: number) => unknown): Promise<void> {
  const hub = await startHub({ LAMPID_HUB_PENDUDUK: String(penduduk) });
  tell(hub.port);
  await once(process, "message");
  tell(process.memoryUsage.rss());
  await hub.close();
  process.disconnect();
}

function startMeter() {
  const startedAt = performance.now();
  return {
    report(what: string, bytes: number): void {
      const seconds = (performance.now() - startedAt) / 1000;
      const perRow = ((seconds * 1e6) / penduduk).toFixed(2);
      console.log(
        `${what}: ${Math.round(penduduk / seconds)} rows/s, ${perRow} us and ${Math.round(bytes / penduduk)} bytes a row`,
      );
    },
  };
}
