// What a bank expects of the gateway: whether a card says what the registry knows, and never the data itself.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { consumer, EXAMPLE_TOKEN, like, matching, withToken } from "./pact.ts";

type Card = { nik: string; nama: string; tanggal_lahir?: string };

/** The bank's program. */
async function verifyIdentity(baseUrl: string, token: string | undefined, card: Card) {
  const response = await fetch(`${baseUrl}/v1/penduduk:verifyKtp`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(card),
  });
  const body = (await response.json()) as {
    found?: boolean;
    nama?: string;
    details: { reason?: string }[];
  };
  if (response.ok) return { isKnown: body.found === true, isSameName: body.nama === "COCOK_SESUAI" };
  return { refused: body.details.find(({ reason }) => reason)?.reason };
}

const bank = consumer("bank");

const SITI = { nik: "3201234101909001", nama: "Siti Nurhaliza" };
const state = { name: "a resident is registered", params: SITI };
const request = { method: "POST", path: "/v1/penduduk:verifyKtp", headers: withToken };
const refusal = (code: number, reason: string) => ({
  code,
  message: like("words for developers"),
  details: [
    {
      "@type": "type.googleapis.com/google.rpc.ErrorInfo",
      reason,
      domain: "lampid.go.id",
    },
    like({
      "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
      locale: "en",
      message: "words for people",
    }),
  ],
});

after(() => bank.write());

test("a card that says what the registry knows", async () => {
  const found = await bank.expects(
    {
      description: "a card with the right name",
      state,
      request: { ...request, json: SITI },
      response: { status: 200, json: { found: true, nama: "COCOK_SESUAI" } },
    },
    (baseUrl) => verifyIdentity(baseUrl, EXAMPLE_TOKEN, SITI),
  );
  assert.deepEqual(found, { isKnown: true, isSameName: true });
});

test("a card with another name", async () => {
  const card = { ...SITI, nama: "Dewi Lestari" };
  const found = await bank.expects(
    {
      description: "a card with the name of somebody else",
      state,
      request: { ...request, json: card },
      response: { status: 200, json: { found: true, nama: "COCOK_TIDAK_SESUAI" } },
    },
    (baseUrl) => verifyIdentity(baseUrl, EXAMPLE_TOKEN, card),
  );
  assert.deepEqual(found, { isKnown: true, isSameName: false });
});

test("a NIK that nobody has", async () => {
  const card = { nik: "3201234101909999", nama: "Tanpa Nama" };
  const found = await bank.expects(
    {
      description: "a card whose NIK nobody has",
      request: { ...request, json: card },
      response: { status: 200, json: {} },
    },
    (baseUrl) => verifyIdentity(baseUrl, EXAMPLE_TOKEN, card),
  );
  assert.deepEqual(found, { isKnown: false, isSameName: false });
});

test("a call without a token", async () => {
  const found = await bank.expects(
    {
      description: "a card without a token",
      request: { method: "POST", path: "/v1/penduduk:verifyKtp", json: SITI },
      response: {
        status: 401,
        headers: { "www-authenticate": matching(/^Bearer/, "Bearer") },
        json: refusal(16, "TOKEN_INVALID"),
      },
    },
    (baseUrl) => verifyIdentity(baseUrl, undefined, SITI),
  );
  assert.deepEqual(found, { refused: "TOKEN_INVALID" });
});
