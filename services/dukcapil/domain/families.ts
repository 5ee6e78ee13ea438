// The repeating pattern of families: who lives with whom, by the place of a row in the pattern.
import { KAWIN, SEX, SHDK } from "./codes.ts";

/** H husband as head, W wife; F wife as head, M husband; J woman alone as head; L single head; C child; P, D parents of
 *  the head; R another relative. With the years in which the head was born, the head's marital status, and how often. */
const SHAPES: readonly [roles: string, from: number, to: number, kawin: number, times: number][] = [
  ["HWCC", 1962, 1992, KAWIN.kawin, 10],
  ["HWC", 1965, 1995, KAWIN.kawin, 9],
  ["HW", 1960, 1998, KAWIN.kawin, 5],
  ["HWCCC", 1960, 1988, KAWIN.kawin, 6],
  ["HWCCCC", 1958, 1984, KAWIN.kawin, 2],
  ["HWCP", 1966, 1990, KAWIN.kawin, 2],
  ["HWCCPD", 1968, 1990, KAWIN.kawin, 1],
  ["FMC", 1968, 1994, KAWIN.kawin, 1],
  ["JC", 1960, 1990, KAWIN.ceraiHidup, 2],
  ["JCC", 1955, 1988, KAWIN.ceraiMati, 2],
  ["J", 1936, 1956, KAWIN.ceraiMati, 2],
  ["HW", 1936, 1954, KAWIN.kawin, 2],
  ["L", 1985, 2002, KAWIN.belum, 3],
  ["LR", 1985, 2000, KAWIN.belum, 1],
];

/** Tables by place in the pattern. Persons are named by their distance from the row; 0 is nobody. */
export type Families = ReturnType<typeof familyPattern>;

export const NOT_FIXED = 0;

export function familyPattern() {
  const shapes = SHAPES.flatMap((shape) => Array.from({ length: shape[4] }, () => shape));
  // In a mixed order: 48 shapes and a stride without a common divisor.
  const ordered = shapes.map((_, n) => shapes[(n * 29) % shapes.length]!);
  const size = ordered.reduce((sum, [roles]) => sum + roles.length, 0);
  const bytes = () => new Int8Array(size);
  const tables = {
    size,
    /** Where families begin. */
    starts: [] as number[],
    role: new Array<string>(size),
    /** Distance from the head, which comes first. */
    member: bytes(),
    spouse: bytes(),
    ibu: bytes(),
    ayah: bytes(),
    shdk: bytes(),
    /** {@link NOT_FIXED}: drawn from the row. */
    sex: bytes(),
    kawin: bytes(),
    /** Which child of the family, from 0. */
    child: bytes(),
    isMotherHead: bytes(),
    from: new Int16Array(size),
    to: new Int16Array(size),
  };
  let at = 0;
  for (const [roles, from, to, kawin] of ordered) {
    tables.starts.push(at);
    for (let member = 0; member < roles.length; member++, at++) {
      const role = roles[member]!;
      const distance = (other: string) => (roles.includes(other) ? roles.indexOf(other) - member : 0);
      tables.role[at] = role;
      tables.member[at] = member;
      tables.from[at] = from;
      tables.to[at] = to;
      tables.isMotherHead[at] = /[FJ]/.test(roles) ? 1 : 0;
      tables.spouse[at] = distance(PARTNERS[role] ?? "");
      tables.shdk[at] = member === 0 ? SHDK.kepala : SHDK_OF[role]!;
      tables.sex[at] = "HMD".includes(role) ? SEX.male : "WFJP".includes(role) ? SEX.female : NOT_FIXED;
      tables.kawin[at] = kawinOf(role, kawin, roles);
      if (role === "C") {
        tables.child[at] = member - roles.indexOf("C");
        tables.ibu[at] = distance("W") || distance("F") || distance("J");
        tables.ayah[at] = distance("H") || distance("M");
      } else if (role === "H") {
        tables.ibu[at] = distance("P");
        tables.ayah[at] = distance("D");
      }
    }
  }
  return tables;
}

const PARTNERS: Readonly<Record<string, string>> = { H: "W", W: "H", F: "M", M: "F", P: "D", D: "P" };

const SHDK_OF: Readonly<Record<string, number>> = {
  W: SHDK.istri,
  M: SHDK.suami,
  C: SHDK.anak,
  P: SHDK.orangTua,
  D: SHDK.orangTua,
  R: SHDK.familiLain,
};

function kawinOf(role: string, head: number, roles: string): number {
  if (role === "C" || role === "R") return KAWIN.belum;
  if (role === "P") return roles.includes("D") ? KAWIN.kawin : KAWIN.ceraiMati;
  return head;
}
