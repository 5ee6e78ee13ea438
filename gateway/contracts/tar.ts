// A tar archive in memory (POSIX.1-1988 ustar): the same bytes for the same files, with no times and no owners in it.

export interface TarFile {
  /** Such as `proto/lampid/auth/v1/auth_service.proto`: ASCII, at most 100 bytes. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Throws for a name that the format's first field cannot hold. */
export function tarOf(files: readonly TarFile[]): Buffer {
  const blocks: Uint8Array[] = [];
  for (const { name, bytes } of files) {
    if (!/^[\x21-\x7e]{1,100}$/.test(name)) {
      throw new Error(
        `${name} is no name for an archive: at most 100 characters of ASCII, none of them a space`,
      );
    }
    blocks.push(headerOf(name, bytes.length), bytes, Buffer.alloc(padding(bytes.length)));
  }
  return Buffer.concat([...blocks, Buffer.alloc(2 * blockBytes)]);
}

const blockBytes = 512;

function padding(length: number): number {
  return (blockBytes - (length % blockBytes)) % blockBytes;
}

function headerOf(name: string, length: number): Buffer {
  const header = Buffer.alloc(blockBytes);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  header.write(name, 0);
  header.write(octal(0o644, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(length, 11), 124);
  header.write(octal(0, 11), 136);
  header.write("0", 156);
  header.write("ustar\u000000", 257);
  // The checksum is counted with spaces in its own place.
  header.fill(" ", 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)}\u0000 `, 148);
  return header;
}
