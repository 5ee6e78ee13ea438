import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptsGzip, chooseFormat } from "./accept.ts";
import { Refusal } from "./status.ts";

test("a stream is NDJSON unless Server-Sent Events are asked for by name or by a higher quality", () => {
  const table: [string | undefined, "ndjson" | "sse"][] = [
    [undefined, "ndjson"],
    ["", "ndjson"],
    ["*/*", "ndjson"],
    ["application/x-ndjson", "ndjson"],
    ["Application/X-NDJSON; charset=utf-8", "ndjson"],
    ["application/json", "ndjson"],
    ["application/json, text/plain, */*", "ndjson"],
    ["application/*", "ndjson"],
    ["text/event-stream", "sse"],
    ["text/*", "sse"],
    ["text/event-stream, */*", "sse"],
    ["*/*, text/event-stream;q=0.5", "ndjson"],
    ["text/event-stream;q=0.9, application/x-ndjson;q=0.8", "sse"],
    ["text/event-stream, application/x-ndjson", "ndjson"],
    ["application/json, text/event-stream", "sse"],
    ["application/x-ndjson;q=0, */*", "sse"],
    ["text/html, text/event-stream;q=0.001", "sse"],
  ];
  for (const [accept, format] of table) {
    assert.equal(chooseFormat(accept), format, accept);
  }
});

test("an Accept that allows neither is 406", () => {
  for (const accept of ["text/html", "*/*;q=0", "application/xml, image/*", "text/event-stream;q=2", ",;="]) {
    assert.throws(
      () => chooseFormat(accept),
      (error) => error instanceof Refusal && error.httpStatus === 406,
      accept,
    );
  }
});

test("gzip is used when it is asked for, and not when it is refused", () => {
  for (const yes of ["gzip", "br, GZIP", "gzip;q=0.1", "*"]) {
    assert.equal(acceptsGzip(yes), true, yes);
  }
  for (const no of [undefined, "", "br", "identity", "gzip;q=0", "gzip;q=0, *"]) {
    assert.equal(acceptsGzip(no), false, no);
  }
});
