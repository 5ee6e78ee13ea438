// The folder a mesh keeps everything in (`.lampid/`): made or checked here, and locked so that two meshes never share it.
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { ProcessId } from "./host-process.ts";
import { adopt } from "./log-file.ts";
import { MeshError } from "./mesh-error.ts";

/** What `<dataDir>/mesh.json` says of a running mesh, for tools: `npm run token`, tests, kill tests. No secret in it. */
export type MeshState = {
  /** "starting" until every process serves for the first time. */
  state: "starting" | "ready" | "stopping";
  supervisor: ProcessId;
  watchdog?: ProcessId;
  startedAt: string;
  host: string;
  portOffset: number;
  urls: Record<string, string>;
  processes: Record<string, ProcessState>;
};

export type ProcessState = Partial<ProcessId> & {
  port: number;
  adminPort?: number;
  serving: boolean;
  restarts: number;
};

export type DataDir = ReturnType<typeof openDataDir>;

/** The folder that npm run restore has in a data folder until it is done. */
export const RESTORING = "restore.new";

/**
 * Makes or checks the folder and takes its lock; throws {@link MeshError} when it cannot be used or another mesh uses it.
 */
export function openDataDir(folder: string) {
  const path = resolve(folder);
  makeFolder(path);
  makeFolder(join(path, "log"));
  const lock = takeLock(path);

  return {
    path,
    logPath: (name: string) => join(path, "log", `${name}.log`),
    /** The state that a mesh left behind: one that was killed, since a stopped one removes it. */
    readState: () => readMeshState(path),
    writeState(state: MeshState): void {
      writeWhole(join(path, "mesh.json"), `${JSON.stringify(state, null, 2)}\n`, 0o644);
    },
    removeState: () => rmSync(join(path, "mesh.json"), { force: true }),
    /** Gives the lock back; the folder stays. */
    close(): void {
      held.delete(lock);
      lock.close();
    },
  };
}

/** Deletes a data folder, for tests: with its cluster, where that had to be placed elsewhere. */
export function removeDataDir(path: string): void {
  const cluster = join(path, "postgres");
  if (lstatSync(cluster, { throwIfNoEntry: false })?.isSymbolicLink() && existsSync(cluster)) {
    rmSync(realpathSync(cluster), { recursive: true, force: true });
  }
  rmSync(path, { recursive: true, force: true });
}

/** The state of the mesh on a data folder, undefined when there is none (or none that can be read). */
export function readMeshState(dataDir: string): MeshState | undefined {
  try {
    return JSON.parse(readFileSync(join(dataDir, "mesh.json"), "utf8")) as MeshState;
  } catch {
    return undefined;
  }
}

/** Replaces a file in one step: a reader sees the old or the new one, a crash leaves one of them. */
export function writeWhole(path: string, text: string, mode: number): void {
  const temporary = `${path}.new`;
  rmSync(temporary, { force: true });
  writeFileSync(temporary, text, { mode, flush: true });
  chmodSync(temporary, mode);
  adopt(temporary);
  renameSync(temporary, path);
}

/** Brings the names in a folder to the disk; with `isDeep` all that is in it, too. */
export async function syncFolder(path: string, { isDeep = false } = {}): Promise<void> {
  const entries = isDeep ? readdirSync(path, { withFileTypes: true }) : [];
  for (const entry of entries) {
    const inside = join(path, entry.name);
    if (entry.isDirectory()) await syncFolder(inside, { isDeep });
    else if (entry.isFile()) await sync(inside);
  }
  await sync(path);
}

async function sync(path: string): Promise<void> {
  const handle = await open(path);
  await handle.sync().finally(() => handle.close());
}

function makeFolder(path: string): void {
  try {
    if (!existsSync(path)) {
      const first = mkdirSync(path, { recursive: true });
      // Past a umask of 077 PostgreSQL, which root must run as somebody else, could not reach its cluster in here. The
      // secrets in here have a mode of their own.
      for (let made = path; first && made.length >= first.length; made = dirname(made)) {
        chmodSync(made, 0o755);
        adopt(made);
      }
    }
    if (!statSync(path).isDirectory()) throw new MeshError(`LAMPID_DATA_DIR: ${path} is not a folder`);
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    if (error instanceof MeshError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new MeshError(
      `LAMPID_DATA_DIR: the data folder ${path} cannot be read and written by this user (${code})`,
    );
  }
}

// The garbage collector closes a database that nobody refers to any more, and with it would go the lock.
const held = new Set<DatabaseSync>();

/**
 * The lock is an exclusive SQLite transaction: the kernel drops it when the process ends, however it ends, so there are
 * no stale locks to judge. (Rejected: a pid file. Taking over a dead one races, and pids are reused.)
 *
 * Nothing else in this process may open the file: closing any descriptor of it drops the lock (POSIX).
 */
function takeLock(path: string): DatabaseSync {
  const file = join(path, "mesh.lock");
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(file, { timeout: 0 });
    lock.exec("PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE");
    adopt(file);
    held.add(lock);
    return lock;
  } catch (error) {
    lock?.close();
    if (/locked|busy/i.test((error as Error).message)) {
      const pid = readMeshState(path)?.supervisor.pid;
      throw new MeshError(
        `LAMPID_DATA_DIR: another mesh${pid ? ` (process ${pid})` : ""} is running on ${path}; stop it, or use another data folder`,
      );
    }
    throw new MeshError(`LAMPID_DATA_DIR: ${file} cannot be locked (${(error as Error).message})`);
  }
}
