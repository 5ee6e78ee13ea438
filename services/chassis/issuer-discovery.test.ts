import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type IssuerDiscovery, IssuerProblem, issuerDiscovery } from "./issuer-discovery.ts";
import type { Logger } from "./log.ts";

type Line = { level: string; message: string };

function recordingLog(): { lines: Line[]; log: Logger } {
  const lines: Line[] = [];
  const record =
    (level: string) =>
    (...said: unknown[]) =>
      void lines.push({ level, message: String(said.at(-1)) });
  return { lines, log: { info: record("info"), warn: record("warn") } as unknown as Logger };
}

/** An issuer of which a test decides how it answers; it counts how often it was asked. */
async function issuerThat(context: TestContext, timeoutMs = 5_000) {
  const behaviour: { answer?: RequestListener } = {};
  const seen = { asked: 0 };
  const server = createServer((request, response) => {
    assert.equal(request.url, "/realms/lampid/.well-known/openid-configuration");
    seen.asked++;
    if (behaviour.answer) return behaviour.answer(request, response);
    response.end(JSON.stringify(metadata));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const issuer = `http://127.0.0.1:${(server.address() as { port: number }).port}/realms/lampid`;
  const metadata = {
    issuer,
    jwks_uri: `${issuer}/protocol/openid-connect/certs`,
    token_endpoint: `${issuer}/protocol/openid-connect/token`,
  };
  const { lines, log } = recordingLog();
  const discovery = issuerDiscovery({ issuer, log, timeoutMs });
  return { issuer, metadata, behaviour, seen, lines, discovery };
}

async function problemOf(discovery: IssuerDiscovery): Promise<IssuerProblem> {
  return await discovery.probe().then(
    () => assert.fail("the issuer was found"),
    (cause) => {
      assert.ok(cause instanceof IssuerProblem, String(cause));
      return cause;
    },
  );
}

test("an issuer is asked once, however many calls need it at the same time, and not before one does", async (context) => {
  const { discovery, metadata, seen, lines } = await issuerThat(context);
  await sleep(20);
  assert.equal(seen.asked, 0);
  const answers = await Promise.all(Array.from({ length: 20 }, () => discovery.metadata()));
  for (const answer of answers) {
    assert.deepEqual(answer, { jwksUri: metadata.jwks_uri, tokenEndpoint: metadata.token_endpoint });
  }
  await discovery.metadata();
  assert.equal(seen.asked, 1);
  assert.deepEqual(lines, []);
});

test("an issuer that is away is said to be so once, asked once a second, and found when it is there", async (context) => {
  const { discovery, behaviour, seen, lines, issuer } = await issuerThat(context);
  behaviour.answer = (_request, response) => response.writeHead(503).end();
  for (let calls = 0; calls < 5; calls++) await assert.rejects(discovery.metadata(), IssuerProblem);
  assert.equal(seen.asked, 1);
  assert.equal((await problemOf(discovery)).kind, "unreachable");
  behaviour.answer = undefined as never;
  await assert.rejects(discovery.metadata(), IssuerProblem);
  await sleep(1_010);
  await discovery.metadata();
  assert.deepEqual(lines, [
    {
      level: "warn",
      message: `the issuer at ${issuer} cannot be reached, trying again (check LAMPID_ISSUER_URL)`,
    },
    { level: "info", message: "issuer reached" },
  ]);
});

test("an issuer that says nothing, or nonsense, is one that cannot be reached", async (context) => {
  const { discovery, behaviour } = await issuerThat(context, 200);
  const answers: RequestListener[] = [
    () => {},
    (_request, response) => response.end("<html>"),
    (_request, response) => response.end("null"),
    (_request, response) => response.destroy(),
    (_request, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
  ];
  for (const answer of answers) {
    behaviour.answer = answer;
    assert.equal((await problemOf(discovery)).kind, "unreachable");
  }
});

test("what was found stays known while the issuer is away", async (context) => {
  const { discovery, behaviour, metadata } = await issuerThat(context);
  await discovery.metadata();
  behaviour.answer = (_request, response) => response.destroy();
  await problemOf(discovery);
  assert.equal((await discovery.metadata()).jwksUri, metadata.jwks_uri);
});

test("a document without keys, or with an address that is none, is not used", async (context) => {
  const { discovery, behaviour, metadata } = await issuerThat(context);
  for (const change of [{ jwks_uri: undefined }, { token_endpoint: 7 }, { jwks_uri: "file:///etc/passwd" }]) {
    behaviour.answer = (_request, response) => response.end(JSON.stringify({ ...metadata, ...change }));
    assert.equal((await problemOf(discovery)).kind, "unreachable");
  }
});

test("an issuer of another name is refused in one line that names the setting and both names", async (context) => {
  const { discovery, behaviour, metadata, issuer, lines } = await issuerThat(context);
  const other = "https://lain.example/realms/lampid";
  behaviour.answer = (_request, response) => response.end(JSON.stringify({ ...metadata, issuer: other }));
  assert.equal((await problemOf(discovery)).kind, "another");
  await problemOf(discovery);
  assert.equal(lines.length, 1);
  assert.match(lines[0]!.message, /LAMPID_ISSUER_URL/);
  assert.ok(lines[0]!.message.includes(other) && lines[0]!.message.includes(issuer));
});

test("a realm that does not exist is refused in one line that names the setting", async (context) => {
  const { discovery, behaviour, lines } = await issuerThat(context);
  behaviour.answer = (_request, response) => response.writeHead(404).end('{"error":"Realm does not exist"}');
  assert.equal((await problemOf(discovery)).kind, "unknown");
  await problemOf(discovery);
  assert.equal(lines.length, 1);
  assert.match(lines[0]!.message, /no such issuer.*LAMPID_ISSUER_URL/);
});
