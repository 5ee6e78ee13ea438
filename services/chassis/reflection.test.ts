import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, createFileRegistry, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { Code, createClient, createRouterTransport } from "@connectrpc/connect";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import {
  ServerReflection,
  type ServerReflectionRequestSchema,
} from "#gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "#gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { createHealth } from "./health.ts";
import { standardServices } from "./process.ts";

const transport = createRouterTransport((router) => {
  for (const { service, implementation } of standardServices(createHealth(), [PendudukService])) {
    router.service(service, implementation);
  }
});
const client = createClient(ServerReflection, transport);

type Question = NonNullable<MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"]>;

async function ask(...questions: Question[]) {
  async function* requests() {
    for (const messageRequest of questions) yield { host: "here", messageRequest };
  }
  const answers = [];
  for await (const answer of client.serverReflectionInfo(requests())) answers.push(answer);
  return answers;
}

async function filesFor(question: Question) {
  const [answer] = await ask(question);
  const { messageResponse } = answer!;
  if (messageResponse.case !== "fileDescriptorResponse") return assert.fail(messageResponse.case);
  return messageResponse.value.fileDescriptorProto.map((bytes) =>
    fromBinary(FileDescriptorProtoSchema, bytes),
  );
}

/** The first file after all that it needs; throws when something is missing. */
function importsFirst(files: FileDescriptorProto[]): FileDescriptorProto[] {
  const byName = new Map(files.map((file) => [file.name, file]));
  const ordered = new Set<FileDescriptorProto>();
  const visit = (name: string) => {
    const file = byName.get(name);
    assert.ok(file, `${name} is missing`);
    for (const dependency of file.dependency) visit(dependency);
    ordered.add(file);
  };
  visit(files[0]!.name);
  return [...ordered];
}

describe("reflection", () => {
  test("lists the services of the process, its health and itself in both versions", async () => {
    const [answer] = await ask({ case: "listServices", value: "" });
    assert.equal(answer!.validHost, "here");
    assert.equal(answer!.originalRequest!.messageRequest.case, "listServices");
    assert.ok(answer!.messageResponse.case === "listServicesResponse");
    assert.deepEqual(
      answer!.messageResponse.value.service.map(({ name }) => name),
      [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "lampid.penduduk.v1.PendudukService",
      ],
    );
  });

  test("gives the file of a service, method, message, nested enum or enum with all it imports, enough to build from", async () => {
    for (const [symbol, file] of [
      ["lampid.penduduk.v1.PendudukService", "lampid/penduduk/v1/penduduk_service.proto"],
      ["lampid.penduduk.v1.PendudukService.RegisterPenduduk", "lampid/penduduk/v1/penduduk_service.proto"],
      [".lampid.penduduk.v1.Penduduk", "lampid/penduduk/v1/penduduk.proto"],
      ["lampid.penduduk.v1.Penduduk.Agama", "lampid/penduduk/v1/penduduk.proto"],
      ["lampid.penduduk.v1.CreateKartuKeluargaRequest.Anggota", "lampid/penduduk/v1/penduduk_service.proto"],
      ["google.api.http", "google/api/annotations.proto"],
      ["google.protobuf.Timestamp", "google/protobuf/timestamp.proto"],
    ] as const) {
      const files = await filesFor({ case: "fileContainingSymbol", value: symbol });
      assert.equal(files[0]!.name, file, symbol);
      // Built from the answer alone, as grpcurl does: every import must be there.
      const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: importsFirst(files) }));
      assert.ok(registry.getFile(file), symbol);
    }
  });

  test("gives a file by its name", async () => {
    const value = "lampid/penduduk/v1/penduduk.proto";
    assert.equal((await filesFor({ case: "fileByFilename", value }))[0]!.name, value);
  });

  test("finds extensions by number, and all numbers of a type", async () => {
    const value = { containingType: "google.protobuf.MethodOptions", extensionNumber: 72_295_728 };
    const files = await filesFor({ case: "fileContainingExtension", value });
    assert.equal(files[0]!.name, "google/api/annotations.proto");
    const [answer] = await ask({ case: "allExtensionNumbersOfType", value: value.containingType });
    assert.ok(answer!.messageResponse.case === "allExtensionNumbersResponse");
    assert.ok(answer!.messageResponse.value.extensionNumber.includes(72_295_728));
  });

  test("answers what is not there with not found, and goes on with the next question", async () => {
    const answers = await ask(
      { case: "fileContainingSymbol", value: "lampid.Nothing" },
      { case: "fileByFilename", value: "nothing.proto" },
      { case: "fileContainingExtension", value: { containingType: "x.Y", extensionNumber: 1 } },
      { case: undefined },
      { case: "listServices", value: "" },
    );
    const codes = answers.map(({ messageResponse }) =>
      messageResponse.case === "errorResponse" ? messageResponse.value.errorCode : messageResponse.case,
    );
    assert.deepEqual(codes, [
      Code.NotFound,
      Code.NotFound,
      Code.NotFound,
      Code.InvalidArgument,
      "listServicesResponse",
    ]);
  });

  test("speaks v1alpha too, for older clients", async () => {
    const alpha = createClient(ServerReflectionAlpha, transport);
    async function* requests() {
      yield { messageRequest: { case: "fileContainingSymbol" as const, value: Health.typeName } };
    }
    for await (const { messageResponse } of alpha.serverReflectionInfo(requests())) {
      assert.equal(messageResponse.case, "fileDescriptorResponse");
    }
  });
});
