// A transcoder behind a real HTTP server, and a client that changes nothing about what it sends and gets.
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { createTranscoder, type TranscoderOptions } from "./transcoder.ts";

export interface Call {
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
}

export interface Got {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
  /** The body as JSON, for tests to look into; undefined when it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: its shape is what they test
  readonly json: any;
  /** Whether the answer was complete. */
  readonly isWhole: boolean;
}

/** Serves over HTTP/1.1 until the test is over, and returns a caller: `call("GET /v1/books")`. */
export async function serveHttp(t: TestContext, options: TranscoderOptions) {
  const transcoder = createTranscoder(options);
  const server = http.createServer((request, response) => {
    if (!transcoder.handle(request, response, undefined)) {
      response.writeHead(404).end("none");
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const call = (line: string, { headers, body }: Call = {}): Promise<Got> =>
    new Promise((resolve, reject) => {
      const [method, path] = line.split(" ") as [string, string];
      // Of a GET with a body Node sends no length by itself.
      const head = { ...(body !== undefined && { "content-length": Buffer.byteLength(body) }), ...headers };
      const request = http.request({ host: "127.0.0.1", port, method, path, headers: head, agent: false });
      request.on("error", reject);
      request.on("response", (response) => {
        const chunks: Buffer[] = [];
        const done = (isWhole: boolean) => {
          const bytes = Buffer.concat(chunks);
          const text = bytes.toString();
          const isJson =
            response.headers["content-type"] === "application/json" && text !== "" && !text.endsWith("\n");
          resolve({
            status: response.statusCode!,
            headers: response.headers,
            bytes,
            text,
            json: isJson && response.headers["content-encoding"] === undefined ? JSON.parse(text) : undefined,
            isWhole,
          });
        };
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.once("end", () => done(true));
        response.once("error", () => done(false));
      });
      request.end(body);
    });
  return Object.assign(call, { port });
}
