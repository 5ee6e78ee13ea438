// Services of generated descriptors, as @grpc/grpc-js wants them described and implemented.
import { once } from "node:events";
import {
  create,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import { createHandlerContext, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServiceDefinition,
  UntypedHandleCall,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Logger } from "#chassis/log.ts";
import { grpcError } from "./grpc-errors.ts";

export function serviceDefinition(service: DescService): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => [
      method.localName,
      {
        path: `/${service.typeName}/${method.name}`,
        requestStream: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
        responseStream: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
        requestSerialize: (message: Message) => encode(method.input, message),
        requestDeserialize: (bytes: Buffer) => fromBinary(method.input, bytes),
        responseSerialize: (message: Message | Buffer) => encode(method.output, message),
        responseDeserialize: (bytes: Buffer) => fromBinary(method.output, bytes),
      },
    ]),
  );
}

/** Health and reflection, which the mesh has as Connect services, for grpc-js: a server must be able to say how it is. */
export function mountConnect<Desc extends DescService>(
  service: Desc,
  implementation: Partial<ServiceImpl<Desc>>,
  log: Logger,
): UntypedServiceImplementation {
  const handlers: Record<string, UntypedHandleCall> = {};
  for (const method of service.methods) {
    const impl = implementation[method.localName as keyof typeof implementation] as AnyImpl | undefined;
    if (impl) handlers[method.localName] = handlerOf(method, impl.bind(implementation), log);
  }
  return handlers;
}

type Fields = Record<string, unknown>;
type AnyImpl = (input: unknown, context: HandlerContext) => unknown;
type Calls = {
  unary: handleUnaryCall<Message, Message>;
  server_streaming: handleServerStreamingCall<Message, Message>;
  bidi_streaming: handleBidiStreamingCall<Message, Message>;
};

function handlerOf(method: DescMethod, impl: AnyImpl, log: Logger): UntypedHandleCall {
  const name = `${method.parent.typeName}/${method.name}`;
  const error = (cause: unknown) => grpcError(cause, log, name);
  const context = () =>
    createHandlerContext({
      service: method.parent,
      method,
      protocolName: "grpc",
      requestMethod: "POST",
      url: `http://localhost/${name}`,
    });
  const unary: Calls["unary"] = async (call, callback) => {
    try {
      callback(null, create(method.output, (await impl(call.request, context())) as Fields));
    } catch (cause) {
      callback(error(cause));
    }
  };
  const stream = async (
    call: Parameters<Calls["server_streaming"]>[0] | Parameters<Calls["bidi_streaming"]>[0],
    input: unknown,
  ) => {
    const own = context();
    call.on("cancelled", () => own.abort());
    try {
      for await (const message of impl(input, own) as AsyncIterable<Fields>) {
        if (own.signal.aborted) return;
        if (!call.write(create(method.output, message))) await once(call, "drain", { signal: own.signal });
      }
      call.end();
    } catch (cause) {
      if (!own.signal.aborted) call.emit("error", error(cause));
    }
  };
  const serverStreaming: Calls["server_streaming"] = (call) => void stream(call, call.request);
  const bidiStreaming: Calls["bidi_streaming"] = (call) => void stream(call, call);
  switch (method.methodKind) {
    case "unary":
      return unary;
    case "server_streaming":
      return serverStreaming;
    case "bidi_streaming":
      return bidiStreaming;
    case "client_streaming":
      throw new Error(`${name}: no standard service streams from the client alone`);
  }
}

/** Bytes are what has been encoded already. */
function encode(schema: DescMethod["output"], message: Message | Buffer): Buffer {
  return Buffer.isBuffer(message) ? message : Buffer.from(toBinary(schema, message));
}
