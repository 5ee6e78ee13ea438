// What every recipe here needs: programs from Maven, Go and Debian kept in one cache, and servers that are found again and stopped.
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { isAlive, send } from "../../services/mesh/host-process.ts";
import { startWatchdog, type Watchdog } from "../../services/mesh/watchdog.ts";
import { cacheDir } from "../harness/tools.ts";

/** A server that was started here. */
export type Engine = {
  pid: number;
  /** Its log, for a test that looks into it. */
  logPath: string;
  /** SIGTERM, then SIGKILL; resolves when it is gone. */
  stop: () => Promise<void>;
  /** SIGKILL, as a power cut would; resolves when it is gone. */
  kill: () => Promise<void>;
  /** SIGSTOP and SIGCONT: there, and saying nothing. */
  freeze: () => void;
  thaw: () => void;
};

export type LaunchOptions = {
  name: string;
  command: string;
  args: readonly string[];
  /** On top of this process's environment. */
  env?: Readonly<Record<string, string>>;
  /** Working folder; log and data lie in it. */
  folder: string;
  /** Whether it answers; asked again and again. */
  isReady: () => Promise<boolean>;
  /** Default 60 s. */
  withinMs?: number;
};

const STOP_GRACE_MS = 8_000;
const MAVEN_TIMEOUT_MS = 8 * 60_000;
const COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
const GET_ARTIFACT = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get";

/** Ends what is left when this process is killed; made when the first server starts. */
let watchdog: Watchdog | undefined;

/**
 * Why the engines that need these programs cannot run here, or false. With CI=true it throws instead: a test that CI
 * skips is a test nobody runs.
 */
export function missing(...programs: ("java" | "javac" | "mvn" | "go" | "apt-get")[]): string | false {
  const absent = programs.filter((program) => !isOnPath(program));
  if (absent.length === 0) return false;
  const reason = `${absent.join(" and ")} not found on PATH: install it to run this engine`;
  if (process.env.CI === "true") throw new Error(reason);
  return reason;
}

/** A folder with an artifact's jars and those it needs, e.g. of "org.apache.kafka:kafka_2.13:4.3.1"; fetched once. */
export function mavenJars(...artifacts: string[]): string {
  const folder = join(cacheDir(), "jars", artifacts.join("+").replaceAll(":", "_"));
  if (existsSync(folder)) return folder;
  const dependencies = artifacts.map((artifact) => {
    const [groupId, artifactId, version] = artifact.split(":");
    return `<dependency><groupId>${groupId}</groupId><artifactId>${artifactId}</artifactId><version>${version}</version></dependency>`;
  });
  staged(folder, (stage) => {
    writeFileSync(
      join(stage, "pom.xml"),
      `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
       <groupId>lampid</groupId><artifactId>engine</artifactId><version>1</version>
       <dependencies>${dependencies.join("")}</dependencies></project>`,
    );
    maven(artifacts.join(", "), "-f", join(stage, "pom.xml"), COPY_DEPENDENCIES, [
      "includeScope=runtime",
      `outputDirectory=${stage}`,
    ]);
  });
  return folder;
}

/** A folder with what an archive unpacks to, e.g. of "org.keycloak:keycloak-quarkus-dist:26.7.3:tar.gz"; fetched once. */
export function mavenArchive(artifact: string): string {
  const [group = "", name = "", version = "", type = ""] = artifact.split(":");
  const folder = join(cacheDir(), "archives", `${name}-${version}`);
  if (existsSync(folder)) return folder;
  maven(artifact, GET_ARTIFACT, [`artifact=${artifact}`, "transitive=false"]);
  const archive = join(mavenRepository(), ...group.split("."), name, version, `${name}-${version}.${type}`);
  staged(folder, (stage) => {
    execFileSync("tar", ["xzf", archive, "-C", stage, "--strip-components=1"]);
  });
  rmSync(archive);
  return folder;
}

/** A folder with what packages of Debian's unpack to, as they would in /; fetched once, and root is not needed. */
export function debianPackages(...names: string[]): string {
  const folder = join(cacheDir(), "debian", names.join("+"));
  if (existsSync(folder)) return folder;
  console.log(`fetching ${names.join(", ")} of Debian, once ...`);
  staged(folder, (stage) => {
    const apt = (...args: string[]) =>
      spawnSync("apt-get", args, { cwd: stage, stdio: ["ignore", "ignore", "pipe"], encoding: "utf8" });
    let done = apt("download", ...names);
    if (done.status !== 0) {
      // A machine that has never asked which packages there are; without root the first answer stands.
      apt("update");
      done = apt("download", ...names);
    }
    if (done.status !== 0) throw new Error(`apt-get could not fetch ${names.join(", ")}: ${done.stderr}`);
    for (const file of readdirSync(stage).filter((name) => name.endsWith(".deb"))) {
      execFileSync("dpkg", ["-x", file, stage], { cwd: stage });
      rmSync(join(stage, file));
    }
  });
  return folder;
}

export function isOnPath(program: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
}

/** Java sources beside the recipe, compiled against a folder of jars; gives the folder of the classes. */
export function javaClasses(source: string, jars: string): string {
  const text = readFileSync(source, "utf8");
  const key = createHash("sha256").update(text).update(jars).digest("hex").slice(0, 16);
  const folder = join(cacheDir(), "classes", key);
  if (!existsSync(folder)) {
    staged(folder, (stage) => execFileSync("javac", ["-cp", `${jars}/*`, "-d", stage, source]));
  }
  return folder;
}

/** A working folder for one server, deleted by whoever stops it, or with the machine's temporary files. */
export function workFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `lampid-${name}-`));
}

/** Starts a server and waits until it answers; throws with the end of its log when it does not. */
export async function launch(options: LaunchOptions): Promise<Engine> {
  const { name, command, args, env = {}, folder, isReady, withinMs = 60_000 } = options;
  mkdirSync(folder, { recursive: true });
  const logPath = join(folder, `${name}.log`);
  const log = openSync(logPath, "a");
  // Its own session: Ctrl-C is for the test runner, which stops it.
  const child = spawn(command, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ["ignore", log, log],
    detached: true,
  });
  closeSync(log);
  const exited = new Promise<void>((resolve) => {
    child.once("error", () => resolve());
    child.once("exit", () => resolve());
  });
  const pid = child.pid ?? 0;
  if (pid) {
    watchdog ??= startWatchdog();
    watchdog.add("service", pid);
    void exited.then(() => watchdog?.remove(pid));
  }
  const engine: Engine = {
    pid,
    logPath,
    stop: () => end(child, exited, "SIGTERM"),
    kill: () => end(child, exited, "SIGKILL"),
    freeze: () => void send(pid, "SIGSTOP"),
    thaw: () => void send(pid, "SIGCONT"),
  };
  const deadline = performance.now() + withinMs;
  while (!(await isReady().catch(() => false))) {
    const isGone = !pid || !isAlive(pid) || child.exitCode !== null;
    if (isGone || performance.now() > deadline) {
      await engine.kill();
      const tail = readFileSync(logPath, "utf8").split("\n").slice(-30).join("\n");
      throw new Error(`${name} ${isGone ? "ended" : `did not answer within ${withinMs} ms`}:\n${tail}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return engine;
}

/** A server that a test may take down and bring back, in the same folder and so on the same ports and data. */
export type Restartable = Omit<Engine, "pid" | "logPath"> & {
  pid: () => number;
  /** Starts it again; kills one that runs. */
  restart: () => Promise<void>;
};

/** @param start of a server that works in `folder`, which goes with it when it is stopped. */
export async function restartable(start: () => Promise<Engine>, folder: string): Promise<Restartable> {
  let engine = await start();
  return {
    pid: () => engine.pid,
    kill: () => engine.kill(),
    async restart() {
      await engine.kill();
      engine = await start();
    },
    freeze: () => engine.freeze(),
    thaw: () => engine.thaw(),
    async stop() {
      await engine.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Whether something listens on a port of this machine. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const answer = (value: boolean) => {
      socket.destroy();
      resolve(value);
    };
    socket.once("connect", () => answer(true));
    socket.once("error", () => answer(false));
  });
}

async function end(child: ChildProcess, exited: Promise<void>, signal: NodeJS.Signals): Promise<void> {
  if (!child.pid) return;
  // One that is frozen hears no SIGTERM.
  send(child.pid, "SIGCONT");
  send(child.pid, signal);
  const timer = setTimeout(() => send(child.pid!, "SIGKILL"), STOP_GRACE_MS);
  await exited;
  clearTimeout(timer);
}

function maven(what: string, ...rest: (string | string[])[]): void {
  console.log(`fetching ${what}, once ...`);
  const args = rest.flatMap((part) =>
    typeof part === "string" ? [part] : part.map((setting) => `-D${setting}`),
  );
  const done = spawnSync("mvn", ["-q", "-B", `-Dmaven.repo.local=${mavenRepository()}`, ...args], {
    stdio: ["ignore", "ignore", "inherit"],
    timeout: MAVEN_TIMEOUT_MS,
  });
  if (done.status !== 0) throw new Error(`Maven could not fetch ${what}`);
}

function mavenRepository(): string {
  return join(cacheDir(), "maven");
}

/** Makes a folder whole or not at all: two runs at once, or one that is killed, leave nothing half-made. */
function staged(folder: string, make: (stage: string) => void): void {
  mkdirSync(dirname(folder), { recursive: true });
  const stage = mkdtempSync(`${folder}.`);
  try {
    make(stage);
    if (!existsSync(folder)) renameSync(stage, folder);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}
