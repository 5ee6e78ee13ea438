// The contracts of what is offered to the outside, for partners to generate clients from: sources, and an image.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { create, type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { Document } from "../documents.ts";
import { filesOf } from "../registry.ts";
import { tarOf } from "./tar.ts";

/** Where contracts are, and what they import from others. google/protobuf/*.proto come with every compiler. */
const folders = ["../../proto/", "../../proto/vendor/"].map((folder) => new URL(folder, import.meta.url));

/**
 * What is at `/contracts`: an index for people and one for programs, the sources one by one and as an archive, and the image.
 * Only files that the services are made of are in it: what is internal to the mesh is not. Throws if a source is missing.
 */
export function contractDocuments(services: readonly DescService[]): Document[] {
  const files = filesOf(services.map(({ file }) => file));
  const sources = files
    .map((file) => `${file.name}.proto`)
    .filter((name) => !name.startsWith("google/protobuf/"))
    .sort()
    .map((name) => ({ name, bytes: readSource(name) }));
  const index = {
    services: services.map(({ typeName, file }) => ({
      name: typeName,
      source: sourcePath(`${file.name}.proto`),
    })),
    image: imagePath,
    archive: archivePath,
    sources: sources.map(({ name }) => sourcePath(name)),
  };
  return [
    html("/contracts", indexPage(index)),
    html("/contracts/", indexPage(index)),
    {
      path: "/contracts/index.json",
      contentType: "application/json",
      make: () => `${JSON.stringify(index, null, 2)}\n`,
    },
    { path: imagePath, contentType: "application/x-protobuf", make: () => imageOf(files) },
    {
      path: archivePath,
      contentType: "application/gzip",
      make: () => gzipSync(tarOf(sources.map(({ name, bytes }) => ({ name: `proto/${name}`, bytes })))),
      headers: { "content-disposition": 'attachment; filename="lampid-contracts.tar.gz"' },
    },
    ...sources.map(({ name, bytes }) => ({
      path: sourcePath(name),
      contentType: "text/plain; charset=utf-8",
      make: () => bytes,
    })),
  ];
}

const imagePath = "/contracts/image.binpb";
const archivePath = "/contracts/proto.tar.gz";

function sourcePath(name: string): string {
  return `/contracts/proto/${name}`;
}

/** A google.protobuf.FileDescriptorSet in which every file comes after those that it imports, as protoc writes them. */
function imageOf(files: readonly DescFile[]): Uint8Array {
  return toBinary(
    FileDescriptorSetSchema,
    create(FileDescriptorSetSchema, { file: files.map(({ proto }) => proto) }),
  );
}

function readSource(name: string): Buffer {
  for (const folder of folders) {
    try {
      return readFileSync(new URL(name, folder));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
        throw error;
      }
    }
  }
  throw new Error(`the contracts have no source ${name}`);
}

interface Index {
  readonly services: readonly { readonly name: string; readonly source: string }[];
  readonly sources: readonly string[];
}

function html(path: string, text: string): Document {
  return {
    path,
    contentType: "text/html; charset=utf-8",
    make: () => text,
    headers: { "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'" },
  };
}

/** Names of files and services need no escaping: what Protobuf allows in them, HTML does. */
function indexPage({ services, sources }: Index): string {
  const links = (entries: readonly (readonly [href: string, text: string])[]) =>
    entries.map(([href, text]) => `    <li><a href="${href}">${text}</a></li>`).join("\n");
  return `<!doctype html>
<html lang="en">
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>e-LAMPID Mesh: contracts</title>
  <h1>Contracts of e-LAMPID Mesh</h1>
  <p>The Protobuf sources of every service that this gateway offers, for clients in any language by gRPC, gRPC-Web or Connect.
  The same services as REST: <a href="/docs">/docs</a>.</p>
  <ul>
${links([
  [archivePath, "proto.tar.gz: all sources"],
  [imagePath, "image.binpb: all descriptors (google.protobuf.FileDescriptorSet)"],
  ["/contracts/index.json", "index.json: this list for programs"],
])}
  </ul>
  <pre>curl -sO &lt;this address&gt;/proto.tar.gz &amp;&amp; tar xzf proto.tar.gz &amp;&amp; buf generate proto
grpcurl -protoset image.binpb ...
buf curl --schema image.binpb ...</pre>
  <h2>Services</h2>
  <ul>
${links(services.map(({ name, source }) => [source, name]))}
  </ul>
  <h2>Sources</h2>
  <ul>
${links(sources.map((path) => [path, path.slice("/contracts/proto/".length)]))}
  </ul>
</html>
`;
}
