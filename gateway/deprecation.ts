// What callers of a deprecated method are told (docs/deprecation.md), from the option of ours that says since when.
import { type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import { deprecation } from "#gen/lampid/option/v1/http_pb.ts";

/** Where the policy is to be read. */
export const deprecationPolicyPath = "/docs/deprecation";

/** Whoever calls a method has so long to leave it. */
export const noticeDaysMin = 180;

/**
 * `Deprecation` (RFC 9745), `Sunset` (RFC 8594) once its day is decided, and a `Link` to the policy; no header for a method
 * that is not deprecated. Throws for a deprecated method without a day, a day without deprecation, a day that is none, and
 * for too short a notice.
 */
export function deprecationHeaders(method: DescMethod): Readonly<Record<string, string>> {
  const known = headersByMethod.get(method);
  if (known !== undefined) {
    return known;
  }
  const headers = makeHeaders(method);
  headersByMethod.set(method, headers);
  return headers;
}

const headersByMethod = new WeakMap<DescMethod, Readonly<Record<string, string>>>();
const none: Readonly<Record<string, string>> = {};
const dayMs = 86_400_000;

function makeHeaders(method: DescMethod): Readonly<Record<string, string>> {
  const isDeprecated = method.deprecated || method.parent.deprecated;
  if (!hasOption(method, deprecation)) {
    return isDeprecated
      ? fail(method, "is deprecated, but (lampid.option.v1.deprecation) does not say since when")
      : none;
  }
  if (!isDeprecated) {
    return fail(method, "has (lampid.option.v1.deprecation), but not `option deprecated = true`");
  }
  const { since, sunset } = getOption(method, deprecation);
  const sinceMs = dayOf(method, "since", since);
  const headers: Record<string, string> = {
    deprecation: `@${sinceMs / 1000}`,
    link: `<${deprecationPolicyPath}>; rel="deprecation"; type="text/markdown"`,
  };
  if (sunset !== "") {
    const sunsetMs = dayOf(method, "sunset", sunset);
    if (sunsetMs - sinceMs < noticeDaysMin * dayMs) {
      return fail(method, `ends on ${sunset}, less than ${noticeDaysMin} days after ${since}`);
    }
    headers.sunset = new Date(sunsetMs).toUTCString();
  }
  return headers;
}

function dayOf(method: DescMethod, name: string, text: string): number {
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(text) : Number.NaN;
  // A date that does not exist, such as 30 February, reads as another or as none.
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text)
    ? ms
    : fail(method, `has the ${name} "${text}", which is no day such as 2027-06-30`);
}

function fail(method: DescMethod, reason: string): never {
  throw new Error(`${method.parent.file.name}.proto: ${method.parent.typeName}.${method.name} ${reason}`);
}
