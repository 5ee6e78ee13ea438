// The signed statement of a document: a JWS (RFC 7515) in compact form, EdDSA, small enough for a QR code.
import { createHash } from "node:crypto";
import { CompactSign, compactVerify, createLocalJWKSet, importJWK } from "jose";
import { ERROR_DOMAIN } from "#chassis/refusal.ts";
import { type Fakta, type JenisDokumen, JUDUL } from "./domain/fakta.ts";
import type { Kunci, KunciPublik } from "./kunci.ts";

export type Pernyataan = {
  /** Id of the document. */
  id: string;
  jenis: JenisDokumen;
  nomor: string;
  nomorLaporan: string;
  /** To the second. */
  terbit: Date;
  /** See {@link sidikOf}. */
  sidik: string;
};

/** Tells our statements from any other JWS that the key may ever sign. */
const TYPE = "lampid-dokumen";
const ISSUER = ERROR_DOMAIN;

/** SHA-256, base64url, of all that is printed: whoever has the record can tell that the statement is of this text. */
export function sidikOf(jenis: JenisDokumen, nomor: string, { instansi, baris }: Fakta): string {
  return createHash("sha256")
    .update(JSON.stringify([jenis, nomor, instansi, baris]))
    .digest("base64url");
}

/** Ed25519 is deterministic: the same statement by the same key is the same text. */
export async function signWith({
  penanda,
}: Pick<Kunci, "penanda">): Promise<(pernyataan: Pernyataan) => Promise<string>> {
  const key = await importJWK(penanda, "EdDSA");
  const header = { alg: "EdDSA", kid: penanda.kid, typ: TYPE };
  return ({ id, jenis, nomor, nomorLaporan, terbit, sidik }) => {
    const iat = Math.floor(terbit.getTime() / 1000);
    const claims = { iss: ISSUER, jti: id, iat, jenis, nomor, laporan: nomorLaporan, sidik };
    return new CompactSign(Buffer.from(JSON.stringify(claims))).setProtectedHeader(header).sign(key);
  };
}

/** What a text states, if one of the keys has signed it and it is of our kind; undefined if not. */
export function verifyWith(
  keys: readonly KunciPublik[],
): (jws: string) => Promise<(Pernyataan & { kid: string }) | undefined> {
  const find = createLocalJWKSet({ keys: [...keys] });
  return async (jws) => {
    try {
      const { payload, protectedHeader } = await compactVerify(jws, find, { algorithms: ["EdDSA"] });
      if (protectedHeader.typ !== TYPE) return undefined;
      const claims = JSON.parse(Buffer.from(payload).toString());
      const { iss, jti, iat, jenis, nomor, laporan, sidik } = claims;
      const texts = [jti, jenis, nomor, laporan, sidik];
      if (iss !== ISSUER || !Number.isInteger(iat) || texts.some((text) => typeof text !== "string")) {
        return undefined;
      }
      if (!Object.hasOwn(JUDUL, jenis)) return undefined;
      const terbit = new Date(iat * 1000);
      return { id: jti, jenis, nomor, nomorLaporan: laporan, terbit, sidik, kid: protectedHeader.kid ?? "" };
    } catch {
      // Not a JWS, not JSON, an unknown key, a wrong signature: all the same answer.
      return undefined;
    }
  };
}
