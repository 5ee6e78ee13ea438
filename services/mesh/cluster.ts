// The folder of a PostgreSQL cluster: where it is or has to be, who runs it, making it, and clearing up after a crash.
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { Logger } from "pino";
import { canEnter, type Engine, makeReachable, type RunAs, unprivilegedUser } from "./engine.ts";
import { commandLine, eventually, isAlive, processesIn, send } from "./host-process.ts";
import type { LogFile } from "./log-file.ts";
import { MeshError } from "./mesh-error.ts";

export const SUPERUSER = "postgres";

const LEFTOVER_GRACE_MS = 10_000;
const QUIT_GRACE_MS = 1_000;
const INITDB_TIMEOUT_MS = 60_000;

export type Place = { cluster: string; isNew: boolean; runAs: RunAs | undefined };

/** Where the cluster is, or where a new one goes, and who runs it. */
export function findCluster(dataDir: string): Place {
  const path = join(dataDir, "postgres");
  const isRoot = process.getuid?.() === 0;
  if (!lstatSync(path, { throwIfNoEntry: false })) {
    const runAs = unprivilegedUser();
    if (!runAs || letIn(dataDir, runAs)) return { cluster: path, isNew: true, runAs };
    return { cluster: placeOutside(dataDir), isNew: true, runAs };
  }
  if (!existsSync(path)) throw new MeshError(`${path} points to a cluster that is not there any more`);

  const cluster = realpathSync(path);
  const { uid, gid } = statSync(cluster);
  if (!isRoot) {
    if (uid === process.getuid?.()) return { cluster, isNew: false, runAs: undefined };
    throw new MeshError(`LAMPID_DATA_DIR: the cluster ${cluster} belongs to another user (uid ${uid})`);
  }
  let runAs: RunAs | undefined = { uid, gid };
  if (uid === 0) {
    runAs = unprivilegedUser() as RunAs;
    execFileSync("chown", ["-R", `${runAs.uid}:${runAs.gid}`, cluster]);
  }
  if (dirname(cluster) === dataDir ? letIn(dataDir, runAs) : canEnter(dirname(cluster), runAs))
    return { cluster, isNew: false, runAs };
  // The folder was moved to where that user cannot follow.
  const moved = placeOutside(dataDir);
  execFileSync("cp", ["-a", cluster, `${moved}.new`]);
  renameSync(`${moved}.new`, moved);
  renameSync(cluster, `${path}.moved`);
  if (lstatSync(path, { throwIfNoEntry: false })) rmSync(path);
  symlinkSync(moved, path);
  rmSync(`${path}.moved`, { recursive: true });
  return { cluster: moved, isNew: false, runAs };
}

/**
 * Whether that user can enter the data folder. Where nothing but its own mode is in the way, it is opened for passing
 * through (a folder of mkdtemp has 0700); what is in it has modes of its own.
 */
function letIn(dataDir: string, user: RunAs): boolean {
  if (canEnter(dataDir, user)) return true;
  const { uid, mode } = statSync(dataDir);
  if (uid !== process.getuid?.() || !canEnter(dirname(realpathSync(dataDir)), user)) return false;
  chmodSync(dataDir, (mode & 0o7777) | 0o011);
  return true;
}

/**
 * A folder for a cluster whose data folder the user who must run it cannot enter. Never one that exists: it may hold
 * the data of a folder that was moved away.
 */
function placeOutside(dataDir: string): string {
  const name = createHash("sha256").update(dataDir).digest("hex").slice(0, 12);
  makeReachable("/var/lib/lampid");
  return `/var/lib/lampid/${name}-${randomBytes(4).toString("hex")}`;
}

/** Makes the cluster under another name and renames it: one that was interrupted is never taken for a whole one. */
export function createCluster({
  dataDir,
  cluster,
  runAs,
  engine,
  password,
  logFile,
}: Place & { dataDir: string; engine: Engine; password: string; logFile: LogFile }): string {
  for (const name of readdirSync(dataDir)) {
    if (name.startsWith("postgres.new")) rmSync(join(dataDir, name), { recursive: true });
  }
  const fresh = join(dirname(cluster), `${cluster.split("/").at(-1)}.new`);
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { mode: 0o700 });
  const passwordFile = join(fresh, "../", `${cluster.split("/").at(-1)}.new-password`);
  try {
    writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
    if (runAs) {
      chownSync(fresh, runAs.uid, runAs.gid);
      chownSync(passwordFile, runAs.uid, runAs.gid);
    }
    const initialise = (locale: string) =>
      execFileSync(
        engine.initdb,
        [
          `--pgdata=${fresh}`,
          `--username=${SUPERUSER}`,
          `--pwfile=${passwordFile}`,
          "--auth=scram-sha-256",
          "--encoding=UTF8",
          // PostgreSQL's own collation, by code point with Unicode upper and lower case: the same order on every
          // system, whichever C library. The locale below only tells letters from the rest, for pg_trgm.
          "--locale-provider=builtin",
          "--builtin-locale=C.UTF-8",
          `--locale=${locale}`,
          "--no-instructions",
        ],
        { ...runOptions(engine, runAs), stdio: ["ignore", "pipe", "pipe"], timeout: INITDB_TIMEOUT_MS },
      );
    try {
      logFile.write(initialise("C.UTF-8"));
    } catch (error) {
      if (!/invalid locale/.test(String((error as { stderr?: Buffer }).stderr))) throw error;
      // Not every system has it (glibc before 2.35, macOS before 14).
      logFile.write(initialise("C"));
    }
    renameSync(fresh, cluster);
  } catch (error) {
    const reason = String((error as { stderr?: Buffer }).stderr ?? "").match(/(?:error|FATAL): +(.*)/)?.[1];
    rmSync(fresh, { recursive: true, force: true });
    throw new MeshError(`PostgreSQL's initdb failed: ${reason ?? (error as Error).message.split("\n")[0]}`);
  } finally {
    rmSync(passwordFile, { force: true });
  }
  if (dirname(cluster) !== dataDir) {
    symlinkSync(cluster, join(dataDir, "postgres"));
    // For whoever later wonders whether this can go.
    writeFileSync(join(cluster, "lampid-data-folder"), `${dataDir}\n`);
  }
  return realpathSync(cluster);
}

/** Whoever can reach the port needs a password, and the port is on loopback only. */
export function writeHostAccess(cluster: string, runAs: RunAs | undefined): void {
  const path = join(cluster, "pg_hba.conf");
  writeFileSync(
    path,
    "# Written by services/mesh/postgres.ts at every start.\nhost all all 127.0.0.1/32 scram-sha-256\n",
  );
  if (runAs) chownSync(path, runAs.uid, runAs.gid);
}

export function runOptions(engine: Engine, runAs: RunAs | undefined) {
  return {
    ...runAs,
    // Not our working directory, which that user may not be allowed to be in.
    cwd: "/",
    env: { PATH: "/usr/bin:/bin", LANG: "C", TZ: "UTC", LD_LIBRARY_PATH: join(engine.folder, "lib") },
  };
}

/**
 * Stops what still runs in the cluster: the server of a mesh that was killed with -9, whose watchdog may not be done yet.
 * The caller holds the lock of the data folder, so it can be nobody else's.
 */
export async function stopLeftovers(cluster: string, log: Logger): Promise<void> {
  const pidFile = join(cluster, "postmaster.pid");
  if (!existsSync(pidFile)) return;
  const recorded = Number(readFileSync(pidFile, "utf8").split("\n")[0]);
  const running = () => {
    const pids = processesIn(cluster);
    return recorded > 1 && isAlive(recorded) && commandLine(recorded).includes(cluster)
      ? [recorded, ...pids]
      : pids;
  };
  if (running().length > 0) {
    log.warn({ pids: running() }, "a PostgreSQL that was left running is stopped");
    if (running().includes(recorded)) send(recorded, "SIGINT");
    if (!(await eventually(() => running().length === 0, LEFTOVER_GRACE_MS))) {
      for (const pid of running()) send(pid, "SIGKILL");
      await eventually(() => running().length === 0, QUIT_GRACE_MS);
    }
  }
  // The file of a server that was killed can name a pid that is by now some other program's, and PostgreSQL would refuse
  // to start because of that one. In every other case the file stays: with it PostgreSQL also looks for orphaned backends.
  if (isAlive(recorded)) rmSync(pidFile, { force: true });
}

/** Sets the superuser's password without knowing the old one: the file system's permission is the right to do so. */
export function resetSuperuser({
  cluster,
  engine,
  runAs,
  password,
}: {
  cluster: string;
  engine: Engine;
  runAs: RunAs | undefined;
  password: string;
}): void {
  execFileSync(
    engine.postgres,
    ["--single", "-D", cluster, "-c", "max_wal_senders=0", "-c", "wal_level=minimal", "postgres"],
    {
      ...runOptions(engine, runAs),
      input: `ALTER ROLE ${SUPERUSER} PASSWORD '${password}'\n`,
      stdio: ["pipe", "ignore", "pipe"],
      timeout: INITDB_TIMEOUT_MS,
    },
  );
}
