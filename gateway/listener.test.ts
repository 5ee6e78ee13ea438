import assert from "node:assert/strict";
import type http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createListener, type Listener, type ListenerDeps } from "./listener.ts";

const open: Listener[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close(0)));
});

async function listen(limits: ListenerDeps["limits"] = {}, handler?: ListenerDeps["handler"]) {
  const listener = createListener({
    limits,
    handler:
      handler ??
      ((request, response) => {
        (response as http.ServerResponse).end(`${request.httpVersion} ${request.url}`);
      }),
  });
  open.push(listener);
  const { port } = await listener.listen(0, "127.0.0.1");
  return { listener, port, base: `http://127.0.0.1:${port}` };
}

/** Sends raw bytes in parts and returns everything that comes back until the connection ends. */
function raw(port: number, parts: (string | number)[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("close", () => resolve(text));
    socket.on("error", () => {});
    void (async () => {
      for (const part of parts) {
        if (typeof part === "number") {
          await sleep(part);
        } else if (socket.writable) {
          socket.write(part);
        }
      }
    })();
  });
}

function get2(
  session: http2.ClientHttp2Session,
  path: string,
  headers = {},
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":path": path, ...headers });
    let status = 0;
    let body = "";
    stream.on("response", (head) => {
      status = head[":status"] ?? 0;
    });
    stream.on("data", (chunk) => {
      body += chunk;
    });
    stream.on("end", () => resolve({ status, body }));
    stream.on("error", reject);
  });
}

test("one port speaks HTTP/1.1 and HTTP/2", async () => {
  const { base } = await listen();
  assert.equal(await (await fetch(`${base}/a`)).text(), "1.1 /a");
  const session = http2.connect(base);
  assert.deepEqual(await get2(session, "/b"), { status: 200, body: "2.0 /b" });
  session.close();
});

test("the protocol is told apart however the first bytes are cut, and PUT is not taken for the preface", async () => {
  const { port } = await listen();
  const cut = await raw(port, ["P", 20, "UT /x HTTP/1.1\r\nhost: a\r\n", 20, "connection: close\r\n\r\n"]);
  assert.match(cut, /200 OK[\s\S]*1\.1 \/x/);
});

test("HTTP/1.1 connections are kept alive and pipelined requests are answered in order", async () => {
  const { port } = await listen();
  const head = "host: a\r\n";
  const text = await raw(port, [
    `GET /1 HTTP/1.1\r\n${head}\r\nGET /2 HTTP/1.1\r\n${head}\r\n`,
    50,
    `GET /3 HTTP/1.1\r\n${head}connection: close\r\n\r\n`,
  ]);
  assert.match(text, /1\.1 \/1[\s\S]*1\.1 \/2[\s\S]*1\.1 \/3/);
});

test("a silent connection is closed, and one that stops within the first bytes is told 408", async () => {
  const { port } = await listen({ prefaceTimeoutMs: 100 });
  assert.equal(await raw(port, []), "");
  assert.match(await raw(port, ["PRI"]), /^HTTP\/1\.1 408 [\s\S]*"code":4/);
});

test("a head that comes slowly is 408 with a status body", async () => {
  const { port } = await listen({ headTimeoutMs: 200 });
  const text = await raw(port, [
    "GET / HTTP/1.1\r\nhost: a\r\n",
    100,
    "x: 1\r\n",
    100,
    "y: 1\r\n",
    400,
    "z: 1\r\n",
  ]);
  assert.match(text, /^HTTP\/1\.1 408 [\s\S]*application\/json[\s\S]*"details":\[\]/);
});

test("a body that comes slowly is 408 even when the handler waits for it", async () => {
  const { port } = await listen({ headTimeoutMs: 200, requestTimeoutMs: 300 }, (request) => {
    request.on("data", () => {});
  });
  const text = await raw(port, [
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\na",
    200,
    "b",
    200,
    "c",
  ]);
  assert.match(text, /^HTTP\/1\.1 408 /);
});

test("a head of 100 KB is 431 with a status body over HTTP/1.1, and others are served on", async () => {
  const { port, base } = await listen();
  const text = await raw(port, [`GET / HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(100_000)}\r\n\r\n`]);
  assert.match(text, /^HTTP\/1\.1 431 [\s\S]*application\/json[\s\S]*\{"code":8,/);
  assert.equal((await fetch(base)).status, 200);
});

test("a head of 100 KB resets the stream over HTTP/2, and others are served on", async () => {
  const { base } = await listen();
  const session = http2.connect(base, { maxSendHeaderBlockLength: 1_000_000 });
  session.on("error", () => {});
  await assert.rejects(get2(session, "/", { x: "y".repeat(100_000) }));
  session.destroy();
  const again = http2.connect(base);
  await get2(again, "/"); // the limit below holds once the client has acknowledged the settings
  await assert.rejects(get2(again, "/", { x: "y".repeat(40_000) }), /NGHTTP2_ENHANCE_YOUR_CALM|closed/);
  assert.equal((await get2(again, "/")).status, 200);
  again.close();
});

test("an HTTP/2 client that hangs up without a word is let go", async () => {
  const { port } = await listen();
  const socket = net.connect(port, "127.0.0.1");
  const closed = new Promise((resolve) => socket.once("close", resolve));
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  socket.end(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), settings]));
  socket.resume();
  await closed; // the server's FIN; half-open it would never come
});

test("an idle HTTP/2 connection is closed, one with a quiet stream is kept", async () => {
  const { base } = await listen({ sessionIdleMs: 100 }, (request, response) => {
    if (request.url === "/quiet") {
      setTimeout(() => (response as http.ServerResponse).end("late"), 400);
    } else {
      (response as http.ServerResponse).end("now");
    }
  });
  const quiet = http2.connect(base);
  assert.equal((await get2(quiet, "/quiet")).body, "late");
  await new Promise((resolve) => quiet.once("close", resolve));
});

test("bytes that are not HTTP are 400 with a status body", async () => {
  const { port } = await listen();
  assert.match(await raw(port, ["hello there\r\n\r\n"]), /^HTTP\/1\.1 400 [\s\S]*"code":3/);
});

test("a handler that throws is a 500, and the process lives on", async () => {
  const errors: unknown[] = [];
  const listener = createListener({
    handler: () => {
      throw new Error("secret");
    },
    onError: (error) => errors.push(error),
  });
  open.push(listener);
  const { port } = await listener.listen(0, "127.0.0.1");
  const response = await fetch(`http://127.0.0.1:${port}`);
  assert.equal(response.status, 500);
  assert.doesNotMatch(await response.text(), /secret/);
  assert.equal(errors.length, 1);
});

test("connections over the limit are closed", async () => {
  const { port, base } = await listen({ connectionsMax: 1 });
  const first = net.connect(port, "127.0.0.1");
  await new Promise((resolve) => first.once("connect", resolve));
  await sleep(50);
  await assert.rejects(fetch(base));
  first.destroy();
});

test("a taken port rejects", async () => {
  const { port } = await listen();
  await assert.rejects(createListener({ handler: () => {} }).listen(port, "127.0.0.1"), /EADDRINUSE/);
});

test("an announced body over the limit gets no 100 Continue", async () => {
  const { port } = await listen({ bodyBytesMax: 10 });
  const head = (length: number) =>
    `POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: ${length}\r\n\r\n`;
  assert.match(await raw(port, [head(2), 20, "{}"]), /^HTTP\/1\.1 100 Continue/);
  assert.doesNotMatch(await raw(port, [head(11)]), /100 Continue/);
});

test("closing lets running requests of both protocols finish and refuses new ones", async () => {
  const finish: (() => void)[] = [];
  const { listener, base } = await listen({}, (_, response) => {
    finish.push(() => (response as http.ServerResponse).end("done"));
  });
  const one = fetch(base).then((response) => response.text());
  const session = http2.connect(base);
  const two = get2(session, "/");
  while (finish.length < 2) {
    await sleep(5);
  }
  let closed = false;
  const closing = listener.close(5_000).then(() => {
    closed = true;
  });
  await sleep(50);
  await assert.rejects(fetch(base));
  assert.equal(closed, false);
  for (const end of finish) {
    end();
  }
  assert.equal(await one, "done");
  assert.equal((await two).body, "done");
  await closing;
});

test("closing destroys what is not done after the grace, sockets that never spoke included", async () => {
  const { listener, base, port } = await listen({}, () => {});
  const hanging = fetch(base);
  const silent = net.connect(port, "127.0.0.1");
  silent.on("error", () => {});
  await sleep(50);
  const startedAtMs = performance.now();
  await Promise.all([listener.close(100), assert.rejects(hanging)]);
  assert.ok(performance.now() - startedAtMs < 1_000);
});
