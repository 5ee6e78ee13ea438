import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { JsonValue } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import { createRouterTransport } from "@connectrpc/connect";
import { success_status } from "#gen/lampid/option/v1/http_pb.ts";
import { createBinding } from "../transcoder/binding.ts";
import { readHttpRules } from "../transcoder/rule.ts";
import { createTranscoder } from "../transcoder/transcoder.ts";
import { upstreamServices } from "../upstreams.ts";
import type { OpenApiDocument, Operation, Parameter } from "./document.ts";
import { compileContracts } from "./fixture.ts";
import { createMeshOpenApi } from "./mesh.ts";
import { exampleProblems, examplesOf, lintProblems, specificationProblems } from "./validation.ts";

const document: OpenApiDocument = JSON.parse(
  readFileSync(new URL("../../gen/openapi.json", import.meta.url), "utf8"),
);
const services = Object.values(upstreamServices).flat();
const transport = createRouterTransport(() => {});
const { routes } = createTranscoder({
  services,
  transportFor: () => transport,
  successStatus: success_status,
});
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({ path, method, operation: operation as Operation })),
);

test("the committed document is what the contracts and the policy say", async () => {
  assert.deepEqual(document, JSON.parse(JSON.stringify(await createMeshOpenApi(compileContracts()))));
});

test("the document is OpenAPI 3.1 to two validators, one of them a strict linter", async () => {
  assert.deepEqual(await specificationProblems(document), []);
  assert.deepEqual(await lintProblems(document), []);
});

test("it has the routes that the transcoder serves, with their status, and no others", () => {
  const shapeOf = (path: string) =>
    path
      .replace(/\{[^}=]+=([^}]*)\}/g, (_, pattern: string) => pattern.replace(/\*\*?/g, "{}"))
      .replace(/\{[^}]+\}/g, "{}");
  const served = routes.map(
    ({ httpMethod, template, successStatus }) => `${httpMethod} ${shapeOf(template)} ${successStatus}`,
  );
  const documented = operations.map(({ path, method, operation }) => {
    const [status] = Object.keys(operation.responses).filter((each) => /^2/.test(each));
    return `${method.toUpperCase()} ${shapeOf(path)} ${status}`;
  });
  assert.ok(served.length > 40);
  assert.deepEqual(documented.sort(), served.sort());
});

test("every example validates against its schema", () => {
  // An answer each at least, and most have a request, too.
  assert.ok(examplesOf(document.paths, "#").length > operations.length);
  assert.deepEqual(exampleProblems(document), []);
});

test("every request example, sent as it is, passes the transcoder and the rules of the contract", () => {
  const validator = createValidator();
  let sent = 0;
  for (const method of services.flatMap((service) => service.methods)) {
    readHttpRules(method).forEach((rule, index) => {
      const id = `${method.parent.name}_${method.name}${index === 0 ? "" : `_${index + 1}`}`;
      const { path, operation } = operations.find((each) => each.operation.operationId === id)!;
      const binding = createBinding(method, rule);
      const parameters = operation.parameters!.filter((each): each is Parameter => "name" in each);
      const values = Object.fromEntries(parameters.map(({ name, example }) => [name, String(example)]));
      const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => values[name]!);
      const withoutVerb = binding.template.verb === "" ? filled : filled.slice(0, filled.lastIndexOf(":"));
      const query = parameters
        .filter((each) => each.in === "query" && each.required === true)
        .map(({ name }) => `${name}=${encodeURIComponent(values[name]!)}`)
        .join("&");
      const media = operation.requestBody?.content["application/json"];
      const examples: (JsonValue | undefined)[] = Object.values(media?.examples ?? {}).map(
        ({ value }) => value,
      );
      for (const example of examples.length > 0 ? examples : [media?.example]) {
        const body = example === undefined ? undefined : Buffer.from(JSON.stringify(example));
        const input = binding.read(withoutVerb.slice(1).split("/"), query, body);
        assert.equal(
          validator.validate(method.input, input).error,
          undefined,
          `${id}: ${JSON.stringify(example)}`,
        );
        sent++;
      }
    });
  }
  assert.ok(sent > routes.length);
});

test("login and the check of a document alone need no token, and what programs of the mesh call is not offered", () => {
  const open = operations.filter(({ operation }) => operation.security?.length === 0);
  assert.deepEqual(
    open.map(({ path }) => path),
    ["/login", "/v1/auth:login", "/v1/dokumen/{dokumen}:verify", "/v1/dokumen:verify", "/v1/dokumen:kunci"],
  );
  assert.ok(!document.tags.some(({ name }) => /Hub|Penggabungan|Internal/.test(name)));
});

test("the server is where the document is from", () => {
  assert.deepEqual(document.servers, [{ url: "/" }]);
});
