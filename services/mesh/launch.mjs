// Runs a script of this repository on any host Node >= 20: installs what package-lock.json says when that is not what
// lies in node_modules, then hands over to the project's own Node 24, passing stdio, signals and the exit code through.
//
//   node services/mesh/launch.mjs <script.ts | node option> [argument...]
//
// Plain JavaScript without a dependency: it runs before there is a node_modules and before there is a Node 24.
import { spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import * as fs from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** The platforms for which both Node 24 and PostgreSQL come as npm packages (optionalDependencies). */
const PLATFORMS = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"];
const LOCK_WAIT_MS = 15 * 60_000;
const LOCK_POLL_MS = 200;
const PARENT_POLL_MS = 500;

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const platform = `${process.platform}-${process.arch}`;

/** A reason that is the user's to know, printed without a stack. */
class Refusal extends Error {}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Refusal ? error.message : `launch failed: ${error?.message ?? error}`);
  process.exit(1);
}

async function main(args) {
  if (args.length === 0) throw new Refusal("usage: node services/mesh/launch.mjs <script.ts> [argument...]");
  if (Number(process.versions.node.split(".")[0]) < 20) {
    throw new Refusal(`this needs Node 20 or newer, found ${process.versions.node}`);
  }
  if (!PLATFORMS.includes(platform)) {
    throw new Refusal(`unsupported platform ${platform}: the mesh runs on ${PLATFORMS.join(", ")}`);
  }
  await install();
  run(args);
}

async function install() {
  const want = readStampWanted();
  if (isCurrent(want)) return;
  const release = await acquireLock(join(root, ".npm-ci.lock"), () => isCurrent(want));
  if (!release) return;
  try {
    // Whoever held the lock before us may have done the work.
    if (isCurrent(want)) return;
    console.error("installing the packages of package-lock.json (npm ci) ...");
    const startedAt = Date.now();
    await npmCi();
    writeStamp(want);
    console.error(`installed in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
  } finally {
    release();
  }
}

function stampPath() {
  return join(root, "node_modules", ".lampid-stamp");
}

/** What the stamp must say: the lock file and the platform, since a node_modules can be mounted into another system. */
function readStampWanted() {
  let text;
  try {
    text = fs.readFileSync(join(root, "package-lock.json"));
  } catch (error) {
    throw new Refusal(`package-lock.json is not readable (${error.code})`);
  }
  return `${createHash("sha256").update(text).digest("hex")} ${platform}\n`;
}

function isCurrent(want) {
  try {
    if (fs.readFileSync(stampPath(), "utf8") === want) return true;
  } catch {
    // No stamp: perhaps someone ran `npm ci` by hand.
  }
  if (!matchesHiddenLock()) return false;
  writeStamp(want);
  return true;
}

/** A read-only node_modules that is right is right without a stamp: it is compared again at the next launch. */
function writeStamp(want) {
  try {
    const temporary = `${stampPath()}.${randomUUID()}`;
    fs.writeFileSync(temporary, want, { mode: 0o644 });
    fs.renameSync(temporary, stampPath());
  } catch (error) {
    if (!["EACCES", "EROFS", "EPERM"].includes(error.code)) throw error;
  }
}

/** Whether node_modules/.package-lock.json (npm's own record of what it installed) says just what package-lock.json says. */
function matchesHiddenLock() {
  let wanted;
  let found;
  try {
    wanted = JSON.parse(fs.readFileSync(join(root, "package-lock.json"), "utf8")).packages;
    found = JSON.parse(fs.readFileSync(join(root, "node_modules/.package-lock.json"), "utf8")).packages;
  } catch {
    return false;
  }
  if (Object.keys(found).some((path) => !(path in wanted))) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === "" || entry.link) return true;
    const installed = found[path];
    // Packages for other platforms (or another C library) are left out; one for this platform may not be.
    if (!installed) {
      const isForHere =
        matches(entry.os, process.platform) && matches(entry.cpu, process.arch) && !entry.libc;
      return Boolean(entry.optional) && !isForHere;
    }
    return installed.version === entry.version && installed.integrity === entry.integrity;
  });
}

function matches(list, value) {
  return !list || (Array.isArray(list) ? list : [list]).includes(value);
}

async function npmCi() {
  // npm's own path when npm runs us: the `npm` on PATH may be another one, or none.
  const npm = process.env.npm_execpath;
  // Dev packages also under NODE_ENV=production: one lock file, one node_modules. No install scripts: nothing that we
  // run needs one (the mesh prepares PostgreSQL's files itself), and a script would run outside the lock file's reach.
  const options = [
    "ci",
    "--include=dev",
    "--include=optional",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
  ];
  const [file, args] = npm?.endsWith("js") ? [process.execPath, [npm, ...options]] : ["npm", options];
  const child = spawn(file, args, { cwd: root, stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    stderr = (stderr + chunk).slice(-64_000);
  });
  // npm clears up after itself at SIGINT and SIGTERM; our lock goes when it has.
  let stoppedBy;
  const forward = (signal) => {
    stoppedBy = signal;
    child.kill(signal);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, forward);
  const code = await new Promise((done) => {
    child.on("error", (error) => {
      stderr = `npm error ${error.code === "ENOENT" ? "npm is not on PATH" : error.message}`;
      done(1);
    });
    child.on("close", (code, signal) => done(signal ?? code));
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.removeListener(signal, forward);
  if (stoppedBy) throw new Refusal(`npm ci was stopped by ${stoppedBy}`);
  if (code !== 0) throw new Refusal(`npm ci failed (${code}): ${npmReason(stderr)}`);
}

/** The line of npm's output that says what is wrong, e.g. `ECONNREFUSED: request to ... failed`. */
function npmReason(stderr) {
  const lines = stderr
    .split("\n")
    .filter((line) => /^npm (error|ERR!)/.test(line))
    .map((line) => line.replace(/^npm (error|ERR!)\s*/, "").trim())
    .filter((line) => line !== "" && !line.startsWith("A complete log of this run"));
  const code = lines.find((line) => line.startsWith("code "))?.slice(5);
  const text =
    lines.find((line) => !/^(code|errno|syscall|path|network This|cwd) ?/.test(line)) ?? "no reason given";
  // `npm ci` says it at length, and only then which package the two files do not agree on.
  const difference = lines.find((line) => /^(Missing|Invalid):/.test(line));
  if (code === "EUSAGE" && difference)
    return `package.json and package-lock.json do not agree (${difference})`;
  return code && !text.includes(code) ? `${code}: ${text}` : text;
}

/**
 * Takes the lock, waiting for a live holder; undefined when meanwhile there is nothing left to do. The lock is a file
 * with the holder's pid, put there whole by link(2).
 */
async function acquireLock(path, done) {
  const mine = `${path}.${process.pid}.${randomUUID()}`;
  const deadline = Date.now() + LOCK_WAIT_MS;
  try {
    fs.writeFileSync(mine, `${process.pid}\n`);
  } catch (error) {
    throw new Refusal(
      `cannot install packages: ${root} is not writable (${error.code}); run npm ci as its owner`,
    );
  }
  try {
    for (let said = false; ; ) {
      try {
        fs.linkSync(mine, path);
        return () => fs.rmSync(path, { force: true });
      } catch (error) {
        if (error.code !== "EEXIST") throw error;
      }
      const holder = readHolder(path);
      if (holder !== undefined && !isAlive(holder)) {
        removeStale(path, holder);
        continue;
      }
      if (done()) return undefined;
      if (Date.now() > deadline)
        throw new Refusal(`${path} is still held by process ${holder}; remove it if that is wrong`);
      if (!said) console.error(`waiting for process ${holder}, which installs the packages ...`);
      said = true;
      await sleep(LOCK_POLL_MS);
    }
  } finally {
    fs.rmSync(mine, { force: true });
  }
}

/** Moves a dead holder's lock away, and puts it back when it turns out to be a newer, living one. */
function removeStale(path, holder) {
  const aside = `${path}.${process.pid}.${randomUUID()}`;
  try {
    fs.renameSync(path, aside);
    if (readHolder(aside) !== holder) fs.linkSync(aside, path);
  } catch (error) {
    if (!["ENOENT", "EEXIST"].includes(error.code)) throw error;
  }
  fs.rmSync(aside, { force: true });
}

function readHolder(path) {
  try {
    return Number(fs.readFileSync(path, "utf8")) || undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function run(args) {
  const bin = join(root, "node_modules/.bin");
  const node = join(bin, "node");
  if (!fs.existsSync(node))
    throw new Refusal(`node_modules has no Node 24 for ${platform}; delete node_modules and start again`);
  // An IPC channel rather than nothing: a script that must not outlive us sees it close even when we are killed -9.
  const child = spawn(node, ["--disable-warning=ExperimentalWarning", ...args], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: {
      // Compiled code and stripped TypeScript are kept: see services/mesh/processes.ts.
      NODE_COMPILE_CACHE: join(root, "node_modules/.cache/lampid-compile"),
      ...process.env,
      PATH: `${bin}${delimiter}${process.env.PATH ?? ""}`,
    },
  });
  child.on("error", (error) => {
    const reason = error.code === "ENOENT" ? "not for this C library: it needs glibc" : error.message;
    console.error(`cannot run ${node}: ${reason}`);
    process.exit(1);
  });
  // A script under a terminal gets Ctrl-C twice, from the terminal and from here; it has to take two as one.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"]) {
    process.on(signal, () => child.kill(signal));
  }
  // npm that is told to end (SIGTERM) ends its shell and nothing below it: the script would live on with no owner.
  if (process.env.npm_lifecycle_event) {
    const parent = process.ppid;
    const watch = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(watch);
      child.kill("SIGTERM");
    }, PARENT_POLL_MS).unref();
  }
  child.on("exit", (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : code));
}
