// The answer of a legacy system on its way to the caller: checked, bounded, and no faster than the caller reads.
import type { IncomingMessage, ServerResponse } from "node:http";
import { fixedHeaders } from "../fixed-headers.ts";
import { CallerGone } from "../transcoder/body.ts";
import { writeHead } from "../transcoder/head.ts";
import type { Response } from "../transcoder/status.ts";
import { cut } from "../transcoder/stream-answer.ts";
import { isJson, legacyAnswerHeaders, refusalOf } from "./message.ts";

export interface PassOnOptions {
  readonly isHead: boolean;
  /** Whether the system was told the caller's token, so that its 401 is about that. */
  readonly sentCaller: boolean;
  readonly bytesMax: number;
  readonly copy: ((chunk: unknown) => void) | undefined;
}

/** Throws what the caller is to be told instead, or CallerGone; after the head, the answer has been cut off. */
export async function passOn(
  answer: IncomingMessage,
  response: Response,
  { isHead, sentCaller, bytesMax, copy }: PassOnOptions,
): Promise<void> {
  const { statusCode = 500, headers } = answer;
  const hasNoBody = isHead || statusCode === 204 || statusCode === 304;
  const isAnswer = statusCode === 304 || (statusCode >= 200 && statusCode < 300);
  if (!isAnswer) {
    // Read and thrown away, up to the deadline: the connection can be used again.
    answer.resume();
    throw refusalOf(statusCode, sentCaller);
  }
  const isTooLarge = !isHead && Number(headers["content-length"] ?? 0) > bytesMax;
  if (isTooLarge || !(hasNoBody || isJson(headers["content-type"]))) {
    answer.destroy();
    const why = isTooLarge ? "the answer is too large" : "the answer is no JSON";
    throw refusalOf(500, sentCaller, new Error(why));
  }
  const head: Record<string, unknown> = { ...fixedHeaders, ...legacyAnswerHeaders(headers) };
  for (const name of ["content-type", "content-length"] as const) {
    if (headers[name] !== undefined) head[name] = headers[name];
  }
  writeHead(response, statusCode, head as Record<string, string>);
  let bytes = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) throw new Error("the legacy system's answer is too large");
      copy?.(chunk);
      if (!(response as ServerResponse).write(chunk)) await drained(response);
    }
    response.end();
  } catch (error) {
    if (isClosed(response)) throw new CallerGone();
    // Half an answer must not look like a whole one.
    cut(response);
    throw error;
  }
}

/** Whether the caller has left, or the answer is complete: in either case its `close` has been told. */
export function isClosed(response: Response): boolean {
  return "stream" in response ? (response.stream as { destroyed: boolean }).destroyed : response.destroyed;
}

function drained(response: Response): Promise<void> {
  return new Promise((resolve, reject) => {
    const onDrain = () => {
      response.off("close", onClose);
      resolve();
    };
    const onClose = () => {
      response.off("drain", onDrain);
      reject(new CallerGone());
    };
    response.once("drain", onDrain);
    response.once("close", onClose);
  });
}
