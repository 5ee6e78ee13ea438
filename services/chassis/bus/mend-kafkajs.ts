/**
 * Repairs a fault of kafkajs 2.2.4 from outside: every connection polls its empty queue each millisecond for ever, by a
 * timer with a negative delay that Node 24 also warns of (tulios/kafkajs#1751, #1768; no release since 2023). Importing
 * this file applies it once per process. Delete it when a release has it.
 */
import { createRequire } from "node:module";

type RequestQueue = {
  throttledUntil: number;
  pending: readonly unknown[];
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
};

const CHECK_PENDING_MS = 10;

const require = createRequire(import.meta.url);
const { prototype } = require("kafkajs/src/network/requestQueue") as { prototype: RequestQueue };

for (const name of ["scheduleCheckPendingRequests", "checkPendingRequests"] as const) {
  if (typeof prototype[name] !== "function") {
    throw new Error(`this version of kafkajs has no ${name}: review mend-kafkajs.ts`);
  }
}

prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
  if (this.throttleCheckTimeoutId) return;
  const throttledMs = this.throttledUntil - Date.now();
  // Nothing waits and nothing is throttled: the next request looks for itself.
  if (this.pending.length === 0 && throttledMs <= 0) return;
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    },
    throttledMs > 0 ? throttledMs : CHECK_PENDING_MS,
  );
};
