// One account's calls through the gateway, by REST: waits for a gateway that is away, and renews its token.
import { setTimeout as sleep } from "node:timers/promises";
import { backoffMs } from "#chassis/backoff.ts";

/** The gateway said no, and saying it again would not help. */
export class Refusal extends Error {
  readonly status: number;
  readonly reason: string;
  readonly metadata: Record<string, string>;

  constructor(status: number, message: string, reason = "", metadata: Record<string, string> = {}) {
    super(message);
    this.name = "Refusal";
    this.status = status;
    this.reason = reason;
    this.metadata = metadata;
  }
}

export type RestClientOptions = {
  gateway: string;
  username: string;
  password: string;
  /** Told once when the gateway goes away, and (undefined) when it is back. */
  onTrouble: (why: string | undefined) => void;
  /** Ends all waiting; calls reject then. */
  signal: AbortSignal;
  backoff?: { baseMs: number; maxMs: number };
};

export type RestClient = ReturnType<typeof restClient>;

const CALL_TIMEOUT_MS = 30_000;
/** What passes by itself: the gateway or what is behind it is away, or we ask too often. */
const PASSING = new Set([429, 502, 503, 504]);
export const BACKOFF = { baseMs: 250, maxMs: 5_000 };

export function restClient({
  gateway,
  username,
  password,
  onTrouble,
  signal,
  backoff = BACKOFF,
}: RestClientOptions) {
  let token: string | undefined;

  /** One try. A refusal throws {@link Refusal}; what may pass throws anything else. */
  async function send(
    method: string,
    path: string,
    body?: unknown,
    accept = "application/json",
  ): Promise<Response> {
    const timeout = accept === "application/json" ? [AbortSignal.timeout(CALL_TIMEOUT_MS)] : [];
    const response = await fetch(`${gateway}${path}`, {
      method,
      headers: {
        accept,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.any([signal, ...timeout]),
    });
    if (response.ok) return response;
    const status = (await response.json().catch(() => ({}))) as Status;
    const message = status.message ?? `HTTP ${response.status}`;
    if (PASSING.has(response.status)) throw new Error(message);
    const info = status.details?.find((detail) => detail["@type"]?.endsWith("/google.rpc.ErrorInfo"));
    throw new Refusal(response.status, message, info?.reason, info?.metadata);
  }

  async function login(): Promise<void> {
    token = undefined;
    const answer = await send("POST", "/login", { username, password });
    token = ((await answer.json()) as { access_token: string }).access_token;
  }

  /** Logs in first where that has not been done, and once more where the token has expired. */
  async function sendAs(...call: Parameters<typeof send>): Promise<Response> {
    if (token === undefined) await login();
    try {
      return await send(...call);
    } catch (cause) {
      if (!(cause instanceof Refusal && cause.status === 401)) throw cause;
      await login();
      return await send(...call);
    }
  }

  /** Repeats for as long as the failures may pass. */
  async function insist<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        const result = await work();
        if (attempt > 0) onTrouble(undefined);
        return result;
      } catch (cause) {
        if (cause instanceof Refusal || signal.aborted) throw cause;
        if (attempt === 0) onTrouble(reasonOf(cause));
        await sleep(backoffMs(attempt, backoff), undefined, { signal });
      }
    }
  }

  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> =>
    await insist(async () => (await (await sendAs(method, path, body)).json()) as T);
  return { call, sendAs };
}

type Status = {
  message?: string;
  details?: { "@type"?: string; reason?: string; metadata?: Record<string, string> }[];
};

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const { cause: inner } = cause;
  return inner instanceof Error && inner.message ? inner.message : cause.message;
}
