// The messages of a request body, one by one, read from the client no faster than the upstream takes them.
import type { Message } from "@bufbuild/protobuf";
import { CallerGone } from "./body.ts";
import type { BodyStream } from "./content-coding.ts";
import type { Part, Splitter } from "./splitter.ts";
import { badRequest, type FieldViolation, Refusal } from "./status.ts";

/** The input of one call. Read once; what breaks it is thrown to its reader and told by `broken`. */
export interface MessageSource extends AsyncIterable<Message> {
  /** Aborted, with the reason, when the body cannot go on: a message is not valid, or the client is gone. */
  readonly broken: AbortSignal;
  /** Stops to read: the call is over. The rest of the body is left where it is. */
  stop(): void;
}

/** Makes the message of one part; `isFirst` for the first of the body. Throws a Refusal. */
export type PartReader = (bytes: Buffer, isFirst: boolean) => Message;

/**
 * Starts to read. A chunk is asked for when the messages of the one before are taken, so what waits here is bounded by the
 * size of a chunk and of one message.
 */
export function readMessages(
  { body, explain }: BodyStream,
  splitter: Splitter,
  read: PartReader,
): MessageSource {
  const broken = new AbortController();
  let parts: Part[] = [];
  let at = 0;
  let isFirst = true;
  let isEnded = false;
  let isStopped = false;
  let waiting: PromiseWithResolvers<IteratorResult<Message>> | undefined;

  body.on("data", onData);
  body.on("end", onEnd);
  body.on("close", onClose);
  body.on("error", onError);
  body.pause();
  if (body.destroyed) {
    onClose();
  }
  return {
    broken: broken.signal,
    stop,
    [Symbol.asyncIterator]: () => ({
      next,
      async return() {
        stop();
        return { done: true, value: undefined };
      },
      // Connect aborts what it sends by this.
      async throw(error) {
        waiting?.reject(error);
        waiting = undefined;
        stop();
        throw error;
      },
    }),
  };

  function next(): Promise<IteratorResult<Message>> {
    if (broken.signal.aborted) {
      return Promise.reject(broken.signal.reason);
    }
    try {
      const result = take();
      if (result !== undefined) {
        return Promise.resolve(result);
      }
    } catch (error) {
      fail(error);
      return Promise.reject(error);
    }
    waiting = Promise.withResolvers();
    body.resume();
    return waiting.promise;
  }

  /** The next message, if it has come. */
  function take(): IteratorResult<Message> | undefined {
    const part = parts[at];
    if (part !== undefined) {
      at++;
      const value = readPart(part);
      isFirst = false;
      return { done: false, value };
    }
    return isEnded || isStopped ? { done: true, value: undefined } : undefined;
  }

  function readPart({ bytes, place }: Part): Message {
    try {
      return read(bytes, isFirst);
    } catch (error) {
      throw error instanceof Refusal ? located(error, place) : error;
    }
  }

  function onData(chunk: Buffer): void {
    body.pause();
    advance(() => splitter.push(chunk));
  }

  function onEnd(): void {
    isEnded = true;
    advance(() => splitter.end());
  }

  function onError(error: Error): void {
    fail(explain(error));
  }

  function onClose(): void {
    if (!isEnded) {
      fail(new CallerGone());
    }
  }

  function advance(more: () => Part[]): void {
    if (isStopped) {
      return;
    }
    try {
      parts = at < parts.length ? [...parts.slice(at), ...more()] : more();
      at = 0;
      const result = waiting && take();
      if (result !== undefined) {
        waiting?.resolve(result);
        waiting = undefined;
      } else if (waiting !== undefined) {
        body.resume();
      }
    } catch (error) {
      fail(error);
    }
  }

  function fail(error: unknown): void {
    if (isStopped) {
      return;
    }
    // First of all, and before the reader hears of an end: a body that broke off must not be taken for a short one.
    broken.abort(error);
    waiting?.reject(error);
    waiting = undefined;
    stop();
  }

  function stop(): void {
    if (isStopped) {
      return;
    }
    isStopped = true;
    parts = [];
    at = 0;
    body.off("data", onData);
    body.off("end", onEnd);
    body.off("close", onClose);
    body.pause();
    waiting?.resolve({ done: true, value: undefined });
    waiting = undefined;
  }
}

/** The same refusal, saying of which part of the body it speaks. */
function located({ status, httpStatus }: Refusal, place: string): Refusal {
  const violations = (status.details as readonly { fieldViolations?: readonly FieldViolation[] }[]).flatMap(
    ({ fieldViolations }) => fieldViolations ?? [],
  );
  const at = violations.map((violation) => ({
    ...violation,
    description: `${place}: ${violation.description}`,
  }));
  return at.length > 0
    ? badRequest(`${status.message} in ${place}`, at)
    : new Refusal(httpStatus, status.code, `${status.message} in ${place}`, status.details);
}
