// What is left of the gateway's work when three times as much is asked of it as the service behind it can do.
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createRegistry } from "@bufbuild/protobuf";
import { createWireServer } from "#chassis/wire/wire.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { createGateway } from "../../gateway/gateway.ts";
import { createListener } from "../../gateway/listener.ts";
import { createGrpcTransport } from "../../gateway/transcoder/grpc-transport.ts";
import { runLoad } from "../bench/http-load.ts";

const SLOTS = 50;
const SLOT_MS = 20;
const ROLES = { upstream: serveSlots, gateway: serveGateway };

const [role, argument] = process.argv.slice(2);
if (role !== undefined && role in ROLES) await ROLES[role as keyof typeof ROLES](argument!);
else testOverload();

/** A service that works on 50 calls at a time, each 20 ms, and lets the others wait: 2,500 calls a second at most. */
async function serveSlots(): Promise<void> {
  let free = SLOTS;
  const waiting: (() => void)[] = [];
  const server = createWireServer().service(PendudukService, {
    async getPenduduk({ name }) {
      if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
      else free--;
      await sleep(SLOT_MS);
      const next = waiting.shift();
      if (next) next();
      else free++;
      return { penduduk: { name } };
    },
  });
  const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
  process.send!(port);
}

async function serveGateway(upstreamPort: string): Promise<void> {
  const gateway = createGateway({
    upstreams: [
      {
        name: "penduduk",
        services: [PendudukService],
        transport: createGrpcTransport({ baseUrl: `http://127.0.0.1:${upstreamPort}` }),
      },
    ],
    registry: createRegistry(),
    verify: () => undefined,
    limits: { callsPerMinute: 1_000_000_000 },
  });
  const listener = createListener({ handler: gateway.handle });
  const { port } = await listener.listen(0, "127.0.0.1");
  process.send!(port);
}

function testOverload(): void {
  const children: ChildProcess[] = [];
  after(() => {
    for (const child of children) child.kill("SIGKILL");
  });

  async function start(...args: string[]): Promise<number> {
    const child = fork(import.meta.filename, args, { execArgv: [] });
    children.push(child);
    const [port] = await once(child, "message");
    return port as number;
  }

  test("asked for three times what its upstream can do, the gateway still gets nine tenths of that done", async (t) => {
    const port = await start("gateway", String(await start("upstream")));
    const load = async (options: { connections: number; rate?: number; seconds: number }) => {
      const { latenciesMs, errors, seconds, samples } = await runLoad({
        host: "127.0.0.1",
        port,
        request: () =>
          "GET /v1/penduduk/01980000-0000-7000-8000-000000000000 HTTP/1.1\r\nHost: gateway\r\n\r\n",
        expectStatus: 200,
        ...options,
      });
      return { goodput: (latenciesMs.length - errors) / seconds, refused: errors / seconds, samples };
    };
    await load({ connections: 100, seconds: 2 });
    const most = await load({ connections: 100, seconds: 3 });
    assert.deepEqual(most.samples, []);
    const overloaded = await load({ connections: 1_500, rate: most.goodput * 3, seconds: 4 });
    for (const sample of overloaded.samples) assert.match(sample, /^503 .*overloaded.*OVERLOADED/);
    assert.ok(overloaded.refused > 0, "nothing was refused");
    const [done, possible, refused] = [overloaded.goodput, most.goodput, overloaded.refused].map(Math.round);
    t.diagnostic(`${done}/s of ${possible}/s done, ${refused}/s refused`);
    assert.ok(done! >= possible! * 0.9, `${done}/s of ${possible}/s done, ${refused}/s refused`);
  });
}
