// grpc.health.v1: the health of a process is the worst of the things it depends on.
import { EventEmitter, on } from "node:events";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";

/** Reports whether one dependency works; the reason is for logs and /readyz, so it names no secret. */
export type HealthSetter = (working: boolean, reason?: string) => void;

export type HealthState = ReturnType<typeof createHealth>;

export function createHealth() {
  const parts = new Map<string, { working: boolean; reason: string; isCritical: boolean }>();
  const services = new Set<string>([""]);
  const changes = new EventEmitter().setMaxListeners(0);
  let stopping = false;

  const serving = () => !stopping && [...parts.values()].every((part) => part.working || !part.isCritical);
  const status = () => (serving() ? Status.SERVING : Status.NOT_SERVING);

  return {
    serving,

    /**
     * Declares a dependency; it counts as down until its setter is called with true. One that is not critical is shown
     * to people, and the process serves without it.
     */
    part(name: string, { isCritical = true }: { isCritical?: boolean } = {}): HealthSetter {
      parts.set(name, { working: false, reason: "starting", isCritical });
      return (working, reason = "") => {
        const before = serving();
        parts.set(name, { working, reason, isCritical });
        if (before !== serving()) changes.emit("change");
      };
    },

    /** Names a service that Check and Watch know. */
    addService(typeName: string): void {
      services.add(typeName);
    },

    /** From now on NOT_SERVING, so that balancers send no more calls. */
    stop(): void {
      stopping = true;
      changes.emit("change");
    },

    /** What is down, for /readyz and logs. */
    describe(): Record<string, string> {
      const entries = [...parts].map(([name, part]) => [name, part.working ? "ok" : part.reason || "down"]);
      return { ...Object.fromEntries(entries), ...(stopping ? { process: "stopping" } : {}) };
    },

    service: {
      check({ service }) {
        if (!services.has(service)) throw new ConnectError(`unknown service ${service}`, Code.NotFound);
        return { status: status() };
      },
      list: () => ({
        statuses: Object.fromEntries([...services].map((name) => [name, { status: status() }])),
      }),
      async *watch({ service }, ctx) {
        if (!services.has(service)) {
          yield { status: Status.SERVICE_UNKNOWN };
          return;
        }
        const signals = on(changes, "change", { signal: ctx.signal });
        let last = status();
        yield { status: last };
        try {
          for await (const _ of signals) {
            if (status() === last) continue;
            last = status();
            yield { status: last };
          }
        } catch (cause) {
          if (!ctx.signal.aborted) throw cause;
        }
      },
    } satisfies ServiceImpl<typeof Health>,
  };
}
