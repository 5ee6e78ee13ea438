// The gateway keeps what partners expect of it: their contracts (test/pact) are verified against the running mesh.
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { type RunningMesh, useMesh } from "../harness/mesh.ts";
import { login, mitraToken, type RestClient, restClient } from "../harness/rest.ts";
import { EXAMPLE_TOKEN, PACTS, verify } from "../pact/pact.ts";

let mesh: RunningMesh;
let call: RestClient;
let pusat: string;
let mitra: string;
let front: ReturnType<typeof createServer>;
let frontUrl: string;

/** What partners take for given, made so. */
const states: Record<string, (params: Record<string, string>) => Promise<void>> = {
  async "a resident is registered"({ nik, nama }) {
    const json = { nik, nama, alamat: "Jl. Merdeka 1", provinsi: "Jawa Barat" };
    const answer = await call("POST /v1/penduduk", { token: pusat, json });
    assert.ok([201, 409].includes(answer.status), answer.text);
  },
};

before(async () => {
  mesh = await useMesh();
  call = restClient(mesh.urls.gateway!);
  pusat = await login(mesh.urls.gateway!, "pusat");
  mitra = await mitraToken(mesh.urls.issuer!);
  front = createServer((request, response) => {
    const answer = request.url === "/_states" ? setState : passOn;
    answer(request, response).catch((error) => response.writeHead(500).end(String(error)));
  });
  await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
  frontUrl = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
});
after(async () => {
  front?.closeAllConnections();
  front?.close();
  await mesh?.stop();
});

async function setState(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let text = "";
  for await (const chunk of request) text += chunk;
  const { state, params } = JSON.parse(text) as { state?: string; params: Record<string, string> };
  if (state) {
    const make = states[state];
    if (!make) throw new Error(`nobody knows how to make it so that ${state}`);
    await make(params);
  }
  response.writeHead(200).end();
}

/** To the gateway, with a real token in place of the example. */
async function passOn(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const headers = { ...request.headers };
  if (headers.authorization === `Bearer ${EXAMPLE_TOKEN}`) headers.authorization = `Bearer ${mitra}`;
  const { method } = request;
  const onward = httpRequest(`${mesh.urls.gateway}${request.url}`, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode!, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  request.pipe(onward);
}

for (const path of globSync("*.json", { cwd: PACTS }).sort()) {
  const { consumer } = JSON.parse(readFileSync(`${PACTS}/${path}`, "utf8"));
  test(`what ${consumer.name} expects`, async () => {
    await verify(`${PACTS}/${path}`, frontUrl, `${frontUrl}/_states`);
  });
}
