// Accounts: which role belongs to which level of wilayah, and who may administer whom.

export const ROLES = ["operator", "supervisor", "admin_kota", "admin_pusat", "auditor"] as const;

export type Role = (typeof ROLES)[number];

/** What an account is good for. */
export type Authority = { role: Role; wilayah: string };

export type Violation = { field: string; description: string; reason: string };

/** Who asks, as their token says. */
export type Administrator = { subject: string; role: string };

/** Why an administration is refused. */
export type Denial = "own_account" | "role";

const LEVELS = ["nation", "provinsi", "kabupaten/kota", "kecamatan", "kelurahan/desa"] as const;

const LEVEL_OF: Record<Role, (typeof LEVELS)[number]> = {
  operator: "kelurahan/desa",
  supervisor: "kecamatan",
  admin_kota: "kabupaten/kota",
  admin_pusat: "nation",
  auditor: "nation",
};

/** Roles that an admin kota gives and takes: those below their own, or one admin could make or unmake another. */
const BELOW_ADMIN_KOTA: readonly string[] = ["operator", "supervisor"];

export function isRole(text: string | undefined): text is Role {
  return (ROLES as readonly (string | undefined)[]).includes(text);
}

/** A wilayah and all that contain it, the largest first: "32.01.01" gives 32, 32.01, 32.01.01. The nation is its own. */
export function wilayahPath(wilayah: string): string[] {
  const parts = wilayah.split(".");
  return parts.map((_, index) => parts.slice(0, index + 1).join("."));
}

/** @param isKnown whether a code of any level is in the list of wilayah. */
export function checkAuthority(
  { role, wilayah }: Authority,
  isKnown: (kode: string) => boolean,
): Violation[] {
  const field = "kode_wilayah";
  const level = wilayah === "ID" ? "nation" : LEVELS[wilayah.split(".").length];
  if (level !== "nation" && !isKnown(wilayah)) {
    return [{ field, reason: "WILAYAH_UNKNOWN", description: "is in no list of wilayah" }];
  }
  if (level === LEVEL_OF[role]) return [];
  const expected = LEVEL_OF[role] === "nation" ? '"ID", the nation' : `the code of a ${LEVEL_OF[role]}`;
  return [{ field, reason: "WILAYAH_LEVEL", description: `must be ${expected} for the role ${role}` }];
}

/** Whether the administrator may make an account of this role; where, is the policy's business. */
export function mayGiveRole({ role }: Pick<Administrator, "role">, given: Role): boolean {
  return role === "admin_pusat" || (role === "admin_kota" && BELOW_ADMIN_KOTA.includes(given));
}

/**
 * Why the administrator may not change, suspend or re-password this account, undefined when they may. Their own is
 * nobody's to administer: not to rise, not to lock the last one out, and a stolen session must not set a new password.
 */
export function whyNotAdminister(
  administrator: Administrator,
  account: { id: string; role: Role },
): Denial | undefined {
  if (administrator.subject === account.id) return "own_account";
  return mayGiveRole(administrator, account.role) ? undefined : "role";
}
