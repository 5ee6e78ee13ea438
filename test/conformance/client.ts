/** The client under test: makes the calls that the conformance runner asks for, on the wire that `CONFORMANCE_WIRE` names. */

import { setTimeout as sleep } from "node:timers/promises";
import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { type Any, anyUnpack } from "@bufbuild/protobuf/wkt";
import { type CallOptions, Code, ConnectError } from "@connectrpc/connect";
import { createWritableIterable } from "@connectrpc/connect/protocol";
import { createWireClient } from "#chassis/wire/client.ts";
import { createWireTransport } from "#chassis/wire/wire.ts";
import { createGrpcTransport } from "../../gateway/transcoder/grpc-transport.ts";
import {
  type ClientCompatRequest,
  ClientCompatRequestSchema,
  ClientCompatResponseSchema,
  ClientErrorResultSchema,
  type ClientResponseResult,
  ClientResponseResultSchema,
} from "./gen/connectrpc/conformance/v1/client_compat_pb.ts";
import { Compression, StreamType } from "./gen/connectrpc/conformance/v1/config_pb.ts";
import {
  BidiStreamRequestSchema,
  ClientStreamRequestSchema,
  type ConformancePayload,
  ConformancePayloadSchema,
  ConformanceService,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  UnaryRequestSchema,
  UnimplementedRequestSchema,
} from "./gen/connectrpc/conformance/v1/service_pb.ts";
import {
  conformanceError,
  headerList,
  headersFrom,
  isTranscoderUnderTest,
  readMessages,
  wireUnderTest,
  writeMessage,
} from "./protocol.ts";

interface Call {
  request: ClientCompatRequest;
  client: ReturnType<typeof createWireClient<typeof ConformanceService>>;
  options: CallOptions;
  controller: AbortController;
  result: ClientResponseResult;
}

// Hundreds of connections opened at once would each use up part of their own deadlines.
const maxRunning = 16;
const running = new Set<Promise<void>>();
for await (const request of readMessages(process.stdin, ClientCompatRequestSchema)) {
  const done = run(request)
    .then(
      (value) => reply(request, { case: "response", value }),
      (error: unknown) => {
        const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
        reply(request, { case: "error", value: create(ClientErrorResultSchema, { message }) });
      },
    )
    .finally(() => running.delete(done));
  running.add(done);
  if (running.size >= maxRunning) {
    await Promise.race(running);
  }
}
await Promise.all(running);

function reply(
  request: ClientCompatRequest,
  result: MessageShape<typeof ClientCompatResponseSchema>["result"],
): void {
  writeMessage(
    ClientCompatResponseSchema,
    create(ClientCompatResponseSchema, { testName: request.testName, result }),
  );
}

async function run(request: ClientCompatRequest): Promise<ClientResponseResult> {
  const options = {
    baseUrl: `http://${request.host}:${request.port}`,
    ...(request.messageReceiveLimit > 0 && { readMaxBytes: request.messageReceiveLimit }),
  };
  const transport = isTranscoderUnderTest()
    ? createGrpcTransport(options)
    : createWireTransport({
        ...options,
        wire: wireUnderTest(),
        ...(request.compression === Compression.GZIP && { sendCompression: "gzip", compressMinBytes: 0 }),
      });
  const result = create(ClientResponseResultSchema);
  const controller = new AbortController();
  const call: Call = {
    request,
    client: createWireClient(ConformanceService, transport),
    controller,
    result,
    options: {
      headers: headersFrom(request.requestHeaders),
      signal: controller.signal,
      ...(request.timeoutMs !== undefined && { timeoutMs: request.timeoutMs }),
      onHeader: (headers) => {
        result.responseHeaders = headerList(headers);
      },
      onTrailer: (trailers) => {
        result.responseTrailers = headerList(trailers);
      },
    },
  };
  try {
    await invoke(call);
  } catch (caught) {
    const error = ConnectError.from(caught);
    result.error = conformanceError(error);
    // The metadata of an error is the union of headers and trailers; the runner looks for what it sent in each.
    if (result.responseHeaders.length === 0) {
      result.responseHeaders = headerList(error.metadata);
    }
    result.responseTrailers = headerList(error.metadata);
  } finally {
    transport.close();
  }
  return result;
}

async function invoke(call: Call): Promise<void> {
  const { request, client, options, result } = call;
  const { method } = request;
  switch (request.streamType) {
    case StreamType.UNARY:
      if (method === "Unimplemented") {
        await client.unimplemented(one(request, UnimplementedRequestSchema), options);
      } else if (method === "IdempotentUnary") {
        const message = one(request, IdempotentUnaryRequestSchema);
        await cancelling(call, async () =>
          keep(result, (await client.idempotentUnary(message, options)).payload),
        );
      } else {
        const message = one(request, UnaryRequestSchema);
        await cancelling(call, async () => keep(result, (await client.unary(message, options)).payload));
      }
      return;
    case StreamType.SERVER_STREAM: {
      const message = one(request, ServerStreamRequestSchema);
      await cancelling(call, async () => {
        for await (const response of client.serverStream(message, options)) {
          keep(result, response.payload);
          cancelAfterResponses(call);
        }
      });
      return;
    }
    case StreamType.CLIENT_STREAM: {
      const messages = async function* () {
        for (const any of request.requestMessages) {
          await sleep(request.requestDelayMs);
          yield unpack(any, ClientStreamRequestSchema);
        }
        if (request.cancel?.cancelTiming.case === "beforeCloseSend") {
          call.controller.abort();
        } else {
          cancelAfterClose(call);
        }
      };
      keep(result, (await client.clientStream(messages(), options)).payload);
      return;
    }
    case StreamType.HALF_DUPLEX_BIDI_STREAM:
    case StreamType.FULL_DUPLEX_BIDI_STREAM:
      await bidi(call, request.streamType === StreamType.FULL_DUPLEX_BIDI_STREAM);
      return;
    default:
      throw new Error(`unexpected stream type ${request.streamType}`);
  }
}

async function bidi(call: Call, fullDuplex: boolean): Promise<void> {
  const { request, client, options, result } = call;
  const sending = createWritableIterable<MessageShape<typeof BidiStreamRequestSchema>>();
  const responses = client.bidiStream(sending, options)[Symbol.asyncIterator]();
  const receive = async () => {
    const response = await responses.next();
    if (response.done !== true) {
      keep(result, response.value.payload);
      cancelAfterResponses(call);
    }
    return response.done !== true;
  };
  let open = true;
  for (const any of request.requestMessages) {
    await sleep(request.requestDelayMs);
    const written = sending.write(unpack(any, BidiStreamRequestSchema));
    // Nobody takes what is written when the call has ended; the error comes from the response side.
    written.catch(() => {});
    if (fullDuplex && open) {
      open = await receive();
    }
  }
  if (request.cancel?.cancelTiming.case === "beforeCloseSend") {
    call.controller.abort();
  }
  sending.close();
  cancelAfterClose(call);
  while (open) {
    open = await receive();
  }
}

/** Runs a call whose request side closes at once. */
async function cancelling(call: Call, run: () => Promise<void>): Promise<void> {
  const running = run();
  cancelAfterClose(call);
  await running;
}

function cancelAfterClose({ request, controller }: Call): void {
  if (request.cancel?.cancelTiming.case === "afterCloseSendMs") {
    setTimeout(() => controller.abort(), request.cancel.cancelTiming.value);
  }
}

function cancelAfterResponses({ request, result, controller }: Call): void {
  if (
    request.cancel?.cancelTiming.case === "afterNumResponses" &&
    result.payloads.length === request.cancel.cancelTiming.value
  ) {
    controller.abort();
  }
}

function keep(result: ClientResponseResult, payload: ConformancePayload | undefined): void {
  result.payloads.push(payload ?? create(ConformancePayloadSchema));
}

function one<Desc extends DescMessage>(request: ClientCompatRequest, desc: Desc): MessageShape<Desc> {
  if (request.requestMessages.length !== 1) {
    throw new ConnectError("unary methods take one message", Code.Internal);
  }
  return unpack(request.requestMessages[0]!, desc);
}

function unpack<Desc extends DescMessage>(any: Any, desc: Desc): MessageShape<Desc> {
  const message = anyUnpack(any, desc);
  if (message === undefined) {
    throw new Error(`expected ${desc.typeName}, got ${any.typeUrl}`);
  }
  return message;
}
