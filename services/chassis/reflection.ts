// gRPC server reflection, v1 and v1alpha: what grpcurl lists and describes, answered from the generated descriptors.
import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type { ServerReflection, ServerReflectionRequest } from "#gen/grpc/reflection/v1/reflection_pb.ts";

/** The v1 implementation; v1alpha has the same messages under another package, so it serves both. */
export function reflectionService(services: readonly DescService[]): ServiceImpl<typeof ServerReflection> {
  const index = indexFiles(services.map((service) => service.file));
  const names = services.map((service) => service.typeName).sort();

  return {
    async *serverReflectionInfo(requests: AsyncIterable<ServerReflectionRequest>) {
      for await (const request of requests) {
        yield { validHost: request.host, originalRequest: request, messageResponse: answer(request) };
      }
    },
  };

  function answer({ messageRequest }: ServerReflectionRequest) {
    switch (messageRequest.case) {
      case "listServices":
        return { case: "listServicesResponse" as const, value: { service: names.map((name) => ({ name })) } };
      case "fileByFilename":
        return files(index.byName.get(messageRequest.value), messageRequest.value);
      case "fileContainingSymbol":
        return files(index.bySymbol.get(messageRequest.value.replace(/^\./, "")), messageRequest.value);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = messageRequest.value;
        return files(index.byExtension.get(`${containingType}:${extensionNumber}`), containingType);
      }
      case "allExtensionNumbersOfType": {
        const type = messageRequest.value;
        const extensionNumber = [...index.byExtension.keys()]
          .filter((key) => key.startsWith(`${type}:`))
          .map((key) => Number(key.slice(type.length + 1)));
        return {
          case: "allExtensionNumbersResponse" as const,
          value: { baseTypeName: type, extensionNumber },
        };
      }
      case undefined:
        return failure(Code.InvalidArgument, "the request asks for nothing");
      default:
        return messageRequest satisfies never;
    }
  }

  function files(file: DescFile | undefined, wanted: string) {
    if (!file) return failure(Code.NotFound, `not found: ${wanted}`);
    const fileDescriptorProto = [...withDependencies(file)].map((each) =>
      toBinary(FileDescriptorProtoSchema, each.proto),
    );
    return { case: "fileDescriptorResponse" as const, value: { fileDescriptorProto } };
  }
}

function failure(errorCode: Code, errorMessage: string) {
  return { case: "errorResponse" as const, value: { errorCode, errorMessage } };
}

function indexFiles(roots: readonly DescFile[]) {
  const byName = new Map<string, DescFile>();
  const bySymbol = new Map<string, DescFile>();
  const byExtension = new Map<string, DescFile>();
  const all = new Set(roots.flatMap((file) => [...withDependencies(file)]));
  for (const file of all) {
    byName.set(file.proto.name, file);
    for (const service of file.services) {
      bySymbol.set(service.typeName, file);
      for (const method of service.methods) bySymbol.set(`${service.typeName}.${method.name}`, file);
    }
    const addMessages = (messages: DescFile["messages"]) => {
      for (const message of messages) {
        bySymbol.set(message.typeName, file);
        for (const nested of message.nestedEnums) bySymbol.set(nested.typeName, file);
        for (const extension of message.nestedExtensions) addExtension(extension);
        addMessages(message.nestedMessages);
      }
    };
    const addExtension = (extension: DescFile["extensions"][number]) => {
      bySymbol.set(extension.typeName, file);
      byExtension.set(`${extension.extendee.typeName}:${extension.number}`, file);
    };
    addMessages(file.messages);
    for (const each of file.enums) bySymbol.set(each.typeName, file);
    for (const each of file.extensions) addExtension(each);
  }
  return { byName, bySymbol, byExtension };
}

function withDependencies(file: DescFile, found = new Set<DescFile>()): Set<DescFile> {
  if (found.has(file)) return found;
  found.add(file);
  for (const dependency of file.dependencies) withDependencies(dependency, found);
  return found;
}
