// Passwords that administrators hand over: random, and easy to read out over a telephone.
import { randomInt } from "node:crypto";

/** Without those that look alike: 0 and o, 1, i and l. */
const ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789";
const GROUPS = 4;
const GROUP_LENGTH = 4;

/** `k7mp-w3ra-9xdh-tq4e`: 79 bits, so that no list of them can be tried before its owner has replaced it. */
export function newInitialPassword(random: (below: number) => number = randomInt): string {
  const group = () => Array.from({ length: GROUP_LENGTH }, () => ALPHABET[random(ALPHABET.length)]).join("");
  return Array.from({ length: GROUPS }, group).join("-");
}
