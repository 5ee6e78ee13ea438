import assert from "node:assert/strict";
import { test } from "node:test";
import { createFileRegistry } from "@bufbuild/protobuf";
import { readComments, splitComment } from "./comment.ts";
import { compile } from "./fixture.ts";

test("the first sentence ends where a new one begins, not at an abbreviation", () => {
  assert.deepEqual(splitComment("Reads it, e.g. once (art. 58).\nReturns NOT_FOUND."), {
    summary: "Reads it, e.g. once (art. 58)",
    rest: "Returns NOT_FOUND.",
  });
  assert.deepEqual(splitComment("One line without an end\n\nMore. Of it."), {
    summary: "One line without an end",
    rest: "More. Of it.",
  });
  assert.deepEqual(splitComment(""), { summary: "", rest: "" });
});

test("what is for protobuf's tools and what looks like HTML does not reach the reader", () => {
  const set = compile(`
    syntax = "proto3";
    package test.v1;
    // Makes a [Thing][test.v1.Thing] of <b>.
    // buf:lint:ignore COMMENT_MESSAGE -- a reason.
    message Thing {
      // Inner says so.
      message Inner {}
      // Things by name.
      map<string, Inner> things = 1;
      oneof choice {
        // In a oneof.
        string text = 2;
      }
    }`);
  const commentOf = readComments(set);
  const thing = createFileRegistry(set).getMessage("test.v1.Thing")!;
  assert.equal(commentOf(thing), "Makes a Thing of &lt;b>.");
  assert.equal(commentOf(thing.nestedMessages[0]!), "Inner says so.");
  assert.deepEqual(thing.fields.map(commentOf), ["Things by name.", "In a oneof."]);
});
