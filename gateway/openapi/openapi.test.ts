import assert from "node:assert/strict";
import { test } from "node:test";
import { clone, createFileRegistry, createRegistry, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema, file_google_protobuf_duration } from "@bufbuild/protobuf/wkt";
import { createValidator } from "@bufbuild/protovalidate";
import type { Operation, Parameter, Response } from "./document.ts";
import { compile, library } from "./fixture.ts";
import { createOpenApi, type OpenApiOptions } from "./openapi.ts";
import { exampleProblems, lintProblems, specificationProblems } from "./validation.ts";

const set = compile(library);
const options: OpenApiOptions = {
  set,
  services: ["test.v1.Library"],
  info: { title: "Library", version: "1.0.0", license: { name: "MIT", identifier: "MIT" } },
  isPublic: (method) => method === "test.v1.Library/Ping",
  successStatus: "test.v1.status_of_success",
};
const document = createOpenApi(options);
const { schemas } = document.components;
const everything = schemas["test.v1.Everything"]!.properties!;

const operation = (method: string, path: string) => document.paths[path]![method] as Operation;
const success = (method: string, path: string) => {
  const [status, response] = Object.entries(operation(method, path).responses)[0]!;
  return { status, response: response as Response };
};
const parameters = (method: string, path: string) =>
  Object.fromEntries(
    (operation(method, path).parameters as Parameter[])
      .filter(({ name }) => name !== undefined)
      .map((parameter) => [parameter.name, parameter]),
  );
const headersOf = (method: string, path: string) =>
  operation(method, path).parameters!.flatMap((each) => ("$ref" in each ? each.$ref.split("/").at(-1) : []));
const body = (method: string, path: string) =>
  operation(method, path).requestBody!.content["application/json"]!;

test("every binding is an operation with an id of its own, and the path keeps its verb", () => {
  const found = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, each]) => `${method} ${path} ${(each as Operation).operationId}`),
  );
  assert.deepEqual(found, [
    "post /v1/shelves/{shelf}/books Library_CreateBook",
    "post /books Library_CreateBook_2",
    "get /v1/shelves/{shelf}/books/{book} Library_GetBook",
    "delete /v1/shelves/{shelf}/books/{book} Library_DeleteBook",
    "post /v1/books/{book}:lend Library_LendBook",
    "get /v1/books Library_ListBooks",
    "patch /v1/books/{book} Library_UpdateBook",
    "get /v1/books:watch Library_WatchBooks",
    "post /ping Library_Ping",
    "get /v1/browse/{path} Library_Browse_get",
    "put /v1/browse/{path} Library_Browse_put",
    "post /v1/browse/{path} Library_Browse_post",
    "delete /v1/browse/{path} Library_Browse_delete",
    "patch /v1/browse/{path} Library_Browse_patch",
    "x-additionalOperations /v1/browse undefined",
    "get /v1/shelves/{shelf}/books/{book}:cover Library_DownloadCover",
    "put /v1/books/{book}:cover Library_UploadCover",
  ]);
  assert.equal(
    (document.paths["/v1/browse"]!["x-additionalOperations"] as never as Record<string, Operation>).report!
      .operationId,
    "Library_Browse_2",
  );
});

test("the first sentence of a comment is the summary, the rest the description, and a service is a tag", () => {
  const create = operation("post", "/books");
  assert.equal(create.summary, "CreateBook stores a book");
  assert.equal(create.description, "Returns ALREADY_EXISTS\nif there is one, e.g. with its ISBN.");
  assert.deepEqual(create.tags, ["Library"]);
  assert.deepEqual(document.tags, [{ name: "Library", description: "Library lends books. Of all kinds." }]);
});

test("a path variable is a parameter with what its pattern asks of the part, and an example of the contract", () => {
  const { book } = parameters("post", "/v1/books/{book}:lend");
  assert.deepEqual(book!.schema, { type: "string", pattern: "^[0-9]{4}$" });
  assert.equal(book!.required, true);
  const nested = parameters("get", "/v1/shelves/{shelf}/books/{book}");
  assert.equal(nested.shelf!.example, "fiction");
  assert.match(String(nested.book!.example), /^[0-9a-f-]{36}$/);
  assert.match(parameters("get", "/v1/browse/{path}").path!.description!, /several segments/);
  assert.deepEqual(parameters("post", "/v1/shelves/{shelf}/books").shelf!.schema, {
    type: "string",
    minLength: 1,
  });
});

test("the query has what neither path nor body binds, by JSON names, and nothing that text cannot say", () => {
  const query = parameters("get", "/v1/books");
  assert.deepEqual(Object.keys(query), [
    "words",
    "genre",
    "genres",
    "author.fullName",
    "since",
    "readMask",
    "least",
    "pageSize",
  ]);
  assert.deepEqual(query.words!.schema, {
    type: "array",
    items: { type: "string", minLength: 2 },
    maxItems: 3,
    uniqueItems: true,
  });
  assert.deepEqual(query.genre!.schema, { type: "string", enum: ["GENRE_NOVEL", "GENRE_POEMS"] });
  assert.equal(query.genre!.required, true);
  assert.deepEqual(query.genres!.schema.items, { $ref: "#/components/schemas/test.v1.Genre" });
  assert.deepEqual(query.since!.schema, { type: "string", format: "date-time" });
  assert.deepEqual(query.least!.schema, { type: "string", format: "int64", pattern: "^-?[0-9]+$" });
  assert.deepEqual(Object.keys(parameters("post", "/v1/shelves/{shelf}/books")), [
    "shelf",
    "requestId",
    "validateOnly",
  ]);
  assert.deepEqual(Object.keys(parameters("patch", "/v1/books/{book}")), ["book", "updateMask"]);
});

test("a body is the whole message or one field, without what the path binds", () => {
  assert.deepEqual(body("post", "/books").schema, { $ref: "#/components/schemas/test.v1.CreateBookRequest" });
  assert.deepEqual(body("post", "/v1/shelves/{shelf}/books").schema, {
    $ref: "#/components/schemas/test.v1.Book",
  });
  const patch = schemas["test.v1.Book.Without.name"]!;
  assert.deepEqual(body("patch", "/v1/books/{book}").schema, {
    $ref: "#/components/schemas/test.v1.Book.Without.name",
  });
  assert.ok(!("name" in patch.properties!) && "title" in patch.properties!);
  assert.equal(operation("post", "/v1/books/{book}:lend").requestBody!.required, true);
  assert.equal(operation("post", "/ping").requestBody!.required, false);
});

test("an answer has the status of the option, a field of the message where the rule says so, and {} for Empty", () => {
  const created = success("post", "/v1/shelves/{shelf}/books");
  assert.equal(created.status, "201");
  assert.equal(created.response.description, "The stored book");
  assert.deepEqual(created.response.content!["application/json"]!.schema, {
    $ref: "#/components/schemas/test.v1.Book",
  });
  const listed = success("get", "/v1/books").response.content!["application/json"]!;
  assert.deepEqual(listed.schema, { type: "array", items: { $ref: "#/components/schemas/test.v1.Book" } });
  const deleted = success("delete", "/v1/shelves/{shelf}/books/{book}");
  assert.equal(deleted.status, "200");
  assert.deepEqual(deleted.response.content!["application/json"], {
    schema: { type: "object" },
    example: {},
  });
});

test("a server stream is NDJSON with an error as its last line, an array, or Server-Sent Events with their end", () => {
  const { content } = success("get", "/v1/books:watch").response;
  assert.deepEqual(Object.keys(content!), ["application/x-ndjson", "application/json", "text/event-stream"]);
  assert.deepEqual(content!["application/json"]!.schema.items, {
    $ref: "#/components/schemas/test.v1.Book",
  });
  const line = content!["application/x-ndjson"]!.schema;
  assert.deepEqual(line.anyOf![0], { $ref: "#/components/schemas/test.v1.Book" });
  assert.deepEqual(line.anyOf![1]!.properties, { error: { $ref: "#/components/schemas/google.rpc.Status" } });
  const events = content!["text/event-stream"]!;
  assert.match(events.schema.description!, /`event: error`/);
  assert.match(String(events.example), /^data: \{.*\}\n\nevent: end\ndata: \{\}\n\n$/);
});

test("errors are google.rpc.Status: those that a comment names, those of every method, and a default", () => {
  const statuses = (method: string, path: string) => Object.keys(operation(method, path).responses);
  assert.deepEqual(statuses("post", "/books"), ["201", "400", "401", "403", "409", "429", "503", "default"]);
  assert.ok(statuses("get", "/v1/shelves/{shelf}/books/{book}").includes("404"));
  assert.ok(statuses("patch", "/v1/books/{book}").includes("412"));
  const { responses, headers } = document.components;
  assert.deepEqual(responses.TooManyRequests!.headers, {
    "Retry-After": { $ref: "#/components/headers/Retry-After" },
  });
  assert.deepEqual(Object.keys(responses.Unauthenticated!.headers!), ["WWW-Authenticate"]);
  assert.ok(headers["WWW-Authenticate"] && headers["Retry-After"]);
  for (const name of ["BadRequest", "Error"]) {
    assert.deepEqual(responses[name]!.content!["application/json"]!.schema, {
      $ref: "#/components/schemas/google.rpc.Status",
    });
  }
});

test("a token is needed but where the caller says not, and there the answers say so", () => {
  assert.deepEqual(document.security, [{ bearer: [] }]);
  assert.equal(document.components.securitySchemes.bearer!.bearerFormat, "JWT");
  assert.deepEqual(operation("post", "/ping").security, []);
  assert.ok(!("401" in operation("post", "/ping").responses));
  assert.equal(operation("get", "/v1/books").security, undefined);
});

test("headers are offered where the input has what they are for", () => {
  assert.deepEqual(headersOf("post", "/books"), ["IdempotencyKey", "ServerTimeout"]);
  assert.deepEqual(headersOf("patch", "/v1/books/{book}"), ["IfMatch", "ServerTimeout"]);
  assert.deepEqual(headersOf("post", "/ping"), ["ServerTimeout"]);
  assert.equal(document.components.parameters.IdempotencyKey!.name, "Idempotency-Key");
});

test("an answer with an etag has the header, and GET may ask whether it is current", () => {
  const path = "/v1/shelves/{shelf}/books/{book}";
  assert.deepEqual(headersOf("get", path), ["IfNoneMatch", "ServerTimeout"]);
  assert.deepEqual(success("get", path).response.headers, { ETag: { $ref: "#/components/headers/ETag" } });
  assert.deepEqual(operation("get", path).responses["304"], { $ref: "#/components/responses/NotModified" });
  assert.equal(document.components.responses.NotModified!.content, undefined);
});

test("a google.api.HttpBody is bytes of any type, in a request and in an answer", () => {
  const path = "/v1/shelves/{shelf}/books/{book}:cover";
  assert.deepEqual(success("get", path).response.content, { "*/*": { schema: {} } });
  assert.deepEqual(operation("put", "/v1/books/{book}:cover").requestBody!.content, {
    "*/*": { schema: {} },
  });
});

test("scalars have the types of ProtoJSON: 64 bits as text, bytes as base64, enums by name", () => {
  assert.deepEqual(everything.anUint64, { type: "string", format: "uint64", pattern: "^[0-9]+$" });
  assert.equal(everything.someBytes!.contentEncoding, "base64");
  assert.deepEqual(everything.aBool, { type: "boolean" });
  assert.deepEqual(everything.aDouble!.anyOf![1]!.enum, ["NaN", "Infinity", "-Infinity"]);
  assert.deepEqual(schemas["test.v1.Genre"]!.enum, ["GENRE_UNSPECIFIED", "GENRE_NOVEL", "GENRE_POEMS"]);
  assert.match(schemas["test.v1.Genre"]!.description!, /- `GENRE_NOVEL`: A novel\./);
});

test("well-known types have their own forms, and wrappers may be null", () => {
  assert.deepEqual(everything.time, { type: "string", format: "date-time" });
  assert.equal(everything.span!.pattern, "^-?[0-9]+(\\.[0-9]{1,9})?s$");
  assert.equal(everything.mask!.type, "string");
  assert.deepEqual(everything.struct, { type: "object", additionalProperties: true });
  assert.deepEqual(everything.value, {});
  assert.deepEqual(everything.list, { type: "array", items: {} });
  assert.deepEqual(everything.any, { $ref: "#/components/schemas/google.protobuf.Any" });
  assert.deepEqual(everything.wrappedBool, { type: ["boolean", "null"] });
  assert.deepEqual(everything.wrappedString, { type: ["string", "null"], maxLength: 9 });
  assert.deepEqual(everything.wrappedDouble!.anyOf!.at(-1), { type: "null" });
  assert.deepEqual(everything.nothing, { type: "null" });
  assert.deepEqual(everything.empty, { type: "object" });
});

test("maps, lists and messages that contain themselves refer to components", () => {
  assert.deepEqual(everything.authors, {
    type: "object",
    propertyNames: { type: "string", pattern: "^-?[0-9]+$" },
    additionalProperties: { $ref: "#/components/schemas/test.v1.Author" },
    minProperties: 1,
    maxProperties: 5,
  });
  assert.deepEqual(everything.counts!.propertyNames, { type: "string", pattern: "^[a-z]{3}$" });
  assert.deepEqual(everything.counts!.additionalProperties, {
    type: "integer",
    format: "int32",
    exclusiveMinimum: 0,
  });
  assert.deepEqual(schemas["test.v1.Author"]!.properties!.mentor, {
    allOf: [{ $ref: "#/components/schemas/test.v1.Author" }],
    description: "Who taught them.",
  });
});

test("a oneof takes one member at most, and exactly one where a rule demands it", () => {
  const lend = schemas["test.v1.LendBookRequest.Without.name"]!;
  assert.deepEqual(
    lend.not!.anyOf!.map(({ required }) => required),
    [
      ["card", "mail"],
      ["time", "span"],
    ],
  );
  assert.deepEqual(lend.anyOf, [{ required: ["card"] }, { required: ["mail"] }]);
  assert.match(lend.properties!.card!.description!, /Excludes `mail`\./);
});

test("rules of protovalidate are keywords, and words where there is no keyword", () => {
  const {
    aString,
    anInt32,
    anUint32,
    anInt64,
    someBytes,
    numbers,
    ip,
    shown,
    chosen,
    checked,
    maybe,
    unruled,
  } = everything;
  assert.deepEqual(aString, {
    type: "string",
    not: { enum: ["abz"] },
    minLength: 2,
    maxLength: 40,
    pattern: "^a",
    allOf: [{ pattern: "z$" }],
  });
  assert.deepEqual(anInt32, { type: "integer", format: "int32", minimum: 10, exclusiveMaximum: 20 });
  assert.deepEqual(anUint32, {
    type: "integer",
    format: "uint32",
    maximum: 4_294_967_295,
    exclusiveMinimum: 7,
  });
  assert.equal(anInt64!.description, "Must be at least `5`.");
  assert.deepEqual([someBytes!.minLength, someBytes!.maxLength], [6, 8]);
  assert.deepEqual([numbers!.minItems, numbers!.uniqueItems, numbers!.items!.minimum], [2, true, 3]);
  assert.deepEqual([everything.uuid!.format, everything.email!.format], ["uuid", "email"]);
  assert.deepEqual(ip!.anyOf, [{ format: "ipv4" }, { format: "ipv6" }]);
  assert.equal(shown!.pattern, "^[A-Z]{2}$");
  assert.deepEqual(chosen!.enum, ["red", "blue"]);
  assert.equal(checked!.description, "must be even.");
  assert.equal(maybe!.minLength, 3);
  assert.deepEqual(unruled, { type: "string" });
});

test("required is what a request cannot leave out: by rule, by behaviour, or because zero breaks a rule", () => {
  const { required } = schemas["test.v1.Everything"]!;
  for (const name of ["anInt32", "anInt64", "aString", "numbers", "authors", "uuid", "chosen"]) {
    assert.ok(required!.includes(name), name);
  }
  for (const name of ["maybe", "unruled", "genre", "span", "aDouble"]) {
    assert.ok(!required!.includes(name), name);
  }
  assert.deepEqual(schemas["test.v1.Book"]!.required, ["title"]);
  assert.deepEqual(schemas["test.v1.CreateBookRequest"]!.required, ["shelf", "book"]);
});

test("what is deprecated, read only or write only says so", () => {
  const { sbn, copiesSold, secret } = schemas["test.v1.Book"]!.properties!;
  assert.equal(sbn!.deprecated, true);
  assert.equal(copiesSold!.readOnly, true);
  assert.equal(secret!.writeOnly, true);
  assert.equal(operation("delete", "/v1/shelves/{shelf}/books/{book}").deprecated, true);
});

test("examples come from the contract, satisfy its rules, and can be sent", () => {
  const registry = createFileRegistry(set);
  const { minimal, full } = body("post", "/books").examples!;
  assert.equal((minimal!.value as Record<string, JsonValue>).shelf, "fiction");
  assert.ok(!("copiesSold" in ((full!.value as Record<string, object>).book ?? {})));
  const example = success("get", "/v1/browse/{path}").response.content!["application/json"]!
    .example as Record<string, JsonValue>;
  assert.equal(example.shown, "ID");
  const validator = createValidator({ registry });
  const check = (type: string, json: JsonValue) => {
    const desc = registry.getMessage(type)!;
    const anyRegistry = createRegistry(file_google_protobuf_duration);
    return validator.validate(desc, fromJson(desc, json, { registry: anyRegistry }));
  };
  // 1 is odd, and CEL is beyond what an example can know.
  assert.equal(check("test.v1.Everything", { ...example, checked: 2 }).error, undefined);
  for (const { value } of [minimal!, full!]) {
    assert.equal(check("test.v1.CreateBookRequest", value).error, undefined);
  }
  const lend = body("post", "/v1/books/{book}:lend").examples!.full!.value as Record<string, JsonValue>;
  assert.equal(check("test.v1.LendBookRequest", { name: "books/1234", ...lend }).error, undefined);
});

test("the document is valid, lints without a word, and is the same every time", async () => {
  assert.deepEqual(await specificationProblems(document), []);
  assert.deepEqual(await lintProblems(document), []);
  assert.deepEqual(exampleProblems(document), []);
  assert.equal(JSON.stringify(createOpenApi(options)), JSON.stringify(document));
});

test("an example that breaks its schema would be found", () => {
  const broken = structuredClone(document);
  const media = ((broken.paths["/v1/browse/{path}"]!.get as Operation).responses["200"] as Response).content!;
  (media["application/json"]!.example as Record<string, JsonValue>).chosen = "green";
  assert.match(exampleProblems(broken).join(), /chosen must be equal to one of the allowed values/);
});

test("paths that differ only in the names of their parameters become one", () => {
  const source = library.replace(
    'delete: "/v1/{name=shelves/*/books/*}"',
    'delete: "/v1/shelves/{name}/books/{x}"',
  );
  const changed = source.replace("message GetBookRequest {", "message GetBookRequest {\n  string x = 2;");
  const { paths } = createOpenApi({ ...options, set: compile(changed) });
  assert.deepEqual(Object.keys(paths["/v1/shelves/{shelf}/books/{book}"]!), ["get", "delete"]);
});

test("an unknown service and two rules on one path are refused", () => {
  assert.throws(
    () => createOpenApi({ ...options, services: ["test.v1.Nothing"] }),
    /no service test\.v1\.Nothing/,
  );
  const twice = compile(library.replace('post: "/ping"', 'post: "/books"'));
  assert.throws(
    () => createOpenApi({ ...options, set: twice }),
    /comes to \/books, which Library_CreateBook_2 has/,
  );
});

test("without comments there is a document all the same", async () => {
  const bare = clone(FileDescriptorSetSchema, set);
  for (const file of bare.file) {
    file.sourceCodeInfo = undefined;
  }
  const { paths, tags } = createOpenApi({ ...options, set: bare });
  assert.equal((paths["/ping"]!.post as Operation).summary, "Ping");
  assert.equal(tags[0]!.description, "The methods of test.v1.Library.");
});
