// Whether a caller meets the new system: a flag of OpenFeature, by default evaluated from the rules.
import { createHash } from "node:crypto";
import {
  type Client,
  type EvaluationContext,
  OpenFeature,
  type Provider,
  type ResolutionDetails,
  StandardResolutionReasons,
  TypeMismatchError,
} from "@openfeature/server-sdk";
import { wilayahContains } from "#chassis/wilayah.ts";
import type { LegacyRule, Rollout } from "./rules.ts";

/** Who calls: the hash of a subject or an address, since a flag service is told it, and the wilayah of the token. */
export interface RolloutCaller {
  readonly key: string;
  readonly wilayah: string;
  readonly role: string;
}

/** What a flag service may take; then the rules decide. */
const flagTimeoutMs = 100;

/** Tells nobody who it is, and is the same for one caller in every process and after every start. */
export function callerKeyOf(subjectOrAddress: string): string {
  return createHash("sha256").update(subjectOrAddress).digest("hex").slice(0, 32);
}

/**
 * A caller has one place among 10,000 for all routes: with a place for each, somebody could register at one system and
 * not find it when reading from the other, at equal percentages. Whoever is in stays in when the percentage grows.
 */
export function isInRollout(
  rollout: Rollout,
  { key, wilayah }: Pick<RolloutCaller, "key" | "wilayah">,
): boolean {
  if (wilayah !== "" && rollout.wilayah.some((outer) => wilayahContains(outer, wilayah))) return true;
  return Number.parseInt(key.slice(0, 8), 16) % 10_000 < rollout.percent * 100;
}

/** The provider of the rules: the flag of a route is named like its RPC. */
export function rulesProvider(ruleOf: (rpc: string) => LegacyRule | undefined): Provider {
  const noOther = async (): Promise<never> => {
    throw new TypeMismatchError("the flags of the legacy routes are boolean");
  };
  return {
    metadata: { name: "lampid-legacy-routes" },
    runsOn: "server",
    async resolveBooleanEvaluation(flag, fallback, context): Promise<ResolutionDetails<boolean>> {
      const rule = ruleOf(flag);
      if (rule === undefined) return { value: fallback, reason: StandardResolutionReasons.DEFAULT };
      const caller = { key: String(context.targetingKey ?? ""), wilayah: String(context.wilayah ?? "") };
      return {
        value: isInRollout(rule.rollout, caller),
        reason: StandardResolutionReasons.TARGETING_MATCH,
      };
    },
    resolveStringEvaluation: noOther,
    resolveNumberEvaluation: noOther,
    resolveObjectEvaluation: noOther,
  };
}

export interface RolloutFlags {
  readonly isForNew: (rule: LegacyRule, caller: RolloutCaller) => Promise<boolean>;
  readonly close: () => unknown;
}

/**
 * Asks our own provider by its interface. OpenFeature's client runs hooks that nobody has added here, for 150 times what the
 * answer costs (test/bench/legacy.ts).
 */
export function flagsOfRules(provider: Provider): RolloutFlags {
  return {
    async isForNew(rule, caller) {
      const fallback = isInRollout(rule.rollout, caller);
      return (await provider.resolveBooleanEvaluation(rule.rpc, fallback, contextOf(caller), console)).value;
    },
    close: () => {},
  };
}

/** Asks somebody's provider, as OpenFeature does; what it cannot say in time, the rules say. */
export async function openFlags(domain: string, provider: Provider): Promise<RolloutFlags> {
  await OpenFeature.setProviderAndWait(domain, provider);
  const client: Client = OpenFeature.getClient(domain);
  return {
    async isForNew({ rpc, rollout }, caller) {
      const fallback = isInRollout(rollout, caller);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<boolean>((resolve) => {
        timer = setTimeout(resolve, flagTimeoutMs, fallback);
      });
      const asked = client.getBooleanValue(rpc, fallback, contextOf(caller));
      return await Promise.race([asked, late]).finally(() => clearTimeout(timer));
    },
    close: () => provider.onClose?.(),
  };
}

function contextOf({ key, wilayah, role }: RolloutCaller): EvaluationContext {
  return { targetingKey: key, wilayah, role };
}
