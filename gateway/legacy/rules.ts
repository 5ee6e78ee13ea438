// The rules of the legacy routes, read from YAML or JSON: which RPCs an older system answers, too, and for whom.
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { parse } from "yaml";
import { NATION } from "#chassis/wilayah.ts";
import { readHttpRules } from "../transcoder/rule.ts";
import { parsePath } from "./path.ts";

/** One RPC that the legacy system answers, too. */
export interface LegacyRule {
  readonly method: DescMethod;
  /** "package.Service/Method": the key of its flag, and its label in metrics. */
  readonly rpc: string;
  /** http or https, without a query; its path is put before that of the route. */
  readonly baseUrl: URL;
  /** Where the route is under the base URL, with variables of its REST paths: "/warga/{name}". Default: where it is here. */
  readonly path: string | undefined;
  /** What the Authorization header tells the legacy system: nothing, who calls, or that the gateway does. */
  readonly authorization: "none" | "caller" | "gateway";
  readonly rollout: Rollout;
  readonly shadow: Shadow | undefined;
  /** When the traffic leaves the new system by itself; undefined: never. */
  readonly fallback: Fallback | undefined;
}

/** Who meets the new system; everybody else meets the legacy one. */
export interface Rollout {
  /** Of all callers, 0 to 100 in steps of 0.01. */
  readonly percent: number;
  /** And all callers whose own wilayah lies in one of these. */
  readonly wilayah: readonly string[];
}

export interface Shadow {
  /** Share of the requests that are sent to the other system, too. */
  readonly percent: number;
  /** Names of JSON fields that are not compared, at whatever depth. */
  readonly ignore: ReadonlySet<string>;
}

export interface Fallback {
  readonly windowMs: number;
  /** The traffic leaves when more than this share of the calls failed. */
  readonly percent: number;
  /** Calls within the window below which it stays. */
  readonly callsMin: number;
  /** How long the new system is left alone before it is probed. */
  readonly coolDownMs: number;
}

export type Rules = ReadonlyMap<DescMethod, LegacyRule>;

export const defaultFallback: Fallback = { windowMs: 60_000, percent: 5, callsMin: 20, coolDownMs: 30_000 };

/** Says everything that is wrong with the rules, a line each, by its place in them. */
export class RulesError extends Error {
  override name = "RulesError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("; "));
    this.problems = problems;
  }
}

export interface RulesContext {
  readonly services: readonly DescService[];
  /** Whether a code of a province, kabupaten/kota, kecamatan or kelurahan/desa exists. */
  readonly hasWilayah: (kode: string) => boolean;
}

/** Throws RulesError: rules that are half understood would send somebody's data to the wrong system. */
export function parseRules(text: string, context: RulesContext): Rules {
  let root: unknown;
  try {
    root = parse(text, { maxAliasCount: 0 });
  } catch (error) {
    throw new RulesError([`not YAML: ${(error as Error).message.split("\n")[0]}`]);
  }
  const problems: string[] = [];
  const rules = new Map<DescMethod, LegacyRule>();
  const top = fieldsOf(root, "the file", ["routes"], problems);
  const routes = Array.isArray(top.routes) ? top.routes : [];
  if (!Array.isArray(top.routes)) problems.push("routes: expected a list");
  for (const [index, route] of routes.entries()) {
    const rule = readRoute(route, `routes[${index}]`, context, problems);
    if (rule === undefined) continue;
    if (rules.has(rule.method)) problems.push(`routes[${index}].rpc: ${rule.rpc} is there twice`);
    rules.set(rule.method, rule);
  }
  if (problems.length > 0) throw new RulesError(problems);
  return rules;
}

function readRoute(
  value: unknown,
  place: string,
  { services, hasWilayah }: RulesContext,
  problems: string[],
): LegacyRule | undefined {
  const names = ["rpc", "baseUrl", "path", "authorization", "rollout", "shadow", "fallback"];
  const route = fieldsOf(value, place, names, problems);
  const method = readMethod(route.rpc, `${place}.rpc`, services, problems);
  const baseUrl = readBaseUrl(route.baseUrl, `${place}.baseUrl`, problems);
  const authorization = route.authorization ?? "none";
  if (authorization !== "none" && authorization !== "caller" && authorization !== "gateway") {
    problems.push(`${place}.authorization: expected none, caller or gateway`);
    return undefined;
  }
  const rollout = readRollout(route.rollout, `${place}.rollout`, hasWilayah, problems);
  const fallback = readFallback(route.fallback, `${place}.fallback`, problems);
  if (method === undefined || baseUrl === undefined) return undefined;
  return {
    method,
    rpc: rpcOf(method),
    baseUrl,
    path: readPath(route.path, `${place}.path`, method, problems),
    authorization,
    rollout,
    shadow: readShadow(route.shadow, `${place}.shadow`, method, problems),
    fallback,
  };
}

function readMethod(
  value: unknown,
  place: string,
  services: readonly DescService[],
  problems: string[],
): DescMethod | undefined {
  const method = services.flatMap(({ methods }) => methods).find((each) => rpcOf(each) === value);
  if (method === undefined) {
    problems.push(
      `${place}: expected an RPC that is offered, as package.Service/Method, found ${show(value)}`,
    );
  } else if (readHttpRules(method).length === 0) {
    problems.push(`${place}: ${value} has no REST path, and the legacy system speaks nothing else`);
  } else if (method.methodKind !== "unary") {
    problems.push(`${place}: ${value} is a stream`);
  } else {
    return method;
  }
  return undefined;
}

function readBaseUrl(value: unknown, place: string, problems: string[]): URL | undefined {
  const url = typeof value === "string" && URL.canParse(value) ? new URL(value) : undefined;
  const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
  // The value is not said: it may hold a password.
  if (!isHttp || url.username || url.password || url.search || url.hash) {
    problems.push(`${place}: expected an http or https URL without a user, a query and a fragment`);
    return undefined;
  }
  return url;
}

function readPath(value: unknown, place: string, method: DescMethod, problems: string[]): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "string") {
    problems.push(`${place}: expected a path such as /warga/{name}`);
    return undefined;
  }
  const problem = parsePath(value, readHttpRules(method)).problem;
  if (problem !== undefined) problems.push(`${place}: ${problem}`);
  return value;
}

function readRollout(
  value: unknown,
  place: string,
  hasWilayah: (kode: string) => boolean,
  problems: string[],
): Rollout {
  if (value === undefined) problems.push(`${place}: expected percent, wilayah or both`);
  const { percent, wilayah = [] } = fieldsOf(value ?? {}, place, ["percent", "wilayah"], problems);
  const list: unknown[] = Array.isArray(wilayah) ? wilayah : [wilayah];
  for (const kode of list) {
    if (kode !== NATION && (typeof kode !== "string" || !hasWilayah(kode))) {
      problems.push(`${place}.wilayah: ${show(kode)} is no code of a wilayah; write it in quotes: "32.01"`);
    }
  }
  return {
    percent: readNumber(percent, `${place}.percent`, 0, [0, 100], problems),
    wilayah: list as string[],
  };
}

function readShadow(
  value: unknown,
  place: string,
  method: DescMethod,
  problems: string[],
): Shadow | undefined {
  if (value === undefined) return undefined;
  const fields = fieldsOf(value, place, ["percent", "ignore", "writes"], problems);
  const { ignore = [], writes = false } = fields;
  const isRead = method.idempotency === Idempotency.NO_SIDE_EFFECTS;
  if (typeof writes !== "boolean") problems.push(`${place}.writes: expected true or false`);
  if (!isRead && writes !== true) {
    problems.push(
      `${place}: ${rpcOf(method)} changes something; "writes: true" says that both systems may be changed by one call`,
    );
  }
  if (!Array.isArray(ignore) || !ignore.every((name) => typeof name === "string")) {
    problems.push(`${place}.ignore: expected a list of field names`);
    return undefined;
  }
  const percent = readNumber(fields.percent, `${place}.percent`, 100, [0, 100], problems);
  return { percent, ignore: new Set(ignore) };
}

function readFallback(value: unknown, place: string, problems: string[]): Fallback | undefined {
  if (value === false) return undefined;
  const names = ["windowSeconds", "percent", "callsMin", "coolDownSeconds"];
  const fields = fieldsOf(value ?? {}, place, names, problems);
  const read = (name: string, fallback: number, range: [number, number]) =>
    readNumber(fields[name], `${place}.${name}`, fallback, range, problems);
  return {
    windowMs: 1000 * read("windowSeconds", defaultFallback.windowMs / 1000, [1, 3_600]),
    percent: read("percent", defaultFallback.percent, [0, 100]),
    callsMin: read("callsMin", defaultFallback.callsMin, [1, 1_000_000]),
    coolDownMs: 1000 * read("coolDownSeconds", defaultFallback.coolDownMs / 1000, [1, 3_600]),
  };
}

function readNumber(
  value: unknown,
  place: string,
  fallback: number,
  [min, max]: [number, number],
  problems: string[],
): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !(value >= min && value <= max)) {
    problems.push(`${place}: expected a number from ${min} to ${max}, found ${show(value)}`);
    return fallback;
  }
  return value;
}

function fieldsOf(
  value: unknown,
  place: string,
  names: readonly string[],
  problems: string[],
): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    problems.push(`${place}: expected ${names.join(", ")}`);
    return {};
  }
  for (const name of Object.keys(value)) {
    if (!names.includes(name)) problems.push(`${place}: unknown ${show(name)}, expected ${names.join(", ")}`);
  }
  return value as Record<string, unknown>;
}

export function rpcOf(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 100);
}
