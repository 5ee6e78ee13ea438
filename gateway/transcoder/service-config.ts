// The HTTP rules of a service config (google.api.Service): they take the place of annotations.
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { type HttpRule, nestedReason, RuleError } from "./rule.ts";

/**
 * google.api.HttpRule in ProtoJSON, as `http.rules` of a service config has it. Names may be those of JSON or of the proto
 * file, for such configs are written as YAML with either.
 */
export interface HttpRuleConfig {
  /** The method by its full name: `lampid.penduduk.v1.PendudukService.GetPenduduk`. */
  readonly selector?: string;
  readonly get?: string;
  readonly put?: string;
  readonly post?: string;
  readonly delete?: string;
  readonly patch?: string;
  readonly custom?: { readonly kind?: string; readonly path?: string };
  readonly body?: string;
  readonly responseBody?: string;
  readonly response_body?: string;
  readonly additionalBindings?: readonly HttpRuleConfig[];
  readonly additional_bindings?: readonly HttpRuleConfig[];
}

/**
 * The rules of each method that a selector names; of several for one method the last counts, as in every part of a service
 * config. Throws RuleError, naming the selector, for a method that is not served and for a rule that is none: a config
 * is not compiled, so nobody has checked it before.
 */
export function readServiceConfigRules(
  rules: readonly HttpRuleConfig[],
  services: readonly DescService[],
): Map<DescMethod, HttpRule[]> {
  const methods = new Map<string, DescMethod>();
  for (const service of services) {
    for (const method of service.methods) {
      methods.set(`${service.typeName}.${method.name}`, method);
    }
  }
  const found = new Map<DescMethod, HttpRule[]>();
  for (const [index, rule] of rules.entries()) {
    if (
      rule === null ||
      typeof rule !== "object" ||
      typeof rule.selector !== "string" ||
      rule.selector === ""
    ) {
      throw new RuleError(`httpRules[${index}]`, "the rule has no selector");
    }
    const method = methods.get(rule.selector);
    if (method === undefined) {
      throw new RuleError(
        `httpRules[${index}]`,
        `the selector "${rule.selector}" names no method of the services that are served`,
      );
    }
    const fail = (reason: string): never => {
      throw new RuleError(method, `httpRules[${index}]: ${reason}`);
    };
    const [own, additional] = readRule(rule, fail);
    found.set(method, [
      own,
      ...additional.map((each) => {
        if (each.selector !== undefined) {
          fail("a rule in additional_bindings must not have a selector");
        }
        const [nested, more] = readRule(each, fail);
        return more.length > 0 ? fail(nestedReason) : nested;
      }),
    ]);
  }
  return found;
}

const patterns = ["get", "put", "post", "delete", "patch"] as const;

const known = new Set<string>([
  "selector",
  ...patterns,
  "custom",
  "body",
  "responseBody",
  "response_body",
  "additionalBindings",
  "additional_bindings",
]);

type Fail = (reason: string) => never;

function readRule(rule: HttpRuleConfig, fail: Fail): [HttpRule, readonly HttpRuleConfig[]] {
  if (rule === null || typeof rule !== "object" || Array.isArray(rule)) {
    return fail("a rule must be an object");
  }
  for (const key of Object.keys(rule)) {
    if (!known.has(key)) {
      fail(`"${key}" is not a field of google.api.HttpRule`);
    }
  }
  const given: { method: string; template: string }[] = [];
  for (const name of patterns) {
    const template = text(rule[name], name, fail);
    if (template !== undefined) {
      given.push({ method: name.toUpperCase(), template });
    }
  }
  if (rule.custom !== undefined && rule.custom !== null) {
    const kind = text(rule.custom.kind, "custom.kind", fail) ?? "";
    given.push({ method: kind.toUpperCase(), template: text(rule.custom.path, "custom.path", fail) ?? "" });
  }
  const [pattern, second] = given;
  if (pattern === undefined || second !== undefined) {
    return fail("a rule must have one of get, put, post, delete, patch and custom");
  }
  const responseBody = either(rule.responseBody, rule.response_body, "response_body", fail);
  const additional =
    either(rule.additionalBindings, rule.additional_bindings, "additional_bindings", fail) ?? [];
  if (!Array.isArray(additional)) {
    fail("additional_bindings must be a list");
  }
  return [
    {
      ...pattern,
      body: text(rule.body, "body", fail) ?? "",
      responseBody: text(responseBody, "response_body", fail) ?? "",
    },
    additional,
  ];
}

/** null is "not set" in ProtoJSON. */
function text(value: string | null | undefined, name: string, fail: Fail): string | undefined {
  if (value === undefined || value === null) {
    return undefined;
  }
  return typeof value === "string" ? value : fail(`${name} must be a string`);
}

function either<T>(json: T | undefined, proto: T | undefined, name: string, fail: Fail): T | undefined {
  if (json !== undefined && proto !== undefined) {
    fail(`${name} is given by both of its names`);
  }
  return json ?? proto;
}
