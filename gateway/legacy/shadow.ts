// Asks the system that did not answer, too, and keeps a report of where the two answers differ.
import { decodeBody } from "../transcoder/content-coding.ts";
import type { CapturedAnswer } from "./capture.ts";
import { type Difference, differencesOf } from "./difference.ts";
import type { LegacyRule } from "./rules.ts";

export type ShadowOutcome = "same" | "differs" | "failed" | "skipped";

/** What the admin port shows of a route. */
export interface ShadowReport {
  readonly same: number;
  readonly differs: number;
  /** Not compared: the other system did not answer, one answer was too large, or not JSON. */
  readonly failed: number;
  /** Not sent: enough were under way. */
  readonly skipped: number;
  /** Most frequent first. */
  readonly paths: readonly (Difference & { readonly count: number; readonly lastAt: string })[];
}

export interface Shadows {
  /** Whether this request is one to compare; says "skipped" when it would be and there is no room. */
  readonly take: (rule: LegacyRule) => boolean;
  /** Never rejects. Gives back the place that `take` took. */
  readonly compare: (rule: LegacyRule, answers: () => Promise<Answers | undefined>) => Promise<void>;
  readonly giveUp: (rule: LegacyRule) => void;
  readonly report: () => Record<string, ShadowReport>;
}

export interface Answers {
  readonly current: CapturedAnswer;
  readonly legacy: CapturedAnswer;
}

export interface ShadowDeps {
  readonly now: () => Date;
  readonly random?: () => number;
  readonly onOutcome?: (rpc: string, outcome: ShadowOutcome) => void;
  /** Requests that wait for either system at a time. Default: 16, each with two bodies of `shadowBytesMax`. */
  readonly pendingMax?: number;
}

/** A larger body is not compared. */
export const shadowBytesMax = 256 * 1024;

/** Paths that are remembered a route; later ones are counted under "*". */
const pathsMax = 100;

type Route = {
  counts: Record<ShadowOutcome, number>;
  paths: Map<string, Difference & { count: number; lastAt: string }>;
};

export function createShadows({
  now,
  random = Math.random,
  onOutcome,
  pendingMax = 16,
}: ShadowDeps): Shadows {
  const routes = new Map<string, Route>();
  let pending = 0;

  return {
    take(rule) {
      if (rule.shadow === undefined || random() * 100 >= rule.shadow.percent) return false;
      if (pending >= pendingMax) {
        count(rule, "skipped");
        return false;
      }
      pending++;
      return true;
    },
    async compare(rule, answers) {
      try {
        const both = await answers();
        const differences = both && (await differencesBetween(both, rule.shadow?.ignore));
        if (differences === undefined) count(rule, "failed");
        else count(rule, differences.length === 0 ? "same" : "differs", differences);
      } catch {
        // Whatever it was, nobody waits for it; the count says that it happens.
        count(rule, "failed");
      } finally {
        pending--;
      }
    },
    giveUp(rule) {
      pending--;
      count(rule, "failed");
    },
    report: () =>
      Object.fromEntries(
        [...routes].map(([rpc, { counts, paths }]) => [
          rpc,
          { ...counts, paths: [...paths.values()].sort((a, b) => b.count - a.count) },
        ]),
      ),
  };

  function count({ rpc }: LegacyRule, outcome: ShadowOutcome, differences: readonly Difference[] = []): void {
    onOutcome?.(rpc, outcome);
    let route = routes.get(rpc);
    if (route === undefined) {
      route = { counts: { same: 0, differs: 0, failed: 0, skipped: 0 }, paths: new Map() };
      routes.set(rpc, route);
    }
    route.counts[outcome]++;
    for (const difference of differences) {
      const known = `${difference.path} ${difference.kind}`;
      const isNew = !route.paths.has(known) && route.paths.size >= pathsMax;
      const { path, kind }: Difference = isNew ? { path: "*", kind: difference.kind } : difference;
      const before = route.paths.get(`${path} ${kind}`)?.count ?? 0;
      route.paths.set(`${path} ${kind}`, { path, kind, count: before + 1, lastAt: now().toISOString() });
    }
  }
}

/** Undefined when the two cannot be compared. Refusals are compared by their status: their bodies are never alike. */
async function differencesBetween(
  { current, legacy }: Answers,
  ignore: ReadonlySet<string> | undefined,
): Promise<Difference[] | undefined> {
  if (current.httpStatus >= 500 || legacy.httpStatus >= 500) return undefined;
  const isRefused = [current, legacy].map(({ httpStatus }) => httpStatus >= 300);
  if (isRefused[0] || isRefused[1]) {
    return current.httpStatus === legacy.httpStatus ? [] : [{ path: "(status)", kind: "value" }];
  }
  if (current.body === undefined || legacy.body === undefined) return undefined;
  const [a, b] = [await jsonOf(current), await jsonOf(legacy)];
  return differencesOf(a, b, ignore);
}

async function jsonOf({ body, contentEncoding }: CapturedAnswer): Promise<unknown> {
  const plain = await decodeBody(body!, contentEncoding ?? "identity", 4 * shadowBytesMax);
  return plain.length === 0 ? undefined : JSON.parse(plain.toString("utf8"));
}
