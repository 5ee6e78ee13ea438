/** The server under test: serves the conformance service on the wire that `CONFORMANCE_WIRE` names. */

import { setTimeout as sleep } from "node:timers/promises";
import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { createWireServer } from "#chassis/wire/wire.ts";
import {
  ServerCompatRequestSchema,
  ServerCompatResponseSchema,
} from "./gen/connectrpc/conformance/v1/server_compat_pb.ts";
import {
  BidiStreamRequestSchema,
  type BidiStreamResponseSchema,
  ClientStreamRequestSchema,
  ConformancePayload_RequestInfoSchema,
  type ConformancePayloadSchema,
  ConformanceService,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  type StreamResponseDefinition,
  UnaryRequestSchema,
  type UnaryResponseDefinition,
} from "./gen/connectrpc/conformance/v1/service_pb.ts";
import {
  connectError,
  headerList,
  headersFrom,
  readMessages,
  wireUnderTest,
  writeMessage,
} from "./protocol.ts";

type Payload = MessageInitShape<typeof ConformancePayloadSchema>;

const service: Partial<ServiceImpl<typeof ConformanceService>> = {
  async unary(request, context) {
    return {
      payload: await answer(request.responseDefinition, [pack(UnaryRequestSchema, request)], context),
    };
  },
  async idempotentUnary(request, context) {
    const requests = [pack(IdempotentUnaryRequestSchema, request)];
    return { payload: await answer(request.responseDefinition, requests, context) };
  },
  async clientStream(requests, context) {
    const received: Any[] = [];
    let definition: UnaryResponseDefinition | undefined;
    for await (const request of requests) {
      definition ??= request.responseDefinition;
      received.push(pack(ClientStreamRequestSchema, request));
    }
    return { payload: await answer(definition, received, context) };
  },
  async *serverStream(request, context) {
    const { responseDefinition: definition } = request;
    const requests = [pack(ServerStreamRequestSchema, request)];
    if (definition === undefined) {
      return;
    }
    setHeaders(definition, context);
    for (const [i, data] of definition.responseData.entries()) {
      await delay(definition, context);
      yield { payload: { data, ...(i === 0 && { requestInfo: requestInfo(requests, context) }) } };
    }
    throwDefined(definition, requests, context);
  },
  async *bidiStream(requests, context) {
    const received: Any[] = [];
    let definition: StreamResponseDefinition | undefined;
    let sent = 0;
    const payload = (): MessageInitShape<typeof BidiStreamResponseSchema> => ({
      payload: {
        data: definition!.responseData[sent++]!,
        requestInfo: requestInfo(received.splice(0), context),
      },
    });
    let first = true;
    let fullDuplex = false;
    const all: Any[] = [];
    for await (const request of requests) {
      const any = pack(BidiStreamRequestSchema, request);
      received.push(any);
      all.push(any);
      if (first) {
        first = false;
        definition = request.responseDefinition;
        fullDuplex = request.fullDuplex;
        if (definition) {
          setHeaders(definition, context);
        }
      }
      if (fullDuplex && definition) {
        if (sent >= definition.responseData.length) {
          break;
        }
        await delay(definition, context);
        yield payload();
      }
    }
    if (definition === undefined) {
      return;
    }
    for (let rest = definition.responseData.length - sent; rest > 0; rest--) {
      await delay(definition, context);
      yield sent === 0 ? payload() : { payload: { data: definition.responseData[sent++]! } };
    }
    throwDefined(definition, sent === 0 ? all : undefined, context);
  },
};

for await (const request of readMessages(process.stdin, ServerCompatRequestSchema)) {
  const server = createWireServer({
    wire: wireUnderTest(),
    // The suite asks for compressed answers to clients that accept gzip, whatever their size.
    sendCompression: "gzip",
    compressMinBytes: 0,
    ...(request.messageReceiveLimit > 0 && { readMaxBytes: request.messageReceiveLimit }),
  }).service(ConformanceService, service);
  const { host, port } = await server.listen({ port: 0 });
  writeMessage(ServerCompatResponseSchema, create(ServerCompatResponseSchema, { host, port }));
  process.once("SIGTERM", () => {
    void server.close(0).then(() => process.exit(0));
  });
}

async function answer(
  definition: UnaryResponseDefinition | undefined,
  requests: Any[],
  context: HandlerContext,
): Promise<Payload> {
  if (definition !== undefined) {
    setHeaders(definition, context);
    await delay(definition, context);
    if (definition.response.case === "error") {
      const error = connectError(definition.response.value);
      error.details.push({
        desc: ConformancePayload_RequestInfoSchema,
        value: requestInfo(requests, context),
      });
      throw error;
    }
  }
  return {
    requestInfo: requestInfo(requests, context),
    ...(definition?.response.case === "responseData" && { data: definition.response.value }),
  };
}

function setHeaders(
  definition: UnaryResponseDefinition | StreamResponseDefinition,
  context: HandlerContext,
): void {
  headersFrom(definition.responseHeaders, context.responseHeader);
  headersFrom(definition.responseTrailers, context.responseTrailer);
}

async function delay(
  { responseDelayMs }: { responseDelayMs: number },
  { signal }: HandlerContext,
): Promise<void> {
  if (responseDelayMs > 0) {
    await sleep(responseDelayMs, undefined, { signal }).catch(() => {
      throw ConnectError.from(signal.reason);
    });
  }
}

function throwDefined(
  definition: StreamResponseDefinition,
  requests: Any[] | undefined,
  context: HandlerContext,
): void {
  if (definition.error === undefined) {
    return;
  }
  const error = connectError(definition.error);
  if (definition.responseData.length === 0 && requests !== undefined) {
    // Nothing else has told the client what it sent.
    error.details.push({ desc: ConformancePayload_RequestInfoSchema, value: requestInfo(requests, context) });
  }
  throw error;
}

function requestInfo(
  requests: Any[],
  context: HandlerContext,
): MessageShape<typeof ConformancePayload_RequestInfoSchema> {
  const timeoutMs = context.timeoutMs();
  return create(ConformancePayload_RequestInfoSchema, {
    requestHeaders: headerList(context.requestHeader),
    requests,
    ...(timeoutMs !== undefined && { timeoutMs: BigInt(timeoutMs) }),
  });
}

function pack<Desc extends DescMessage>(desc: Desc, message: MessageShape<Desc>): Any {
  return anyPack(desc, message);
}
