import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pageSizeOf, readPageToken, UUID_PART, writePageToken } from "./page-token.ts";
import { Refused } from "./refusal.ts";

const id = "a7c9b6f0-0000-4000-8000-000000000001";
const filter = ["Siti", 3, ""];
const anything = /^.*$/;

const refuses = (token: string, other: readonly unknown[] = filter, shape = [UUID_PART]) =>
  assert.throws(
    () => readPageToken(token, other, shape),
    (cause) => cause instanceof Refused && cause.refusal.violations?.[0]?.field === "page_token",
  );

test("a page size of 0 is 50, more than 500 is 500", () => {
  assert.deepEqual([0, 1, 50, 500, 501, 2 ** 31 - 1].map(pageSizeOf), [50, 1, 50, 500, 500, 500]);
});

describe("a page token", () => {
  test("gives its position back, for the same filter", () => {
    const token = writePageToken(["0.75", id], filter);
    assert.match(token, /^[A-Za-z0-9_-]+$/, "fits into a URL");
    assert.deepEqual(readPageToken(token, filter, [anything, UUID_PART]), ["0.75", id]);
  });

  test("that is empty means the first page", () => {
    assert.equal(readPageToken("", filter, [UUID_PART]), undefined);
  });

  test("of another filter is refused, also when the fields only shifted", () => {
    const token = writePageToken([id], ["ab", "c"]);
    assert.deepEqual(readPageToken(token, ["ab", "c"], [UUID_PART]), [id]);
    for (const other of [["a", "bc"], ["ab", "c", ""], ["ab"], ["ab", "d"]]) refuses(token, other);
  });

  test("with another number of parts, or parts of another shape, is refused", () => {
    refuses(writePageToken([id, id], filter));
    refuses(writePageToken([], filter));
    refuses(writePageToken(["1"], filter));
    refuses(writePageToken([`${id}\n`], filter));
  });

  test("that is no token at all is refused", () => {
    for (const token of ["x", "e30", "bnVsbA", "\0", "[]", "😀"]) refuses(token);
  });
});
