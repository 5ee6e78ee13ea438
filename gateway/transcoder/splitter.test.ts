import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createLineSplitter, createTextSplitter, type Splitter } from "./splitter.ts";
import { Refusal } from "./status.ts";

/** What a splitter makes of a body that comes in chunks of the given sizes. */
function split(splitter: Splitter, text: string, sizes: number[] = []): string[] {
  const bytes = Buffer.from(text);
  const parts: string[] = [];
  let from = 0;
  for (const size of [...sizes, bytes.length]) {
    const chunk = bytes.subarray(from, from + size);
    parts.push(...splitter.push(chunk).map((part) => part.bytes.toString()));
    from += chunk.length;
  }
  return [...parts, ...splitter.end().map((part) => part.bytes.toString())];
}

function refusalOf(act: () => unknown): Refusal {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof Refusal);
    return error;
  }
  assert.fail("was not refused");
}

const json = fc.json();
const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 40 });

test("lines, texts and arrays come apart as they were joined, wherever the chunks end", () => {
  fc.assert(
    fc.property(fc.array(json, { maxLength: 6 }), sizes, (texts, cuts) => {
      const lines = split(createLineSplitter(10_000), texts.join("\n"), cuts);
      assert.deepEqual(lines, texts);
    }),
  );
  fc.assert(
    fc.property(
      fc.array(json, { maxLength: 6 }),
      sizes,
      fc.constantFrom("", " ", "\n\t"),
      (texts, cuts, gap) => {
        const array = `${gap}[${gap}${texts.join(`${gap},${gap}`)}${gap}]${gap}`;
        assert.deepEqual(split(createTextSplitter(10_000), array, cuts), texts);
        const objects = texts.map((text) => `{"a":${text}}`);
        assert.deepEqual(split(createTextSplitter(10_000), objects.join(gap), cuts), objects);
      },
    ),
  );
});

test("empty lines are skipped, and counted", () => {
  const splitter = createLineSplitter(100);
  const parts = [
    ...splitter.push(Buffer.from("{}\r\n\n \n{")),
    ...splitter.push(Buffer.from("}")),
    ...splitter.end(),
  ];
  assert.deepEqual(
    parts.map(({ bytes, place }) => [bytes.toString().trim(), place]),
    [
      ["{}", "line 1"],
      ["{}", "line 4"],
    ],
  );
});

test("a message larger than the bound is 413 before it is there", () => {
  for (const create of [createLineSplitter, createTextSplitter]) {
    const splitter = create(10);
    assert.equal(splitter.push(Buffer.from('{"a":')).length, 0);
    assert.equal(refusalOf(() => splitter.push(Buffer.from('"bcdefgh'))).httpStatus, 413);
    assert.deepEqual(
      split(create(10), '{"a":"b"}\n{"a":"b"}\n'),
      ['{"a":"b"}', '{"a":"b"}'],
      "each is within it",
    );
  }
});

test("an array that is not one is refused, with what is wrong", () => {
  const table: [string, RegExp][] = [
    ["[{}", /not closed/],
    ["[", /not closed/],
    ["[{} {}]", /no comma after message 1/],
    ["[{}] {}", /after the end/],
    ["[{},]", /not closed/],
  ];
  for (const [text, description] of table) {
    const { status } = refusalOf(() => split(createTextSplitter(100), text));
    assert.match(JSON.stringify(status.details), description, text);
  }
});
