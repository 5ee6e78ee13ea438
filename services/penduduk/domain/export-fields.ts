// Which fields of a resident an export may hold: by role, by what a partner's client was given, and by what was asked for.

/** The fields of Penduduk, by their names in the contract. */
export const exportFields = [
  "name",
  "nik",
  "nama",
  "alamat",
  "provinsi",
  "kode_wilayah",
  "jenis_kelamin",
  "tanggal_lahir",
  "tempat_lahir",
  "agama",
  "status_perkawinan",
  "golongan_darah",
  "pekerjaan",
  "rt",
  "rw",
  "nama_ibu",
  "nama_ayah",
  "nomor_kk",
  "shdk",
  "status",
  "peringatan",
  "etag",
  "create_time",
  "update_time",
] as const;

export type ExportField = (typeof exportFields)[number];

/** OAuth 2.0 scopes of a partner's client; the policy asks for the first of them, the others add to it. */
export const EXPORT_SCOPE = "penduduk.export";
export const EXPORT_FAMILY_SCOPE = "penduduk.export.keluarga";
export const EXPORT_FULL_SCOPE = "penduduk.export.lengkap";

/**
 * What a partner gets for keeping its own records of residents: who it is about, where they live, whether the record still
 * stands, and since when. Processing is limited to its purpose (UU 27/2022, articles 27 and 28): religion, occupation,
 * address and blood group serve no such purpose, and a mother's name is what banks ask by telephone.
 */
const basic: ReadonlySet<ExportField> = new Set([
  "name",
  "nik",
  "nama",
  "provinsi",
  "kode_wilayah",
  "jenis_kelamin",
  "tanggal_lahir",
  "status",
  "update_time",
] as const);

/** What tells who belongs to whom: for social security and schools. */
const family: ReadonlySet<ExportField> = new Set(["nomor_kk", "shdk", "nama_ibu", "nama_ayah"] as const);

export type ExportFieldsDecision =
  /** In the order of the contract. */
  | { kind: "allowed"; fields: readonly ExportField[] }
  /** Paths that are no field. */
  | { kind: "unknown"; paths: readonly string[] }
  /** Fields that the caller may not have, and the one scope that would let a partner have them. */
  | { kind: "denied"; fields: readonly ExportField[]; scope: string };

/** Without paths: all that the caller may have. */
export function decideExportFields(
  { role, scopes }: { role: string; scopes: readonly string[] },
  paths: readonly string[],
): ExportFieldsDecision {
  const asked = new Set(paths);
  const unknown = [...asked].filter((path) => !exportFields.includes(path as ExportField));
  if (unknown.length > 0) return { kind: "unknown", paths: unknown };

  const may = permission(role, scopes);
  const wanted = exportFields.filter((field) => (asked.size === 0 ? may(field) : asked.has(field)));
  const denied = wanted.filter((field) => !may(field));
  if (denied.length > 0) return { kind: "denied", fields: denied, scope: scopeFor(denied) };
  if (wanted.length === 0) return { kind: "denied", fields: [...basic], scope: EXPORT_SCOPE };
  return { kind: "allowed", fields: wanted };
}

function permission(role: string, scopes: readonly string[]): (field: ExportField) => boolean {
  if (role === "admin_kota" || role === "admin_pusat") return () => true;
  // Whoever else the policy may let in one day gets nothing until it is said here what.
  if (role !== "mitra" || !scopes.includes(EXPORT_SCOPE)) return () => false;
  if (scopes.includes(EXPORT_FULL_SCOPE)) return () => true;
  const hasFamily = scopes.includes(EXPORT_FAMILY_SCOPE);
  return (field) => basic.has(field) || (hasFamily && family.has(field));
}

function scopeFor(fields: readonly ExportField[]): string {
  if (fields.some((field) => !basic.has(field) && !family.has(field))) return EXPORT_FULL_SCOPE;
  return fields.some((field) => family.has(field)) ? EXPORT_FAMILY_SCOPE : EXPORT_SCOPE;
}
