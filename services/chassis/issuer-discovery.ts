// OpenID Connect Discovery 1.0: where an issuer has its keys and its token endpoint, asked when it is needed.
import type { Logger } from "./log.ts";

export type IssuerMetadata = {
  /** Where it publishes its keys. */
  jwksUri: string;
  tokenEndpoint: string;
};

export type IssuerDiscovery = {
  /** Remembered for good once it is known; asked for again after a failure, once a second at most. */
  metadata: () => Promise<IssuerMetadata>;
  /** Asks anew, whatever is remembered: whether the issuer is there. */
  probe: () => Promise<IssuerMetadata>;
};

/** Why an issuer cannot be used; the message names the setting to look at. */
export class IssuerProblem extends Error {
  readonly kind: "unreachable" | "unknown" | "another";

  constructor(kind: IssuerProblem["kind"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "IssuerProblem";
    this.kind = kind;
  }
}

export type IssuerDiscoveryOptions = {
  /** LAMPID_ISSUER_URL, e.g. "https://id.example.go.id/realms/lampid". */
  issuer: string;
  log: Logger;
  /** Longest wait for an answer. Default 2,000. */
  timeoutMs?: number;
};

/** An issuer that is away is not asked by every call that comes. */
const COOLDOWN_MS = 1_000;

/**
 * A process must start without its issuer, so nothing is asked here. What goes wrong is logged when it changes, once, and
 * thrown as an {@link IssuerProblem}.
 */
export function issuerDiscovery({ issuer, log, timeoutMs = 2_000 }: IssuerDiscoveryOptions): IssuerDiscovery {
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  let known: IssuerMetadata | undefined;
  let asking: Promise<IssuerMetadata> | undefined;
  let failed: { problem: IssuerProblem; atMs: number } | undefined;
  const tell = tellIssuerChanges(log);

  async function ask(): Promise<IssuerMetadata> {
    try {
      known = await fetchMetadata(issuer, url, timeoutMs);
    } catch (cause) {
      const problem = problemOf(cause, issuer);
      failed = { problem, atMs: performance.now() };
      tell(problem);
      throw problem;
    }
    failed = undefined;
    tell(undefined);
    return known;
  }

  function probe(): Promise<IssuerMetadata> {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  return {
    probe,
    async metadata() {
      if (known) return known;
      if (failed && performance.now() - failed.atMs < COOLDOWN_MS) throw failed.problem;
      return await probe();
    },
  };
}

/** Logs what an issuer's state has become, each time it becomes something else; nothing when it is well from the start. */
export function tellIssuerChanges(log: Logger): (problem: IssuerProblem | undefined) => void {
  let told: string | undefined;
  return (problem) => {
    if (problem?.message === told) return;
    told = problem?.message;
    if (problem) log.warn({ err: problem.cause }, problem.message);
    else log.info("issuer reached");
  };
}

async function fetchMetadata(issuer: string, url: string, timeoutMs: number): Promise<IssuerMetadata> {
  // Keys that a redirect leads to would be somebody else's.
  const response = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(timeoutMs) });
  if (response.status === 404) {
    throw new IssuerProblem(
      "unknown",
      `there is no such issuer at ${issuer} (404): check the realm in LAMPID_ISSUER_URL`,
    );
  }
  if (!response.ok) throw new Error(`the issuer answered ${response.status}`);
  const found = (await response.json()) as Record<string, unknown>;
  // Discovery 1.0 section 4.3: or tokens of one issuer would be checked with the keys of another.
  if (found.issuer !== issuer) {
    throw new IssuerProblem(
      "another",
      `the issuer at ${issuer} calls itself ${String(found.issuer)}: LAMPID_ISSUER_URL must be what it calls itself`,
    );
  }
  const { jwks_uri: jwksUri, token_endpoint: tokenEndpoint } = found;
  if (!isHttpUrl(jwksUri) || !isHttpUrl(tokenEndpoint)) {
    throw new Error("the discovery document names no jwks_uri or token_endpoint");
  }
  return { jwksUri, tokenEndpoint };
}

function problemOf(cause: unknown, issuer: string): IssuerProblem {
  if (cause instanceof IssuerProblem) return cause;
  const message = `the issuer at ${issuer} cannot be reached, trying again (check LAMPID_ISSUER_URL)`;
  return new IssuerProblem("unreachable", message, { cause });
}

function isHttpUrl(value: unknown): value is string {
  return typeof value === "string" && URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);
}
