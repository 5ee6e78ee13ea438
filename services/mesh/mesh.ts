// The whole mesh on one machine: PostgreSQL, migrations and every process, started in order, kept running, and stopped.
// `npm start` and the tests use it alike; several can run side by side on different ports and data folders.
import { once } from "node:events";
import { existsSync } from "node:fs";
import { get } from "node:http";
import { join, resolve } from "node:path";
import { type Logger, pino } from "pino";
import { forever, pause } from "#chassis/backoff.ts";
import { readKafkaSettings, readReplicationFactor } from "#chassis/bus/kafka-settings.ts";
import { configReader } from "#chassis/config.ts";
import { chassisMigrations, migrate } from "#chassis/migrate.ts";
import { readable, startChild } from "./child.ts";
import { type DataDir, type MeshState, openDataDir, RESTORING } from "./data-dir.ts";
import { eventually, isSameProcess, send, settlesWithin, startTime } from "./host-process.ts";
import { type Keeper, keepRunning, type Running } from "./keep-running.ts";
import { type LogFile, openLogFile } from "./log-file.ts";
import { MeshError } from "./mesh-error.ts";
import { assertPortsFree } from "./ports.ts";
import { type Postgres, startPostgres } from "./postgres.ts";
import {
  environmentOf,
  migrationsOf,
  POSTGRES_PORT,
  PROCESSES,
  type ProcessSpec,
  type Profile,
  portsOf,
  ROOT,
  readyUrl,
  urlsOf,
} from "./processes.ts";
import {
  DATABASES,
  type DatabaseName,
  provisionExternal,
  type RoleName,
  settleDokumenKey,
  settleQuarantineKey,
  settleSecrets,
} from "./provision.ts";
import { startWatchdog } from "./watchdog.ts";

export type MeshOptions = {
  /**
   * Default embedded. cluster: the engines that LAMPID_KAFKA_BROKERS, LAMPID_MONGO_URL and LAMPID_ISSUER_URL name, and
   * the PostgreSQL of LAMPID_POSTGRES_URL (a superuser's); without that one, the embedded PostgreSQL all the same.
   */
  profile?: Profile;
  dataDir: string;
  /** Added to every port; `freePortOffset()` finds one for a test. */
  portOffset: number;
  /** Where the gateway and the issuer listen. Default 127.0.0.1. */
  host?: string;
  /** Set for every process on top of `process.env`, e.g. `{ LAMPID_RATE_LIMIT_PER_MINUTE: "100000" }`. */
  env?: Readonly<Record<string, string>>;
  /** Start these processes only (and PostgreSQL). The others' addresses are given out all the same. */
  only?: readonly string[];
  /** Default {@link PROCESSES}. */
  processes?: readonly ProcessSpec[];
  /** false: no PostgreSQL, no migrations. Default true. */
  postgres?: boolean;
  /** What the supervisor has to say, a line at a time. */
  report?: (line: string) => void;
  /** Warnings and errors of the processes; with `isVerbose` all they log. */
  onLine?: (name: string, line: string) => void;
  isVerbose?: boolean;
  /** Aborting stops a start that is under way; a mesh that runs is stopped by `stop()`. */
  signal?: AbortSignal;
  /** From the first process started to all serving. Default 60 s. */
  readyTimeoutMs?: number;
  /** Longest wait before a process that ended is started again. Default 10 s; a test that kills often wants less. */
  maxRestartDelayMs?: number;
};

export type Mesh = {
  dataDir: string;
  host: string;
  portOffset: number;
  /** `http://127.0.0.1:8080` by process name, and `issuer`. */
  urls: Record<string, string>;
  /** Of the embedded database's superuser. */
  superuserUrl: string;
  /** Of a service's role to its own database (or to the bus); of "bus": the owner of the bus. */
  databaseUrl(role: RoleName, database?: "bus"): string;
  /** By process name or "postgres"; undefined between an end and the next start. */
  pid(name: string): number | undefined;
  /** How often it has been started again. */
  restarts(name: string): number;
  /** Sends a signal (default SIGKILL) and gives the pid it went to; the supervisor starts again what ends by it. */
  kill(name: string, signal?: NodeJS.Signals): number;
  /** Stops a process in an orderly way and resolves when its successor serves. */
  restart(name: string): Promise<void>;
  /** Resolves when that process (default: every one) serves; after `kill` only its successor counts. */
  waitServing(name?: string, withinMs?: number): Promise<void>;
  /** Resolves, with one line, when the mesh cannot go on: a process ended for its configuration. */
  failed: Promise<MeshError>;
  /** Gateway first, then the services, PostgreSQL last, within 10 s; the same promise every time. */
  stop(): Promise<void>;
};

const POSTGRES = "postgres";
const READY_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 50;
/** A process that keeps ending before the mesh has ever been ready will not do better the sixth time. */
const MAX_FAILED_STARTS = 5;
/** Leftovers of a mesh that was killed with -9: they have noticed by themselves and are about to end. */
const LEFTOVER_GRACE_MS = 6_000;

// Together below the 10 s that a stop may take; PostgreSQL's own escalation adds 1 s. The gateway is given a start, so
// that the calls in it find the services still there.
const GATEWAY_HEAD_START_MS = 2_500;
const PROCESSES_STOPPED_MS = 7_000;
const POSTGRES_GRACE_MS = 1_500;

type Kept = { spec: ProcessSpec; keeper: Keeper; logFile: LogFile; isServing: boolean };

/** Resolves when every process serves. Throws a {@link MeshError}, with nothing left running, when that does not come about. */
export async function startMesh(options: MeshOptions): Promise<Mesh> {
  const { profile = "embedded", portOffset, host = "127.0.0.1", report = () => {}, signal } = options;
  const processes = (options.processes ?? PROCESSES).map((spec) =>
    // Somebody else's issuer listens on somebody else's port.
    profile === "cluster" ? { ...spec, issuerPort: undefined } : spec,
  );
  const selected = select(processes, options.only);
  for (const { entry, name } of selected) {
    if (!existsSync(resolve(ROOT, entry))) throw new MeshError(`${entry}, the script of ${name}, is missing`);
  }
  const env = { ...process.env, ...options.env };
  const externalUrl = profile === "cluster" ? env.LAMPID_POSTGRES_URL : undefined;
  const ports = portsOf(selected, { host, portOffset }).filter(
    ({ what }) => !externalUrl || what !== "PostgreSQL",
  );
  // Before anything is made, where that can be told: a mesh that was killed may still hold its ports for a moment.
  if (!existsSync(join(options.dataDir, "mesh.json"))) await assertPortsFree(ports, { report });

  if (existsSync(join(options.dataDir, RESTORING))) {
    throw new MeshError(
      `LAMPID_DATA_DIR: a restore into ${options.dataDir} was cut off; run it again with --set-aside`,
    );
  }
  const data = openDataDir(options.dataDir);
  const logs: LogFile[] = [];
  const openLog = (name: string) => {
    const file = openLogFile(data.logPath(name));
    logs.push(file);
    return file;
  };
  const meshLog = openLog("mesh");
  const log = pino(
    { name: "mesh", base: { pid: process.pid }, formatters: { level: (level) => ({ level }) } },
    { write: (line: string) => meshLog.write(line) },
  );
  try {
    await stopLeftovers(data, log);
    await assertPortsFree(ports, { report });
  } catch (error) {
    meshLog.close();
    data.close();
    throw error;
  }

  const watchdog = startWatchdog();
  const restart = options.maxRestartDelayMs === undefined ? {} : { maxDelayMs: options.maxRestartDelayMs };
  const kept = new Map<string, Kept>();
  const failure = Promise.withResolvers<MeshError>();
  const starting = new AbortController();
  /** Aborts when the mesh is told to stop. */
  const ending = new AbortController();
  const abort = () => starting.abort();
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted) starting.abort();
  let postgres: Postgres | undefined;
  /** How the databases are reached, whosever server they are on. */
  let databases: Pick<Postgres, "url" | "superuserUrl"> | undefined;
  let postgresKeeper: Keeper | undefined;
  let state: MeshState["state"] = "starting";
  let stopping: Promise<void> | undefined;
  const startedAt = new Date().toISOString();
  const startTimes = new Map<number, string>();

  function say(line: string): void {
    log.warn(line);
    report(line);
  }

  function fail(error: MeshError): void {
    if (stopping) return;
    log.fatal(error.message);
    failure.resolve(error);
    starting.abort();
  }

  function identify(pid: number): { pid: number; startTime: string } {
    const known = startTimes.get(pid) ?? startTime(pid);
    startTimes.set(pid, known);
    return { pid, startTime: known };
  }

  function saveState(): void {
    const watcher = watchdog.pid();
    const entries = [...kept.values()].map(({ spec, keeper, isServing }) => {
      const pid = keeper.running()?.pid;
      return [
        spec.name,
        {
          ...(pid && identify(pid)),
          port: spec.port + portOffset,
          adminPort: spec.adminPort + portOffset,
          serving: isServing,
          restarts: keeper.restarts(),
        },
      ] as const;
    });
    data.writeState({
      state,
      supervisor: identify(process.pid),
      ...(watcher ? { watchdog: identify(watcher) } : {}),
      startedAt,
      host,
      portOffset,
      urls,
      processes: {
        ...(postgres && {
          [POSTGRES]: {
            ...(postgresKeeper?.running() && identify(postgres.pid)),
            port: postgres.port,
            serving: postgresKeeper?.running() !== undefined,
            restarts: postgresKeeper?.restarts() ?? 0,
          },
        }),
        ...Object.fromEntries(entries),
      },
    });
  }

  async function startDatabase(): Promise<Running> {
    const server = await startPostgres({
      dataDir: data.path,
      port: POSTGRES_PORT + portOffset,
      log,
      env,
      watchdog,
      signal: starting.signal,
    });
    postgres = server;
    databases = server;
    return {
      pid: server.pid,
      exited: server.exited,
      lastLine: () => "",
      stop: () => server.stop(POSTGRES_GRACE_MS),
    };
  }

  async function runDatabase(): Promise<void> {
    const first = await startDatabase();
    postgresKeeper = keepRunning({
      name: POSTGRES,
      ...restart,
      first,
      start: startDatabase,
      report: say,
      onStart: () => {
        if (postgresKeeper) say(`${POSTGRES} accepts connections again`);
        if (postgresKeeper) saveState();
      },
      onExit: saveState,
      onFatal: (line) => fail(new MeshError(line)),
    });
    saveState();
  }

  function run(spec: ProcessSpec): void {
    const logFile = openLog(spec.name);
    const environment = environmentOf(spec, {
      processes,
      env,
      host,
      portOffset,
      dataDir: data.path,
      profile,
      databaseUrl: databases?.url,
      serviceSecret: settleSecrets(data.path).secrets.service,
      quarantineKeyFile: settleQuarantineKey(data.path),
      dokumenKeyFile: settleDokumenKey(data.path),
    });
    const keeper = keepRunning({
      name: spec.name,
      ...restart,
      start: () =>
        startChild({
          spec,
          env: environment,
          logFile,
          watchdog,
          isVerbose: options.isVerbose ?? false,
          onLine: (line) => options.onLine?.(spec.name, line),
        }),
      report: say,
      onStart: (running) => void watchServing(spec.name, running),
      onExit: (running, attempt) => {
        setServing(spec.name, false);
        if (state === "starting" && attempt >= MAX_FAILED_STARTS) {
          fail(
            new MeshError(
              `${spec.name} does not start: ${running?.lastLine() || "it says nothing"} (see ${logFile.path})`,
            ),
          );
        }
      },
      onFatal: (line) => fail(new MeshError(readable(line))),
    });
    kept.set(spec.name, { spec, keeper, logFile, isServing: false });
  }

  function setServing(name: string, isServing: boolean): void {
    const each = kept.get(name);
    if (each) each.isServing = isServing;
    saveState();
  }

  /** Follows one run of a process until it serves for the first time; afterwards a load balancer would, and none is here. */
  async function watchServing(name: string, running: Running): Promise<void> {
    const since = performance.now();
    let isOver = false;
    void running.exited.then(() => {
      isOver = true;
    });
    // The first `running` is set only after this call returns.
    await pause(READY_POLL_MS);
    while (!isOver && !stopping) {
      const each = kept.get(name);
      if (each && (await answers200(readyUrl(each.spec, { host, portOffset })))) {
        if (isOver || each.keeper.running() !== running || killed.has(running.pid)) return;
        setServing(name, true);
        const seconds = ((performance.now() - since) / 1000).toFixed(1);
        log.info({ process: name, seconds }, "serves");
        if (each.keeper.restarts() > 0) say(`${name} serves again after ${seconds} s`);
        return;
      }
      await pause(READY_POLL_MS);
    }
  }

  /** Pids that a deadly signal was sent to: they may still answer for a moment. */
  const killed = new Set<number>();

  function pid(name: string): number | undefined {
    return (name === POSTGRES ? postgresKeeper : known(name).keeper)?.running()?.pid;
  }

  function known(name: string): Kept {
    const each = kept.get(name);
    if (!each) throw new MeshError(`${name} is not a process of this mesh (${[...kept.keys()].join(", ")})`);
    return each;
  }

  function kill(name: string, deadly: NodeJS.Signals = "SIGKILL"): number {
    const target = pid(name);
    if (target === undefined) throw new MeshError(`${name} does not run just now`);
    if (!["SIGSTOP", "SIGCONT", "SIGUSR1", "SIGUSR2", "SIGHUP"].includes(deadly)) {
      killed.add(target);
      if (name !== POSTGRES) setServing(name, false);
    }
    send(target, deadly);
    return target;
  }

  async function waitServing(name?: string, withinMs = READY_TIMEOUT_MS): Promise<void> {
    const waitingFor = () => {
      const names = [...kept.values()].filter((each) => !each.isServing).map((each) => each.spec.name);
      const pids = postgresKeeper?.running()?.pid;
      if (postgres && (pids === undefined || killed.has(pids))) names.push(POSTGRES);
      return name === undefined ? names : names.filter((each) => each === name);
    };
    if (name !== undefined && name !== POSTGRES) known(name);
    const isThere = await eventually(() => waitingFor().length === 0 || starting.signal.aborted, withinMs);
    if (starting.signal.aborted) throw await whyAborted();
    if (!isThere) {
      const hints = waitingFor().map((each) => {
        const line = kept.get(each)?.keeper.running()?.lastLine();
        return line ? `${each} (${line})` : each;
      });
      throw new MeshError(
        `not serving after ${withinMs / 1000} s: ${hints.join(", ")}; see ${join(data.path, "log")}`,
      );
    }
  }

  async function whyAborted(): Promise<MeshError> {
    return await Promise.race([failure.promise, pause(0).then(() => new MeshError("stopped"))]);
  }

  async function stop(): Promise<void> {
    const begin = performance.now();
    const left = (untilMs: number) => Math.max(0, untilMs - (performance.now() - begin));
    state = "stopping";
    starting.abort();
    ending.abort();
    saveState();
    const all = [...kept.values()];
    for (const { keeper } of all) keeper.release();
    postgresKeeper?.release();

    const gateway = all.filter(({ spec }) => spec.name === "gateway");
    const rest = all.filter(({ spec }) => spec.name !== "gateway");
    await terminate(gateway, left(GATEWAY_HEAD_START_MS));
    await terminate([...rest, ...gateway], left(PROCESSES_STOPPED_MS));
    for (const { spec, keeper } of all) {
      const running = keeper.running();
      if (!running) continue;
      say(`${spec.name} did not stop in time and is killed`);
      send(running.pid, "SIGKILL");
    }
    await Promise.all(all.map(({ keeper }) => keeper.done));
    await postgresKeeper?.running()?.stop?.();
    await postgresKeeper?.done;

    watchdog.close();
    data.removeState();
    log.info({ seconds: (performance.now() - begin) / 1000 }, "stopped");
    for (const file of logs) file.close();
    data.close();
  }

  /** Kafka may come later than we do: until it has its topics, events wait in the outbox. */
  async function declareTopicsSoon(): Promise<void> {
    const settings = readKafkaSettings(configReader(env));
    const replicationFactor = readReplicationFactor(configReader(env));
    // Loaded here: kafkajs takes 18 MiB, which the embedded profile need not spend.
    const { declareTopics } = await import("#chassis/bus/kafka-topics.ts");
    const { explainKafka } = await import("#chassis/bus/kafka-client.ts");
    await forever(
      ending.signal,
      { baseMs: 500, maxMs: 3_000 },
      async () => {
        const { made, differences } = await declareTopics(settings, log, { replicationFactor });
        if (made.length > 0) say(`topics made: ${made.join(", ")}`);
        for (const line of differences) say(`topics: ${line}`);
        await once(ending.signal, "abort");
      },
      (cause, _delayMs, attempt) => attempt === 0 && say(explainKafka(cause, settings)),
    );
  }

  const urls = urlsOf(processes, { host, portOffset });
  if (profile === "cluster" && env.LAMPID_ISSUER_URL) urls.issuer = env.LAMPID_ISSUER_URL;
  const mesh: Mesh = {
    dataDir: data.path,
    host,
    portOffset,
    urls,
    get superuserUrl() {
      return databases?.superuserUrl ?? "";
    },
    databaseUrl(role, database) {
      if (!databases) throw new MeshError("this mesh has no PostgreSQL");
      return databases.url(role, database);
    },
    pid,
    restarts: (name) => (name === POSTGRES ? postgresKeeper : known(name).keeper)?.restarts() ?? 0,
    kill,
    async restart(name) {
      const { keeper } = known(name);
      keeper.expectRestart();
      kill(name, "SIGTERM");
      await waitServing(name);
    },
    waitServing,
    failed: failure.promise,
    stop() {
      stopping ??= stop();
      return stopping;
    },
  };

  try {
    saveState();
    if (options.postgres !== false) {
      if (externalUrl) databases = await provisionExternal(externalUrl, data.path);
      else await runDatabase();
      await migrateAll(mesh.databaseUrl, log);
    }
    if (starting.signal.aborted) throw await whyAborted();
    if (profile === "cluster")
      declareTopicsSoon().catch((cause: Error) => fail(new MeshError(cause.message)));
    for (const spec of selected) run(spec);
    saveState();
    await waitServing(undefined, options.readyTimeoutMs ?? READY_TIMEOUT_MS);
    state = "ready";
    saveState();
    signal?.removeEventListener("abort", abort);
    return mesh;
  } catch (error) {
    await mesh.stop();
    throw error;
  }
}

function select(
  processes: readonly ProcessSpec[],
  only: readonly string[] | undefined,
): readonly ProcessSpec[] {
  const unknown = only?.find((name) => !processes.some((spec) => spec.name === name));
  if (unknown !== undefined) {
    throw new MeshError(`${unknown} is not a process: ${processes.map((spec) => spec.name).join(", ")}`);
  }
  return only ? processes.filter((spec) => only.includes(spec.name)) : processes;
}

/** Every database at once, each with what its folder holds; in the roles that own them. */
async function migrateAll(databaseUrl: (role: DatabaseName) => string, log: Logger): Promise<void> {
  await Promise.all(
    DATABASES.map(async (name) => {
      const folder = migrationsOf(name);
      if (!existsSync(folder)) return;
      const sets: Record<string, string> =
        name === "bus" ? { bus: folder } : { chassis: chassisMigrations, [name]: folder };
      try {
        await migrate({ url: databaseUrl(name), sets, log: (line) => log.info({ database: name }, line) });
      } catch (error) {
        throw new MeshError(`database ${name}: ${(error as Error).message}`, { cause: error });
      }
    }),
  );
}

/** Sends SIGTERM to those that run, and waits for their end so long. */
async function terminate(processes: readonly Kept[], withinMs: number): Promise<void> {
  for (const { keeper } of processes) {
    const running = keeper.running();
    if (running) send(running.pid, "SIGTERM");
  }
  await settlesWithin(Promise.all(processes.map(({ keeper }) => keeper.done)), withinMs);
}

/** Ends what a mesh on this data folder left running when it was killed with -9. We hold the lock: nobody else's it can be. */
async function stopLeftovers(data: DataDir, log: Logger): Promise<void> {
  const before = data.readState();
  if (!before) return;
  if (before.watchdog && isSameProcess(before.watchdog)) send(before.watchdog.pid, "SIGKILL");
  const leftovers = Object.entries(before.processes).flatMap(([name, { pid, startTime: since }]) =>
    pid !== undefined && since !== undefined ? [{ name, pid, startTime: since }] : [],
  );
  const running = () => leftovers.filter(isSameProcess);
  if (running().length === 0) return;
  log.warn({ processes: running() }, "processes of a mesh that was killed are stopped");
  const services = () => running().filter(({ name }) => name !== POSTGRES);
  for (const { pid } of services()) send(pid, "SIGTERM");
  await eventually(() => services().length === 0, LEFTOVER_GRACE_MS);
  for (const { pid } of services()) send(pid, "SIGKILL");
  for (const { pid } of running()) send(pid, "SIGINT");
  await eventually(() => running().length === 0, LEFTOVER_GRACE_MS);
  for (const { pid } of running()) send(pid, "SIGKILL");
  await eventually(() => running().length === 0, 1_000);
}

function answers200(url: string): Promise<boolean> {
  return new Promise((done) => {
    const request = get(url, { agent: false, timeout: 1_000 }, (response) => {
      response.resume();
      done(response.statusCode === 200);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => done(false));
  });
}
