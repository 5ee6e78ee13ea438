import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { createRegistry } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { ERROR_DOMAIN, refusalToError } from "#chassis/refusal.ts";
import { file_google_rpc_error_details, LocalizedMessageSchema } from "#gen/google/rpc/error_details_pb.ts";
import { AuthService } from "#gen/lampid/auth/v1/auth_service_pb.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { penolakan } from "../../services/pelaporan/domain/penolakan.ts";
import { createGateway } from "../gateway.ts";
import { createListener } from "../listener.ts";
import { textsByCode, textsByReason } from "./catalogue.ts";
import { languageOf } from "./localize.ts";

const root = resolve(import.meta.dirname, "../..");
const closers: (() => unknown)[] = [];
after(() => Promise.all(closers.map((close) => close())));

async function start(callsPerMinute = 1_000): Promise<string> {
  const refused = (reason: string) =>
    refusalToError({ kind: "forbidden", reason, message: "for developers" });
  const transport = createRouterTransport((router) => {
    router.service(AuthService, {
      getMe: () => {
        throw refused("WILAYAH_DENIED");
      },
      login: ({ username }) => {
        throw username === "said"
          ? new ConnectError("said", Code.Aborted, undefined, [
              { desc: LocalizedMessageSchema, value: { locale: "su", message: "parantos" } },
            ])
          : refused("OF_A_NEWER_SERVICE");
      },
    });
    router.service(PendudukService, {
      async *exportPenduduk() {
        yield { cursor: "1" };
        throw refused("WILAYAH_DENIED");
      },
    });
  });
  const gateway = createGateway({
    upstreams: [{ name: "all", services: [AuthService, PendudukService], transport }],
    registry: createRegistry(file_google_rpc_error_details),
    verify: () => undefined,
    localized: true,
    limits: { callsPerMinute },
  });
  const listener = createListener({ handler: gateway.handle, onError: () => {} });
  const { port } = await listener.listen(0, "127.0.0.1");
  closers.push(gateway.close, () => listener.close(100));
  return `http://127.0.0.1:${port}`;
}

let baseUrl: string;
before(async () => {
  baseUrl = await start();
});

const LOCALIZED = "type.googleapis.com/google.rpc.LocalizedMessage";
const denied = textsByReason[ERROR_DOMAIN]!.WILAYAH_DENIED!;

async function refusalAt(path: string, language?: string, init: RequestInit = {}, at = baseUrl) {
  const headers = {
    ...(init.headers as object),
    ...(language === undefined ? {} : { "accept-language": language }),
  };
  const answer = await fetch(`${at}${path}`, { ...init, headers });
  const body = JSON.parse(await answer.text());
  const said = body.details.filter((detail: { "@type": string }) => detail["@type"] === LOCALIZED);
  assert.ok(said.length <= 1);
  return { answer, body, said: said[0] };
}

test("REST says a refusal in the caller's language besides its message for developers, in English by default", async () => {
  for (const [language, locale, message] of [
    [undefined, "en", denied.en],
    ["id-ID,en;q=0.5", "id-ID", denied.id],
    ["fr", "en", denied.en],
  ] as const) {
    const { answer, body, said } = await refusalAt("/v1/auth/me", language);
    assert.equal(answer.status, 403);
    assert.equal(body.message, "for developers");
    assert.deepEqual(said, { "@type": LOCALIZED, locale, message });
    assert.equal(answer.headers.get("content-language"), locale);
    assert.equal(answer.headers.get("vary"), "accept-language");
  }
});

test("what the gateway itself refuses is said, too: bodies, paths, methods, and calls that are too many", async () => {
  const post = { method: "POST", headers: { "content-type": "application/json" } };
  const broken = await refusalAt("/v1/auth:login", "id", { ...post, body: "{" });
  assert.deepEqual([broken.answer.status, broken.said.message], [400, textsByCode[Code.InvalidArgument]!.id]);
  const large = await refusalAt("/v1/auth:login", "id", { ...post, body: `"${"a".repeat(2 ** 20 + 1)}"` });
  assert.deepEqual([large.answer.status, large.answer.headers.get("content-language")], [413, "id-ID"]);
  const lost = await refusalAt("/v1/nothing", "id");
  assert.deepEqual([lost.answer.status, lost.said.message], [404, textsByCode[Code.NotFound]!.id]);
  const wrong = await refusalAt("/v1/auth/me", "id", { method: "DELETE" });
  assert.deepEqual([wrong.answer.status, wrong.said.message], [405, textsByCode[Code.Unimplemented]!.id]);
  const limitedUrl = await start(1);
  await refusalAt("/v1/auth/me", "id", {}, limitedUrl);
  const limited = await refusalAt("/v1/auth/me", "id", {}, limitedUrl);
  assert.deepEqual(
    [limited.answer.status, limited.said.message],
    [429, textsByCode[Code.ResourceExhausted]!.id],
  );
});

test("a reason that nobody knows is said by its code, and what a service has said stays", async () => {
  const login = (username: string) =>
    refusalAt("/v1/auth:login", "id", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ username, password: "x" }),
    });
  assert.equal((await login("new")).said.message, textsByCode[Code.PermissionDenied]!.id);
  const { answer, said } = await login("said");
  assert.deepEqual([said.locale, said.message], ["su", "parantos"]);
  assert.equal(answer.headers.get("content-language"), null);
});

test("the last line of a stream that fails says it", async () => {
  const answer = await fetch(`${baseUrl}/v1/penduduk:export`, { headers: { "accept-language": "id" } });
  let text = "";
  const chunks = async () => {
    for await (const chunk of answer.body!) text += Buffer.from(chunk).toString();
  };
  await assert.rejects(chunks);
  const { error } = JSON.parse(text.trimEnd().split("\n").at(-1)!);
  assert.deepEqual(error.details.at(-1), { "@type": LOCALIZED, locale: "id-ID", message: denied.id });
});

describe("a refusal has it as a detail in", () => {
  const transports = {
    Connect: () => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
    "gRPC-Web": () => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
    gRPC: () => createGrpcTransport({ baseUrl }),
  };
  for (const [protocol, transportOf] of Object.entries(transports)) {
    test(protocol, async () => {
      const client = createClient(AuthService, transportOf());
      const call = client.getMe({}, { headers: { "accept-language": "id" } });
      await assert.rejects(call, (error: ConnectError) => {
        const said = error.findDetails(LocalizedMessageSchema);
        assert.deepEqual(
          said.map(({ locale, message }) => ({ locale, message })),
          [{ locale: "id-ID", message: denied.id }],
        );
        return true;
      });
    });
  }
});

test("Accept-Language is read by its qualities", () => {
  for (const [header, language] of [
    [undefined, "en"],
    ["", "en"],
    ["id", "id"],
    ["in-ID", "id"],
    ["ID-id", "id"],
    ["en,id", "en"],
    ["id,en", "id"],
    ["en;q=0.3, id ; q=0.8", "id"],
    ["jv, id;q=0.9, en;q=0.8", "id"],
    ["id;q=0, *", "en"],
    ["id;q=0", "en"],
    ["*", "en"],
    ["idx", "en"],
    ["id;q=abc", "en"],
    [`${"fr,".repeat(40)}id`, "en"],
  ] as const) {
    assert.equal(languageOf(header), language, header);
  }
});

/** Where a reason is not written beside `refuse`, and what reasons these are. */
const reasonsElsewhere: Record<string, string[]> = {
  "services/integrasi/commands.ts": ["NOT_RUNNING", "RUN_IS_OVER"],
  // Rules for rows of the hub are many and for its people: beside this one, the code's words do.
  "services/integrasi/karantina.ts": ["KEDALUWARSA"],
  "services/pelaporan/service.ts": Object.keys(penolakan),
  // The registry's refusals of a report reach pelaporan alone; these reach people, too.
  "services/penduduk/refusals.ts": ["NOT_ALIVE", "IN_TRANSIT", "ABROAD"],
};

test("every reason that the code refuses with has its words, and no words are there for nothing", () => {
  const used = new Set(Object.values(reasonsElsewhere).flat());
  const unread: string[] = [];
  // The hub is another authority's; the gateway does not offer it.
  const files = globSync("{services,gateway}/**/*.ts", { cwd: root }).filter(
    (path) => !path.endsWith(".test.ts") && !path.startsWith("services/dukcapil/"),
  );
  for (const path of files) {
    const text = readFileSync(join(root, path), "utf8");
    for (const [, reason] of text.matchAll(/(?<!function )\brefuse\(\s*"\w+",\s*([^,]+),/g)) {
      const literal = /^"(\w+)"$/.exec(reason!)?.[1];
      if (literal !== undefined) used.add(literal);
      else if (reasonsElsewhere[path] === undefined) unread.push(`${path}: ${reason}`);
    }
    for (const [, reason] of text.matchAll(
      /(?:ErrorInfoSchema, value: \{|refusalToError\(\{[^}]*)\s*reason: "(\w+)"/g,
    )) {
      used.add(reason!);
    }
  }
  assert.deepEqual(unread, [], "say in reasonsElsewhere what reasons these are");
  assert.deepEqual([...used].sort(), Object.keys(textsByReason[ERROR_DOMAIN]!).sort());
});

test("all words are there in both languages, as sentences", () => {
  const all = [
    ...Object.values(textsByCode),
    ...Object.values(textsByReason).flatMap((texts) => Object.values(texts)),
  ];
  for (const texts of all) {
    for (const text of [texts.en, texts.id]) assert.match(text, /^[A-Z].*\.$/, text);
  }
});
