// The refusal of who asks for a number when all of its prefix are given out.
import { type Refused, refuse } from "#chassis/refusal.ts";

export function serialsExhausted(what: string): Refused {
  return refuse(
    "exhausted",
    "SERIALS_EXHAUSTED",
    `every serial of this ${what} prefix is given out (0001 to 9999)`,
  );
}
