import assert from "node:assert/strict";
import { test } from "node:test";
import { IssuerProblem } from "#chassis/issuer-discovery.ts";
import { createLogger } from "#chassis/log.ts";
import { probeIssuer, reachTokenEndpoint } from "../../services/auth/issuer-probe.ts";
import { eventually } from "../harness/eventually.ts";

function recordingLog() {
  const lines: { level: string; msg: string }[] = [];
  const log = createLogger("test", "info", { write: (line) => void lines.push(JSON.parse(line)) });
  return { lines, log };
}

test("an issuer that comes, goes and comes back is asked once each time whether it accepts us", async () => {
  const { log } = recordingLog();
  const ending = new AbortController();
  const states: string[] = [];
  let isThere = false;
  let checks = 0;
  const probing = probeIssuer({
    reach: async () => {
      if (!isThere) throw new IssuerProblem("unreachable", "away");
    },
    clients: [{ settings: "X", whyRefused: async () => void checks++, health: () => {} }],
    health: (working, reason = "") => {
      const state = working ? "working" : reason;
      if (states.at(-1) !== state) states.push(state);
    },
    log,
    signal: ending.signal,
    intervalMs: 5,
  });
  const until = (state: string) => eventually(() => states.at(-1) === state);
  await until("unreachable");
  for (let times = 0; times < 2; times++) {
    isThere = true;
    await until("working");
    await new Promise((resolve) => setTimeout(resolve, 30));
    isThere = false;
    await until("unreachable");
  }
  ending.abort();
  await probing;
  assert.equal(checks, 2);
  assert.deepEqual(states, ["unreachable", "working", "unreachable", "working", "unreachable"]);
});

test("a client that is refused is named by its settings, once, and the others are asked all the same", async () => {
  const { log, lines } = recordingLog();
  const ending = new AbortController();
  const health: Record<string, string> = {};
  const client = (name: string, reason?: string) => ({
    settings: name,
    whyRefused: async () => reason,
    health: (working: boolean, why = "") => {
      health[name] = working ? "ok" : why;
    },
  });
  const probing = probeIssuer({
    reach: async () => {},
    clients: [client("LAMPID_A", "Invalid client credentials"), client("LAMPID_B")],
    health: () => {},
    log,
    signal: ending.signal,
    intervalMs: 5,
  });
  await eventually(() => health.LAMPID_B !== undefined);
  ending.abort();
  await probing;
  assert.deepEqual(health, { LAMPID_A: "refused: check LAMPID_A", LAMPID_B: "ok" });
  assert.deepEqual(
    lines.map(({ level, msg }) => `${level}: ${msg}`),
    ["error: the issuer refuses our client (Invalid client credentials): check LAMPID_A"],
  );
});

test("a token endpoint that is given and away is said to be so, with its setting", async () => {
  const { log, lines } = recordingLog();
  const reach = reachTokenEndpoint("http://127.0.0.1:1/token", log);
  await assert.rejects(reach, IssuerProblem);
  await assert.rejects(reach, IssuerProblem);
  assert.equal(lines.length, 1);
  assert.match(lines[0]!.msg, /LAMPID_ISSUER_TOKEN_URL/);
});
