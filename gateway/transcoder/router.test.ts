import assert from "node:assert/strict";
import { test } from "node:test";
import { createRouter } from "./router.ts";
import { parseTemplate } from "./template.ts";

function routerOf(...routes: string[]) {
  const router = createRouter<string>();
  for (const route of routes) {
    const [method, template] = route.split(" ") as [string, string];
    assert.equal(router.add(parseTemplate(template), method, route), undefined);
  }
  return (request: string) => {
    const [method, path] = request.split(" ") as [string, string];
    const match = router.find(method, path);
    return match.kind === "found"
      ? match.value
      : match.kind === "method"
        ? match.allow.join(",")
        : match.kind;
  };
}

test("a literal is preferred to *, and * to **", () => {
  const find = routerOf("GET /v1/{x=**}", "GET /v1/{x}", "GET /v1/me");
  assert.equal(find("GET /v1/me"), "GET /v1/me");
  assert.equal(find("GET /v1/you"), "GET /v1/{x}");
  assert.equal(find("GET /v1/a/b"), "GET /v1/{x=**}");
  assert.equal(find("GET /v1"), "GET /v1/{x=**}");
});

test("a dead end in the literal branch is left again", () => {
  const find = routerOf("GET /v1/a/b", "GET /v1/{x}/c");
  assert.equal(find("GET /v1/a/c"), "GET /v1/{x}/c");
});

test("a verb is preferred to a segment with a colon, which is what it is otherwise", () => {
  const find = routerOf("POST /v1/{name=pesan/*}:resend", "GET /v1/{name=pesan/*}");
  assert.equal(find("POST /v1/pesan/1:resend"), "POST /v1/{name=pesan/*}:resend");
  assert.equal(find("GET /v1/pesan/1:other"), "GET /v1/{name=pesan/*}");
  assert.equal(find("GET /v1/pesan/1:resend"), "GET /v1/{name=pesan/*}");
  assert.equal(find("POST /v1/pesan/1%3Aresend"), "GET,HEAD,OPTIONS");
});

test("a known path with another method tells the methods it has", () => {
  const find = routerOf("GET /v1/a", "POST /v1/a", "DELETE /v1/{x}");
  assert.equal(find("PUT /v1/a"), "DELETE,GET,HEAD,OPTIONS,POST");
  assert.equal(find("DELETE /v1/a"), "DELETE /v1/{x}");
});

test("HEAD is served by GET, and a custom * serves every method", () => {
  const find = routerOf("GET /v1/a", "* /v1/b");
  assert.equal(find("HEAD /v1/a"), "GET /v1/a");
  assert.equal(find("PURGE /v1/b"), "* /v1/b");
});

test("an unknown path, an empty segment and a trailing slash are not found", () => {
  const find = routerOf("GET /v1/{x}");
  for (const path of ["/", "/v1", "/v1/", "/v1//", "/v1/a/", "//v1/a", "/v2/a", "*", "http://x/v1/a"]) {
    assert.equal(find(`GET ${path}`), "none", path);
  }
});

test("a literal matches its encoded form, and a broken escape is told apart", () => {
  const find = routerOf("GET /v1/penduduk", "GET /v1/x/{y}");
  assert.equal(find("GET /v1/%70enduduk"), "GET /v1/penduduk");
  assert.equal(find("GET /v1/x/%zz"), "escape");
  assert.equal(find("GET /v1/x/%ff"), "escape");
});

test("the same method and pattern twice is told to the caller, whatever the variables are called", () => {
  const router = createRouter<string>();
  router.add(parseTemplate("/v1/{a}"), "GET", "first");
  assert.equal(router.add(parseTemplate("/v1/{b}"), "GET", "second"), "first");
  assert.equal(router.add(parseTemplate("/v1/{b}:c"), "GET", "third"), undefined);
});
