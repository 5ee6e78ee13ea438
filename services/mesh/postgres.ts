// The embedded PostgreSQL 18: its cluster is made when new, started, provisioned with a database and a role per service,
// and stopped.
//
// Source of what is set here: https://www.postgresql.org/docs/18/runtime-config.html
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Logger } from "pino";
import { pause } from "#chassis/backoff.ts";
import {
  createCluster,
  findCluster,
  resetSuperuser,
  runOptions,
  SUPERUSER,
  stopLeftovers,
  writeHostAccess,
} from "./cluster.ts";
import { type Engine, prepareEngine, type RunAs } from "./engine.ts";
import { processesIn, send, settlesWithin } from "./host-process.ts";
import { type LogFile, openLogFile } from "./log-file.ts";
import { MeshError } from "./mesh-error.ts";
import { provision, type RoleName, settleSecrets, withClient } from "./provision.ts";
import type { Watchdog } from "./watchdog.ts";

export type Postgres = {
  port: number;
  pid: number;
  /** Where the cluster lies: `<dataDir>/postgres`, or what that links to. */
  cluster: string;
  /** Connection URL of a role, to its own database or to the bus. */
  url(role: RoleName, database?: "bus"): string;
  superuserUrl: string;
  /** Fast shutdown, harder after `graceMs`. Resolves when no process of it is left. */
  stop(graceMs?: number): Promise<void>;
  /** Resolves when the server ends, for whatever reason. */
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  onExit(listener: (exit: { code: number | null; signal: NodeJS.Signals | null }) => void): void;
};

export type PostgresOptions = {
  /** An existing folder that nothing else uses (the mesh holds its lock): a server found running in it is stopped. */
  dataDir: string;
  port: number;
  log: Logger;
  /** For the cache folder: LAMPID_CACHE_DIR, XDG_CACHE_HOME, HOME. */
  env?: Readonly<Record<string, string | undefined>>;
  watchdog?: Watchdog;
  /** Aborts a start that is under way. */
  signal?: AbortSignal;
  /** In place of ours, by name: for a test that needs what this profile does without, e.g. logical replication. */
  settings?: Readonly<Record<string, string>>;
};

/** Crash recovery replays up to `max_wal_size`. */
const ACCEPT_TIMEOUT_MS = 60_000;
const ACCEPT_POLL_MS = 20;
const STOP_GRACE_MS = 8_000;
const QUIT_GRACE_MS = 1_000;

const SETTINGS: Record<string, string> = {
  listen_addresses: "127.0.0.1",
  // TCP only: a socket's path would have to fit into 107 bytes, below a data folder of any depth.
  unix_socket_directories: "",

  // Whatever was answered is on the disk, kill -9 or power cut.
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",

  // The whole mesh has 900 MiB.
  max_connections: "120",
  shared_buffers: "128MB",
  work_mem: "8MB",
  maintenance_work_mem: "64MB",
  effective_cache_size: "512MB",
  max_parallel_workers_per_gather: "0",
  max_parallel_maintenance_workers: "1",
  autovacuum_max_workers: "2",
  // Three I/O worker processes less; nothing here reads so much that it would gain by them.
  io_method: "sync",
  jit: "off",

  // 2,000 commits/s write about 10 MB/s of WAL: a checkpoint every few minutes, spread out, not every 30 s. Recovery
  // after a crash replays at most this much, some seconds.
  max_wal_size: "2GB",
  min_wal_size: "256MB",
  checkpoint_timeout: "10min",
  checkpoint_completion_target: "0.9",
  wal_compression: "on",
  wal_buffers: "16MB",
  // No replicas in this profile, but npm run backup asks for a copy of the cluster as a replica would (decision 0024).
  wal_level: "replica",
  max_wal_senders: "2",
  // What a backup that hangs may keep of the log before it fails.
  max_slot_wal_keep_size: "4GB",
  max_logical_replication_workers: "0",

  // A transaction that is held open stops the outbox relay, which reads below the oldest one (pg_snapshot_xmin).
  idle_in_transaction_session_timeout: "60s",
  password_encryption: "scram-sha-256",
  timezone: "UTC",
  log_timezone: "UTC",
  lc_messages: "C",

  // The log must not hold a NIK, and messages, details and statements of failed queries quote values: they go to the
  // client only. "log" leaves out the errors of sessions and keeps starts, stops, checkpoints and failed logins.
  log_min_messages: "log",
  log_min_error_statement: "panic",
  log_error_verbosity: "terse",
  log_statement: "none",
  log_min_duration_statement: "-1",
  log_parameter_max_length_on_error: "0",
  log_line_prefix: "%m [%p] ",
};

/** Starts it; resolves when it accepts connections and every database and role is there. */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const { port, log, env = process.env, watchdog, signal } = options;
  const settings = { ...SETTINGS, ...options.settings };
  const dataDir = resolve(options.dataDir);
  mkdirSync(join(dataDir, "log"), { recursive: true });
  const logFile = openLogFile(join(dataDir, "log", "postgres.log"));

  try {
    const place = findCluster(dataDir);
    const engine = prepareEngine({ runAs: place.runAs, env, fallback: join(dataDir, "cache") });
    log.info(
      { engine: engine.folder, cluster: place.cluster, runAs: place.runAs?.uid },
      "postgres is prepared",
    );

    const { secrets, isNew } = settleSecrets(dataDir);
    const cluster = place.isNew
      ? createCluster({ ...place, dataDir, engine, password: secrets.superuser, logFile })
      : place.cluster;
    await stopLeftovers(cluster, log);
    writeHostAccess(cluster, place.runAs);
    if (!place.isNew && isNew)
      resetSuperuser({ cluster, engine, runAs: place.runAs, password: secrets.superuser });

    const superuserUrl = connectionUrl(SUPERUSER, secrets.superuser, port, "postgres");
    let server = launch({ cluster, engine, runAs: place.runAs, port, settings, logFile, watchdog });
    try {
      await accepts(server, superuserUrl, logFile, port, signal);
    } catch (error) {
      if (!isWrongPassword(error)) throw error;
      // secrets.json is not the one this cluster was made with (a restored backup, a copied folder).
      log.warn("the superuser's password does not fit the cluster: it is set again");
      await server.stop();
      resetSuperuser({ cluster, engine, runAs: place.runAs, password: secrets.superuser });
      server = launch({ cluster, engine, runAs: place.runAs, port, settings, logFile, watchdog });
      await accepts(server, superuserUrl, logFile, port, signal);
    }
    try {
      await provision(superuserUrl, secrets);
    } catch (error) {
      await server.stop();
      throw error;
    }
    void server.exited.then(() => logFile.close());

    return {
      port,
      pid: server.pid,
      cluster,
      superuserUrl,
      url: (role, database = role as "bus") => connectionUrl(role, secrets.roles[role] ?? "", port, database),
      stop: server.stop,
      exited: server.exited,
      onExit: (listener) => void server.exited.then(listener),
    };
  } catch (error) {
    logFile.close();
    if (error instanceof MeshError) throw error;
    throw new MeshError(`PostgreSQL did not start: ${(error as Error).message.split("\n")[0]}`, {
      cause: error,
    });
  }
}

type Server = Pick<Postgres, "pid" | "stop" | "exited"> & { child: ChildProcess };

function launch({
  cluster,
  engine,
  runAs,
  port,
  settings,
  logFile,
  watchdog,
}: {
  cluster: string;
  engine: Engine;
  runAs: RunAs | undefined;
  port: number;
  settings: Readonly<Record<string, string>>;
  logFile: LogFile;
  watchdog: Watchdog | undefined;
}): Server {
  const given = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const child = spawn(engine.postgres, ["-D", cluster, "-p", String(port), ...given], {
    ...runOptions(engine, runAs),
    // Its own session: Ctrl-C at the terminal is for the supervisor, which stops PostgreSQL last.
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout?.on("data", (chunk: Buffer) => logFile.write(chunk));
  child.stderr?.on("data", (chunk: Buffer) => logFile.write(chunk));
  const pid = child.pid ?? 0;
  if (pid) watchdog?.add("server", pid);
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((done) => {
    child.once("error", (error) => {
      logFile.write(`${error.message}\n`);
      done({ code: 1, signal: null });
    });
    // "close" rather than "exit": the log's last line says why.
    child.once("close", (code, signal) => {
      if (pid) watchdog?.remove(pid);
      done({ code, signal });
    });
  });
  let stopping: Promise<void> | undefined;
  const gone = (ms: number) => settlesWithin(exited, ms);

  async function shutDown(graceMs: number): Promise<void> {
    child.kill("SIGINT");
    if (await gone(graceMs)) return;
    child.kill("SIGQUIT");
    if (await gone(QUIT_GRACE_MS)) return;
    child.kill("SIGKILL");
    for (const process of processesIn(cluster)) send(process, "SIGKILL");
    await exited;
  }

  return {
    child,
    pid,
    exited,
    stop(graceMs = STOP_GRACE_MS) {
      stopping ??= shutDown(graceMs);
      return stopping;
    },
  };
}

/** Waits until the server accepts a connection; stops it again when it does not. */
async function accepts(
  server: Server,
  url: string,
  logFile: LogFile,
  port: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  let ended = false;
  void server.exited.then(() => {
    ended = true;
  });
  const deadline = performance.now() + ACCEPT_TIMEOUT_MS;
  for (;;) {
    try {
      await withClient(url, async () => {});
      return;
    } catch (error) {
      if (ended) throw new MeshError(`PostgreSQL did not start on port ${port}: ${reasonIn(logFile)}`);
      if (isWrongPassword(error)) throw error;
      if (signal?.aborted || performance.now() > deadline) {
        await server.stop();
        throw new MeshError(
          signal?.aborted
            ? "stopped while PostgreSQL started"
            : `PostgreSQL did not accept connections (${reasonIn(logFile)})`,
        );
      }
    }
    await pause(ACCEPT_POLL_MS);
  }
}

function reasonIn(logFile: LogFile): string {
  const lines = logFile.tail().trimEnd().split("\n");
  const line = lines.findLast((text) => /FATAL|PANIC|could not/.test(text)) ?? lines.at(-1) ?? "";
  return `${line.replace(/^.*?(FATAL|PANIC|LOG): +/, "")} (see ${logFile.path})`;
}

function isWrongPassword(error: unknown): boolean {
  return (error as { code?: string }).code === "28P01";
}

function connectionUrl(role: string, password: string, port: number, database: string): string {
  return `postgres://${role}:${password}@127.0.0.1:${port}/${database}`;
}
