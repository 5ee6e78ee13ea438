// The OpenAPI document of this mesh: what its gateway offers, what its policy lets anyone call, what its package is.
import { readFileSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { anonymous } from "#chassis/caller.ts";
import { loadMeshPolicy } from "#chassis/policy/policy.ts";
import { deprecation, success_status } from "#gen/lampid/option/v1/http_pb.ts";
import { upstreamServices } from "../upstreams.ts";
import type { OpenApiDocument } from "./document.ts";
import { createOpenApi } from "./openapi.ts";

/** Makes the document from an image of the contracts (a FileDescriptorSet with source info, as `buf build` writes it). */
export async function createMeshOpenApi(image: Uint8Array): Promise<OpenApiDocument> {
  const policy = await loadMeshPolicy();
  const about = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return createOpenApi({
    set: fromBinary(FileDescriptorSetSchema, image),
    services: Object.values(upstreamServices).flatMap((services) => services.map(({ typeName }) => typeName)),
    info: {
      title: "e-LAMPID Mesh",
      version: about.version,
      description: `${about.description}.`,
      license: { name: about.license, identifier: about.license },
    },
    isPublic: (method) => policy(method, anonymous).public,
    successStatus: success_status.typeName,
    deprecation: deprecation.typeName,
  });
}
