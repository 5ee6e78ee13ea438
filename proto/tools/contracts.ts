// The contracts' own checks: lint, format, generated code, vendored files, policy, and breaking changes.
//
//   node proto/tools/contracts.ts check|generate|breaking|release [--root DIR]
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, relative, resolve } from "node:path";

const HERE = resolve(import.meta.dirname, "../..");
const IMAGE = "proto/released.binpb";
/** Earlier images that the present one is compared with. */
const MAX_EARLIER_IMAGES = 20;

/** Something that is wrong, in words for the person who has to mend it. */
class Problem extends Error {}

const commands: Record<string, (root: string) => void | Promise<void>> = {
  async check(root) {
    buf(root, ["lint"], "buf lint: the contracts break a rule");
    buf(root, ["format", "--diff", "--exit-code", "--path", "proto/lampid"], "run `npm run proto:format`");
    checkVendored(root);
    await checkGenerated(root);
    checkPolicy(root);
    await commands.breaking!(root);
  },

  async generate(root) {
    await generate(root, root);
  },

  breaking(root) {
    const image = join(root, IMAGE);
    if (!existsSync(image)) throw new Problem(`${IMAGE} is missing: nothing says what was released`);
    breaking(
      root,
      present(root),
      image,
      "the contracts break what was released; add instead of changing (docs/architecture.md)",
    );
    for (const { commit, file } of earlierImages(root)) {
      const why = `${IMAGE} breaks the one of commit ${commit}; only \`npm run contracts:release\` may replace it`;
      breaking(root, image, file, why);
    }
  },

  release(root) {
    if (existsSync(join(root, IMAGE))) {
      breaking(root, present(root), join(root, IMAGE), "a release may not break the one before");
    }
    writeFileSync(join(root, IMAGE), readFileSync(present(root)));
    console.log(`${IMAGE} now holds the present contracts: commit it`);
  },
};

const [name = "--help", ...rest] = process.argv.slice(2);
const root = rest[0] === "--root" ? resolve(rest[1] ?? ".") : HERE;
if (!commands[name]) {
  console.log("usage: node proto/tools/contracts.ts check|generate|breaking|release [--root DIR]");
  process.exit(name === "--help" ? 0 : 2);
}
try {
  await commands[name](root);
  console.log(`contracts: ${name} ok`);
} catch (cause) {
  if (!(cause instanceof Problem)) throw cause;
  console.error(`contracts: ${cause.message}`);
  process.exit(1);
}

/** The contracts as they are, as an image in which third-party files are marked as imports. */
function present(root: string): string {
  const image = join(temporaryFolder(), "present.binpb");
  buf(root, ["build", "--path", "proto/lampid", "-o", image], "buf build failed");
  return image;
}

// Image against image: a workspace of two modules cannot be compared with one image. Imports are not ours to keep.
function breaking(root: string, image: string, against: string, why: string): void {
  const config = JSON.stringify({ version: "v2", breaking: { use: ["WIRE_JSON"] } });
  buf(root, ["breaking", image, "--against", against, "--exclude-imports", "--config", config], why);
}

/** Every version of the image that was committed, newest first: what was ever released stays readable. */
function earlierImages(root: string): { commit: string; file: string }[] {
  const log = git(root, ["log", `-${MAX_EARLIER_IMAGES}`, "--format=%h", "--", IMAGE]);
  // A copy without its history (an archive) has nothing to compare with; a clone in CI must have it.
  if (log === undefined) {
    if (process.env.CI) throw new Problem("git history is needed to compare the released images");
    console.warn("contracts: no git history, the released image is not compared with earlier ones");
    return [];
  }
  const folder = temporaryFolder();
  return log
    .toString()
    .split("\n")
    .filter(Boolean)
    .flatMap((commit) => {
      const bytes = git(root, ["show", `${commit}:${IMAGE}`]);
      if (!bytes) return [];
      const file = join(folder, `${commit}.binpb`);
      writeFileSync(file, bytes);
      return [{ commit, file }];
    });
}

function checkVendored(root: string): void {
  const folder = join(root, "proto/vendor");
  const listed = readFileSync(join(folder, "SHA256SUMS"), "utf8").trim().split("\n");
  const files = new Map(listed.map((line) => [line.slice(66), line.slice(0, 64)]));
  for (const file of filesBelow(folder).filter((path) => path.endsWith(".proto"))) {
    const sha256 = createHash("sha256")
      .update(readFileSync(join(folder, file)))
      .digest("hex");
    if (files.get(file) !== sha256)
      throw new Problem(`proto/vendor/${file} is not the copy that SHA256SUMS lists`);
    files.delete(file);
  }
  if (files.size > 0) throw new Problem(`proto/vendor lacks ${[...files.keys()].join(", ")}`);
}

/** Writes gen/ below a folder: code, and the OpenAPI document of what the gateway makes of the contracts. */
async function generate(root: string, folder: string): Promise<void> {
  buf(root, ["generate", "-o", folder], "buf generate failed");
  const image = join(temporaryFolder(), "all.binpb");
  buf(root, ["build", "-o", image], "buf build failed");
  // Only now: it imports generated code, which may have been missing before.
  const { createMeshOpenApi } = await import("../../gateway/openapi/mesh.ts");
  const document = await createMeshOpenApi(readFileSync(image));
  writeFileSync(join(folder, "gen/openapi.json"), `${JSON.stringify(document, null, 2)}\n`);
}

async function checkGenerated(root: string): Promise<void> {
  const folder = temporaryFolder();
  await generate(root, folder);
  const difference = firstDifference(join(root, "gen"), join(folder, "gen"));
  if (difference)
    throw new Problem(`gen/${difference} is not what the contracts generate: run \`npm run proto\``);
}

function checkPolicy(root: string): void {
  const built = join(temporaryFolder(), "policy.wasm");
  if (spawnSync("go", ["version"]).error) {
    if (process.env.CI) throw new Problem("go is needed to build OPA, which compiles the policy");
    console.warn("contracts: SKIPPED policy.wasm up to date (go is not installed, so OPA cannot be built)");
    return;
  }
  const { status } = spawnSync(join(root, "services/chassis/policy/build.sh"), [built], { stdio: "inherit" });
  if (status !== 0) throw new Problem("the policy does not compile");
  if (!readFileSync(built).equals(readFileSync(join(root, "services/chassis/policy/policy.wasm")))) {
    throw new Problem("policy.wasm is not what lampid.rego compiles to: run `npm run policy`");
  }
}

function buf(root: string, args: string[], why: string): void {
  const bin = join(HERE, "node_modules/.bin");
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` };
  const { status, stdout, stderr } = spawnSync(join(bin, "buf"), args, { cwd: root, env, encoding: "utf8" });
  if (status !== 0) throw new Problem(`${why}\n${stdout}${stderr}`.trimEnd());
}

function git(root: string, args: string[]): Buffer | undefined {
  const { status, stdout, error } = spawnSync("git", args, { cwd: root, maxBuffer: 64 * 1024 * 1024 });
  return error || status !== 0 ? undefined : stdout;
}

function firstDifference(committed: string, generated: string): string | undefined {
  const [left, right] = [filesBelow(committed), filesBelow(generated)];
  const all = [...new Set([...left, ...right])].sort();
  return all.find((file) => {
    if (!left.includes(file) || !right.includes(file)) return true;
    return !readFileSync(join(committed, file)).equals(readFileSync(join(generated, file)));
  });
}

function filesBelow(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "lampid-contracts-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
