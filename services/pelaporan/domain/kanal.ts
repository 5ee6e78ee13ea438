// How a reporter is told what becomes of the report: by what they chose, and what they left.
import type { Violation } from "./penolakan.ts";

/** Numbers of the contract's enum Pelapor.Kanal. */
export const KANAL = { unspecified: 0, none: 1, sms: 2, email: 3 } as const;

export type Kontak = { kanal: number; telepon: string; email: string };

/** With KANAL.none, alamat is "". */
export type Tujuan = { kanal: (typeof KANAL)["none" | "sms" | "email"]; alamat: string };

/** A channel that was chosen needs its address. */
export function checkKontak({ kanal, telepon, email }: Kontak): Violation[] {
  const missing = (field: string) => [
    { field: `isi.pelapor.${field}`, reason: "REQUIRED", description: "is required by the chosen channel" },
  ];
  if (kanal === KANAL.sms && telepon === "") return missing("telepon");
  if (kanal === KANAL.email && email === "") return missing("email");
  return [];
}

/** Where messages go. */
export function tujuanPesan({ kanal, telepon, email }: Kontak): Tujuan {
  const isOpen = kanal === KANAL.unspecified;
  if (telepon !== "" && (isOpen || kanal === KANAL.sms)) return { kanal: KANAL.sms, alamat: telepon };
  if (email !== "" && (isOpen || kanal === KANAL.email)) return { kanal: KANAL.email, alamat: email };
  return { kanal: KANAL.none, alamat: "" };
}
