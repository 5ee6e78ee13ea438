import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { type TestContext, test } from "node:test";
import { Refused } from "#chassis/refusal.ts";
import type { TokenEndpoint } from "#chassis/token-endpoint.ts";
import { passwordGrant } from "./issuer-client.ts";

const request = {
  username: "siti",
  password: "r&h=sia",
  traceparent: "00-a-b-00",
};

async function issuer(context: TestContext, answer: RequestListener) {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const tokenUrl = `http://127.0.0.1:${(server.address() as { port: number }).port}/token`;
  return passwordGrant(endpointAt(tokenUrl));
}

function endpointAt(tokenUrl: string): TokenEndpoint {
  return { tokenUrl: async () => tokenUrl, client: () => ({ id: "login" }), timeoutMs: 200 };
}

const json = (status: number, body: unknown): RequestListener => {
  return (_request, response) => response.writeHead(status).end(JSON.stringify(body));
};

const isUnavailable = (cause: unknown) => {
  assert.ok(cause instanceof Refused);
  assert.deepEqual([cause.refusal.kind, cause.refusal.reason], ["unavailable", "ISSUER_UNAVAILABLE"]);
  return true;
};

test("a public client names itself in the form, and the trace goes along", async (context) => {
  let seen = "";
  const grant = await issuer(context, async (incoming, response) => {
    seen = `${incoming.headers.traceparent} ${incoming.headers.authorization} `;
    for await (const chunk of incoming) seen += chunk;
    json(200, { access_token: "a.b.c", token_type: "bearer", expires_in: 300 })(incoming, response as never);
  });
  assert.deepEqual(await grant(request), {
    kind: "granted",
    accessToken: "a.b.c",
    tokenType: "Bearer",
    expiresIn: 300,
  });
  assert.equal(
    seen,
    "00-a-b-00 undefined grant_type=password&username=siti&password=r%26h%3Dsia&client_id=login",
  );
});

test("a password that must be replaced is told from a wrong one", async (context) => {
  const error = { error: "invalid_grant", error_description: "Account is not fully set up" };
  const grant = await issuer(context, json(400, error));
  assert.deepEqual(await grant(request), { kind: "password_expired" });
});

test("a wrong password is denied, with RFC 6749's 400 and with Keycloak's 401", async (context) => {
  for (const status of [400, 401]) {
    const grant = await issuer(context, json(status, { error: "invalid_grant" }));
    assert.deepEqual(await grant(request), { kind: "denied" });
  }
});

test("an issuer that is down, slow, ill, overloaded or talking nonsense is UNAVAILABLE", async (context) => {
  const down = passwordGrant(endpointAt("http://127.0.0.1:1/token"));
  await assert.rejects(down(request), isUnavailable);
  const starting = passwordGrant({ ...endpointAt("http://127.0.0.1:1/token"), client: () => undefined });
  await assert.rejects(starting(request), isUnavailable);
  const unknown = passwordGrant({
    ...endpointAt(""),
    tokenUrl: () => Promise.reject(new Error("the discovery is away")),
  });
  await assert.rejects(unknown(request), isUnavailable);
  const answers: RequestListener[] = [
    () => {},
    json(500, { error: "server_error" }),
    json(503, { error: "temporarily_unavailable" }),
    json(429, {}),
    (_request, response) => response.end("<html>"),
    (_request, response) => response.destroy(),
  ];
  for (const answer of answers) await assert.rejects((await issuer(context, answer))(request), isUnavailable);
});

test("a password does not follow a redirect", async (context) => {
  const grant = await issuer(context, (_request, response) =>
    response.writeHead(307, { location: "http://127.0.0.1:1/" }).end(),
  );
  await assert.rejects(grant(request), isUnavailable);
});

test("an issuer that does not know our client is our own fault, not the caller's", async (context) => {
  for (const answer of [
    json(401, { error: "invalid_client" }),
    json(200, { access_token: 7 }),
    json(200, null),
  ]) {
    const failing = (await issuer(context, answer))(request);
    await assert.rejects(failing, (cause) => cause instanceof Error && !(cause instanceof Refused));
  }
});
