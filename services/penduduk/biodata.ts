// UpdateBiodata: which fields a mask selects, and what they may become.
import { type FieldViolation, refuseFields } from "#chassis/refusal.ts";
import { type BiodataPenduduk, BiodataPendudukSchema } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { isRealDate } from "./domain/nik.ts";
import type { BiodataChange } from "./store.ts";

/** Fields of BiodataPenduduk that name the record; every other one is a column that may change. */
const IDENTITY = ["name", "etag"];
const REQUIRED: readonly (keyof BiodataChange)[] = ["nama", "alamat", "tanggalLahir", "jenisKelamin"];

/**
 * The selected values, by column. Without a mask every field that is present; with one, a selected but absent field is
 * cleared (AIP-134).
 * @throws Refused INVALID_ARGUMENT for a path that is not a field or may not change, and for an empty change.
 */
export function biodataChange(biodata: BiodataPenduduk, paths: readonly string[] | undefined): BiodataChange {
  const violations: FieldViolation[] = [];
  const change: Record<string, string | number> = {};
  const fields = new Map(BiodataPendudukSchema.fields.map((field) => [field.name, field]));
  const selected = paths?.length
    ? paths
    : [...fields.keys()].filter((name) => !IDENTITY.includes(name) && isPresent(name));
  for (const path of selected) {
    const field = fields.get(path);
    if (!field || IDENTITY.includes(path)) {
      violations.push({
        field: "update_mask",
        reason: "FIELD_MASK",
        description: `"${path}" is not a field that may change`,
      });
      continue;
    }
    const value = biodata[field.localName as keyof BiodataChange];
    change[field.localName] = value ?? (field.fieldKind === "enum" ? 0 : "");
  }
  if (violations.length === 0 && Object.keys(change).length === 0) {
    violations.push({
      field: "penduduk",
      reason: "REQUIRED",
      description: "must hold at least one field to change",
    });
  }
  if (violations.length > 0) throw refuseFields(violations);
  return change as BiodataChange;

  function isPresent(name: string): boolean {
    return biodata[fields.get(name)!.localName as keyof BiodataChange] !== undefined;
  }
}

/** @param today ISO 8601 date. @throws Refused INVALID_ARGUMENT for a value that no record may have. */
export function checkBiodataChange(change: BiodataChange, today: string): void {
  const violations: FieldViolation[] = [];
  for (const name of REQUIRED) {
    if (change[name] === "" || change[name] === 0) {
      violations.push({
        field: `penduduk.${snakeCase(name)}`,
        reason: "REQUIRED",
        description: "cannot be cleared",
      });
    }
  }
  if (change.tanggalLahir && (!isRealDate(change.tanggalLahir) || change.tanggalLahir > today)) {
    const description = "is not a date of the calendar up to today";
    violations.push({ field: "penduduk.tanggal_lahir", reason: "DATE", description });
  }
  if (violations.length > 0) throw refuseFields(violations);
}

/** "tanggalLahir" as the contract writes it: "tanggal_lahir". */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
