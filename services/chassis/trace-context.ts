// W3C Trace Context (https://www.w3.org/TR/trace-context/): every call has one, whether or not anything records it.
import { randomFillSync } from "node:crypto";

/** Version 00; an id of zeros only is none. */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}$/;
const pool = new Uint8Array(4_096);
let used = pool.length;

/** The header when it is well-formed, else a new context; `sampled` asks every process on the way to record it. */
export function traceparentFrom(header: string | null | undefined, sampled = false): string {
  if (header && TRACEPARENT.test(header)) return header;
  return `00-${randomHex(16)}-${randomHex(8)}-0${sampled ? 1 : 0}`;
}

/** The 32 hex digits that people search logs for. */
export function traceIdOf(traceparent: string): string {
  return TRACEPARENT.exec(traceparent)?.[1] ?? "";
}

/** Random bytes come from a pool: one system call for hundreds of ids instead of one each. */
function randomHex(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  let text = "";
  for (const end = used + bytes; used < end; used++) text += pool[used]!.toString(16).padStart(2, "0");
  return text;
}
