import assert from "node:assert/strict";
import { test } from "node:test";
import { Refusal, type Request } from "./status.ts";
import { deadlineOf } from "./timeout.ts";

const limits = { defaultMs: 15_000, maxMs: 60_000 };
const deadline = (headers: Record<string, string>) => deadlineOf({ headers } as unknown as Request, limits);

test("the deadline is the default without a header, and at most the maximum", () => {
  assert.equal(deadline({}), 15_000);
  assert.equal(deadline({ "x-server-timeout": "900" }), 60_000);
  assert.equal(deadline({ "grpc-timeout": "99999999H" }), 60_000);
  assert.equal(deadline({ "connect-timeout-ms": "9999999999" }), 60_000);
});

test("Grpc-Timeout has every unit of gRPC over HTTP/2, and Connect-Timeout-Ms is milliseconds", () => {
  const table: [string, number][] = [
    ["1H", 60_000],
    ["1M", 60_000],
    ["2S", 2_000],
    ["2500m", 2_500],
    ["2500u", 2.5],
    ["00000500n", 0.0005],
  ];
  for (const [text, ms] of table) {
    assert.equal(deadline({ "grpc-timeout": text }), ms, text);
  }
  assert.equal(deadline({ "connect-timeout-ms": "250" }), 250);
});

test("of several headers the smallest counts", () => {
  const headers = { "x-server-timeout": "3", "grpc-timeout": "2S", "connect-timeout-ms": "2500" };
  assert.equal(deadline(headers), 2_000);
  assert.equal(deadline({ ...headers, "x-server-timeout": "0.1" }), 100);
  assert.equal(deadline({ ...headers, "connect-timeout-ms": "1" }), 1);
});

test("a malformed header is a 400 that names it, whatever the others say", () => {
  const malformed: [string, string, string[]][] = [
    ["X-Server-Timeout", "x-server-timeout", ["0", "-1", "soon", "1e9", "", "1, 2", " 1", "0.0"]],
    ["Grpc-Timeout", "grpc-timeout", ["1", "S", "1s", "123456789S", "1.5S", "-1S", "0S", "1SS", "1h", ""]],
    ["Connect-Timeout-Ms", "connect-timeout-ms", ["0", "1.5", "12345678901", "1m", "-1", ""]],
  ];
  for (const [name, key, values] of malformed) {
    for (const value of values) {
      assert.throws(
        () => deadline({ "x-server-timeout": "1", "grpc-timeout": "1S", [key]: value }),
        (error) => {
          assert.ok(error instanceof Refusal);
          assert.equal(error.httpStatus, 400);
          const [detail] = error.status.details as unknown as [{ fieldViolations: { field: string }[] }];
          assert.equal(detail.fieldViolations[0]!.field, name);
          return true;
        },
        `${name}: ${value}`,
      );
    }
  }
});
