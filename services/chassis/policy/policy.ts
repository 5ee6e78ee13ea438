// Evaluates the one policy (lampid.rego, compiled to policy.wasm) in the process that is asked.
import { readFile } from "node:fs/promises";
import { loadPolicy } from "@open-policy-agent/opa-wasm";
import type { Caller } from "../caller.ts";

export type Decision = {
  /** The caller may call the method at all. */
  admit: boolean;
  /** The handler must ask again with the wilayah of the resource. */
  scoped: boolean;
  /** The call is allowed as described. */
  allow: boolean;
  /** The method needs no token. */
  public: boolean;
};

/** Decides about a method ("package.Service/Method") for a caller, and about a resource's wilayah where one is given. */
export type Policy = (method: string, caller: Caller, wilayah?: string) => Decision;

const DENIED: Decision = { admit: false, scoped: true, allow: false, public: false };
/** Decisions remembered: they are pure functions of their input, and evaluating one costs some 20 us. */
const CACHE_SIZE = 20_000;

export async function loadMeshPolicy(): Promise<Policy> {
  const wasm = await readFile(new URL("./policy.wasm", import.meta.url));
  const loaded = await loadPolicy(wasm, { initial: 5, maximum: 64 });
  const cache = new Map<string, Decision>();

  return (method, caller, wilayah) => {
    const { role, scopes } = caller;
    const key = `${method}\n${role}\n${caller.wilayah}\n${scopes.join(" ")}\n${wilayah ?? ""}`;
    const known = cache.get(key);
    if (known) return known;
    const input = {
      method,
      role,
      wilayah: caller.wilayah,
      scopes,
      resource: wilayah === undefined ? {} : { wilayah },
    };
    const decision: Decision = loaded.evaluate(input)?.[0]?.result ?? DENIED;
    if (cache.size >= CACHE_SIZE) cache.clear();
    cache.set(key, decision);
    return decision;
  };
}
