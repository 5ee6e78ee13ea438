// Ports of this machine: are those of a mesh free, and which offset has free ones (for tests).
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pause } from "#chassis/backoff.ts";
import { isAlive } from "./host-process.ts";
import { MeshError } from "./mesh-error.ts";
import { PROCESSES, type ProcessSpec, portsOf, reachableHost } from "./processes.ts";

export type Port = { port: number; host: string; what: string };

/**
 * Longest wait for a port that nobody listens on and that is taken all the same: Linux gives ports from 32768 on to
 * outgoing connections, PostgreSQL's 54320 among them, and keeps them for a minute after such a connection has ended.
 */
const PASSING_MS = 65_000;

/**
 * Throws a {@link MeshError} for the first port that somebody else listens on, naming it and who wanted it. One that is
 * merely passing through as a connection's end is waited for, and that is reported.
 */
export async function assertPortsFree(
  ports: readonly Port[],
  { report = () => {}, waitMs = PASSING_MS }: { report?: (line: string) => void; waitMs?: number } = {},
): Promise<void> {
  for (const { port, host, what } of ports) {
    const deadline = performance.now() + waitMs;
    let code = await tryToListen(port, host);
    for (let isFirst = true; code === "EADDRINUSE" && performance.now() < deadline; isFirst = false) {
      if (await isListening(port, host)) break;
      if (isFirst)
        report(
          `port ${port}, which ${what} needs, was just used by a connection: waiting for it, a minute at most`,
        );
      await pause(200);
      code = await tryToListen(port, host);
    }
    if (code === undefined) continue;
    if (code === "EADDRINUSE") {
      throw new MeshError(
        `port ${port}, which ${what} needs, is in use: stop what uses it, or move all ports with LAMPID_PORT_OFFSET`,
      );
    }
    if (code === "EADDRNOTAVAIL")
      throw new MeshError(`LAMPID_HOST: ${host} is not an address of this machine`);
    throw new MeshError(
      `port ${port} on ${host}, which ${what} needs, cannot be used (${code}): move all ports with LAMPID_PORT_OFFSET`,
    );
  }
}

/** Whether a server answers there, as opposed to a connection that happens to have been given that port. */
async function isListening(port: number, host: string): Promise<boolean> {
  const reachable = reachableHost(host).replace(/^\[|\]$/g, "");
  return await new Promise((done) => {
    const socket = connect({ port, host: reachable, timeout: 1_000 });
    const answer = (is: boolean) => {
      socket.destroy();
      done(is);
    };
    socket.once("connect", () => answer(true));
    // One that takes the connection and says nothing is there, too.
    socket.once("timeout", () => answer(true));
    socket.once("error", () => answer(false));
  });
}

/** The error code of listening on that port, undefined when it is free. */
async function tryToListen(port: number, host: string): Promise<string | undefined> {
  return await new Promise((done) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    server.listen({ port, host, exclusive: true }, () => server.close(() => done(undefined)));
  });
}

// PostgreSQL's port is then above 61,000: below that, Linux hands ports out for outgoing connections, which now and then
// take just the one that is wanted. Steps of 20 below 920 keep the meshes apart: the ports of one are never those of
// another (the differences between ports of one mesh that are multiples of 20 are 920, 1000 and 1920).
const FIRST_OFFSET = 6_800;
const STEP = 20;
const SLOTS = 45;

/**
 * An offset at which every port of the mesh is free, for tests. It is kept for this process until it ends, so that tests
 * that run at the same time do not get the same.
 */
export async function freePortOffset(processes: readonly ProcessSpec[] = PROCESSES): Promise<number> {
  const first = Math.floor(Math.random() * SLOTS);
  for (let slot = 0; slot < SLOTS; slot++) {
    const portOffset = FIRST_OFFSET + ((first + slot) % SLOTS) * STEP;
    if (!reserve(portOffset)) continue;
    try {
      await assertPortsFree(portsOf(processes, { host: "127.0.0.1", portOffset }), { waitMs: 0 });
      return portOffset;
    } catch {
      // Someone else's: the reservation stays, for the others in this process it is no use either.
    }
  }
  throw new MeshError("no free ports for another mesh on this machine");
}

function reserve(portOffset: number): boolean {
  const folder = join(tmpdir(), `lampid-ports-${process.getuid?.() ?? ""}`);
  const path = join(folder, String(portOffset));
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (statSync(folder).uid !== process.getuid?.()) return true;
    const holder = readHolder(path);
    if (holder !== undefined && !isAlive(holder)) rmSync(path, { force: true });
    writeFileSync(path, `${process.pid}\n`, { flag: "wx" });
    return true;
  } catch {
    return false;
  }
}

function readHolder(path: string): number | undefined {
  try {
    return Number(readFileSync(path, "utf8")) || undefined;
  } catch {
    return undefined;
  }
}
