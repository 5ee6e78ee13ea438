// Consumer contracts (Pact, specification 4) over Pact's native core. The core alone: the package around it brings an HTTP
// framework, and a program that reports installations.
import assert from "node:assert/strict";
import { join } from "node:path";

// Pact's core counts its uses over the internet unless it is told not to.
process.env.PACT_DO_NOT_TRACK = "true";
const { makeConsumerPact, setLogLevel, Verifier } = await import("@pact-foundation/pact-core");
setLogLevel("error");

/** Where the contracts are: written by the consumers' tests, verified against the gateway, committed. */
export const PACTS = join(import.meta.dirname, "pacts");
export const PROVIDER = "gateway";
/** What consumers send for their token; the verification puts a real one in its place. */
export const EXAMPLE_TOKEN = "token-of-the-partner";

const SPECIFICATION = 5; // FfiSpecificationVersion: Pact 4

export type Interaction = {
  description: string;
  /** What must be so at the provider, with its particulars. */
  state?: { name: string; params: Record<string, string> };
  request: { method: string; path: string; query?: Record<string, string>; headers?: object; json?: unknown };
  response: {
    status: number;
    headers?: object;
    json?: unknown;
    /** Of a body that is not JSON: an example, and its form. */
    text?: { type: string; example: string; form: RegExp };
  };
};

/** Something of this type; of a list, at least one like this. */
export function like(value: unknown): unknown {
  const min = Array.isArray(value) ? { min: 1 } : {};
  return { "pact:matcher:type": "type", ...min, value };
}

/** A text of this form, for example this one. */
export function matching(regex: RegExp, value: string): unknown {
  return { "pact:matcher:type": "regex", regex: regex.source, value };
}

export const withToken = { authorization: matching(/^Bearer .+$/, `Bearer ${EXAMPLE_TOKEN}`) };

/** Fails unless the provider at an address keeps a contract. `statesUrl` is told what has to be so. */
export async function verify(path: string, providerBaseUrl: string, statesUrl: string): Promise<void> {
  const verifier = new Verifier({
    provider: PROVIDER,
    providerBaseUrl,
    pactUrls: [path],
    providerStatesSetupUrl: statesUrl,
    providerStatesSetupBody: true,
    logLevel: "error",
  });
  await verifier.verify();
}

/** What a consumer expects of the gateway: each interaction is tried out with the consumer's own code. */
export function consumer(name: string) {
  const pact = makeConsumerPact(name, PROVIDER, SPECIFICATION, "error");
  return {
    /** Runs the consumer's code against a stand-in that answers as expected; fails if it called otherwise. */
    async expects<T>(
      { description, state, request, response }: Interaction,
      use: (baseUrl: string) => Promise<T>,
    ) {
      // One at a time: each stand-in knows what was expected before it, too, and only this one is called.
      const own = makeConsumerPact(name, PROVIDER, SPECIFICATION, "error");
      for (const each of [own, pact]) {
        const interaction = each.newInteraction(description);
        if (state) interaction.givenWithParams(state.name, JSON.stringify(state.params));
        interaction.withRequest(request.method, request.path);
        for (const [key, value] of Object.entries(request.query ?? {})) interaction.withQuery(key, 0, value);
        for (const [key, value] of Object.entries(request.headers ?? {})) {
          interaction.withRequestHeader(key, 0, text(value));
        }
        if (request.json !== undefined) interaction.withRequestBody(text(request.json), "application/json");
        interaction.withStatus(response.status);
        for (const [key, value] of Object.entries(response.headers ?? {})) {
          interaction.withResponseHeader(key, 0, text(value));
        }
        if (response.json !== undefined)
          interaction.withResponseBody(text(response.json), "application/json");
        if (response.text !== undefined) {
          const { type, example, form } = response.text;
          interaction.withResponseBody(example, type);
          const rule = { combine: "AND", matchers: [{ match: "regex", regex: form.source }] };
          interaction.withResponseMatchingRules(JSON.stringify({ body: { $: rule } }));
        }
      }
      const port = own.createMockServer("127.0.0.1");
      try {
        const result = await use(`http://127.0.0.1:${port}`);
        assert.deepEqual(own.mockServerMismatches(port), []);
        return result;
      } finally {
        own.cleanupMockServer(port);
      }
    },
    /** Writes the contract, in place of the one before. */
    write: () => pact.writePactFile(PACTS, false),
  };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
