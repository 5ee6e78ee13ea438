import assert from "node:assert/strict";
import { test } from "node:test";
import { answerCodings, chooseCoding, chooseFormat, streamCodings } from "./accept.ts";
import { Refusal } from "./status.ts";

test("a stream is NDJSON unless Server-Sent Events or a JSON array are asked for by name or by a higher quality", () => {
  const table: [string | undefined, "ndjson" | "sse" | "array"][] = [
    [undefined, "ndjson"],
    ["", "ndjson"],
    ["*/*", "ndjson"],
    ["application/x-ndjson", "ndjson"],
    ["Application/X-NDJSON; charset=utf-8", "ndjson"],
    ["application/json", "array"],
    ["application/json, text/plain, */*", "array"],
    ["application/json, application/x-ndjson", "ndjson"],
    ["application/json;q=0.5, */*;q=0.1", "array"],
    ["application/json;q=0.5, */*", "ndjson"],
    ["application/x-ndjson;q=0, application/*", "array"],
    ["application/xml, */*;q=0.8", "ndjson"],
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

test("an Accept that allows none of them is 406", () => {
  for (const accept of ["text/html", "*/*;q=0", "application/xml, image/*", "text/event-stream;q=2", ",;="]) {
    assert.throws(
      () => chooseFormat(accept),
      (error) => error instanceof Refusal && error.httpStatus === 406,
      accept,
    );
  }
});

test("a coding is chosen by quality, then by the order of the server, and identity by a higher quality", () => {
  const table: [string | undefined, "br" | "gzip" | undefined][] = [
    [undefined, undefined],
    ["", undefined],
    ["gzip", "gzip"],
    ["x-gzip", "gzip"],
    ["br, GZIP", "br"],
    ["gzip, deflate, br, zstd", "br"],
    ["gzip;q=0.9, br;q=0.8", "gzip"],
    ["br;q=0, gzip;q=0.1", "gzip"],
    ["*", "br"],
    ["br;q=0, *", "gzip"],
    ["*;q=0.1, gzip;q=0.5", "gzip"],
    ["gzip;q=0", undefined],
    ["gzip;q=0, br;q=0, *", undefined],
    ["identity", undefined],
    ["identity, gzip;q=0.5", undefined],
    ["identity;q=0.5, gzip", "gzip"],
    ["identity;q=0.5, gzip;q=0.5", "gzip"],
    ["zstd, deflate", undefined],
    ["identity;q=0, *", "br"],
    ["gzip;q=2", undefined],
    [",;=", undefined],
  ];
  for (const [header, coding] of table) {
    assert.equal(chooseCoding(header, answerCodings).coding, coding, header);
  }
  assert.equal(chooseCoding("gzip, br", streamCodings).coding, "gzip");
  assert.equal(chooseCoding("gzip;q=0.5, br", streamCodings).coding, "br");
});

test("identity is allowed unless it is refused, and refusing every coding is 406", () => {
  for (const header of ["gzip", "", "br;q=0", "identity;q=0.1, *;q=0", "*;q=0.5"]) {
    assert.equal(chooseCoding(header, answerCodings).identity, true, header);
  }
  for (const header of ["gzip, identity;q=0", "gzip, *;q=0", "identity;q=0, *"]) {
    assert.equal(chooseCoding(header, answerCodings).identity, false, header);
  }
  for (const header of ["identity;q=0", "*;q=0", "zstd, identity;q=0", "identity;q=0.0, gzip;q=0"]) {
    assert.throws(
      () => chooseCoding(header, answerCodings),
      (error) => error instanceof Refusal && error.httpStatus === 406,
      header,
    );
  }
});
