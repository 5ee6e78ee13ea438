// HPACK (RFC 7541): header blocks of requests without any state, and a decoder of what servers answer.
import { decodedBytesMax, decodeHuffman } from "./huffman.ts";

/** Names and values by turns: a list is cheaper than a map, and a name may stand in it several times. */
export type HeaderList = readonly string[];

/** A block that cannot be decoded. The connection is of no use any more: both ends' tables must agree (RFC 7541, 2.3). */
export class HpackError extends Error {
  override name = "HpackError";
}

export interface HpackLimits {
  /** Size of all headers of a block, counted as RFC 9113, 6.5.2 does: 32 octets a header on top. */
  readonly listBytesMax: number;
  /** Size of the dynamic table that the peer was allowed (SETTINGS_HEADER_TABLE_SIZE). */
  readonly tableBytesMax: number;
}

/**
 * Decodes the header blocks of one connection, in their order.
 *
 * A peer that is allowed no dynamic table (the default here) writes the same headers as the same bytes each time, and most answers of
 * a server have the same headers: what a block meant is kept, and looked up by its bytes.
 */
export class HpackDecoder {
  readonly #limits: HpackLimits;
  /** Newest first. */
  readonly #table: { name: string; value: string }[] = [];
  readonly #known = new Map<string, HeaderList>();
  #tableBytes = 0;
  #tableBytesMax: number;
  #scratch = Buffer.allocUnsafe(1024);

  constructor(limits: HpackLimits) {
    this.#limits = limits;
    this.#tableBytesMax = limits.tableBytesMax;
  }

  /** Throws HpackError for a block that is broken or larger than allowed. */
  decode(block: Buffer): HeaderList {
    // What stands in the dynamic table changes what the same bytes mean.
    const key =
      this.#limits.tableBytesMax === 0 && block.length <= knownBytesMax
        ? block.toString("latin1")
        : undefined;
    if (key !== undefined) {
      const known = this.#known.get(key);
      if (known !== undefined) {
        return known;
      }
    }
    const list = this.#decode(block);
    if (key !== undefined) {
      if (this.#known.size >= knownMax) {
        this.#known.clear();
      }
      this.#known.set(key, list);
    }
    return list;
  }

  #decode(block: Buffer): HeaderList {
    const list: string[] = [];
    let bytes = 0;
    const reader = new Reader(block);
    while (reader.at < block.length) {
      const first = block[reader.at]!;
      let name: string;
      let value: string;
      if (first >= 0x80) {
        ({ name, value } = this.#entry(reader.integer(7)));
      } else if (first >= 0x40) {
        name = this.#name(reader, 6);
        value = this.#string(reader);
        this.#add(name, value);
      } else if (first >= 0x20) {
        if (list.length > 0) {
          throw new HpackError("a table size update after a header");
        }
        this.#resize(reader.integer(5));
        continue;
      } else {
        name = this.#name(reader, 4);
        value = this.#string(reader);
      }
      bytes += name.length + value.length + entryOverhead;
      if (bytes > this.#limits.listBytesMax) {
        throw new HpackError(`headers of more than ${this.#limits.listBytesMax} bytes`);
      }
      list.push(name, value);
    }
    return list;
  }

  #name(reader: Reader, prefixBits: number): string {
    const index = reader.integer(prefixBits);
    return index === 0 ? this.#string(reader) : this.#entry(index).name;
  }

  #string(reader: Reader): string {
    const { block } = reader;
    const isHuffman = block[reader.at]! >= 0x80;
    const length = reader.integer(7);
    const start = reader.at;
    const end = start + length;
    if (end > block.length) {
      throw new HpackError("a string that is longer than its block");
    }
    reader.at = end;
    if (!isHuffman) {
      return block.toString("latin1", start, end);
    }
    const need = decodedBytesMax(length);
    if (this.#scratch.length < need) {
      this.#scratch = Buffer.allocUnsafe(need);
    }
    const decoded = decodeHuffman(block, start, end, this.#scratch);
    if (decoded < 0) {
      throw new HpackError("a string that is not in the Huffman code");
    }
    return this.#scratch.toString("latin1", 0, decoded);
  }

  #entry(index: number): { readonly name: string; readonly value: string } {
    const entry =
      index <= staticTable.length ? staticTable[index - 1] : this.#table[index - staticTable.length - 1];
    if (entry === undefined) {
      throw new HpackError(`no header has the index ${index}`);
    }
    return entry;
  }

  #add(name: string, value: string): void {
    this.#table.unshift({ name, value });
    this.#tableBytes += name.length + value.length + entryOverhead;
    this.#evict();
  }

  #resize(bytesMax: number): void {
    if (bytesMax > this.#limits.tableBytesMax) {
      throw new HpackError("a table that is larger than allowed");
    }
    this.#tableBytesMax = bytesMax;
    this.#evict();
  }

  #evict(): void {
    while (this.#tableBytes > this.#tableBytesMax) {
      const { name, value } = this.#table.pop()!;
      this.#tableBytes -= name.length + value.length + entryOverhead;
    }
  }
}

/** Blocks that are kept, and the longest of them. */
const knownMax = 256;
const knownBytesMax = 512;

/** What a header counts for besides its text (RFC 7541, 4.1). */
const entryOverhead = 32;

class Reader {
  readonly block: Buffer;
  at = 0;

  constructor(block: Buffer) {
    this.block = block;
  }

  /** RFC 7541, 5.1. */
  integer(prefixBits: number): number {
    const prefix = (1 << prefixBits) - 1;
    let value = this.#octet() & prefix;
    if (value < prefix) {
      return value;
    }
    for (let shift = 0; shift <= 21; shift += 7) {
      const octet = this.#octet();
      value += (octet & 0x7f) << shift;
      if (octet < 0x80) {
        return value;
      }
    }
    throw new HpackError("an integer that is too large");
  }

  #octet(): number {
    const octet = this.block[this.at++];
    if (octet === undefined) {
      throw new HpackError("a block that ends too early");
    }
    return octet;
  }
}

/**
 * Encodes headers so that no table is needed at either end: what the static table has by its index, all else as it is. Huffman's
 * code would save bytes that a data centre has, for time that it has not.
 */
export function encodeHeaders(headers: HeaderList): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    const value = headers[i + 1]!;
    const whole = staticIndexes.get(`${name}\n${value}`);
    if (whole === undefined) {
      const encoded = Buffer.allocUnsafe(stringBytesMax(value));
      parts.push(encodeName(name), encoded.subarray(0, writeString(encoded, 0, value)));
    } else {
      parts.push(Buffer.of(0x80 | whole));
    }
  }
  return Buffer.concat(parts);
}

/** The beginning of a header: its name. What follows is `writeString` of its value. */
export function encodeName(name: string): Buffer {
  const encoded = Buffer.allocUnsafe(1 + stringBytesMax(name));
  const index = staticIndexes.get(name);
  if (index !== undefined) {
    return encoded.subarray(0, writeInteger(encoded, 0, index, 4));
  }
  encoded[0] = 0;
  return encoded.subarray(0, writeString(encoded, 1, name));
}

/** Writes a value, one octet a character. Returns where it ends. */
export function writeString(into: Buffer, at: number, text: string): number {
  const start = writeInteger(into, at, text.length, 7);
  return start + into.write(text, start, "latin1");
}

/** What `writeString` takes at the most. */
export function stringBytesMax(text: string): number {
  return text.length + 6;
}

/** RFC 7541, 5.1; the bits before the prefix are 0. */
function writeInteger(into: Buffer, start: number, value: number, prefixBits: number): number {
  const prefix = (1 << prefixBits) - 1;
  let at = start;
  if (value < prefix) {
    into[at++] = value;
    return at;
  }
  into[at++] = prefix;
  let rest = value - prefix;
  for (; rest >= 0x80; rest >>>= 7) {
    into[at++] = (rest & 0x7f) | 0x80;
  }
  into[at++] = rest;
  return at;
}

/** RFC 7541, Appendix A, from index 1. */
const staticTable = (
  ":authority,:method GET,:method POST,:path /,:path /index.html,:scheme http,:scheme https,:status 200,:status 204," +
  ":status 206,:status 304,:status 400,:status 404,:status 500,accept-charset,accept-encoding gzip; deflate," +
  "accept-language,accept-ranges,accept,access-control-allow-origin,age,allow,authorization,cache-control," +
  "content-disposition,content-encoding,content-language,content-length,content-location,content-range,content-type," +
  "cookie,date,etag,expect,expires,from,host,if-match,if-modified-since,if-none-match,if-range,if-unmodified-since," +
  "last-modified,link,location,max-forwards,proxy-authenticate,proxy-authorization,range,referer,refresh,retry-after," +
  "server,set-cookie,strict-transport-security,transfer-encoding,user-agent,vary,via,www-authenticate"
)
  .split(",")
  .map((entry) => {
    const space = entry.indexOf(" ");
    return space < 0
      ? { name: entry, value: "" }
      : { name: entry.slice(0, space), value: entry.slice(space + 1).replace(";", ",") };
  });

/** By name, and by name and value; of several with one name the first. */
const staticIndexes = new Map<string, number>();
for (const [at, { name, value }] of staticTable.entries()) {
  if (!staticIndexes.has(name)) {
    staticIndexes.set(name, at + 1);
  }
  if (value !== "") {
    staticIndexes.set(`${name}\n${value}`, at + 1);
  }
}
