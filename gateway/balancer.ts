// Spreads the calls to an upstream over its addresses, and leaves out those that cannot be reached.
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { type Backoff, backoffMs } from "#chassis/backoff.ts";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { untilEnd } from "./until-end.ts";

/** A way to one address. */
export interface AddressTransport extends Transport {
  readonly close: () => void;
}

export interface BalancerOptions {
  /** Name of the upstream, for messages. */
  readonly name: string;
  /** Makes the transport of an address; nothing is connected before its first call. */
  readonly connect: (address: string) => AddressTransport;
  /** How long an address is left out before it is probed, again and longer after each probe that fails. Default: 0.5 to 30 s. */
  readonly ejection?: Backoff;
  /** Throws when an address still cannot be reached. Default: grpc.health.v1; any answer but UNAVAILABLE will do. */
  readonly probe?: (transport: Transport) => Promise<void>;
  /** Told when an address is left out, and when it is back. */
  readonly onChange?: (address: string, state: "out" | "back") => void;
  readonly random?: () => number;
}

export interface Balancer extends Transport {
  /** Replaces the addresses. One that is not named any more gets no new call, and is closed when its last one has ended. */
  readonly update: (addresses: readonly string[]) => void;
  /** Where each address stands. */
  readonly addresses: () => readonly { address: string; isOut: boolean; pending: number }[];
  /** Closes every transport and stops the probes. */
  readonly close: () => void;
}

interface Backend {
  readonly address: string;
  readonly transport: AddressTransport;
  /** Calls and streams that have not ended. */
  pending: number;
  isOut: boolean;
  isRemoved: boolean;
  probe: NodeJS.Timeout | undefined;
}

/**
 * Of two addresses taken at random a call goes to the one with fewer calls pending: almost as even as asking all of them, and a
 * slow address gets less without being measured. An address whose connection fails is left out at once and probed by health
 * checks, so that no caller's call is the probe. When all are out, calls are made all the same: refusing is the breaker's task.
 *
 * A connection is what fails by UNAVAILABLE without details; with details it is the service that speaks, and the address works.
 */
export function createBalancer(options: BalancerOptions): Balancer {
  const { name, connect, onChange, random = Math.random } = options;
  const ejection = options.ejection ?? { baseMs: 500, maxMs: 30_000 };
  const probe = options.probe ?? probeHealth;
  let backends: Backend[] = [];
  /** Those of `backends` that are not out. */
  let usable: Backend[] = [];
  const draining = new Set<Backend>();

  function pick(): Backend {
    const among = usable.length > 0 ? usable : backends;
    const count = among.length;
    if (count === 0) {
      throw new ConnectError(`no address of ${name} is known`, Code.Unavailable);
    }
    const first = Math.floor(random() * count);
    const one = among[first]!;
    if (count === 1) {
      return one;
    }
    const other = among[(first + 1 + Math.floor(random() * (count - 1))) % count]!;
    return one.pending <= other.pending ? one : other;
  }

  function leave(backend: Backend): void {
    backend.pending--;
    if (backend.isRemoved && backend.pending === 0) {
      draining.delete(backend);
      backend.transport.close();
    }
  }

  function setOut(backend: Backend, isOut: boolean): void {
    backend.isOut = isOut;
    usable = backends.filter((each) => !each.isOut);
    onChange?.(backend.address, isOut ? "out" : "back");
  }

  /** What a call has met: an address that answers is good, whatever it answers. */
  function judge(backend: Backend, error: unknown, signal: AbortSignal | undefined): void {
    if (backend.isRemoved || signal?.aborted) {
      return;
    }
    const isLost = error !== undefined && isUnreachable(error);
    if (isLost && !backend.isOut) {
      setOut(backend, true);
      scheduleProbe(backend, 0);
    } else if (!isLost && backend.isOut && error === undefined) {
      clearTimeout(backend.probe);
      setOut(backend, false);
    }
  }

  function scheduleProbe(backend: Backend, attempt: number): void {
    const delayMs = backoffMs(attempt, ejection, random);
    backend.probe = setTimeout(async () => {
      const isBack = await probe(backend.transport).then(
        () => true,
        () => false,
      );
      if (backend.isRemoved || !backend.isOut) {
        return;
      }
      if (isBack) {
        setOut(backend, false);
      } else {
        scheduleProbe(backend, attempt + 1);
      }
    }, delayMs).unref();
  }

  function remove(backend: Backend): void {
    backend.isRemoved = true;
    clearTimeout(backend.probe);
    if (backend.pending === 0) {
      backend.transport.close();
    } else {
      draining.add(backend);
    }
  }

  return {
    async unary(...call) {
      const backend = pick();
      const signal = call[1];
      backend.pending++;
      try {
        const response = await backend.transport.unary(...call);
        if (backend.isOut) judge(backend, undefined, signal);
        return response;
      } catch (error) {
        judge(backend, error, signal);
        throw error;
      } finally {
        leave(backend);
      }
    },
    async stream(...call) {
      const backend = pick();
      const signal = call[1];
      backend.pending++;
      const open = () => backend.transport.stream(...call);
      return await untilEnd(open, signal, (error) => {
        if (error !== undefined) judge(backend, error, signal);
        leave(backend);
      });
    },
    update(addresses) {
      const kept = new Map(backends.map((backend) => [backend.address, backend]));
      backends = [...new Set(addresses)].map((address) => {
        const backend = kept.get(address);
        kept.delete(address);
        return backend ?? newBackend(address, connect(address));
      });
      usable = backends.filter((each) => !each.isOut);
      for (const gone of kept.values()) {
        remove(gone);
      }
    },
    addresses: () => backends.map(({ address, isOut, pending }) => ({ address, isOut, pending })),
    close() {
      for (const backend of [...backends, ...draining]) {
        backend.isRemoved = true;
        clearTimeout(backend.probe);
        backend.transport.close();
      }
      backends = [];
      usable = [];
      draining.clear();
    },
  };
}

function newBackend(address: string, transport: AddressTransport): Backend {
  return { address, transport, pending: 0, isOut: false, isRemoved: false, probe: undefined };
}

function isUnreachable(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.Unavailable && error.details.length === 0;
}

const probeTimeoutMs = 2_000;

async function probeHealth(transport: Transport): Promise<void> {
  try {
    const { status } = await createClient(Health, transport).check({}, { timeoutMs: probeTimeoutMs });
    // A server that is shutting down says so before it closes.
    if (status !== 1) {
      throw new ConnectError("not serving", Code.Unavailable);
    }
  } catch (error) {
    const { code } = ConnectError.from(error);
    if (code === Code.Unavailable || code === Code.DeadlineExceeded || code === Code.Canceled) {
      throw error;
    }
  }
}
