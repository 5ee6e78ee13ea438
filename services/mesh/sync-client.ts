// What `npm run sync` asks of the gateway, by REST alone.
import { setTimeout as sleep } from "node:timers/promises";
import { backoffMs } from "#chassis/backoff.ts";
import { BACKOFF, Refusal, type RestClientOptions, restClient } from "./rest-client.ts";

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

/** The gateway says something at least every 15 s while a stream is quiet. */
const SILENCE_MS = 45_000;

export type SyncClient = ReturnType<typeof syncClient>;

export function syncClient(options: RestClientOptions) {
  const { signal, backoff = BACKOFF } = options;
  const { call, sendAs } = restClient(options);
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
