// A request whose body is a stream of messages, as the input of a call.
import type { DescMethodUnary } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import type { Binding } from "./binding.ts";
import { checkJsonType, isNdjsonType } from "./body.ts";
import { decodeStream } from "./content-coding.ts";
import { type MessageSource, type PartReader, readMessages } from "./message-source.ts";
import { createChunkSplitter, createLineSplitter, createTextSplitter, type Splitter } from "./splitter.ts";
import { Refusal, type Request } from "./status.ts";

/** Starts to read the messages of a body, each of at most `maxBytes`. Throws 415 for a body of another type or coding. */
export function openUpload(
  request: Request,
  binding: Binding,
  maxBytes: number,
  read: PartReader,
): MessageSource {
  return readMessages(decodeStream(request), splitterFor(request, binding, maxBytes), read);
}

/**
 * The same connection, whose unary calls send all of `inputs` instead of their one input: a call that takes a stream is
 * then answered like one that does not.
 */
export function uploading(transport: Transport, inputs: MessageSource): Transport {
  return {
    stream: transport.stream,
    async unary(method, signal, timeoutMs, header, _input, contextValues) {
      const over = new AbortController();
      const ends = [over.signal, inputs.broken, signal].filter((each) => each !== undefined);
      const answered = await transport.stream(
        method as never,
        AbortSignal.any(ends),
        timeoutMs,
        header,
        inputs as never,
        contextValues,
      );
      const messages = answered.message[Symbol.asyncIterator]();
      const first = await messages.next();
      const second = first.done ? first : await messages.next();
      if (first.done || !second.done) {
        // Aborted and read once more, or Connect's deadline timer lives on: its streams have no return().
        over.abort();
        messages.next().catch(() => {});
        const count = first.done ? "no message" : "several messages";
        throw new ConnectError(`the upstream answered with ${count}`, Code.Unimplemented);
      }
      const message = first.value;
      const { header: head, trailer, service } = answered;
      return {
        stream: false,
        method: method as DescMethodUnary,
        message,
        header: head,
        trailer,
        service,
      } as never;
    },
  };
}

function splitterFor(request: Request, { takesRaw, textsOnly }: Binding, maxBytes: number): Splitter {
  if (takesRaw) {
    return createChunkSplitter();
  }
  if (textsOnly) {
    return createTextSplitter(maxBytes, false);
  }
  if (isNdjsonType(request)) {
    return createLineSplitter(maxBytes);
  }
  try {
    checkJsonType(request);
  } catch {
    throw new Refusal(
      415,
      Code.InvalidArgument,
      "Content-Type must be application/x-ndjson or application/json in UTF-8",
      [],
      { accept: "application/x-ndjson, application/json" },
    );
  }
  return createTextSplitter(maxBytes);
}
