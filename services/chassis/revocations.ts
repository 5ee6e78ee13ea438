// Tokens that are good no longer although they have not expired: auth's list of suspended and changed accounts, kept at hand.
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import type { Meter } from "@opentelemetry/api";
import { type Revocation, RevocationService } from "#gen/lampid/auth/v1/revocation_service_pb.ts";
import { forever, pause } from "./backoff.ts";
import type { Caller } from "./caller.ts";
import type { HealthSetter } from "./health.ts";
import type { Logger } from "./log.ts";
import { refuse } from "./refusal.ts";

/** Whether the token that says who is calling is good no longer. One look into a map: it is asked at every call. */
export type IsRevoked = (caller: Pick<Caller, "subject" | "issuedAtSeconds">) => boolean;

export function tokenRevoked() {
  return refuse(
    "unauthenticated",
    "TOKEN_REVOKED",
    "the account was suspended or changed after this access token had been issued; sign in again",
  );
}

export type RevocationList = {
  isRevoked: IsRevoked;
  /** What is not in the new list is revoked no longer: it is as long as auth makes it, and holds what can still matter. */
  replace: (revocations: readonly Revocation[]) => void;
};

export function revocationList(): RevocationList {
  let bySubject = new Map<string, { changedAtSeconds: number; isSuspended: boolean }>();
  return {
    isRevoked({ subject, issuedAtSeconds = 0 }) {
      const found = bySubject.get(subject);
      // A token says no more than the second. Of the change's own second it may be the new one, which must work.
      return found !== undefined && (found.isSuspended || issuedAtSeconds < found.changedAtSeconds);
    },
    replace(revocations) {
      bySubject = new Map(
        revocations.map(({ subject, changeTime, suspended }) => [
          subject,
          {
            // A change without a time is a contract that was broken: rather one sign-in too many.
            changedAtSeconds: changeTime
              ? Math.floor(timestampDate(changeTime).getTime() / 1000)
              : Number.POSITIVE_INFINITY,
            isSuspended: suspended,
          },
        ]),
      );
    },
  };
}

export type FollowRevocationsOptions = {
  /** To auth. */
  transport: Transport;
  onList: RevocationList["replace"];
  everyMs: number;
  /** Of a part that is not critical. */
  health: HealthSetter;
  log: Logger;
  meter: Meter;
  signal: AbortSignal;
};

const TIMEOUT_MS = 5_000;
/** auth is asked again soon, and never more seldom than when all is well. */
const RETRY_BASE_MS = 250;
/** A start in no order is no trouble; what lasts longer than so many tries is told. */
const TOLD_AT_ATTEMPT = 3;

/** Asks auth at once and every so often, until the signal aborts. While it does not answer, what was known stays in force. */
export async function followRevocations(options: FollowRevocationsOptions): Promise<void> {
  const { transport, onList, everyMs, health, log, meter, signal } = options;
  const client = createClient(RevocationService, transport);
  let answeredAtMs: number | undefined;
  let isTold = false;
  meter
    .createObservableGauge("lampid.revocations.age", {
      unit: "s",
      description: "Time since auth last said which tokens are revoked; none before it first did",
    })
    .addCallback((result) => {
      if (answeredAtMs !== undefined) result.observe((performance.now() - answeredAtMs) / 1000);
    });

  async function ask(): Promise<void> {
    const answer = await client.listRevocations({}, { timeoutMs: TIMEOUT_MS, signal });
    onList(answer.revocations);
    answeredAtMs = performance.now();
    health(answer.leftOff === 0, `${answer.leftOff} accounts are missing in the list of revoked tokens`);
    if (isTold) log.info("auth says again which tokens are revoked");
    isTold = false;
    await pause(everyMs, signal);
  }

  await forever(
    signal,
    { baseMs: Math.min(RETRY_BASE_MS, everyMs), maxMs: everyMs },
    ask,
    (cause, _, attempt) => {
      health(false, "auth does not say which tokens are revoked; what it said last is in force");
      if (isTold || attempt < TOLD_AT_ATTEMPT) return;
      isTold = true;
      log.warn({ err: cause }, "auth does not say which tokens are revoked; what it said last is in force");
    },
  );
}
