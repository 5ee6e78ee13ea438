// The Huffman code of HPACK (RFC 7541, 5.2 and Appendix B): of what servers send, only decoding is needed.

/**
 * Bits of the code of each octet, as digits of base 36. The code is canonical: codes of one length are numbered in the order
 * of their octets, so that the lengths are all of Appendix B. The end of the string (EOS) is 30 ones.
 */
const lengths =
  "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6f56565666577666567655677777fbeds" +
  "kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmnqqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq";

/**
 * Steps of eight bits through the code's tree, 256 a table: bits used and octet of a code that ends within them
 * (`bits << 8 | octet`), or the number of the next table, negative. 0 is no code: only EOS leads there.
 */
const tables = buildTables();

/** Decodes `bytes[start, end)` into `into`, and returns how many octets that is; -1 for what is not in the code. */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, into: Uint8Array): number {
  let table = 0;
  let window = 0; // the last bits read; those above `bits` are used already
  let bits = 0;
  let unfinished = 0; // bits since the last whole octet: the padding, at the end
  let length = 0;
  for (let at = start; at < end; at++) {
    window = ((window << 8) | bytes[at]!) & 0xffff;
    bits += 8;
    unfinished += 8;
    while (bits >= 8) {
      const step = tables[(table << 8) | ((window >>> (bits - 8)) & 0xff)]!;
      if (step > 0) {
        into[length++] = step & 0xff;
        bits -= step >>> 8;
        unfinished = bits;
        table = 0;
      } else if (step < 0) {
        bits -= 8;
        table = -step;
      } else {
        return -1;
      }
    }
  }
  while (bits > 0) {
    const step = tables[(table << 8) | ((window << (8 - bits)) & 0xff)]!;
    if (step <= 0 || step >>> 8 > bits) {
      break;
    }
    into[length++] = step & 0xff;
    bits -= step >>> 8;
    unfinished = bits;
    table = 0;
  }
  // Padding is the beginning of EOS, and less than an octet.
  const ones = (1 << bits) - 1;
  return unfinished < 8 && (window & ones) === ones ? length : -1;
}

/** No octet has a code shorter than five bits. */
export function decodedBytesMax(encodedBytes: number): number {
  return Math.ceil((encodedBytes * 8) / 5);
}

function buildTables(): Int32Array {
  const bitsOf = Array.from(lengths, (digit) => Number.parseInt(digit, 36));
  const octets = bitsOf.map((_, octet) => octet).sort((a, b) => bitsOf[a]! - bitsOf[b]! || a - b);
  const built: number[] = new Array(256).fill(0);
  let code = 0;
  let before = bitsOf[octets[0]!]!;
  for (const octet of octets) {
    const bits = bitsOf[octet]!;
    code <<= bits - before;
    before = bits;
    add(code, bits, octet);
    code++;
  }
  return Int32Array.from(built);

  function add(code: number, bits: number, octet: number): void {
    let table = 0;
    let left = bits;
    for (; left > 8; left -= 8) {
      const at = (table << 8) | ((code >>> (left - 8)) & 0xff);
      if (built[at] === 0) {
        built[at] = -(built.length >>> 8);
        for (let i = 0; i < 256; i++) built.push(0);
      }
      table = -built[at]!;
    }
    const first = (table << 8) | ((code << (8 - left)) & 0xff);
    built.fill((left << 8) | octet, first, first + (1 << (8 - left)));
  }
}
