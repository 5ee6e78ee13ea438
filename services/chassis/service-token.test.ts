import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { serviceToken } from "./service-token.ts";

const client = { id: "integrasi", secret: "s:e&c" };
let server: Server;
let url: string;
let asked: { authorization: string | undefined; body: string }[] = [];
let answer = { status: 200, body: {} as Record<string, unknown> };

before(async () => {
  server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    asked.push({ authorization: request.headers.authorization, body });
    response.writeHead(answer.status, { "content-type": "application/json" });
    response.end(
      JSON.stringify({
        ...answer.body,
        ...(answer.status === 200 ? { access_token: `t${asked.length}` } : {}),
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
});
after(() => server.close());
beforeEach(() => {
  asked = [];
  answer = { status: 200, body: { expires_in: 100 } };
});

test("asks once for all who wait, with the client's credentials, and remembers", async () => {
  const token = serviceToken({ tokenUrl: async () => url, client });
  assert.deepEqual(await Promise.all([token(), token(), token()]), ["t1", "t1", "t1"]);
  assert.equal(await token(), "t1");
  assert.deepEqual(asked, [
    { authorization: `Basic ${btoa("integrasi:s%3Ae%26c")}`, body: "grant_type=client_credentials" },
  ]);
});

test("renews a token before it expires", async () => {
  let nowMs = 0;
  const token = serviceToken({ tokenUrl: async () => url, client, now: () => nowMs });
  assert.equal(await token(), "t1");
  nowMs = 74_000;
  assert.equal(await token(), "t1");
  nowMs = 75_000;
  assert.equal(await token(), "t2");
});

test("says what to check when the issuer refuses it, and asks again the next time", async () => {
  const token = serviceToken({ tokenUrl: async () => url, client });
  answer = { status: 401, body: { error: "invalid_client" } };
  const refused = await token().catch((cause) => cause);
  assert.ok(refused instanceof ConnectError);
  assert.equal(refused.code, Code.Unavailable);
  assert.match(refused.message, /401 invalid_client.*LAMPID_SERVICE_CLIENT_SECRET/);
  answer = { status: 200, body: { expires_in: 100 } };
  assert.equal(await token(), "t2");
});

test("is unavailable while the issuer is, or is not known", async () => {
  for (const tokenUrl of [
    async () => "http://127.0.0.1:1/token",
    () => Promise.reject(new Error("nobody knows")),
  ]) {
    const refused = await serviceToken({ tokenUrl, client })().catch((cause) => cause);
    assert.equal((refused as ConnectError).code, Code.Unavailable);
  }
});
