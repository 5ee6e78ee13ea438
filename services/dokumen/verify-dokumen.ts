// `npm run verify-dokumen -- <statement or file> [--jwks file]`: verifies a document's statement without any network.
import { existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { civilDate } from "#chassis/civil-date.ts";
import { JUDUL, tanggalPanjang } from "./domain/fakta.ts";
import { publicPart } from "./kunci.ts";
import { verifyWith } from "./pernyataan.ts";

const USAGE = `usage: npm run verify-dokumen -- STATEMENT|FILE [--jwks FILE]

Says whether a document's statement was signed by a key of e-LAMPID, without any network. STATEMENT is the text of the QR code;
FILE holds it, as text or as the PDF itself.

  --jwks FILE   the public keys, as GET /v1/dokumen:kunci gives them; default: .lampid/dokumen-jwks.json

Exit code: 0 genuine, 1 not genuine, 2 wrong use. Whether a genuine document has been revoked since only the mesh knows:
GET /v1/dokumen/{id}:verify.`;

/** A compact JWS within other text: its header begins with {" in base64url. */
const STATEMENT = /eyJ[\w-]+\.[\w-]+\.[\w-]+/;

process.exitCode = await run(process.argv.slice(2));

async function run(args: string[]): Promise<number> {
  let subject: string;
  let keys: ReturnType<typeof readKeys>;
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        jwks: { type: "string", default: ".lampid/dokumen-jwks.json" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help || positionals.length !== 1) {
      console.error(USAGE);
      return values.help ? 0 : 2;
    }
    subject = positionals[0]!;
    keys = readKeys(values.jwks);
  } catch (cause) {
    console.error((cause as Error).message);
    return 2;
  }
  // A PDF of ours has its statement among its keywords, uncompressed; the bytes around it do not matter.
  const text = existsSync(subject) ? readFileSync(subject, "latin1") : subject;
  const statement = STATEMENT.exec(text)?.[0];
  if (!statement) {
    console.log("NOT GENUINE: there is no statement in it");
    return 1;
  }
  const stated = await verifyWith(keys)(statement);
  if (!stated) {
    console.log("NOT GENUINE: no key of these has signed this statement, or it was altered");
    return 1;
  }
  const { jenis, nomor, nomorLaporan, terbit, id, kid } = stated;
  console.log(`GENUINE: signed by key ${kid}
  ${JUDUL[jenis]}
  nomor          ${nomor}
  nomor laporan  ${nomorLaporan}
  diterbitkan    ${tanggalPanjang(civilDate(terbit))}
  dokumen/${id}
Compare these with what is printed. Whether it has been revoked since, only the mesh knows.`);
  return 0;
}

function readKeys(path: string) {
  try {
    return (JSON.parse(readFileSync(path, "utf8")).keys as unknown[]).map(publicPart);
  } catch {
    throw new Error(`${path}: expected a JSON Web Key Set, as GET /v1/dokumen:kunci gives it`);
  }
}
