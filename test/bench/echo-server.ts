// A service as those of the mesh are, which answers what it is sent: what stands behind the front door in bench:gateway.
//
//   node test/bench/echo-server.ts <image.binpb>     prints its address
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary, type Message } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createWireServer } from "#chassis/wire/wire.ts";

const batchSize = 500;
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(process.argv[2]!)));
const server = createWireServer().service(registry.getService("bench.v1.EchoService")!, {
  echo: (request: Message) => request,
  async *download({ jumlah }: { jumlah: number }) {
    for (let sent = 0; sent < jumlah; ) {
      const count = Math.min(batchSize, jumlah - sent);
      yield { pesan: Array.from({ length: count }, () => recordOf(sent++)) };
    }
  },
} as never);
const { host, port } = await server.listen({ host: "127.0.0.1", port: 0 });
console.log(`${host}:${port}`);
process.stdin.resume().once("end", () => process.exit());

function recordOf(number: number) {
  return { id: String(number), nama: "Siti Nurhaliza", alamat: "Jl. Merdeka 1", nomor: BigInt(number) };
}
