// SIAK, told by HTTP: one CloudEvents 1.0 event in JSON a change (structured mode, the CloudEvents HTTP protocol binding 3.2).
// It knows an event that comes again by its id, which is also the Idempotency-Key.
import { create, toJson } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import CircuitBreaker from "opossum";
import type { BreakerState } from "#chassis/breaker.ts";
import { type ServiceToken, serviceToken } from "#chassis/service-token.ts";
import { PendudukHubSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { PerubahanPendudukSchema } from "#gen/lampid/integrasi/v1/siak_pb.ts";
import { JENIS } from "../pengiriman/messages.ts";
import type { Jawaban, Perubahan, SistemPort } from "./sistem.ts";

export type SiakOptions = {
  /** Where events are posted. */
  url: string;
  /** For a token by client_credentials; without it, none is sent. */
  client?: { tokenUrl: string; id: string; secret: string } | undefined;
  /** Longest wait for an answer. Default 10 s. */
  timeoutMs?: number;
  /** How long SIAK is left alone when it keeps failing. Default 5 s. */
  openMs?: number;
  onState?: (state: BreakerState) => void;
};

export type Siak = SistemPort & { shutdown: () => void };

/** The event itself is wrong. Whatever else SIAK answers, a wrong address or key among it, is put right elsewhere, and passes. */
const REFUSALS: ReadonlySet<number> = new Set([400, 413, 422]);
/** It takes few failures to know. */
const BREAKER_VOLUME = 3;
const BREAKER_WINDOW_MS = 5_000;

export function siakSistem({ url, client, timeoutMs = 10_000, openMs = 5_000, onState }: SiakOptions): Siak {
  const token: ServiceToken | undefined =
    client &&
    serviceToken({
      tokenUrl: async () => client.tokenUrl,
      client,
      hint: "check LAMPID_SIAK_CLIENT_ID and LAMPID_SIAK_CLIENT_SECRET",
    });
  // Its own time-out is off: the request's covers the token and the answer, and lets go of the connection.
  const breaker = new CircuitBreaker(post, {
    name: "siak",
    timeout: false,
    volumeThreshold: BREAKER_VOLUME,
    rollingCountTimeout: BREAKER_WINDOW_MS,
    errorThresholdPercentage: 50,
    resetTimeout: openMs,
    rollingPercentilesEnabled: false,
    enableSnapshots: false,
  });
  breaker.on("open", () => onState?.("open"));
  breaker.on("halfOpen", () => onState?.("halfOpen"));
  breaker.on("close", () => onState?.("closed"));

  async function post(perubahan: Perubahan, signal: AbortSignal): Promise<Jawaban> {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/cloudevents+json",
        "idempotency-key": perubahan.id,
        ...(token ? { authorization: `Bearer ${await token().catch(noToken)}` } : {}),
      },
      body: JSON.stringify(cloudEventOf(perubahan)),
      // Residents must not follow a redirect to somewhere else.
      redirect: "error",
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    // What it says besides may quote the resident, and may be of any length.
    await response.body?.cancel();
    if (response.ok) return { kind: "diterima" };
    const alasan = `HTTP ${response.status}`;
    if (REFUSALS.has(response.status)) return { kind: "ditolak", alasan };
    throw new SiakFailure(alasan);
  }

  return {
    sistem: "siak",
    send: (perubahan, signal) =>
      breaker.fire(perubahan, signal).catch((cause) => ({ kind: "gagal", alasan: reasonOf(cause) })),
    shutdown: () => breaker.shutdown(),
  };
}

class SiakFailure extends Error {
  override name = "SiakFailure";
}

/** What our own client says of it names no resident, and what to look at. */
function noToken(cause: unknown): never {
  throw new SiakFailure(ConnectError.from(cause).rawMessage);
}

/** CloudEvents 1.0.2, JSON format. The id is that of the change of this resident; the resident is as they are now. */
function cloudEventOf({ id, jenis, laporan, waktu, name, penduduk }: Perubahan) {
  const data = create(PerubahanPendudukSchema, {
    jenis: JENIS[jenis],
    laporan,
    penduduk: create(PendudukHubSchema, { ...penduduk, id: 0n, versi: 0n, peristiwa: "" }),
  });
  return {
    specversion: "1.0",
    id,
    source: "/lampid/integrasi",
    type: PerubahanPendudukSchema.typeName,
    subject: name,
    time: waktu.toISOString(),
    datacontenttype: "application/json",
    data: toJson(PerubahanPendudukSchema, data),
  };
}

function reasonOf(cause: unknown): string {
  if (cause instanceof SiakFailure) return cause.message;
  if (cause instanceof Error && cause.name === "TimeoutError") return "DEADLINE_EXCEEDED";
  // Of fetch, the code is with the cause: ECONNREFUSED, ENOTFOUND, CERT_HAS_EXPIRED ...
  const code = codeOf(cause instanceof Error ? cause.cause : undefined);
  return code ? `UNAVAILABLE ${code}` : "UNAVAILABLE";
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "";
}
