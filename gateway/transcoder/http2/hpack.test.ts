import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeHeaders, HpackDecoder, HpackError } from "./hpack.ts";

const bytes = (hex: string) => Buffer.from(hex.replaceAll(/\s/g, ""), "hex");
const decoderOf = (tableBytesMax: number, listBytesMax = 65_536) =>
  new HpackDecoder({ tableBytesMax, listBytesMax });

describe("HPACK", () => {
  it("decodes the answers of RFC 7541, C.6, with Huffman's code, a dynamic table and evictions", () => {
    const decoder = decoderOf(256);
    assert.deepEqual(
      decoder.decode(
        bytes(
          "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        ),
      ),
      [":status", "302", "cache-control", "private", "date", "Mon, 21 Oct 2013 20:13:21 GMT"].concat([
        "location",
        "https://www.example.com",
      ]),
    );
    assert.deepEqual(
      decoder.decode(bytes("4883 640e ffc1 c0bf")),
      [":status", "307", "cache-control", "private", "date", "Mon, 21 Oct 2013 20:13:21 GMT"].concat([
        "location",
        "https://www.example.com",
      ]),
    );
    assert.deepEqual(
      decoder.decode(
        bytes(
          "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ),
      ),
      [
        ...[":status", "200", "cache-control", "private", "date", "Mon, 21 Oct 2013 20:13:22 GMT"],
        ...["location", "https://www.example.com", "content-encoding", "gzip"],
        ...["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
      ],
    );
  });

  it("decodes what it encodes, whatever the headers", () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,30}$/);
    const value = fc.stringMatching(/^[\x20-\x7e]{0,300}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 20 }), (pairs) => {
        const headers = pairs.flat();
        assert.deepEqual(decoderOf(0).decode(encodeHeaders(headers)), headers);
      }),
    );
  });

  it("fails with an HpackError for any bytes that are no header block, and for nothing else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(0, 4096), (block, tableBytesMax) => {
        try {
          decoderOf(tableBytesMax).decode(Buffer.from(block));
        } catch (error) {
          assert.ok(error instanceof HpackError, String(error));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  for (const [what, hex] of [
    ["padding of a whole octet", "00 82 f8ff 00"],
    ["padding with zeros", "00 81 18 00"],
    ["the end of the string as a letter", "00 84 ffff ffff 00"],
    ["an index of nothing", "be"],
    ["index 0", "80"],
    ["a string without an end", "00 05 61"],
    ["an integer without an end", "ffff ffff ff"],
    ["a table that was not allowed", "3f e1 ff 03"],
    ["a table size after a header", "88 20"],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => decoderOf(0).decode(bytes(hex)), HpackError);
    });
  }

  it("refuses headers that are larger than allowed, counting what a table would need for each", () => {
    const headers = Array.from({ length: 10 }, (_, n) => [`h${n}`, "v"]).flat();
    assert.throws(() => decoderOf(0, 349).decode(encodeHeaders(headers)), HpackError);
    assert.equal(decoderOf(0, 350).decode(encodeHeaders(headers)).length, 20);
  });
});
