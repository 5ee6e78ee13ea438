// A small service with every kind of field and rule, built as descriptors in memory, for the tests of this module.
import {
  create,
  createFileRegistry,
  type DescMethod,
  type DescService,
  type FileRegistry,
  fromJson,
  type Message,
} from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_field_mask,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
  MethodOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { sampleType } from "./fixture-sample.ts";
import type { HttpRule } from "./rule.ts";

export type RuleSpec = Partial<HttpRule> & { additional?: RuleSpec[] };

/** What all methods have in common. Types are `Book` by default; others are `Sample`, `Upload`, `Shelf` and HttpBody. */
export type MethodSpec = {
  serverStreaming?: boolean;
  clientStreaming?: boolean;
  input?: string;
  output?: string;
};

/** Builds a service `test.v1.Library` whose methods are `Book -> Book`, one per rule, named M0, M1, ... */
export function buildService(rules: RuleSpec[], options: MethodSpec = {}): DescService {
  return buildRegistry(rules, options).getService("test.v1.Library")!;
}

export function buildRegistry(rules: RuleSpec[], options: MethodSpec = {}): FileRegistry {
  const scalar = (name: string, number: number, type: string, extra = {}) => ({
    name,
    number,
    type,
    label: "LABEL_OPTIONAL",
    ...extra,
  });
  const message = (name: string, number: number, typeName: string, label = "LABEL_OPTIONAL") => ({
    name,
    number,
    type: "TYPE_MESSAGE",
    typeName,
    label,
  });
  const wkts = [
    file_google_protobuf_any,
    file_google_protobuf_duration,
    file_google_protobuf_field_mask,
    file_google_protobuf_struct,
    file_google_protobuf_timestamp,
    file_google_protobuf_wrappers,
  ];
  const httpBody = fromJson(FileDescriptorProtoSchema, {
    name: "google/api/httpbody.proto",
    package: "google.api",
    syntax: "proto3",
    dependency: [file_google_protobuf_any.proto.name],
    messageType: [
      {
        name: "HttpBody",
        field: [
          scalar("content_type", 1, "TYPE_STRING"),
          scalar("data", 2, "TYPE_BYTES"),
          message("extensions", 3, ".google.protobuf.Any", "LABEL_REPEATED"),
        ],
      },
    ],
  });
  const file = fromJson(FileDescriptorProtoSchema, {
    name: "test/v1/library.proto",
    package: "test.v1",
    syntax: "proto3",
    dependency: [...wkts.map((wkt) => wkt.proto.name), httpBody.name],
    enumType: [
      {
        name: "Genre",
        value: [
          { name: "GENRE_UNSPECIFIED", number: 0 },
          { name: "GENRE_NOVEL", number: 1 },
        ],
      },
    ],
    messageType: [
      {
        name: "Book",
        oneofDecl: [{ name: "key" }],
        field: [
          scalar("name", 1, "TYPE_STRING"),
          scalar("page_count", 2, "TYPE_INT32"),
          scalar("copies_sold", 3, "TYPE_INT64"),
          scalar("in_print", 4, "TYPE_BOOL"),
          scalar("rating", 5, "TYPE_DOUBLE"),
          scalar("cover", 6, "TYPE_BYTES"),
          scalar("genre", 7, "TYPE_ENUM", { typeName: ".test.v1.Genre" }),
          scalar("tags", 8, "TYPE_STRING", { label: "LABEL_REPEATED" }),
          message("author", 9, ".test.v1.Author"),
          message("published", 10, ".google.protobuf.Timestamp"),
          message("loan", 11, ".google.protobuf.Duration"),
          message("update_mask", 12, ".google.protobuf.FieldMask"),
          message("subtitle", 13, ".google.protobuf.StringValue"),
          message("signed", 14, ".google.protobuf.BoolValue"),
          message("sequels", 15, ".test.v1.Book", "LABEL_REPEATED"),
          scalar("isbn", 16, "TYPE_STRING", { oneofIndex: 0 }),
          scalar("ean", 17, "TYPE_STRING", { oneofIndex: 0 }),
          scalar("request_id", 18, "TYPE_STRING"),
          scalar("etag", 19, "TYPE_STRING"),
          message("extra", 20, ".google.protobuf.Struct"),
          scalar("genres", 21, "TYPE_ENUM", { typeName: ".test.v1.Genre", label: "LABEL_REPEATED" }),
        ],
      },
      {
        name: "Author",
        field: [
          scalar("full_name", 1, "TYPE_STRING"),
          scalar("born", 2, "TYPE_INT32"),
          message("mentor", 3, ".test.v1.Author"),
        ],
      },
      {
        name: "Upload",
        oneofDecl: [{ name: "content" }],
        field: [
          scalar("name", 1, "TYPE_STRING"),
          message("file", 2, ".google.api.HttpBody"),
          { ...message("scan", 3, ".google.api.HttpBody"), oneofIndex: 0 },
          scalar("text", 4, "TYPE_STRING", { oneofIndex: 0 }),
          message("pages", 5, ".google.api.HttpBody", "LABEL_REPEATED"),
        ],
      },
      { name: "Shelf", field: [message("book", 1, ".test.v1.Book"), scalar("label", 2, "TYPE_STRING")] },
      sampleType(),
    ],
    service: [
      {
        name: "Library",
        method: rules.map((_, index) => ({
          name: `M${index}`,
          inputType: typeName(options.input),
          outputType: typeName(options.output),
          serverStreaming: options.serverStreaming ?? false,
          clientStreaming: options.clientStreaming ?? false,
        })),
      },
    ],
  });
  for (const field of [...file.messageType, ...httpBody.messageType].flatMap((type) => type.field)) {
    field.jsonName = field.name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()); // as protoc does
  }
  for (const [index, method] of file.service[0]!.method.entries()) {
    method.options = create(MethodOptionsSchema);
    method.options.$unknown = [
      { no: 72295728, wireType: WireType.LengthDelimited, data: prefixed(encodeRule(rules[index]!)) },
    ];
  }
  return createFileRegistry(
    create(FileDescriptorSetSchema, { file: [...wkts.map((wkt) => wkt.proto), httpBody, file] }),
  );
}

/** A transport that answers every unary call by `answer`, and records what it was called with. */
export function fakeTransport(answer: (input: Message, method: DescMethod) => unknown = (input) => input) {
  const calls: { input: Record<string, unknown>; timeoutMs: number | undefined; headers: Headers }[] = [];
  const transport = {
    async unary(
      method: DescMethod,
      signal: AbortSignal | undefined,
      timeoutMs: number | undefined,
      header: Record<string, string> | undefined,
      input: Message,
    ) {
      calls.push({ input: input as never, timeoutMs, headers: new Headers(header) });
      const aborted = new Promise<never>((_, reject) =>
        signal?.addEventListener("abort", () => reject(new ConnectError("canceled", Code.Canceled))),
      );
      aborted.catch(() => {}); // may come after the answer
      const message = await Promise.race([answer(input, method), aborted]);
      return {
        stream: false,
        method,
        message,
        header: new Headers(),
        trailer: new Headers(),
        service: method.parent,
      };
    },
  } as unknown as Transport;
  return { transport, calls };
}

/**
 * A transport whose every stream is what `answer` yields. Like those of Connect it reads a message when it is asked for
 * one, rejects when it is aborted, and knows no return(). `calls` tells what became of each.
 */
export function fakeStreamTransport(answer: (input: Message) => AsyncIterable<unknown>) {
  const calls: StreamCall[] = [];
  const transport = {
    async stream(
      method: DescMethod,
      signal: AbortSignal,
      timeoutMs: number | undefined,
      header: Record<string, string> | undefined,
      inputs: AsyncIterable<Message>,
    ) {
      const { value: input } = await inputs[Symbol.asyncIterator]().next();
      const call: StreamCall = {
        input: input as never,
        timeoutMs,
        headers: new Headers(header),
        signal,
        read: 0,
      };
      calls.push(call);
      const messages = answer(input!)[Symbol.asyncIterator]();
      const aborted = new Promise<never>((_, reject) => {
        const abort = () => reject(ConnectError.from(signal.reason, Code.Canceled));
        signal.aborted ? abort() : signal.addEventListener("abort", abort);
      });
      aborted.catch(() => {}); // may come after the end
      const next = async () => {
        const result = await Promise.race([messages.next(), aborted]);
        call.read += result.done ? 0 : 1;
        return result.done ? result : { done: false, value: create(method.output, result.value as never) };
      };
      return {
        stream: true,
        method,
        service: method.parent,
        header: new Headers({ "x-request-id": "r1", secret: "s" }),
        trailer: new Headers(),
        message: { [Symbol.asyncIterator]: () => ({ next }) },
      };
    },
  } as unknown as Transport;
  return { transport, calls };
}

/** A transport for methods that take a stream: `answer` reads it, and returns its one answer or yields several. */
export function fakeUploadTransport(
  answer: (inputs: AsyncIterable<Message>) => Promise<unknown> | AsyncIterable<unknown>,
): Transport {
  return {
    async stream(
      method: DescMethod,
      signal: AbortSignal,
      _timeoutMs: number | undefined,
      _header: unknown,
      inputs: AsyncIterable<Message>,
    ) {
      const aborted = new Promise<never>((_, reject) => {
        const abort = () => reject(ConnectError.from(signal.reason, Code.Canceled));
        signal.aborted ? abort() : signal.addEventListener("abort", abort);
      });
      aborted.catch(() => {}); // may come after the end
      const answered = answer(inputs);
      const messages = (Symbol.asyncIterator in answered ? answered : once(answered))[Symbol.asyncIterator]();
      const next = async () => {
        const { done, value } = await Promise.race([messages.next(), aborted]);
        return done ? { done, value } : { done, value: create(method.output, value as never) };
      };
      return {
        stream: true,
        method,
        service: method.parent,
        header: new Headers(),
        trailer: new Headers(),
        message: { [Symbol.asyncIterator]: () => ({ next }) },
      };
    },
  } as unknown as Transport;
}

async function* once(answer: Promise<unknown>) {
  yield await answer;
}

export interface StreamCall {
  readonly input: Record<string, unknown>;
  readonly timeoutMs: number | undefined;
  readonly headers: Headers;
  readonly signal: AbortSignal;
  /** Messages that were asked for and given. */
  read: number;
}

function typeName(name = "Book"): string {
  return name === "HttpBody" ? ".google.api.HttpBody" : `.test.v1.${name}`;
}

const numberByMethod: Record<string, number> = { GET: 2, PUT: 3, POST: 4, DELETE: 5, PATCH: 6 };

function encodeRule(rule: RuleSpec): Uint8Array {
  const writer = new BinaryWriter();
  const method = rule.method ?? "GET";
  const template = rule.template ?? "/";
  const number = numberByMethod[method];
  if (number === undefined) {
    const custom = new BinaryWriter().tag(1, WireType.LengthDelimited).string(method);
    custom.tag(2, WireType.LengthDelimited).string(template);
    writer.tag(8, WireType.LengthDelimited).bytes(custom.finish());
  } else {
    writer.tag(number, WireType.LengthDelimited).string(template);
  }
  writer.tag(7, WireType.LengthDelimited).string(rule.body ?? "");
  writer.tag(12, WireType.LengthDelimited).string(rule.responseBody ?? "");
  for (const nested of rule.additional ?? []) {
    writer.tag(11, WireType.LengthDelimited).bytes(encodeRule(nested));
  }
  return writer.finish();
}

function prefixed(bytes: Uint8Array): Uint8Array {
  return new BinaryWriter().bytes(bytes).finish();
}
