import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createFileRegistry, createRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createRouterTransport } from "@connectrpc/connect";
import { createDocuments } from "../documents.ts";
import { createGateway } from "../gateway.ts";
import { createListener } from "../listener.ts";
import { upstreamServices } from "../upstreams.ts";
import { contractDocuments } from "./contracts.ts";
import { tarOf } from "./tar.ts";

const services = Object.values(upstreamServices).flat();
const buf = fileURLToPath(import.meta.resolve("@bufbuild/buf/bin/buf"));
const protocGenEs = fileURLToPath(import.meta.resolve("@bufbuild/protoc-gen-es/bin/protoc-gen-es"));
const folder = mkdtempSync(join(tmpdir(), "lampid-contracts-test-"));
const closers: (() => unknown)[] = [() => rmSync(folder, { recursive: true })];
let baseUrl: string;

before(async () => {
  const gateway = createGateway({
    upstreams: [{ name: "none", services: [], transport: createRouterTransport(() => {}) }],
    registry: createRegistry(),
    verify: () => undefined,
    documents: createDocuments(contractDocuments(services)),
    limits: { callsPerMinute: 1_000 },
  });
  const listener = createListener({ handler: gateway.handle, onError: () => {} });
  const { port } = await listener.listen(0, "127.0.0.1");
  closers.push(gateway.close, () => listener.close(100));
  baseUrl = `http://127.0.0.1:${port}`;
});
after(async () => {
  for (const close of closers) await close();
});

async function download(path: string): Promise<Buffer> {
  const answer = await fetch(`${baseUrl}${path}`);
  assert.equal(answer.status, 200, path);
  assert.match(answer.headers.get("etag") ?? "", /^"/);
  return Buffer.from(await answer.arrayBuffer());
}

test("the image knows every service that is offered, with all that it needs, and nothing that is internal", async () => {
  const image = await download("/contracts/image.binpb");
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, image));
  for (const { typeName } of services) assert.ok(registry.getService(typeName), typeName);
  const names = [...registry.files].map(({ name }) => name);
  assert.deepEqual(
    names.filter((name) =>
      /penggabungan_service|dukcapil_hub_service|revocation_service|_events$/.test(name),
    ),
    [],
  );
});

test("buf takes the image for its schema", async () => {
  const path = join(folder, "image.binpb");
  writeFileSync(path, await download("/contracts/image.binpb"));
  const listed = execFileSync(buf, ["curl", "--schema", path, "--list-methods"], { encoding: "utf8" });
  assert.match(listed, /lampid\.penduduk\.v1\.PendudukService\/RegisterPenduduk/);
});

test("the archive unpacks to sources that compile by themselves, and to code by a plugin", async () => {
  writeFileSync(join(folder, "proto.tar.gz"), await download("/contracts/proto.tar.gz"));
  execFileSync("tar", ["xzf", "proto.tar.gz"], { cwd: folder });
  const out = join(folder, "generated");
  mkdirSync(out);
  const template = JSON.stringify({
    version: "v2",
    plugins: [{ local: ["node", protocGenEs], out, opt: "target=ts" }],
  });
  execFileSync(buf, ["generate", "proto", "--template", template], { cwd: folder });
  const client = readFileSync(join(out, "lampid/penduduk/v1/penduduk_service_pb.ts"), "utf8");
  assert.match(client, /export const PendudukService/);
});

test("the index names what is there, and single sources come as they are", async () => {
  const index = JSON.parse((await download("/contracts/index.json")).toString());
  assert.deepEqual(
    index.services.map(({ name }: { name: string }) => name),
    services.map(({ typeName }) => typeName),
  );
  for (const path of [index.image, index.archive, ...index.sources]) await download(path);
  const source = await download("/contracts/proto/lampid/auth/v1/auth_service.proto");
  const original = new URL("../../proto/lampid/auth/v1/auth_service.proto", import.meta.url);
  assert.deepEqual(source, readFileSync(original));
  const page = (await download("/contracts")).toString();
  for (const path of index.sources) assert.ok(page.includes(`href="${path}"`), path);
  const internal = "/contracts/proto/lampid/dukcapil/v1/dukcapil_hub_service.proto";
  assert.equal((await fetch(`${baseUrl}${internal}`)).status, 404);
});

test("an archive is the same for the same files, and takes no name that it cannot hold", () => {
  const files = [{ name: "a/b.proto", bytes: Buffer.from("syntax") }];
  assert.deepEqual(tarOf(files), tarOf(files));
  assert.equal(tarOf(files).length, 512 + 512 + 1024);
  for (const name of ["", "a".repeat(101), "a b", "é"]) {
    assert.throws(() => tarOf([{ name, bytes: Buffer.alloc(0) }]), /is no name for an archive/);
  }
});
