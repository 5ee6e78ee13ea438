// Registering a resident who has a NIK: what must agree with what.
import { agreesWithBirthDate, birthDateOf, isRealDate, readNik, type Sex } from "./nik.ts";
import { successorOf } from "./retired-wilayah.ts";

/** What a registration says; "" and undefined mean "not said". */
export type RegistrationInput = {
  nik: string;
  provinsi: string;
  kodeWilayah: string;
  sex: Sex | undefined;
  tanggalLahir: string;
};

export type Registration = { kodeWilayah: string; sex: Sex; tanggalLahir: string };

export type Violation = { field: string; description: string; reason: string };

/** The part of the wilayah list that the domain asks; {@link file://../../chassis/wilayah.ts}. */
export type Wilayah = {
  has: (kode: string) => boolean;
  nama: (kode: string) => string | undefined;
  findProvinsi: (namaOrKode: string) => string | undefined;
};

export type Decision<T> = { ok: true; value: T } | { ok: false; violations: Violation[] };

/** @param today ISO 8601 date in Asia/Jakarta. */
export function decideRegistration(
  input: RegistrationInput,
  wilayah: Wilayah,
  today: string,
): Decision<Registration> {
  const violations: Violation[] = [];
  const violate = (field: string, reason: string, description: string) =>
    violations.push({ field, reason, description });

  const parts = readNik(input.nik);
  if (!parts) {
    violate("nik", "NIK_FORMAT", "must be 16 digits");
    return { ok: false, violations };
  }
  const known = wilayah.has(parts.kodeKecamatan);
  const successor = known ? undefined : successorOf(parts.kodeKecamatan);
  if (!known && !successor)
    violate("nik", "NIK_WILAYAH", `names the kecamatan ${parts.kodeKecamatan}, which does not exist`);
  if (parts.serial === 0) violate("nik", "NIK_SERIAL", "has the serial 0000, which is never issued");
  const derived = birthDateOf(parts, today);
  if (derived === undefined) violate("nik", "NIK_DATE", "holds an impossible date of birth");

  if (input.tanggalLahir !== "") {
    if (!isRealDate(input.tanggalLahir)) violate("tanggal_lahir", "DATE", "is not a date of the calendar");
    else if (input.tanggalLahir > today) violate("tanggal_lahir", "DATE_FUTURE", "lies in the future");
    else if (derived !== undefined && !agreesWithBirthDate(parts, input.tanggalLahir)) {
      violate("tanggal_lahir", "NIK_MISMATCH", "does not agree with the NIK");
    }
  }
  if (input.sex !== undefined && input.sex !== parts.sex) {
    violate(
      "jenis_kelamin",
      "NIK_MISMATCH",
      "does not agree with the NIK (a woman's has 40 added to the day)",
    );
  }

  const residence = decideResidence(
    input,
    { kodeKecamatan: known ? parts.kodeKecamatan : undefined, retired: successor !== undefined },
    wilayah,
    violate,
  );
  if (violations.length > 0 || residence === undefined) return { ok: false, violations };
  return {
    ok: true,
    value: { kodeWilayah: residence, sex: parts.sex, tanggalLahir: input.tanggalLahir || derived! },
  };
}

/** Residence is kode_wilayah when given, else the kecamatan of the NIK; either must lie in the province, if given. */
function decideResidence(
  input: RegistrationInput,
  { kodeKecamatan, retired }: { kodeKecamatan: string | undefined; retired: boolean },
  wilayah: Wilayah,
  violate: (field: string, reason: string, description: string) => void,
): string | undefined {
  let kodeProvinsi: string | undefined;
  if (input.provinsi.trim() === "") {
    if (input.kodeWilayah === "") {
      violate("provinsi", "REQUIRED", "is required when kode_wilayah is not given");
      return undefined;
    }
  } else {
    kodeProvinsi = wilayah.findProvinsi(input.provinsi);
    if (kodeProvinsi === undefined) {
      violate("provinsi", "PROVINSI_UNKNOWN", "is not a province of Indonesia, by name or code");
      return undefined;
    }
  }
  if (input.kodeWilayah !== "") {
    if (!wilayah.has(input.kodeWilayah)) {
      violate("kode_wilayah", "WILAYAH_UNKNOWN", "is in no list of wilayah");
      return undefined;
    }
    if (kodeProvinsi !== undefined && !input.kodeWilayah.startsWith(kodeProvinsi)) {
      violate("kode_wilayah", "WILAYAH_PROVINSI", "does not lie in the given province");
      return undefined;
    }
    return input.kodeWilayah;
  }
  if (kodeKecamatan === undefined) {
    // Of a kecamatan that never was, the NIK's own violation says enough: no residence would mend it.
    if (retired) {
      violate(
        "kode_wilayah",
        "REQUIRED",
        "is required, for the kecamatan code in the NIK names no present kecamatan",
      );
    }
    return undefined;
  }
  if (!kodeKecamatan.startsWith(kodeProvinsi!)) {
    const nama = wilayah.nama(kodeKecamatan.slice(0, 2)) ?? kodeKecamatan.slice(0, 2);
    violate(
      "provinsi",
      "WILAYAH_PROVINSI",
      `does not contain the kecamatan of the NIK, which lies in ${nama}; give kode_wilayah if the resident has moved`,
    );
    return undefined;
  }
  return kodeKecamatan;
}
