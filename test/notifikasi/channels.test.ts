import assert from "node:assert/strict";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, test } from "node:test";
import { createLogger } from "#chassis/log.ts";
import { emailChannel } from "../../services/notifikasi/channels/email.ts";
import { logChannel } from "../../services/notifikasi/channels/log.ts";
import { smsChannel } from "../../services/notifikasi/channels/sms.ts";
import type { PesanRecord } from "../../services/notifikasi/store.ts";

const pesan: PesanRecord = {
  id: "01a1f893-eb73-7441-9801-f5e243fe757a",
  penerima: "petugas",
  kanal: "email",
  templat: "pendaftaran_baru",
  kodeWilayah: "32.01.01",
  laporan: "",
  isi: "Pendaftaran baru: Ma'ruf Sañjaya (320101********01), Cibinong, Jawa Barat.",
  status: "antre",
  percobaan: 0,
  kesalahan: "",
  createdAt: new Date("2026-11-20T03:00:00Z"),
  deliveredAt: undefined,
};

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

type Mail = { from: string; to: string[]; auth: string; data: string };

/** As much of RFC 5321 as a client needs; `answers` replaces the reply to a command. */
async function smtpServer(answers: Record<string, string> = {}) {
  const mails: Mail[] = [];
  const server = createServer((socket) => {
    let mail: Mail = { from: "", to: [], auth: "", data: "" };
    let buffer = "";
    let inData = false;
    const reply = (command: string, usual: string) => socket.write(`${answers[command] ?? usual}\r\n`);
    reply("greeting", "220 test ESMTP");
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      buffer += chunk;
      for (let end = buffer.indexOf("\r\n"); end >= 0; end = buffer.indexOf("\r\n")) {
        const line = buffer.slice(0, end);
        buffer = buffer.slice(end + 2);
        if (inData) {
          if (line !== ".") {
            mail.data += `${line.replace(/^\.\./, ".")}\r\n`;
            continue;
          }
          inData = false;
          mails.push(mail);
          mail = { ...mail, to: [], data: "" };
          reply("end", "250 accepted");
          continue;
        }
        const command = line.split(/[ :]/)[0]!.toUpperCase();
        if (command === "EHLO") reply(command, "250-test\r\n250 AUTH PLAIN");
        else if (command === "AUTH") {
          mail.auth = Buffer.from(line.split(" ")[2]!, "base64").toString();
          reply(command, "235 welcome");
        } else if (command === "MAIL") {
          mail.from = /<(.*)>/.exec(line)![1]!;
          reply(command, "250 ok");
        } else if (command === "RCPT") {
          mail.to.push(/<(.*)>/.exec(line)![1]!);
          reply(command, "250 ok");
        } else if (command === "DATA") {
          inData = !answers[command];
          reply(command, "354 go on");
        } else if (command === "QUIT") socket.end("221 bye\r\n");
        else reply(command, "502 what?");
      }
    });
  });
  return { mails, port: await listen(server) };
}

function email(port: number, over: { userinfo?: string; timeoutMs?: number } = {}) {
  const { userinfo = "", ...options } = over;
  const channel = emailChannel({
    url: `smtp://${userinfo}127.0.0.1:${port}`,
    from: "e-lampid@bogorkab.go.id",
    to: "petugas@bogorkab.go.id",
    ...options,
  });
  closers.unshift(async () => channel.close?.());
  return channel;
}

describe("e-mail", () => {
  test("arrives at the officer, with the text, and the same id at every try", async () => {
    const { mails, port } = await smtpServer();
    const channel = email(port);
    await channel.send(pesan);
    await channel.send(pesan);
    assert.equal(mails.length, 2);
    for (const { from, to, data } of mails) {
      assert.equal(from, "e-lampid@bogorkab.go.id");
      assert.deepEqual(to, ["petugas@bogorkab.go.id"]);
      const [head = "", body = ""] = data.split("\r\n\r\n");
      assert.match(head, /^Subject: e-LAMPID: pendaftaran_baru$/m);
      assert.match(head, /^Message-ID: <01a1f893-eb73-7441-9801-f5e243fe757a@e-lampid>$/m);
      const text = /quoted-printable/i.test(head)
        ? Buffer.from(
            body
              .replace(/=\r\n/g, "")
              .replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16))),
            "latin1",
          ).toString()
        : body;
      assert.equal(text.trim(), pesan.isi);
    }
  });

  test("to a reporter goes to their address, and says in words what it is of", async () => {
    const { mails, port } = await smtpServer();
    const message = { ...pesan, penerima: "pelapor", templat: "laporan_disahkan" } as const;
    await email(port).send(message, "budi@contoh.example");
    assert.deepEqual(mails[0]!.to, ["budi@contoh.example"]);
    assert.match(mails[0]!.data, /^Subject: e-LAMPID: laporan disahkan\r$/m);
  });

  test("authenticates with the user and password of the URL", async () => {
    const { mails, port } = await smtpServer();
    await email(port, { userinfo: "petugas:rahasia@" }).send(pesan);
    assert.equal(mails[0]!.auth, "\0petugas\0rahasia");
  });

  test("that the server refuses, at whatever step, is a failure to be tried again", async () => {
    for (const [step, answer] of Object.entries({
      greeting: "554 closed",
      MAIL: "451 later",
      RCPT: "550 nobody",
      DATA: "452 full",
      end: "451 not now",
    })) {
      const { port } = await smtpServer({ [step]: answer });
      await assert.rejects(email(port).send(pesan), Error, step);
    }
  });

  test("to a port where nobody listens fails at once", async () => {
    const { port } = await smtpServer();
    await closers.shift()!();
    await assert.rejects(email(port).send(pesan));
  });

  test("to a server that accepts and then says nothing fails in time", async () => {
    const port = await listen(createServer(() => {}));
    const startedAt = performance.now();
    await assert.rejects(email(port, { timeoutMs: 200 }).send(pesan));
    assert.ok(performance.now() - startedAt < 2_000);
  });
});

/** Poses as api.twilio.com. */
async function twilioServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) => {
    response.writeHead(201, { "content-type": "application/json" });
    response.end(JSON.stringify({ sid: "SM00000000000000000000000000000000", status: "queued" }));
  },
) {
  const requests: { method: string; url: string; authorization: string; form: URLSearchParams }[] = [];
  const server = createHttpServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      requests.push({
        method: request.method!,
        url: request.url!,
        authorization: request.headers.authorization ?? "",
        form: new URLSearchParams(body),
      });
      answer(request, response);
    });
  });
  return { requests, port: await listen(server) };
}

const sms = (port: number, timeoutMs?: number, host = "127.0.0.1") =>
  smsChannel({
    accountSid: "AC00000000000000000000000000000001",
    authToken: "rahasia",
    from: "+15005550006",
    to: "+6281200000001",
    baseUrl: `http://${host}:${port}`,
    ...(timeoutMs ? { timeoutMs } : {}),
  });

describe("SMS", () => {
  test("goes to the account's messages at the base URL, with its numbers, its text and its secret", async () => {
    const { requests, port } = await twilioServer();
    for (const host of ["127.0.0.1", "localhost"]) await (await sms(port, undefined, host)).send(pesan);
    assert.equal(requests.length, 2);
    for (const { method, url, authorization, form } of requests) {
      assert.equal(method, "POST");
      assert.equal(url, "/2010-04-01/Accounts/AC00000000000000000000000000000001/Messages.json");
      const expected = Buffer.from("AC00000000000000000000000000000001:rahasia").toString("base64");
      assert.equal(authorization, `Basic ${expected}`);
      assert.deepEqual(Object.fromEntries(form), {
        From: "+15005550006",
        To: "+6281200000001",
        Body: pesan.isi,
      });
    }
  });

  test("to a reporter goes to their number", async () => {
    const { requests, port } = await twilioServer();
    await (await sms(port)).send({ ...pesan, penerima: "pelapor" }, "+628111222333");
    assert.equal(requests[0]!.form.get("To"), "+628111222333");
  });

  test("that the provider refuses is a failure, tried once: repetitions are the queue's business", async () => {
    for (const status of [400, 401, 429, 500, 503]) {
      const { requests, port } = await twilioServer((_request, response) => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify({ code: 21_211, message: "no number", status }));
      });
      const channel = await sms(port);
      await assert.rejects(channel.send(pesan), Error, String(status));
      assert.equal(requests.length, 1, String(status));
    }
  });

  test("to a provider that does not answer fails in time", async () => {
    const { port } = await twilioServer(() => {});
    const channel = await sms(port, 200);
    const startedAt = performance.now();
    await assert.rejects(channel.send(pesan));
    assert.ok(performance.now() - startedAt < 2_000);
  });
});

test("the log channel notes the id of a message, never its text", async () => {
  let logged = "";
  const log = createLogger("test", "trace", {
    write(line: string) {
      logged += line;
    },
  });
  await logChannel(log).send(pesan);
  assert.ok(logged.includes(pesan.id));
  assert.ok(!logged.includes("Ma'ruf"));
});
