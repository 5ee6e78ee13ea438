// The strangler fig in a gateway's process: its configuration, metrics, log, flags and alerts. Loaded only where it is configured.
import { pathToFileURL } from "node:url";
import type { DescMethod, DescService, Registry } from "@bufbuild/protobuf";
import type { Provider } from "@openfeature/server-sdk";
import { anonymous } from "#chassis/caller.ts";
import { ConfigError } from "#chassis/config.ts";
import type { ProcessContext } from "#chassis/process.ts";
import { loadWilayah, type WilayahIndex } from "#chassis/wilayah.ts";
import { localizeStatus } from "../messages/localize.ts";
import { createAlerts } from "./alerts.ts";
import { createLegacyFront, type LegacyDeps, type LegacyFront, legacyAuthorizer } from "./legacy.ts";
import { flagsOfRules, openFlags, type RolloutFlags, rulesProvider } from "./rollout.ts";
import { type LegacyRule, type Rules, RulesError } from "./rules.ts";
import { openRulesFile } from "./rules-file.ts";
import { createShadows } from "./shadow.ts";

export interface LegacyProcess extends Pick<LegacyDeps, "timeout" | "body" | "answerBytesMax"> {
  readonly services: readonly DescService[];
  readonly registry: Registry;
  readonly methodHeaders: (method: DescMethod) => Readonly<Record<string, string>>;
}

export async function openLegacy(context: ProcessContext, more: LegacyProcess): Promise<LegacyFront> {
  const { config, log, onClose, policy, signal, telemetry, verifyToken } = context;
  const { meter } = telemetry;
  const choices = meter.createCounter("gateway.legacy.calls", {
    description: "Requests of legacy routes, by the system that they went to and why",
  });
  const compared = meter.createCounter("gateway.legacy.shadow", {
    description: "Requests that were sent to the other system, too, by how its answer compares",
  });
  const loads = meter.createCounter("gateway.legacy.rules", {
    description: "Rules that were read: taken, or rejected because of what is wrong with them",
  });
  const told = meter.createCounter("gateway.legacy.alerts", {
    description:
      "Events about routes that left the new system or came back: published, failed (and tried again) or dropped",
  });
  const circuits = meter.createCounter("gateway.legacy.breaker", {
    description: "Changes of state of the circuit breaker of a legacy system",
  });

  const alerts = createAlerts({
    bus: await context.bus(),
    now: () => new Date(),
    onOutcome: (outcome) => told.add(1, { outcome }),
  });
  context.background(alerts.run(signal));

  let byRpc: ReadonlyMap<string, LegacyRule> = new Map();
  const flags = await openRollout(context, (rpc) => byRpc.get(rpc));
  onClose(() => flags.close());

  const shadows = createShadows({
    now: () => new Date(),
    onOutcome: (method, outcome) => compared.add(1, { method, outcome }),
  });
  const front = createLegacyFront({
    ...more,
    flags,
    shadows,
    localize: localizeStatus,
    now: () => performance.now(),
    authorize: legacyAuthorizer((rpc, caller) => policy(rpc, { ...anonymous, ...caller }), verifyToken),
    gatewayAuthorization: config.optional("LAMPID_LEGACY_AUTHORIZATION"),
    onChoice: (method, system, reason) => choices.add(1, { method, system, reason }),
    onChange(rule, change) {
      const say = change.state === "legacy" ? "warn" : "info";
      log[say]({ method: rule.rpc, ...change }, changeTexts[change.state]);
      alerts.tell(rule, change);
    },
    onCircuit(origin, state) {
      circuits.add(1, { origin, state });
      log.warn({ origin, state }, "circuit breaker of a legacy system changed state");
    },
    onInternalError: (cause, call) => log.error({ ...call, err: cause }, "legacy call failed"),
  });
  onClose(front.close);
  meter
    .createObservableGauge("gateway.legacy.away", {
      description: "1 while the traffic of a route is at the legacy system because the new one fails",
    })
    .addCallback((result) => {
      for (const [method, state] of front.states()) result.observe(state === "new" ? 0 : 1, { method });
    });
  context.adminPage("/legacy/diff", front.report);

  const key = "LAMPID_LEGACY_ROUTES";
  // Only when a rule names one: reading 84,000 codes leaves the process some MiB larger.
  let wilayah: WilayahIndex | undefined;
  try {
    const file = openRulesFile({
      path: config.string(key),
      services: more.services,
      hasWilayah(kode) {
        wilayah ??= loadWilayah();
        return wilayah.has(kode);
      },
      onRules(rules) {
        checkAuthorization(rules, config.optional("LAMPID_LEGACY_AUTHORIZATION"));
        byRpc = new Map([...rules.values()].map((rule) => [rule.rpc, rule]));
        front.update(rules);
        loads.add(1, { outcome: "taken" });
        log.info({ methods: [...byRpc.keys()] }, "legacy routes");
      },
      onRejected({ problems }) {
        loads.add(1, { outcome: "rejected" });
        log.error({ problems }, "the legacy routes were not taken, those from before go on");
      },
    });
    onClose(file.close);
  } catch (error) {
    if (error instanceof RulesError) throw new ConfigError(key, "rules that can be used", error.message);
    throw error;
  }
  return front;
}

const changeTexts = {
  legacy: "the new system fails: the traffic of a route goes to the legacy system",
  probing: "the new system is probed for a route",
  new: "the new system is well again: the traffic of a route is back",
} as const;

function checkAuthorization(rules: Rules, authorization: string | undefined): void {
  const needs = [...rules.values()].find((rule) => rule.authorization === "gateway");
  if (needs !== undefined && authorization === undefined) {
    throw new RulesError([`${needs.rpc}: authorization "gateway" needs LAMPID_LEGACY_AUTHORIZATION`]);
  }
}

/** The rules' own, or the default export of a module that makes another: flagd's, say. What it cannot tell, the rules do. */
async function openRollout(
  { config }: ProcessContext,
  ruleOf: (rpc: string) => LegacyRule | undefined,
): Promise<RolloutFlags> {
  const name = config.optional("LAMPID_LEGACY_FLAGS");
  if (name === undefined) return flagsOfRules(rulesProvider(ruleOf));
  const specifier = /^[./]/.test(name) ? pathToFileURL(name).href : name;
  const expected = "a module whose default export makes a provider of OpenFeature";
  let made: unknown;
  try {
    made = await (await import(specifier)).default();
  } catch (error) {
    throw new ConfigError("LAMPID_LEGACY_FLAGS", expected, `${name}: ${(error as Error).message}`);
  }
  if (typeof (made as Partial<Provider> | undefined)?.resolveBooleanEvaluation !== "function") {
    throw new ConfigError("LAMPID_LEGACY_FLAGS", expected, name);
  }
  return await openFlags("lampid-legacy", made as Provider);
}
