import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { before, describe, type TestContext, test } from "node:test";
import {
  type CryptoKey,
  createLocalJWKSet,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type JWK,
  type JWTPayload,
  SignJWT,
} from "jose";
import type { Caller } from "./caller.ts";
import { Refused } from "./refusal.ts";
import type { IsRevoked } from "./revocations.ts";
import { type TokenVerifier, type TokenVerifierOptions, tokenVerifier } from "./token.ts";

const issuer = "http://issuer.test";
const audience = "lampid";
const now = Date.UTC(2026, 0, 15, 3, 0, 0);
const seconds = now / 1000;

let signer: CryptoKey;
let stranger: CryptoKey;
let publicJwk: JWK;
let publicPem: string;

before(async () => {
  const pair = await generateKeyPair("ES256", { extractable: true });
  signer = pair.privateKey;
  publicJwk = { ...(await exportJWK(pair.publicKey)), kid: "kunci-1", use: "sig", alg: "ES256" };
  publicPem = await exportSPKI(pair.publicKey);
  stranger = (await generateKeyPair("ES256")).privateKey;
});

const claims: JWTPayload = {
  iss: issuer,
  aud: audience,
  sub: "a7c9b6f0-0000-4000-8000-000000000001",
  iat: seconds,
  exp: seconds + 3_600,
  preferred_username: "operator",
  role: "operator",
  wilayah: "32.01.01.1006",
  scope: "lampid",
  client_id: "lampid-login",
};

type Signing = { key?: CryptoKey | Uint8Array; header?: { alg: string; kid?: string } };

function sign(payload: JWTPayload = claims, { key = signer, header }: Signing = {}): Promise<string> {
  return new SignJWT(payload)
    .setProtectedHeader({ typ: "at+jwt", kid: "kunci-1", alg: "ES256", ...header })
    .sign(key);
}

/** Verifies with the keys at hand; `lookups` tells how often a key was needed, so how often a signature was checked. */
function verifier(more: Partial<TokenVerifierOptions> = {}) {
  const keys = createLocalJWKSet({ keys: [publicJwk] });
  const counted = { lookups: 0 };
  const verify = tokenVerifier({
    issuer,
    audience,
    keys: (header, token) => {
      counted.lookups++;
      return keys(header, token);
    },
    now: () => now,
    ...more,
  });
  return Object.assign(verify, { counted });
}

async function refusalOf(verify: TokenVerifier, authorization: string | null): Promise<string> {
  try {
    await verify(authorization);
  } catch (cause) {
    assert.ok(cause instanceof Refused, String(cause));
    assert.ok((authorization ?? "").length < 20 || !cause.message.includes(authorization!.slice(7)));
    return `${cause.refusal.kind} ${cause.refusal.reason}`;
  }
  return assert.fail("the token was accepted");
}

describe("a verified token", () => {
  test("tells who is calling", async () => {
    const expected: Caller = {
      subject: claims.sub!,
      username: "operator",
      role: "operator",
      wilayah: "32.01.01.1006",
      scopes: ["lampid"],
      issuedAtSeconds: seconds,
    };
    assert.deepEqual(await verifier()(`Bearer ${await sign()}`), expected);
    assert.deepEqual(await verifier()(`bearer  ${await sign()}`), expected);
  });

  test("of a machine client names the client", async () => {
    const { preferred_username: _, ...machine } = claims;
    Object.assign(machine, { sub: "mitra", client_id: "mitra" });
    assert.equal((await verifier()(`Bearer ${await sign(machine)}`)).username, "mitra");
  });

  test("without role, wilayah or scope is nobody and nowhere, whatever type the claims have", async () => {
    const { role: _r, wilayah: _w, scope: _s, ...bare } = claims;
    for (const payload of [
      bare,
      { ...claims, role: ["admin_pusat"], wilayah: { code: "ID" }, scope: ["x"] },
    ]) {
      const { role, wilayah, scopes } = await verifier()(`Bearer ${await sign(payload)}`);
      assert.deepEqual([role, wilayah, scopes], ["", "", []]);
    }
  });
});

describe("refused as UNAUTHENTICATED is", () => {
  const invalid = "unauthenticated TOKEN_INVALID";

  test("no header, another scheme, an empty or a malformed token", async () => {
    const token = await sign();
    const headers = [
      null,
      "",
      "Bearer",
      "Bearer ",
      "Basic b3A6cmFoYXNpYQ==",
      token,
      `Bearer ${token} x`,
      "Bearer a.b.c",
    ];
    for (const header of headers) assert.equal(await refusalOf(verifier(), header), invalid, String(header));
  });

  test("an expired token, to the second", async () => {
    const token = await sign({ ...claims, exp: seconds });
    assert.equal(await refusalOf(verifier(), `Bearer ${token}`), invalid);
    await verifier({ now: () => now - 1_000 })(`Bearer ${token}`);
  });

  test("a token that is not valid yet", async () => {
    const token = await sign({ ...claims, nbf: seconds + 60 });
    assert.equal(await refusalOf(verifier(), `Bearer ${token}`), invalid);
  });

  test("a token without an expiry or a subject", async () => {
    const { exp: _e, ...eternal } = claims;
    const { sub: _s, ...anonymous } = claims;
    for (const payload of [eternal, anonymous]) {
      assert.equal(await refusalOf(verifier(), `Bearer ${await sign(payload)}`), invalid);
    }
  });

  test("a token signed with another key, under our key's name or its own", async () => {
    for (const kid of ["kunci-1", "kunci-2"]) {
      const token = await sign(claims, { key: stranger, header: { alg: "ES256", kid } });
      assert.equal(await refusalOf(verifier(), `Bearer ${token}`), invalid);
    }
  });

  test("a token that was changed after it had been signed", async () => {
    const [header, , signature] = (await sign()).split(".");
    const payload = Buffer.from(JSON.stringify({ ...claims, role: "admin_pusat", wilayah: "ID" }));
    const forged = `${header}.${payload.toString("base64url")}.${signature}`;
    assert.equal(await refusalOf(verifier(), `Bearer ${forged}`), invalid);
  });

  test("alg none, in every spelling, with and without a signature", async () => {
    const payload = Buffer.from(JSON.stringify(claims)).toString("base64url");
    for (const alg of ["none", "None", "NONE", "nOnE"]) {
      const header = Buffer.from(JSON.stringify({ alg, typ: "at+jwt" })).toString("base64url");
      for (const signature of ["", "AAAA"]) {
        assert.equal(await refusalOf(verifier(), `Bearer ${header}.${payload}.${signature}`), invalid, alg);
      }
    }
  });

  test("HS256 with the public key as its secret", async () => {
    const secrets = [publicPem, publicPem.trim(), JSON.stringify(publicJwk), publicJwk.x!];
    for (const secret of secrets) {
      const key = new TextEncoder().encode(secret.padEnd(32));
      const token = await sign(claims, { key, header: { alg: "HS256", kid: "kunci-1" } });
      assert.equal(await refusalOf(verifier(), `Bearer ${token}`), invalid);
    }
  });

  test("a token for another audience, or for none", async () => {
    const { aud: _, ...none } = claims;
    for (const payload of [{ ...claims, aud: "lampid-web" }, { ...claims, aud: ["a", "b"] }, none]) {
      assert.equal(await refusalOf(verifier(), `Bearer ${await sign(payload)}`), invalid);
    }
  });

  test("a token of another issuer, or of none", async () => {
    const { iss: _, ...none } = claims;
    for (const payload of [{ ...claims, iss: "http://issuer.test.jahat.example" }, none]) {
      assert.equal(await refusalOf(verifier(), `Bearer ${await sign(payload)}`), invalid);
    }
  });
});

describe("a token is remembered", () => {
  test("so that its signature is checked once", async () => {
    const verify = verifier();
    const header = `Bearer ${await sign()}`;
    const first = await verify(header);
    // The second answer comes without a promise: no call waits for a turn of the event loop.
    assert.equal(verify(header), first);
    assert.equal(verify.counted.lookups, 1);
  });

  test("until it expires, and not a second longer", async () => {
    let time = now;
    const verify = verifier({ now: () => time });
    const header = `Bearer ${await sign()}`;
    await verify(header);
    time = now + 3_599_000;
    assert.ok(!(verify(header) instanceof Promise));
    time = now + 3_600_000;
    assert.equal(await refusalOf(verify, header), "unauthenticated TOKEN_INVALID");
  });

  test("only if it was good", async () => {
    const verify = verifier();
    const header = `Bearer ${await sign({ ...claims, aud: "lain" })}`;
    await refusalOf(verify, header);
    await refusalOf(verify, header);
    assert.equal(verify.counted.lookups, 2);
  });

  test("in bounded memory: the oldest is forgotten", async () => {
    const verify = verifier({ cacheSize: 2 });
    const tokens = await Promise.all(["a", "b", "c"].map((jti) => sign({ ...claims, jti })));
    for (const token of tokens) await verify(`Bearer ${token}`);
    assert.ok(!(verify(`Bearer ${tokens[2]}`) instanceof Promise));
    assert.ok(verify(`Bearer ${tokens[0]}`) instanceof Promise);
  });
});

describe("a token that is revoked", () => {
  const revoked = "unauthenticated TOKEN_REVOKED";

  test("is refused with a reason of its own, remembered or not, and its signature is still checked once", async () => {
    const asked: Parameters<IsRevoked>[0][] = [];
    let isRevoked = false;
    const verify = verifier({
      isRevoked(caller) {
        asked.push(caller);
        return isRevoked;
      },
    });
    const header = `Bearer ${await sign()}`;
    await verify(header);
    isRevoked = true;
    assert.equal(await refusalOf(verify, header), revoked);
    const another = `Bearer ${await sign({ ...claims, iat: seconds - 7, jti: "lain" })}`;
    assert.equal(await refusalOf(verify, another), revoked);
    assert.equal(await refusalOf(verify, another), revoked);
    assert.equal(verify.counted.lookups, 2);
    isRevoked = false;
    assert.equal((await verify(another)).subject, claims.sub);
    assert.deepEqual(
      asked.map(({ subject, issuedAtSeconds }) => [subject, issuedAtSeconds]),
      [seconds, seconds, seconds - 7, seconds - 7, seconds - 7].map((time) => [claims.sub, time]),
    );
  });

  test("is not told from a bad one before its signature was checked", async () => {
    const verify = verifier({ isRevoked: () => true });
    const token = await sign(claims, { key: stranger });
    assert.equal(await refusalOf(verify, `Bearer ${token}`), "unauthenticated TOKEN_INVALID");
  });
});

describe("the issuer's keys", () => {
  async function serveKeys(context: TestContext, answer: RequestListener) {
    const server = createServer(answer);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const close = () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    };
    context.after(close);
    return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}/jwks`, close };
  }

  test("are fetched once, and a token known before their server went away stays good", async (context) => {
    let fetched = 0;
    const { url, close } = await serveKeys(context, (_request, response) => {
      fetched++;
      response.end(JSON.stringify({ keys: [publicJwk] }));
    });
    const verify = tokenVerifier({ issuer, audience, jwksUrl: url, now: () => now });
    const header = `Bearer ${await sign()}`;
    const another = `Bearer ${await sign({ ...claims, jti: "lain" })}`;
    await verify(header);
    await close();
    await verify(header);
    await verify(another);
    assert.equal(fetched, 1);
  });

  test("by default are those at <issuer>/jwks", async (context) => {
    const paths: string[] = [];
    const { url } = await serveKeys(context, (request, response) => {
      paths.push(request.url!);
      response.end(JSON.stringify({ keys: [publicJwk] }));
    });
    const own = url.replace("/jwks", "");
    const verify = tokenVerifier({ issuer: own, audience, now: () => now });
    await verify(`Bearer ${await sign({ ...claims, iss: own })}`);
    assert.deepEqual(paths, ["/jwks"]);
  });

  test("in the cluster are those that the issuer's discovery names, once it can be had", async (context) => {
    const { url } = await serveKeys(context, (_request, response) =>
      response.end(JSON.stringify({ keys: [publicJwk] })),
    );
    let isAway = true;
    let asked = 0;
    const metadata = async () => {
      asked++;
      if (isAway) throw new Error("the issuer cannot be reached");
      return { jwksUri: url, tokenEndpoint: `${url}/token` };
    };
    const discovery = { metadata, probe: metadata };
    const verify = tokenVerifier({ issuer, audience, discovery, now: () => now });
    const header = `Bearer ${await sign()}`;
    assert.equal(asked, 0);
    assert.equal(await refusalOf(verify, header), "unavailable ISSUER_UNAVAILABLE");
    isAway = false;
    assert.equal((await verify(header)).username, "operator");
    await verify(`Bearer ${await sign({ ...claims, jti: "lain" })}`);
    assert.equal(asked, 2);
    const explicit = tokenVerifier({ issuer, audience, discovery, jwksUrl: url, now: () => now });
    await explicit(header);
    assert.equal(asked, 2, "an address that was given wins");
  });

  test("not to be had make a call UNAVAILABLE, never UNAUTHENTICATED, and it works when they are back", async (context) => {
    const header = `Bearer ${await sign()}`;
    const unavailable = "unavailable ISSUER_UNAVAILABLE";
    const nowhere = tokenVerifier({ issuer, audience, jwksUrl: "http://127.0.0.1:1/jwks", now: () => now });
    assert.equal(await refusalOf(nowhere, header), unavailable);

    let answer: RequestListener = (_request, response) => response.writeHead(503).end("{}");
    const { url } = await serveKeys(context, (request, response) => answer(request, response));
    const verify = tokenVerifier({ issuer, audience, jwksUrl: url, now: () => now });
    assert.equal(await refusalOf(verify, header), unavailable);
    answer = (_request, response) => response.end("<html>");
    assert.equal(await refusalOf(verify, header), unavailable);
    answer = (_request, response) => response.end('{"keys":"none"}');
    assert.equal(await refusalOf(verify, header), unavailable);
    answer = (_request, response) => response.destroy();
    assert.equal(await refusalOf(verify, header), unavailable);
    answer = (_request, response) => response.end(JSON.stringify({ keys: [publicJwk] }));
    assert.equal((await verify(header)).username, "operator");
  });
});
