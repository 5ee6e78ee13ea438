// Copies of bodies as they pass by, up to a size: what is compared afterwards, without anybody waiting for it.
import type { OutgoingHttpHeaders } from "node:http";
import type { Request, Response } from "../transcoder/status.ts";

/** An answer as it was given; `body` is undefined when it was too large, or cut off. */
export interface CapturedAnswer {
  readonly httpStatus: number;
  readonly contentEncoding: string | undefined;
  readonly body: Buffer | undefined;
}

/** Grows to `maxBytes` and then holds nothing at all. */
export function createCopy(maxBytes: number) {
  let chunks: Buffer[] | undefined = [];
  let bytes = 0;
  return {
    add(chunk: unknown, encoding?: unknown): void {
      if (chunks === undefined || (typeof chunk !== "string" && !(chunk instanceof Uint8Array))) return;
      const copy =
        typeof chunk === "string"
          ? Buffer.from(chunk, typeof encoding === "string" ? (encoding as BufferEncoding) : "utf8")
          : Buffer.from(chunk);
      bytes += copy.length;
      if (bytes > maxBytes) chunks = undefined;
      else chunks.push(copy);
    },
    whole: (): Buffer | undefined => chunks && Buffer.concat(chunks),
  };
}

/** Copies a request's body while another reads it. Call it just before that other one begins. */
export function captureBody(
  request: Request,
  response: Response,
  maxBytes: number,
): () => Buffer | undefined {
  const copy = createCopy(maxBytes);
  request.on("data", copy.add);
  response.once("close", () => request.off("data", copy.add));
  return () => (request.readableEnded ? copy.whole() : undefined);
}

/** Copies an answer while another writes it; `onEnd` has it when it is whole, and is not called when it is not. */
export function captureAnswer(
  response: Response,
  maxBytes: number,
  onEnd: (answer: CapturedAnswer) => void,
): void {
  const copy = createCopy(maxBytes);
  // The two HTTP versions type these alike enough to be called and not enough to be named.
  const written = response as unknown as {
    writeHead: (...args: unknown[]) => unknown;
    write: (...args: unknown[]) => unknown;
    end: (...args: unknown[]) => unknown;
  };
  const { writeHead, write, end } = written;
  let contentEncoding: string | undefined;
  written.writeHead = (...args) => {
    const head = args.at(-1) as OutgoingHttpHeaders | undefined;
    if (typeof head === "object") contentEncoding = head["content-encoding"] as string | undefined;
    return writeHead.apply(response, args);
  };
  written.write = (...args) => {
    copy.add(args[0], args[1]);
    return write.apply(response, args);
  };
  written.end = (...args) => {
    // Node's own end may write by the method that is replaced here.
    Object.assign(written, { write, end });
    copy.add(args[0], args[1]);
    return end.apply(response, args);
  };
  response.once("finish", () => {
    onEnd({ httpStatus: response.statusCode, contentEncoding, body: copy.whole() });
  });
}
