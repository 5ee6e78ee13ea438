// Warnings on a record: facts a clerk should look at, never an error.
import { agreesWithBirthDate, readNik, type Sex } from "./nik.ts";

/** A correction does not change a NIK (DOMAIN.md), so afterwards the two may disagree. */
export function warningsOf(record: { nik: string; tanggalLahir: string; sex: Sex | undefined }): string[] {
  const parts = readNik(record.nik);
  if (!parts) return ["NIK is not 16 digits"];
  const warnings: string[] = [];
  if (record.tanggalLahir && !agreesWithBirthDate(parts, record.tanggalLahir)) {
    warnings.push("tanggal_lahir does not agree with the NIK");
  }
  if (record.sex && record.sex !== parts.sex) warnings.push("jenis_kelamin does not agree with the NIK");
  return warnings;
}
