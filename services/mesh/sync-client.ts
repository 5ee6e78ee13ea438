// What `npm run sync` asks of the gateway, by REST alone: it waits for a gateway that is away and renews its token.
import { setTimeout as sleep } from "node:timers/promises";
import { backoffMs } from "#chassis/backoff.ts";

/** Sinkronisasi as ProtoJSON: fields with their default value may be missing, int64 is text. */
export type Run = {
  name: string;
  kodeWilayah?: string;
  sinceVersi?: string;
  asOfVersi?: string;
  ujiCoba?: boolean;
  keadaan?: string;
  jumlahHub?: number;
  jumlah?: number;
  hasil?: Hasil;
  laju?: number;
  /** "12.5s". */
  sisa?: string;
  pemutus?: string;
  galat?: string;
  rekonsiliasi?: Report;
  createTime?: string;
  endTime?: string;
};

export type Hasil = Partial<
  Record<
    "baru" | "diperbarui" | "takBerubah" | "ditutup" | "kedaluwarsa" | "konflik" | "ganda" | "dikarantina",
    number
  >
>;

export type Report = {
  cocok?: boolean;
  jumlahCocok?: boolean;
  sidikCocok?: boolean;
  jumlahHub?: number;
  hasil?: Hasil;
  provinsi?: { kodeProvinsi: string; jumlahHub?: number; hasil?: Hasil }[];
  selisih?: { kodeWilayah: string; jumlahHub?: number; jumlahRegistri?: number }[];
  jumlahSelisih?: number;
  jumlahWilayah?: number;
};

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

export type SyncClientOptions = {
  gateway: string;
  username: string;
  password: string;
  /** Told once when the gateway goes away, and (undefined) when it is back. */
  onTrouble: (why: string | undefined) => void;
  /** Ends all waiting; calls reject then. */
  signal: AbortSignal;
  backoff?: { baseMs: number; maxMs: number };
};

export type SyncClient = ReturnType<typeof syncClient>;

const CALL_TIMEOUT_MS = 30_000;
/** The gateway says something at least every 15 s while a stream is quiet. */
const SILENCE_MS = 45_000;
/** What passes by itself: the gateway or what is behind it is away, or we ask too often. */
const PASSING = new Set([429, 502, 503, 504]);

export function syncClient({
  gateway,
  username,
  password,
  onTrouble,
  signal,
  backoff = { baseMs: 250, maxMs: 5_000 },
}: SyncClientOptions) {
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
  const get = (name: string) => call<Run>("GET", `/v1/${name}`);

  return {
    get,
    /** The name of the run. A repetition of a lost answer must carry the same requestId. */
    async start(request: Record<string, unknown> & { requestId: string }): Promise<string> {
      const { name } = await call<{ name: string }>("POST", "/v1/sinkronisasi", request);
      return name.replace(/^operations\//, "sinkronisasi/");
    },
    resume: (name: string, body: Record<string, unknown>) => call<Run>("POST", `/v1/${name}:resume`, body),
    async list(): Promise<Run[]> {
      return (await call<{ sinkronisasi?: Run[] }>("GET", "/v1/sinkronisasi")).sinkronisasi ?? [];
    },

    /** The run as it stands and after each change, until `isOver`; when the stream breaks, from a look at it on. */
    async *watch(name: string, isOver: (run: Run) => boolean): AsyncGenerator<Run> {
      for (let broken = 0; ; broken++) {
        const run = await get(name);
        yield run;
        if (isOver(run)) return;
        try {
          const response = await sendAs("GET", `/v1/${name}:watch`, undefined, "text/event-stream");
          for await (const next of events(response)) {
            broken = 0;
            yield next;
            if (isOver(next)) return;
          }
        } catch (cause) {
          // An older gateway has no streams: then looking at the run every now and then has to do.
          if (cause instanceof Refusal && ![401, 404, 406, 501].includes(cause.status)) throw cause;
          if (signal.aborted) throw cause;
        }
        await sleep(backoffMs(Math.min(broken, 2), backoff), undefined, { signal });
      }
    },
  };
}

type Status = {
  message?: string;
  details?: { "@type"?: string; reason?: string; metadata?: Record<string, string> }[];
};

/** The messages of Server-Sent Events (WHATWG HTML, 9.2); throws when the stream breaks or falls silent. */
async function* events(response: Response): AsyncGenerator<Run> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let silence: NodeJS.Timeout | undefined;
  try {
    for (;;) {
      const late = new Promise<never>((_, reject) => {
        silence = setTimeout(() => reject(new Error("the gateway says nothing any more")), SILENCE_MS);
      });
      const { done, value } = await Promise.race([reader.read(), late]);
      clearTimeout(silence);
      if (done) return;
      const blocks = (text + value).split(/\r?\n\r?\n/);
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const fields = block.split(/\r?\n/).map((line) => /^(\w+): ?(.*)$/.exec(line));
        const of = (name: string) => fields.flatMap((field) => (field?.[1] === name ? [field[2]!] : []));
        const [event = "message"] = of("event");
        if (event === "end") return;
        if (event === "error") throw new Error("the stream ended with an error");
        const data = of("data").join("\n");
        if (event === "message" && data !== "") yield JSON.parse(data) as Run;
      }
    }
  } finally {
    clearTimeout(silence);
    await reader.cancel().catch(() => {});
  }
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const { cause: inner } = cause;
  return inner instanceof Error && inner.message ? inner.message : cause.message;
}
