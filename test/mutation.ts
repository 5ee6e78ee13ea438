// `npm run test:mutation`: takes one safeguard after the other out of a copy of the sources, and sees to it that the test that is there
// for it turns red. A safeguard whose test stays green is one that nobody would miss.
//
//   npm run test:mutation              all of them
//   npm run test:mutation -- duties    those whose name contains one of the arguments
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "../services/mesh/processes.ts";
import { startTestPostgres } from "./harness/database.ts";

type Mutation = {
  /** What is taken out. */
  safeguard: string;
  file: string;
  /** Occurs there once. */
  find: string;
  replace: string;
  /** The file with the test, and its name: this one must fail, whatever others do. */
  testFile: string;
  test: string;
};

const MUTATIONS: readonly Mutation[] = [
  {
    safeguard: "separation of duties",
    file: "services/pelaporan/domain/putusan.ts",
    find: 'if (acted !== undefined && acted !== tingkat) return refused("DUTIES_NOT_SEPARATE");',
    replace: "",
    testFile: "services/pelaporan/domain/laporan.test.ts",
    test: "who submitted or verified cannot approve",
  },
  {
    safeguard: "wilayah containment of an approval",
    file: "services/pelaporan/domain/putusan.ts",
    find: "(own === kelurahan || kelurahan.startsWith(",
    replace: "(true || kelurahan.startsWith(",
    testFile: "services/pelaporan/domain/laporan.test.ts",
    test: "verify is allowed to whom DOMAIN.md says, and to nobody else",
  },
  {
    safeguard: "wilayah containment of every scoped call",
    file: "services/chassis/caller.ts",
    find: "ctx.values.get(authorizerKey)(wilayah);",
    replace: "void wilayah;",
    testFile: "test/pelaporan/laporan.test.ts",
    test: "is for officers of the wilayah, and on record before the answer",
  },
  {
    safeguard: "refusal of a revoked token that is remembered",
    file: "services/chassis/token.ts",
    find: "return unlessRevoked(known.caller);",
    replace: "return known.caller;",
    testFile: "services/chassis/token.test.ts",
    test: "is refused with a reason of its own, remembered or not, and its signature is still checked once",
  },
  {
    safeguard: "the hold on a report that may be a duplicate",
    file: "services/pelaporan/domain/putusan.ts",
    find: 'if (laporan.kemiripan.some(({ disisihkan }) => !disisihkan)) return refused("KEMIRIPAN_OPEN");',
    replace: "",
    testFile: "services/pelaporan/domain/laporan.test.ts",
    test: "is verified when the supervisor has dismissed every one with a reason",
  },
  {
    safeguard: "de-duplication of effects in the registry",
    file: "services/penduduk/peristiwa/apply.ts",
    find: "  if (rows[0]) {",
    replace: "  if (rows[1]) {",
    testFile: "test/penduduk/peristiwa-lahir-mati.test.ts",
    test: "takes effect once, and gives the first answer again when it comes 20 times at once",
  },
  {
    safeguard: "de-duplication of events in the messages",
    file: "services/notifikasi/postgres-store.ts",
    find: 'from incoming r join fresh on fresh.event_id = r."eventId"',
    replace: "from incoming r",
    testFile: "test/notifikasi/postgres-store.test.ts",
    test: "an event makes one message, however often it comes, in one batch or in many",
  },
  {
    safeguard: "de-duplication of events in the statistics",
    file: "services/statistik/postgres-store.ts",
    find: 'join fresh on fresh.event_id = r."eventId"',
    replace: "",
    testFile: "test/statistik/postgres-store.test.ts",
    test: "an event counts once, however often its batch comes again",
  },
];

const filters = process.argv.slice(2);
if (filters.includes("--help")) {
  console.log("usage: npm run test:mutation [-- part of a safeguard's name...]");
  process.exit(0);
}
const chosen = MUTATIONS.filter(
  ({ safeguard }) => filters.length === 0 || filters.some((filter) => safeguard.includes(filter)),
);
if (chosen.length === 0) {
  console.error(`no safeguard matches ${filters.join(" ")}`);
  process.exit(1);
}

const copy = mkdtempSync(join(tmpdir(), "lampid-mutation-"));
const postgres = await startTestPostgres();
let failed = 0;
try {
  copySources(copy);
  // Without it, a test that is red anyway would be taken for one that has noticed.
  for (const { testFile, test } of chosen) {
    const { passed, names } = await runTest(testFile, test);
    if (!passed || !names.has(test))
      report(false, `${testFile}: "${test}" must be there, and pass as the sources are`);
  }
  for (const mutation of chosen) await tryOne(mutation);
} finally {
  await postgres.stop();
  rmSync(copy, { recursive: true, force: true });
}
process.exit(failed === 0 ? 0 : 1);

async function tryOne({ safeguard, file, find, replace, testFile, test }: Mutation): Promise<void> {
  const path = join(copy, file);
  const text = readFileSync(path, "utf8");
  if (text.split(find).length !== 2) {
    report(false, `${safeguard}: ${file} does not hold, once, what is to be taken out: ${find}`);
    return;
  }
  writeFileSync(
    path,
    text.replace(find, () => replace),
  );
  try {
    const { failures } = await runTest(testFile, test);
    report(
      failures.has(test),
      `without ${safeguard}: "${test}" ${failures.has(test) ? "is red" : "STAYS GREEN"} (${testFile})`,
    );
  } finally {
    writeFileSync(path, text);
  }
}

function report(isGood: boolean, text: string): void {
  console.log(`${isGood ? "ok    " : "FAILED"} ${text}`);
  if (!isGood) failed++;
}

/** What git would commit: no data, no logs. */
function copySources(to: string): void {
  const { stdout } = spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  for (const path of stdout.split("\0").filter(Boolean)) {
    mkdirSync(dirname(join(to, path)), { recursive: true });
    cpSync(join(ROOT, path), join(to, path), { errorOnExist: false, force: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(to, "node_modules"));
}

/** Runs the tests of that name; the others of the file are left out. */
async function runTest(file: string, test: string) {
  const pattern = `^${test.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`;
  const args = [
    "--test",
    "--test-reporter=tap",
    "--test-timeout=120000",
    `--test-name-pattern=/${pattern}/`,
    file,
  ];
  const child = spawn(process.execPath, args, {
    cwd: copy,
    env: { ...process.env, LAMPID_TEST_POSTGRES_URL: postgres.superuserUrl },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  for await (const chunk of child.stdout) output += chunk;
  const results = [...output.matchAll(/^ *(not ok|ok) \d+ - (.*?)(?: # ([A-Z]+).*)?$/gm)].filter(
    ([, , , directive]) => !directive,
  );
  const named = (kind: string) => new Set(results.filter(([, ok]) => ok === kind).map(([, , name]) => name!));
  return { passed: named("not ok").size === 0, names: named("ok"), failures: named("not ok") };
}
