// Passwords that people choose: long rather than colourful (NIST SP 800-63B 5.1.1).

/** The realm of Keycloak asks for the same (lampid-realm.json). */
export const MIN_PASSWORD_LENGTH = 12;
export const MAX_PASSWORD_LENGTH = 256;

export type PasswordProblem = "short" | "long" | "username" | "unchanged" | "control_character";

export function checkNewPassword({
  password,
  username,
  before,
}: {
  password: string;
  username: string;
  before: string;
}): PasswordProblem | undefined {
  const folded = password.normalize("NFKC");
  const length = [...folded].length;
  if (length < MIN_PASSWORD_LENGTH) return "short";
  if (length > MAX_PASSWORD_LENGTH) return "long";
  // A NUL would be cut off by some and kept by others; none of them can be typed twice alike.
  if (/\p{Cc}/u.test(folded)) return "control_character";
  if (folded.toLowerCase() === username.normalize("NFKC").toLowerCase()) return "username";
  if (folded === before.normalize("NFKC")) return "unchanged";
  return undefined;
}
