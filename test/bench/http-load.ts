// A load generator that leaves the cores to what it measures: HTTP/1.1 over keep-alive sockets, requests as prepared bytes.
import { connect, type Socket } from "node:net";

export type LoadResult = {
  /** Milliseconds from when a request was due to its answer, in order of arrival. */
  latenciesMs: Float64Array;
  errors: number;
  /** What the first few errors were. */
  samples: string[];
  seconds: number;
};

export type Load = {
  host: string;
  port: number;
  connections: number;
  /** At most this long. */
  seconds: number;
  /** Without a rate: at most so many requests, and then no waiting. Default: as many as go. */
  requests?: number;
  /** Requests a second at a constant arrival rate; undefined = each connection sends when it has its answer. */
  rate?: number;
  /** The n-th request, head and body. */
  request: (n: number) => string;
  expectStatus: number;
};

type Connection = { socket: Socket; dueAt: number; pending: string; busy: boolean };

export async function runLoad({
  host,
  port,
  connections,
  seconds,
  requests = Number.POSITIVE_INFINITY,
  rate,
  request,
  expectStatus,
}: Load): Promise<LoadResult> {
  const latencies: number[] = [];
  const samples: string[] = [];
  let errors = 0;
  let sent = 0;
  let stopped = false;
  const allAnswered = Promise.withResolvers<void>();
  const waiting: number[] = [];
  const free: Connection[] = [];
  const all = await Promise.all(Array.from({ length: connections }, () => open()));
  // With a thousand connections, what would be due while they open would come as one burst.
  const startedAt = performance.now();

  function fail(what: string): void {
    errors++;
    if (samples.length < 5) samples.push(what);
  }

  function send(connection: Connection, dueAt: number): void {
    connection.busy = true;
    connection.dueAt = dueAt;
    connection.socket.write(request(sent++));
  }

  function answered(connection: Connection, status: number, body: string): void {
    connection.busy = false;
    latencies.push(performance.now() - connection.dueAt);
    if (status !== expectStatus) fail(`${status} ${body.slice(0, 200)}`);
    if (stopped || sent >= requests) {
      if (latencies.length >= requests) allAnswered.resolve();
      return;
    }
    if (rate === undefined) send(connection, performance.now());
    else if (waiting.length > 0) send(connection, waiting.shift()!);
    else free.push(connection);
  }

  async function open(): Promise<Connection> {
    const socket = connect({ host, port, noDelay: true });
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    const connection: Connection = { socket, dueAt: 0, pending: "", busy: false };
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      connection.pending += text;
      const head = connection.pending.indexOf("\r\n\r\n");
      if (head === -1) return;
      const length = /content-length: (\d+)/i.exec(connection.pending.slice(0, head))?.[1];
      if (length === undefined) return fail("an answer without content-length");
      const end = head + 4 + Number(length);
      if (connection.pending.length < end) return;
      const status = Number(connection.pending.slice(9, 12));
      const body = connection.pending.slice(head + 4, end);
      connection.pending = connection.pending.slice(end);
      answered(connection, status, body);
    });
    socket.on("close", () => {
      if (connection.busy) fail("the connection was closed");
    });
    return connection;
  }

  if (rate === undefined) {
    for (const connection of all) if (sent < requests) send(connection, performance.now());
    await Promise.race([delay(seconds * 1000), allAnswered.promise]);
  } else {
    free.push(...all);
    for (let due = 0; due < seconds * rate; ) {
      const now = performance.now();
      // Every request that is due by now; its latency counts from when it was due, not from when we got round to it.
      for (; due < seconds * rate && startedAt + (due * 1000) / rate <= now; due++) {
        const dueAt = startedAt + (due * 1000) / rate;
        const connection = free.pop();
        if (connection) send(connection, dueAt);
        else waiting.push(dueAt);
      }
      await delay(1);
    }
  }
  stopped = rate === undefined;
  const measuredSeconds = (performance.now() - startedAt) / 1000;
  const answers = latencies.length;
  for (let waited = 0; waited < 5_000 && (waiting.length > 0 || all.some(({ busy }) => busy)); waited += 20)
    await delay(20);
  for (const { socket } of all) socket.destroy();
  if (waiting.length > 0) fail(`${waiting.length} requests were never sent`);
  const counted = rate === undefined ? latencies.slice(0, answers) : latencies;
  return { latenciesMs: Float64Array.from(counted), errors, samples, seconds: measuredSeconds };
}

export function percentile(values: Float64Array, share: number): number {
  const sorted = values.toSorted();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
