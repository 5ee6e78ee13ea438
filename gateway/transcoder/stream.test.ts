// Server-streaming methods over both versions of HTTP: what a client gets, and what it costs the upstream.
import assert from "node:assert/strict";
import http from "node:http";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import type { Readable } from "node:stream";
import { after, describe, test } from "node:test";
import { brotliDecompressSync, constants, createBrotliDecompress, createGunzip, gunzipSync } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import { buildService, fakeStreamTransport, type RuleSpec } from "./fixture.ts";
import { type Answer, createTranscoder, type StreamOptions, type TranscoderOptions } from "./transcoder.ts";

const closers: (() => void)[] = [];
after(() => {
  for (const close of closers) close();
});

type Source = Parameters<typeof fakeStreamTransport>[0];
type Version = "HTTP/1.1" | "HTTP/2";
/** An answer whose head is here; `body` breaks with an error when it is not complete. */
type Opened = { status: number; headers: http.IncomingHttpHeaders; body: Readable; leave: () => void };

const watched = "/v1/books/1:watch";
const watch: RuleSpec = { method: "GET", template: "/v1/{name=books/*}:watch" };

/** Serves a rule and returns a caller; its stream is what `source` yields. */
async function serve(
  version: Version,
  source: Source,
  stream: Partial<StreamOptions> = {},
  rule = watch,
  options: Partial<TranscoderOptions> = {},
) {
  const upstream = fakeStreamTransport(source);
  let onAnswer = (_: Answer) => {};
  const answered = new Promise<Answer>((resolve) => {
    onAnswer = resolve;
  });
  const transcoder = createTranscoder({
    services: [buildService([rule], { serverStreaming: true })],
    transportFor: () => upstream.transport,
    stream,
    onAnswer: (answer) => onAnswer(answer),
    ...options,
  });
  const handler = (request: http.IncomingMessage, response: http.ServerResponse) => {
    if (!transcoder.handle(request, response, undefined)) response.writeHead(404).end();
  };
  const server = version === "HTTP/1.1" ? http.createServer(handler) : http2.createServer(handler as never);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  closers.push(() => {
    if ("closeAllConnections" in server) server.closeAllConnections();
    server.close();
  });
  /** Sends a request; `seen` gets the answer before anything can happen to it. */
  const request = <T>(seen: (answer: Opened) => T, call: CallOptions = {}): Promise<T> =>
    new Promise((resolve, reject) =>
      (version === "HTTP/1.1" ? requestHttp1 : requestHttp2)(
        base,
        call,
        (answer) => resolve(seen(answer)),
        reject,
      ),
    );
  const open = (call?: CallOptions) => request((answer) => answer, call);
  const read = async (call?: CallOptions) => {
    const { answer, text } = await request((answer) => ({ answer, text: readAll(answer) }), call);
    return { ...answer, ...(await text) };
  };
  return { open, read, base, calls: upstream.calls, answered };
}

type CallOptions = { path?: string; method?: string; headers?: Record<string, string>; body?: string };
type Requester = (
  base: string,
  call: CallOptions,
  onAnswer: (answer: Opened) => void,
  onError: (error: Error) => void,
) => void;

const requestHttp1: Requester = (base, { path = watched, body, ...call }, onAnswer, onError) => {
  const request = http.request(base + path, { ...call, agent: false });
  request.on("error", onError);
  request.on("response", (response) =>
    onAnswer({
      status: response.statusCode!,
      headers: response.headers,
      body: response,
      leave: () => request.destroy(),
    }),
  );
  request.end(body);
};

const requestHttp2: Requester = (
  base,
  { path = watched, body, method = "GET", headers },
  onAnswer,
  onError,
) => {
  const session = http2.connect(base);
  closers.push(() => session.destroy());
  session.on("error", onError);
  const head = { ":method": method, ":path": path, ...headers };
  const stream = session.request(head, { endStream: body === undefined });
  stream.on("error", onError);
  stream.on("response", ({ ":status": status, ...rest }) =>
    onAnswer({ status: status!, headers: rest, body: stream, leave: () => session.destroy() }),
  );
  if (body !== undefined) stream.end(body);
};

/** Reads to the end; `isWhole` is false when the answer broke off. */
function readAll({ body }: Opened): Promise<{ bytes: Buffer; text: string; isWhole: boolean }> {
  const chunks: Buffer[] = [];
  body.on("data", (chunk) => chunks.push(chunk));
  return new Promise((resolve) => {
    const done = (isWhole: boolean) => {
      const bytes = Buffer.concat(chunks);
      resolve({ bytes, text: bytes.toString(), isWhole });
    };
    body.once("end", () => done(true));
    body.once("error", () => done(false));
  });
}

/** Reads until the text matches, and leaves the rest. */
async function readUntil(body: Readable, pattern: RegExp): Promise<string> {
  let text = "";
  for await (const chunk of body.iterator({ destroyOnReturn: false })) {
    text += chunk;
    if (pattern.test(text)) return text;
  }
  assert.fail(`ended before ${pattern}: ${text}`);
}

async function* two() {
  yield { name: "books/1", etag: "1" };
  yield { name: "books/1", etag: "2\n\u2028" };
}

async function* nothing() {}

async function* breaksAfterOne() {
  yield { name: "books/1" };
  throw new ConnectError("the hub said no", Code.FailedPrecondition);
}

// biome-ignore lint/correctness/useYield: a stream that is refused at once.
async function* refuses() {
  throw new ConnectError("there is no such book", Code.NotFound);
}

async function* silent() {
  await new Promise(() => {});
}

/** Far more than sockets and windows hold, and nothing that compresses. */
async function* endless() {
  const random = () => Buffer.from(crypto.getRandomValues(new Uint8Array(60_000))).toString("base64");
  const names = Array.from({ length: 20 }, random);
  for (let n = 0; ; n++) yield { name: names[n % names.length] };
}

/** Waits until a number has stood still for a while. */
async function settled(read: () => number): Promise<number> {
  for (let before = -1; ; ) {
    const now = read();
    if (now === before && now > 0) return now;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

for (const version of ["HTTP/1.1", "HTTP/2"] as const) {
  describe(version, () => {
    test("a stream is one JSON message a line", async () => {
      const { read, calls, answered } = await serve(version, two);
      const headers = { authorization: "Bearer x", cookie: "c" };
      const answer = await read({ path: `${watched}?request_id=r`, headers });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["content-type"], "application/x-ndjson");
      assert.equal(answer.headers["cache-control"], "no-store");
      assert.equal(answer.headers["x-accel-buffering"], "no");
      assert.equal(answer.headers.vary, "accept, accept-encoding");
      assert.equal(answer.headers["x-request-id"], "r1");
      assert.equal(answer.headers.secret, undefined);
      assert.equal(answer.text, '{"name":"books/1","etag":"1"}\n{"name":"books/1","etag":"2\\n\u2028"}\n');
      assert.equal(answer.isWhole, true);
      assert.equal(calls[0]!.input.name, "books/1");
      assert.equal(calls[0]!.input.requestId, "r");
      assert.deepEqual([...calls[0]!.headers.keys()], ["authorization"]);
      const { code, httpStatus } = await answered;
      assert.deepEqual([code, httpStatus], [0, 200]);
    });

    test("a stream of nothing is an answer of nothing, and response_body picks a field of each message", async () => {
      const empty = await (await serve(version, nothing)).read();
      assert.deepEqual([empty.status, empty.text, empty.isWhole], [200, "", true]);
      const picked = await serve(version, two, {}, { ...watch, responseBody: "etag" });
      assert.equal((await picked.read()).text, '"1"\n"2\\n\u2028"\n');
    });

    test("a body binds to the request as for other methods", async () => {
      const rule = { method: "POST", template: "/v1/books", body: "*" };
      const { read, calls } = await serve(version, two, {}, rule);
      const call = { path: "/v1/books", method: "POST", headers: { "content-type": "application/json" } };
      assert.equal((await read({ ...call, body: '{"name":"n"}' })).isWhole, true);
      assert.equal(calls[0]!.input.name, "n");
      assert.equal((await read({ ...call, body: '{"nam":"n"}' })).status, 400);
      assert.equal(calls.length, 1);
    });

    test("Server-Sent Events come with retry, data and an end", async () => {
      const { read } = await serve(version, two);
      const answer = await read({ headers: { accept: "text/event-stream", "accept-encoding": "gzip" } });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["content-type"], "text/event-stream");
      assert.equal(answer.headers["cache-control"], "no-store");
      assert.equal(answer.headers["x-accel-buffering"], "no");
      assert.equal(answer.headers["content-encoding"], undefined);
      assert.equal(
        answer.text,
        "retry: 3000\n\n" +
          'data: {"name":"books/1","etag":"1"}\n\n' +
          'data: {"name":"books/1","etag":"2\\n\u2028"}\n\n' +
          "event: end\ndata: {}\n\n",
      );
      assert.equal(answer.isWhole, true);
    });

    test("a JSON array comes as it grows, for who asks for JSON by name", async () => {
      const accept = "application/json";
      const { read } = await serve(version, two);
      const answer = await read({ headers: { accept } });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["content-type"], accept);
      assert.equal(answer.text, '[{"name":"books/1","etag":"1"},\n{"name":"books/1","etag":"2\\n\u2028"}]\n');
      assert.equal(answer.isWhole, true);
      const zipped = await read({ headers: { accept, "accept-encoding": "gzip" } });
      assert.equal(gunzipSync(zipped.bytes).toString(), answer.text);
      const empty = await (await serve(version, nothing)).read({ headers: { accept } });
      assert.deepEqual([empty.text, empty.isWhole], ["[]\n", true]);
    });

    test("an array that fails on the way is never closed, and the answer is not complete", async () => {
      const { read, answered } = await serve(version, breaksAfterOne);
      const answer = await read({ headers: { accept: "application/json" } });
      assert.deepEqual([answer.text, answer.isWhole], ['[{"name":"books/1"}', false]);
      assert.equal((await answered).code, Code.FailedPrecondition);
    });

    test("an Accept that allows none of them is 406, and nothing goes upstream", async () => {
      const { read, calls } = await serve(version, two);
      const answer = await read({ headers: { accept: "text/html" } });
      assert.equal(answer.status, 406);
      assert.equal(answer.headers["content-type"], "application/json");
      assert.equal(JSON.parse(answer.text).code, Code.InvalidArgument);
      assert.equal(calls.length, 0);
    });

    test("what fails before the first message is an HTTP error, whatever the format", async () => {
      for (const accept of ["*/*", "text/event-stream", "application/json"]) {
        const { read, answered } = await serve(version, refuses);
        const answer = await read({ headers: { accept } });
        assert.equal(answer.status, 404);
        assert.equal(answer.headers["content-type"], "application/json");
        assert.deepEqual(JSON.parse(answer.text), {
          code: 5,
          message: "there is no such book",
          details: [],
        });
        assert.equal((await answered).httpStatus, 404);
      }
    });

    test("what fails later is the last line of NDJSON, and the answer is not complete", async () => {
      for (const encoding of ["identity", "gzip", "br"] as const) {
        const { read, answered } = await serve(version, breaksAfterOne);
        const answer = await read({ headers: { "accept-encoding": encoding } });
        assert.equal(answer.status, 200);
        assert.equal(answer.isWhole, false);
        const { bytes } = answer;
        const decode = {
          identity: () => bytes,
          gzip: () => gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }),
          br: () => brotliDecompressSync(bytes, { finishFlush: constants.BROTLI_OPERATION_FLUSH }),
        };
        assert.equal(
          decode[encoding]().toString(),
          '{"name":"books/1"}\n{"error":{"code":9,"message":"the hub said no","details":[]}}\n',
        );
        const { code, httpStatus } = await answered;
        assert.deepEqual([code, httpStatus], [Code.FailedPrecondition, 200]);
      }
    });

    test("what fails later is an error event, and the end", async () => {
      const { read } = await serve(version, breaksAfterOne);
      const { text, isWhole } = await read({ headers: { accept: "text/event-stream" } });
      assert.match(
        text,
        /\n\nevent: error\ndata: \{"code":9,"message":"the hub said no","details":\[\]\}\n\n$/,
      );
      assert.equal(isWhole, true);
    });

    test("internals do not leak into a stream either, and the hook gets the cause", async () => {
      const seen: unknown[] = [];
      const cause = new TypeError("secret");
      const source = async function* () {
        yield {};
        throw cause;
      };
      const onInternalError = (error: unknown) => seen.push(error);
      const { read } = await serve(version, source, {}, watch, { onInternalError });
      assert.match((await read()).text, /"code":13,"message":"internal error"/);
      assert.deepEqual(seen, [cause]);
    });

    test("a silent stream gets its head soon, and Server-Sent Events their heartbeats", async () => {
      const { open } = await serve(version, silent, { headWaitMs: 1, heartbeatMs: 5 });
      const lines = await open();
      assert.equal(lines.status, 200);
      lines.leave();
      const events = await open({ headers: { accept: "text/event-stream" } });
      assert.match(await readUntil(events.body, /(: \n\n){3}/), /^retry: 3000\n\n(: \n\n)+$/);
      events.leave();
    });

    for (const [encoding, decoder, decode] of [
      ["gzip", createGunzip, gunzipSync],
      ["br", createBrotliDecompress, brotliDecompressSync],
    ] as const) {
      test(`${encoding} compresses NDJSON, and each message can be read as soon as it is sent`, async () => {
        let go = () => {};
        const gate = new Promise<void>((resolve) => {
          go = resolve;
        });
        const { open } = await serve(version, async function* () {
          yield { name: "first" };
          await gate;
          yield { name: "second" };
        });
        const answer = await open({ headers: { "accept-encoding": encoding } });
        assert.equal(answer.headers["content-encoding"], encoding);
        const whole = readAll(answer);
        await readUntil(answer.body.pipe(decoder()), /"first"\}\n/);
        go();
        assert.equal(decode((await whole).bytes).toString(), '{"name":"first"}\n{"name":"second"}\n');
      });
    }

    test("a stream of google.api.HttpBody is bytes as they come, and one that breaks is cut off", async () => {
      const rule = { template: "/v1/file" };
      const services = [buildService([rule], { serverStreaming: true, output: "HttpBody" })];
      let breaks = false;
      const { read, answered } = await serve(
        version,
        async function* () {
          yield { contentType: "text/csv", data: Buffer.from("a,b\n") };
          if (breaks) throw new ConnectError("the store said no", Code.FailedPrecondition);
          yield { data: Buffer.from("1,2\n") };
        },
        {},
        rule,
        { services },
      );
      const whole = await read({ path: "/v1/file", headers: { "accept-encoding": "gzip" } });
      assert.equal(whole.headers["content-type"], "text/csv");
      assert.equal(whole.headers["content-encoding"], undefined);
      assert.deepEqual([whole.status, whole.text, whole.isWhole], [200, "a,b\n1,2\n", true]);
      assert.equal((await answered).code, 0);
      breaks = true;
      const broken = await read({ path: "/v1/file" });
      assert.deepEqual([broken.status, broken.text, broken.isWhole], [200, "a,b\n", false]);
    });

    for (const encoding of ["identity", "gzip", "br"]) {
      test(`a client that does not read (${encoding}) holds the upstream up, and cancels it when it goes`, async () => {
        const { open, calls, answered } = await serve(version, endless);
        const answer = await open({ headers: { "accept-encoding": encoding } });
        const call = calls[0]!;
        const held = await settled(() => call.read);
        // 80 kB each: the buffers of two sockets take a few MB.
        assert.ok(held < 400, `${held} messages were read`);
        let bytes = 0;
        answer.body.on("data", (chunk) => {
          bytes += chunk.length;
          if (bytes > 40_000_000) answer.body.pause();
        });
        await settled(() => bytes);
        assert.ok(call.read > held);
        answer.leave();
        assert.equal((await answered).code, Code.Canceled);
        assert.equal(call.signal.aborted, true);
      });
    }

    test("a client that goes while the stream is silent cancels it", async () => {
      const { open, calls, answered } = await serve(version, silent, { headWaitMs: 1 });
      (await open()).leave();
      assert.equal((await answered).code, Code.Canceled);
      assert.equal(calls[0]!.signal.aborted, true);
    });

    test("X-Server-Timeout ends a stream, also one whose client does not read", async () => {
      const headers = { "x-server-timeout": "0.3" };
      const quiet = await serve(version, silent, { headWaitMs: 1 });
      const answer = await quiet.read({ headers });
      assert.match(answer.text, /^\{"error":\{"code":4,.*\}\}\n$/);
      assert.equal(answer.isWhole, false);
      assert.ok(quiet.calls[0]!.timeoutMs! <= 300);
      for (const accept of ["*/*", "text/event-stream"]) {
        const stalled = await serve(version, endless, { lingerMs: 10 });
        const { body } = await stalled.open({ headers: { ...headers, accept } });
        assert.equal((await stalled.answered).code, Code.DeadlineExceeded);
        assert.equal((await readAll({ body } as Opened)).isWhole, false);
      }
    });

    test("a deadline has a default and a maximum of its own", async () => {
      const { read, calls } = await serve(version, two, { timeout: { defaultMs: 5_000, maxMs: 9_000 } });
      await read();
      await read({ headers: { "x-server-timeout": "900" } });
      assert.equal((await read({ headers: { "x-server-timeout": "soon" } })).status, 400);
      const [byDefault, most] = calls.map(({ timeoutMs }) => timeoutMs!);
      assert.ok(byDefault! <= 5_000 && byDefault! > 3_000 && most! <= 9_000 && most! > 7_000);
    });

    test("a drain ends streams with UNAVAILABLE, begun or not", async () => {
      const drain = new AbortController();
      const seen: unknown[] = [];
      const stream = { drainSignal: drain.signal, headWaitMs: 10 };
      const onInternalError = (error: unknown) => seen.push(error);
      const { open, read, calls } = await serve(version, silent, stream, watch, { onInternalError });
      const begun = await Promise.all([open(), open({ headers: { accept: "text/event-stream" } })]);
      const ends = Promise.all(begun.map(readAll));
      drain.abort(new ConnectError("the gateway is shutting down", Code.Unavailable));
      const [lines, events] = await ends;
      assert.match(lines!.text, /^\{"error":\{"code":14,.*\n$/);
      assert.equal(lines!.isWhole, false);
      assert.match(events!.text, /event: error\ndata: \{"code":14,.*\n\n$/);
      assert.equal(events!.isWhole, true);
      assert.equal((await read()).status, 503);
      assert.ok(calls.every(({ signal }) => signal.aborted));
      assert.deepEqual(seen, []);
    });

    test("HEAD has the status and head of GET, no body, and cancels upstream", async () => {
      const { read, calls, answered } = await serve(version, endless);
      for (const accept of ["*/*", "text/event-stream"]) {
        const answer = await read({ method: "HEAD", headers: { accept } });
        assert.equal(answer.status, 200);
        assert.match(answer.headers["content-type"]!, /ndjson|event-stream/);
        assert.deepEqual([answer.text, answer.isWhole], ["", true]);
      }
      assert.equal((await answered).code, 0);
      for (const { read, signal } of calls) {
        assert.ok(read <= 2);
        assert.equal(signal.aborted, true);
      }
    });
  });
}

test("a connection serves on after a stream that ended well, and after one that was refused", async () => {
  const { base, calls } = await serve("HTTP/1.1", two);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set<number | undefined>();
  for (const accept of ["*/*", "text/html", "text/event-stream", "*/*"]) {
    await new Promise((resolve) =>
      http.get(`${base}/v1/books/1:watch`, { agent, headers: { accept } }, (response) => {
        ports.add(response.socket.localPort);
        response.resume().on("end", resolve);
      }),
    );
  }
  agent.destroy();
  assert.equal(calls.length, 3);
  assert.equal(ports.size, 1);
});
