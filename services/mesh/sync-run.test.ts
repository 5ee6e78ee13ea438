import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, describe, test } from "node:test";
import type { Run } from "./sync-client.ts";
import { progressBar, progressText, reportText } from "./sync-report.ts";
import { readOptions, runSync, type SyncDeps, type SyncOptions, UsageError } from "./sync-run.ts";

const ID = "01a1f9e1-f27e-774b-841c-2d6d148a72d6";
const NAME = `sinkronisasi/${ID}`;
const PASSWORD = "rahasia-sekali";

const running: Run = {
  name: NAME,
  kodeWilayah: "ID",
  keadaan: "KEADAAN_BERJALAN",
  asOfVersi: "1000",
  jumlahHub: 1000,
  jumlah: 450,
  laju: 43_210.4,
  sisa: "12.5s",
  hasil: { baru: 440, dikarantina: 10 },
  pemutus: "PEMUTUS_TERTUTUP",
};
const over: Run = {
  ...running,
  keadaan: "KEADAAN_SELESAI",
  jumlah: 1000,
  laju: 0,
  createTime: "2026-11-20T02:00:00Z",
  endTime: "2026-11-20T02:00:10Z",
  rekonsiliasi: {
    cocok: true,
    jumlahCocok: true,
    sidikCocok: true,
    jumlahHub: 1000,
    hasil: { baru: 990, dikarantina: 10 },
    provinsi: [
      { kodeProvinsi: "11", jumlahHub: 400, hasil: { baru: 400 } },
      { kodeProvinsi: "32", jumlahHub: 600, hasil: { baru: 590, dikarantina: 10 } },
    ],
    jumlahWilayah: 12,
  },
};

type Answer = (request: IncomingMessage, body: Record<string, unknown>, response: ServerResponse) => unknown;

let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});

/** A gateway that answers `"GET /path"` as the table says: an object is JSON, a number is an HTTP status. */
async function gateway(answers: Record<string, Answer>, port = 0) {
  const asked: { call: string; body: Record<string, unknown>; token: string | undefined }[] = [];
  const all: Record<string, Answer> = {
    "POST /login": () => ({ access_token: `token-${asked.length}` }),
    ...answers,
  };
  server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const body = text === "" ? {} : JSON.parse(text);
    const call = `${request.method} ${request.url}`;
    asked.push({ call, body, token: request.headers.authorization });
    const answer = await (all[call] ?? (() => 404))(request, body, response);
    if (answer === undefined) return;
    response.statusCode =
      typeof answer === "number" ? answer : ((answer as { status?: number }).status ?? 200);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(typeof answer === "number" ? { message: `status ${answer}` } : answer));
  }).listen(port);
  await once(server, "listening");
  const { port: bound } = server.address() as AddressInfo;
  return { asked, port: bound, url: `http://127.0.0.1:${bound}`, calls: () => asked.map(({ call }) => call) };
}

/** Server-Sent Events as the gateway writes them; `undefined` in place of a run cuts the connection. */
function stream(...runs: (Run | undefined)[]): Answer {
  return (_request, _body, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("retry: 3000\n\n: hello\n\n");
    for (const run of runs) {
      if (!run) return void setTimeout(() => response.destroy(), 20);
      response.write(`data: ${JSON.stringify(run)}\n\n`);
    }
    response.end("event: end\ndata: {}\n\n");
  };
}

const refusal = (status: number, reason: string, metadata: Record<string, string> = {}) => ({
  status,
  code: 9,
  message: "is not over",
  details: [
    { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain: "lampid.go.id", metadata },
  ],
});

const started: Answer = () => ({ name: `operations/${ID}` });

function sync(url: string, args: string[] = [], more: Partial<SyncDeps> = {}) {
  const said: string[] = [];
  const printed: string[] = [];
  const detach = new AbortController();
  const done = runSync({
    gateway: url,
    password: PASSWORD,
    options: readOptions(args) as SyncOptions,
    signal: detach.signal,
    backoff: { baseMs: 5, maxMs: 20 },
    print: (text) => void printed.push(text),
    say: (line) => void said.push(line),
    columns: () => 80,
    everyMs: 0,
    namaOf: (kode) => ({ "11": "Aceh", "32": "Jawa Barat" })[kode],
    ...more,
  });
  return { done, said, printed, detach };
}

describe("npm run sync", () => {
  test("starts a run as pusat, shows its progress, prints the report and ends with 0 when all agrees", async () => {
    const { url, asked } = await gateway({
      "POST /v1/sinkronisasi": started,
      [`GET /v1/${NAME}`]: () => running,
      [`GET /v1/${NAME}:watch`]: stream(running, { ...running, jumlah: 900 }, over),
    });
    const { done, said, printed } = sync(url, ["--since", "77", "--wilayah", "32", "--max-quarantine", "9"]);
    assert.equal(await done, 0);
    assert.deepEqual(asked[0]!.body, { username: "pusat", password: PASSWORD });
    const { requestId, ...body } = asked[1]!.body;
    assert.match(String(requestId), /^[0-9a-f-]{36}$/);
    assert.deepEqual(body, { kodeWilayah: "32", sinceVersi: "77", batasKarantinaPersen: 9 });
    assert.ok(asked.slice(1).every(({ token }) => token?.startsWith("Bearer token-")));
    assert.equal(said[0], `${NAME} is started`);
    assert.ok(said.includes("90.0 %  900 of 1,000  43,210/s  0:13 left  10 quarantined"));
    assert.match(printed[0]!, /32 Jawa Barat +600 +590/);
    assert.match(printed[0]!, /1,000 rows in 10\.0 s, 100 a second/);
  });

  test("ends with 1 when the registry does not agree, and says where", async () => {
    const report = {
      ...over.rekonsiliasi,
      cocok: false,
      sidikCocok: false,
      selisih: [{ kodeWilayah: "32.01.01", jumlahHub: 5, jumlahRegistri: 4 }],
      jumlahSelisih: 1,
    };
    const run = { ...over, rekonsiliasi: report };
    const { url } = await gateway({ "POST /v1/sinkronisasi": started, [`GET /v1/${NAME}`]: () => run });
    const { done, printed } = sync(url);
    assert.equal(await done, 1);
    assert.match(
      printed[0]!,
      /does NOT have what the hub has, in 1 of 12 kecamatan\n {2}32\.01\.01 {2}hub 5 {2}registry 4/,
    );
  });

  test("judges a trial by its counts", async () => {
    const report = { ...over.rekonsiliasi, cocok: false, sidikCocok: false };
    const run = { ...over, ujiCoba: true, rekonsiliasi: report };
    const { url, asked } = await gateway({
      "POST /v1/sinkronisasi": started,
      [`GET /v1/${NAME}`]: () => run,
    });
    const { done, printed } = sync(url, ["--dry-run"]);
    assert.equal(await done, 0);
    assert.equal(asked[1]!.body.ujiCoba, true);
    assert.match(printed[0]!, /trial run, nothing was changed/);
  });

  test("joins the run that is in the way, and says so", async () => {
    const { url } = await gateway({
      "POST /v1/sinkronisasi": () => refusal(400, "SINKRONISASI_BERJALAN", { sinkronisasi: NAME }),
      [`GET /v1/${NAME}`]: () => running,
      [`GET /v1/${NAME}:watch`]: stream(over),
    });
    const { done, said } = sync(url);
    assert.equal(await done, 0);
    assert.match(said[0]!, new RegExp(`joining ${NAME}`));
  });

  test("looks at the run again when the stream breaks, however often", async () => {
    const states = [running, { ...running, jumlah: 500 }, { ...running, jumlah: 600 }, over];
    const { url, calls } = await gateway({
      "POST /v1/sinkronisasi": started,
      [`GET /v1/${NAME}`]: () => states.shift(),
      [`GET /v1/${NAME}:watch`]: stream(running, undefined),
    });
    assert.equal(await sync(url).done, 0);
    assert.equal(calls().filter((call) => call.endsWith(":watch")).length, 3);
  });

  test("looks at the run every now and then where the gateway has no streams", async () => {
    const states = [running, running, over];
    const { url } = await gateway({
      "POST /v1/sinkronisasi": started,
      [`GET /v1/${NAME}`]: () => states.shift(),
      [`GET /v1/${NAME}:watch`]: () => 501,
    });
    assert.equal(await sync(url).done, 0);
  });

  test("waits for a gateway that goes away, and starts one run even when the answer was lost", async () => {
    const ids: unknown[] = [];
    const { url } = await gateway({
      "POST /v1/sinkronisasi": (_request, { requestId }, response) => {
        if (ids.push(requestId) === 1) return void response.destroy();
        return ids.length === 2 ? 503 : { name: `operations/${ID}` };
      },
      [`GET /v1/${NAME}`]: () => over,
    });
    const { done, said } = sync(url);
    assert.equal(await done, 0);
    assert.equal(ids.length, 3);
    assert.equal(new Set(ids).size, 1);
    assert.match(said[0]!, /^waiting for the gateway \(/);
    assert.equal(said[1], "the gateway is back");
  });

  test("goes on over a restart of the gateway", async () => {
    const first = await gateway({
      "POST /v1/sinkronisasi": started,
      [`GET /v1/${NAME}`]: () => running,
      [`GET /v1/${NAME}:watch`]: (_request, _body, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(`data: ${JSON.stringify(running)}\n\n`);
        setTimeout(() => {
          server!.closeAllConnections();
          server!.close(() => void gateway({ [`GET /v1/${NAME}`]: () => over }, first.port));
        }, 30);
      },
    });
    const { done, printed } = sync(first.url);
    assert.equal(await done, 0);
    assert.equal(printed.length, 1);
  });

  test("renews its token when it has expired", async () => {
    let looks = 0;
    const { url, calls } = await gateway({
      "POST /v1/sinkronisasi": started,
      [`GET /v1/${NAME}`]: () => (++looks === 1 ? 401 : over),
    });
    assert.equal(await sync(url).done, 0);
    assert.equal(calls().filter((call) => call === "POST /login").length, 2);
  });

  test("ends with 1 and the reason when the password is wrong or the request is", async () => {
    const { url } = await gateway({ "POST /login": () => ({ status: 401, message: "wrong password" }) });
    const { done, said } = sync(url);
    assert.equal(await done, 1);
    assert.deepEqual(said, ["sync: wrong password"]);
  });

  test("tells how to go on with a run that failed or was paused", async () => {
    for (const [keadaan, says] of [
      ["KEADAAN_GAGAL", /has failed: too many bad rows/],
      ["KEADAAN_DIJEDA", /is paused/],
      ["KEADAAN_DIBATALKAN", /was cancelled/],
    ] as const) {
      const run = { ...running, keadaan, galat: "too many bad rows" };
      const { url } = await gateway({ "POST /v1/sinkronisasi": started, [`GET /v1/${NAME}`]: () => run });
      const { done, said } = sync(url);
      assert.equal(await done, 1);
      assert.match(said.join("\n"), says);
      if (keadaan !== "KEADAAN_DIBATALKAN") assert.match(said.at(-1)!, new RegExp(`--resume ${NAME}`));
      server!.close();
    }
  });

  test("resumes the newest run that is not over, or the one that is named", async () => {
    const failed = { ...running, keadaan: "KEADAAN_GAGAL" };
    const states = [failed, over];
    const { url, asked } = await gateway({
      "GET /v1/sinkronisasi": () => ({ sinkronisasi: [{ ...over, name: "sinkronisasi/other" }, failed] }),
      [`POST /v1/${NAME}:resume`]: () => running,
      [`GET /v1/${NAME}`]: () => states.shift() ?? over,
    });
    assert.equal(await sync(url, ["--resume", "--max-quarantine", "20"]).done, 1, "it fails again");
    const resume = () => asked.filter(({ call }) => call.endsWith(":resume"));
    assert.deepEqual(resume()[0]!.body, { batasKarantinaPersen: 20 });
    assert.equal(await sync(url, ["--resume", ID]).done, 0, "one that is over is only reported on");
    assert.equal(resume().length, 1);
  });

  test("leaves the run to itself at Ctrl-C, and says how to come back", async () => {
    const { url } = await gateway({
      "POST /v1/sinkronisasi": started,
      [`GET /v1/${NAME}`]: () => running,
      [`GET /v1/${NAME}:watch`]: (_request, _body, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(`data: ${JSON.stringify(running)}\n\n`);
        setTimeout(() => left.detach.abort(), 20);
      },
    });
    const left = sync(url);
    assert.equal(await left.done, 1);
    assert.equal(
      left.said.at(-1),
      `${NAME} goes on by itself; come back to it with: npm run sync -- --resume ${NAME}`,
    );
  });

  test("prints the run as JSON when it is asked to", async () => {
    const { url } = await gateway({ "POST /v1/sinkronisasi": started, [`GET /v1/${NAME}`]: () => over });
    const { done, printed } = sync(url, ["--json"]);
    assert.equal(await done, 0);
    assert.deepEqual(JSON.parse(printed.join("")), over);
  });
});

describe("the options", () => {
  test("that are wrong are named", () => {
    for (const [args, says] of [
      [["--since", "kemarin"], /--since: expected a version or "terakhir"/],
      [["--max-quarantine", "101"], /--max-quarantine/],
      [["--nope"], /--nope/],
      [["sinkronisasi"], /unknown argument/],
      [["--resume", "abc"], /--resume: expected/],
      [["--resume", "--wilayah", "32"], /only --max-quarantine/],
    ] as const) {
      assert.throws(
        () => readOptions(args),
        (cause: Error) => cause instanceof UsageError && says.test(cause.message),
      );
    }
    assert.equal(readOptions(["--help"]), "help");
    assert.equal((readOptions(["--since", "terakhir"]) as SyncOptions).since, "terakhir");
  });

  test("end the program with 2 when they are wrong, and with 1 where no mesh is running", () => {
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [join(import.meta.dirname, "sync.ts"), ...args], {
        encoding: "utf8",
        env: { ...process.env, LAMPID_DATA_DIR: "/nonexistent" },
      });
    const wrong = run("--nope");
    assert.equal(wrong.status, 2);
    assert.match(wrong.stderr, /usage: npm run sync/);
    const alone = run();
    assert.equal(alone.status, 1);
    assert.match(alone.stderr, /no mesh is running on \/nonexistent/);
    assert.equal(run("--help").status, 0);
  });
});

describe("what is shown", () => {
  test("is the progress with rate, time left, bad rows and what is wrong", () => {
    assert.equal(progressText(running), "45.0 %  450 of 1,000  43,210/s  0:13 left  10 quarantined");
    assert.equal(
      progressText({
        ...running,
        laju: 0,
        sisa: undefined,
        pemutus: "PEMUTUS_TERBUKA",
        galat: "waits for the hub",
      }),
      "45.0 %  450 of 1,000  10 quarantined  hub breaker open  waits for the hub",
    );
    assert.equal(progressText({ name: NAME }), "asking the hub what there is");
    assert.match(progressText({ ...running, keadaan: "KEADAAN_MENCOCOKKAN" }), /comparing the registry/);
    assert.match(progressText({ ...running, sisa: "3723s" }), /1:02:03 left/);
  });

  test("fits the terminal", () => {
    assert.match(progressBar(running, 200), /^\[##########\.{14}\] 45\.0 %/);
    assert.equal(progressBar(running, 40).length, 39);
  });

  test("ends in a table whose last column says what is missing", () => {
    const run = { ...over, rekonsiliasi: { ...over.rekonsiliasi, jumlahCocok: false, jumlahHub: 1003 } };
    const text = reportText(run, () => undefined);
    assert.match(text, /^total +1,003 .* 10 +3$/m);
    assert.match(text, /^11 +400 +400( +0){8}$/m);
    assert.match(text, /NOT every row of the hub is accounted for/);
  });
});
