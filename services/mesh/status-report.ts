// What two looks at the processes of a mesh say about it: rates between them, and how things stand at the second.
import { Code } from "@connectrpc/connect";
import type { MeshState } from "./data-dir.ts";
import type { Sample } from "./metrics-text.ts";

/** What one process said, undefined where it did not answer. */
export type Look = {
  atMs: number;
  processes: Readonly<Record<string, { health: Health | undefined; samples: readonly Sample[] }>>;
};

/** The answer of /readyz: "status", and what each of its parts says. */
export type Health = Readonly<Record<string, string>>;

export type ProcessStatus = {
  name: string;
  state: "serving" | "not serving" | "no answer" | "not running";
  /** What is not "ok", also where the process serves without it. */
  reasons: string[];
  pid: number | undefined;
  uptimeSeconds: number | undefined;
  memoryBytes: number | undefined;
  restarts: number;
  callsPerSecond: number | undefined;
  /** Of the calls between the looks, those that failed through no fault of their caller, 0 to 1; undefined without calls. */
  errorShare: number | undefined;
};

export type StatusReport = {
  mesh: MeshState["state"];
  isServing: boolean;
  processes: ProcessStatus[];
  /** Events on the bus that a group has not handled. */
  bus: { topic: string; group: string; lag: number }[];
  /** Events that are not on the bus yet. */
  outbox: { service: string; pending: number; ageSeconds: number }[];
  breakers: { from: string; to: string; state: BreakerName }[];
  sync: { keadaan: string; wilayah: string; ageSeconds: number } | undefined;
  /** Effects of approved reports that the registry has not answered. */
  efek: number | undefined;
  /** Changes for systems outside. */
  pengiriman: { sistem: string; waiting: number; refused: number; ageSeconds: number }[];
  /** Messages that are not delivered. */
  pesan: { waiting: number; ageSeconds: number } | undefined;
  /** Reports that wait, by the level that has to act. */
  laporan: { tingkat: string; waiting: number; ageSeconds: number }[];
};

type BreakerName = "closed" | "half open" | "open";

const BREAKER: readonly BreakerName[] = ["closed", "half open", "open"];
const FAILURES = [Code.Unknown, Code.DeadlineExceeded, Code.Internal, Code.Unavailable, Code.DataLoss];
/** Codes that are the server's doing, as the metrics of services have them and as those of the gateway do. */
const FAILURE_LABELS = new Set(FAILURES.flatMap((code) => [Code[code].toLowerCase(), String(code)]));

export function reportOf(mesh: MeshState, before: Look, now: Look): StatusReport {
  const all = (name: string) =>
    Object.entries(now.processes).flatMap(([process, { samples }]) =>
      samples.filter((sample) => sample.name === name).map((sample) => ({ process, ...sample })),
    );
  /** The other figure of the same thing. */
  const beside = (
    name: string,
    { process, labels }: { process: string; labels: Sample["labels"] },
    key = "",
  ) => all(name).find((each) => each.process === process && each.labels[key] === labels[key])?.value ?? 0;
  const only = (name: string) => all(name)[0];

  const processes = Object.keys(mesh.processes).map((name) => processStatus(name, mesh, before, now));
  const [pesan, sync] = [only("lampid_pesan_waiting"), only("lampid_sync_last")];
  return {
    mesh: mesh.state,
    isServing: processes.every(({ state }) => state === "serving"),
    processes,
    bus: all("lampid_bus_lag").map(({ labels, value }) => ({
      topic: labels.topic ?? "",
      group: labels.group ?? "",
      lag: value,
    })),
    outbox: all("lampid_outbox_pending").map((sample) => ({
      service: sample.process,
      pending: sample.value,
      ageSeconds: beside("lampid_outbox_age", sample),
    })),
    breakers: [
      ...all("gateway_breaker_state").map((each) => ({ ...each, to: each.labels.upstream ?? "" })),
      ...all("lampid_hub_breaker").map((each) => ({ ...each, to: "hub" })),
    ].map(({ process, to, value }) => ({ from: process, to, state: BREAKER[value] ?? "open" })),
    sync: sync && {
      keadaan: sync.labels.keadaan ?? "",
      wilayah: sync.labels.wilayah ?? "",
      ageSeconds: sync.value,
    },
    efek: only("lampid_efek_pending")?.value,
    pengiriman: all("lampid_pengiriman_waiting").map((sample) => ({
      sistem: sample.labels.sistem ?? "",
      waiting: sample.value,
      refused: beside("lampid_pengiriman_refused", sample, "sistem"),
      ageSeconds: beside("lampid_pengiriman_age", sample, "sistem"),
    })),
    pesan: pesan && { waiting: pesan.value, ageSeconds: beside("lampid_pesan_age", pesan) },
    laporan: all("lampid_laporan_waiting").map((sample) => ({
      tingkat: sample.labels.tingkat ?? "",
      waiting: sample.value,
      ageSeconds: beside("lampid_laporan_waiting_oldest", sample, "tingkat"),
    })),
  };
}

function processStatus(name: string, mesh: MeshState, before: Look, now: Look): ProcessStatus {
  const { pid, restarts, serving, adminPort } = mesh.processes[name]!;
  const said = now.processes[name];
  const figure = (metric: string) => said?.samples.find((sample) => sample.name === metric)?.value;
  const { status, ...parts } = said?.health ?? {};
  const answered = status === "SERVING" ? "serving" : status === undefined ? "no answer" : "not serving";
  // PostgreSQL has no admin port: of it there is what its supervisor says.
  const known = adminPort === undefined ? (serving ? "serving" : "not serving") : answered;
  return {
    name,
    state: pid === undefined ? "not running" : known,
    reasons: Object.entries(parts)
      .filter(([, text]) => text !== "ok")
      .map(([part, text]) => `${part}: ${text}`),
    pid,
    uptimeSeconds: figure("process_uptime"),
    memoryBytes: figure("process_memory_usage"),
    restarts,
    ...ratesOf(before.processes[name]?.samples ?? [], said?.samples ?? [], now.atMs - before.atMs),
  };
}

/** Calls are counted from the process's start: after a restart there is one look too few for a rate. */
function ratesOf(before: readonly Sample[], now: readonly Sample[], elapsedMs: number) {
  const [first, second] = [countsOf(before), countsOf(now)];
  const [calls, failed] = [second.calls - first.calls, second.failed - first.failed];
  if (elapsedMs <= 0 || before.length === 0 || now.length === 0 || calls < 0 || failed < 0) {
    return { callsPerSecond: undefined, errorShare: undefined };
  }
  return { callsPerSecond: (calls * 1000) / elapsedMs, errorShare: calls > 0 ? failed / calls : undefined };
}

function countsOf(samples: readonly Sample[]): { calls: number; failed: number } {
  const counts = samples.filter(({ name }) => /^(rpc_server|gateway_call)_duration_count$/.test(name));
  const sum = (of: readonly Sample[]) => of.reduce((total, { value }) => total + value, 0);
  return {
    calls: sum(counts),
    failed: sum(counts.filter(({ labels }) => FAILURE_LABELS.has(labels.code ?? ""))),
  };
}
