// google.api.HttpBody: messages that stand for bytes of any type, in requests, in answers and in streams.
import { create, type DescMessage, type Message } from "@bufbuild/protobuf";

/** Bytes as they travel over HTTP. The `extensions` of an HttpBody have no place there and are left out. */
export interface RawBody {
  readonly contentType: string;
  readonly data: Uint8Array;
}

/** Known by its name and not by generated code: services bring descriptors of their own (google/api/httpbody.proto). */
export function isHttpBody(message: DescMessage | undefined): boolean {
  return message?.typeName === "google.api.HttpBody";
}

/** The HttpBody of a request: its Content-Type, "" without one, and its bytes. */
export function createHttpBody(desc: DescMessage, contentType: string, data: Uint8Array): Message {
  return create(desc, { contentType, data } as never);
}

/** What an HttpBody stands for. One that is not set is empty. */
export function rawBodyOf(message: Message | undefined): RawBody {
  const { contentType, data } = (message ?? {}) as { contentType?: string; data?: Uint8Array };
  return {
    // A value that cannot be a header must not break the answer, nor add headers of its own.
    contentType: contentType && headerText.test(contentType) ? contentType : "application/octet-stream",
    data: data ?? noBytes,
  };
}

const headerText = /^[\x20-\x7e]+$/;
const noBytes = new Uint8Array();
