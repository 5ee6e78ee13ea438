// The e-KTP check: does what a card says agree with the registry?

export type Outcome = "not_compared" | "match" | "mismatch";

/** Compares texts as a clerk would: case, spaces, punctuation and accents do not matter. */
export function compareText(presented: string, registered: string): Outcome {
  if (presented.trim() === "" || registered === "") return "not_compared";
  return plain(presented) === plain(registered) ? "match" : "mismatch";
}

export function compareExact(presented: string | number, registered: string | number): Outcome {
  if (presented === "" || presented === 0 || registered === "" || registered === 0) return "not_compared";
  return presented === registered ? "match" : "mismatch";
}

function plain(text: string): string {
  return text
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, "");
}
