// The front door as bench:gateway runs it: all of gateway/, before an echo server instead of the mesh's services.
//
//   node test/bench/gateway-server.ts <image.binpb> <http://upstream>     prints its port and a token that it takes
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from "jose";
import { tokenVerifier } from "#chassis/token.ts";
import { createGateway } from "../../gateway/gateway.ts";
import { createListener } from "../../gateway/listener.ts";
import { createGrpcTransport } from "../../gateway/transcoder/grpc-transport.ts";

const [image, baseUrl] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(image!)));
const issuer = "https://issuer.example";
const audience = "bench";
const { publicKey, privateKey } = await generateKeyPair("ES256");
const verify = tokenVerifier({
  issuer,
  audience,
  keys: createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), alg: "ES256" }] }),
});
const gateway = createGateway({
  upstreams: [
    {
      name: "echo",
      services: [registry.getService("bench.v1.EchoService")!],
      transport: createGrpcTransport({ baseUrl: baseUrl! }),
    },
  ],
  registry,
  verify,
  limits: { callsPerMinute: 100_000_000 },
});
const listener = createListener({ handler: gateway.handle });
const { port } = await listener.listen(0, "127.0.0.1");
const token = await new SignJWT({ preferred_username: "bench", role: "operator", wilayah: "32.01.01.2001" })
  .setProtectedHeader({ alg: "ES256" })
  .setIssuer(issuer)
  .setAudience(audience)
  .setSubject("bench")
  .setExpirationTime("1h")
  .sign(privateKey);
console.log(JSON.stringify({ port, token }));
process.stdin.resume().once("end", () => process.exit());
