// Refusals that more than one service of the registry gives.
import { type Refused, refuse } from "#chassis/refusal.ts";
import { type Penolakan, penolakan } from "./domain/peristiwa/penolakan.ts";

/** FAILED_PRECONDITION: the registry stands so that it cannot be. */
export function refusedBy({ sebab, subjek }: Penolakan): Refused {
  return refuse("precondition", sebab, penolakan[sebab], { subject: subjek });
}

/** Of who asks for a number when all of its prefix are given out. */
export function serialsExhausted(what: string): Refused {
  return refuse(
    "exhausted",
    "SERIALS_EXHAUSTED",
    `every serial of this ${what} prefix is given out (0001 to 9999)`,
  );
}
