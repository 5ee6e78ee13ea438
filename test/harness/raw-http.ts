// HTTP/1.1 by hand, for requests that no client library would send.
import { once } from "node:events";
import { connect } from "node:net";

export type RawAnswer = {
  status: number;
  headers: Headers;
  text: string;
  body: ReturnType<typeof JSON.parse>;
  afterMs: number;
};

/**
 * Sends the text as it is, then a byte of `drip` every `everyMs` for as long as there is no answer, and reads the answer
 * up to the end of the connection. Fails when there is none within `withinMs`.
 */
export async function rawRequest(
  baseUrl: string,
  text: string | Buffer,
  { drip = "", everyMs = 1_000, withinMs = 60_000 } = {},
): Promise<RawAnswer> {
  const { hostname, port } = new URL(baseUrl);
  const startedAt = performance.now();
  const socket = connect({ host: hostname, port: Number(port) });
  const chunks: Buffer[] = [];
  let afterMs = 0;
  socket.on("data", (chunk: Buffer) => {
    afterMs ||= performance.now() - startedAt;
    chunks.push(chunk);
  });
  // A server that has answered may reset what we go on sending.
  socket.on("error", () => {});
  const closed = once(socket, "close", { signal: AbortSignal.timeout(withinMs) });
  socket.write(text);
  let sent = 0;
  const dripping = setInterval(() => {
    if (sent < drip.length && chunks.length === 0) socket.write(drip[sent++]!);
  }, everyMs);
  try {
    await closed;
  } catch {
    throw new Error(`no complete answer within ${withinMs} ms`);
  } finally {
    clearInterval(dripping);
    socket.destroy();
  }
  return { ...parse(Buffer.concat(chunks).toString("utf8")), afterMs };
}

function parse(answer: string): Omit<RawAnswer, "afterMs"> {
  const [head = "", ...rest] = answer.split("\r\n\r\n");
  const [statusLine = "", ...lines] = head.split("\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1]);
  if (!status) throw new Error(`not an HTTP answer: ${JSON.stringify(answer.slice(0, 200))}`);
  const headers = new Headers(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }),
  );
  const text = rest.join("\r\n\r\n");
  const isJson = headers.get("content-type")?.startsWith("application/json");
  return { status, headers, text, body: isJson ? JSON.parse(text) : text };
}
