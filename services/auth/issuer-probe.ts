// Health of an issuer that is somebody else's process: is it there, is it the right one, does it know us.
import { pause } from "#chassis/backoff.ts";
import type { HealthSetter } from "#chassis/health.ts";
import { IssuerProblem, tellIssuerChanges } from "#chassis/issuer-discovery.ts";
import type { Logger } from "#chassis/log.ts";

export type IssuerProbeDeps = {
  /** Rejects with an {@link IssuerProblem} when the issuer cannot be used, having logged it. */
  reach: () => Promise<unknown>;
  /** One for each client that we are at the issuer: whether it is accepted, and the settings that say who we are. */
  clients: readonly ClientCheck[];
  /** The issuer itself. */
  health: HealthSetter;
  log: Logger;
  signal: AbortSignal;
  intervalMs?: number;
};

export type ClientCheck = {
  /** The settings to look at, e.g. "LAMPID_ISSUER_CLIENT_ID and LAMPID_ISSUER_CLIENT_SECRET". */
  settings: string;
  /** Undefined when the issuer accepts us, else its reason. Rejects when it does not answer. */
  whyRefused: (signal: AbortSignal) => Promise<string | undefined>;
  health: HealthSetter;
};

const INTERVAL_MS = 1_000;
/** A wrong secret stays wrong until somebody acts, and each try is an event in the issuer's log. */
const REFUSED_INTERVAL_MS = 5_000;

/** Asks every second until the signal aborts; logs changes only. */
export async function probeIssuer({
  reach,
  clients,
  health,
  log,
  signal,
  intervalMs = INTERVAL_MS,
}: IssuerProbeDeps): Promise<void> {
  const reasons = new Map<ClientCheck, string | undefined>();
  let isKnown = false;

  async function checkClients(): Promise<boolean> {
    let accepted = true;
    for (const client of clients) {
      const reason = await client.whyRefused(signal);
      if (reason !== undefined) {
        accepted = false;
        if (reasons.get(client) !== reason) {
          log.error(`the issuer refuses our client (${reason}): check ${client.settings}`);
        }
      } else if (reasons.get(client) !== undefined) {
        log.info(`the issuer accepts our client of ${client.settings}`);
      }
      reasons.set(client, reason);
      client.health(reason === undefined, reason === undefined ? "" : `refused: check ${client.settings}`);
    }
    return accepted;
  }

  while (!signal.aborted) {
    let waitMs = intervalMs;
    try {
      await reach();
      // Once is enough while the issuer stays: it is no secret that changes by itself.
      if (!isKnown) isKnown = await checkClients();
      if (!isKnown) waitMs = Math.max(intervalMs, REFUSED_INTERVAL_MS);
      health(true);
    } catch (cause) {
      if (signal.aborted) return;
      isKnown = false;
      health(false, cause instanceof IssuerProblem ? REASONS[cause.kind] : REASONS.unreachable);
    }
    await pause(waitMs, signal);
  }
}

/** For an issuer whose token endpoint is given: where processes reach it by another address than people do. */
export function reachTokenEndpoint(tokenUrl: string, log: Logger, timeoutMs = 2_000): () => Promise<void> {
  const tell = tellIssuerChanges(log);
  return async () => {
    try {
      // Only POST is allowed there: 405 is the answer of one that is well.
      const { status } = await fetch(tokenUrl, { redirect: "error", signal: AbortSignal.timeout(timeoutMs) });
      if (status >= 500 || status === 404) throw new Error(`the token endpoint answered ${status}`);
      tell(undefined);
    } catch (cause) {
      const message = `the issuer's token endpoint ${tokenUrl} cannot be reached, trying again (check LAMPID_ISSUER_TOKEN_URL)`;
      const problem = new IssuerProblem("unreachable", message, { cause });
      tell(problem);
      throw problem;
    }
  };
}

const REASONS: Record<IssuerProblem["kind"], string> = {
  unreachable: "unreachable",
  unknown: "no such issuer: check LAMPID_ISSUER_URL",
  another: "another issuer: check LAMPID_ISSUER_URL",
};
