// Debian's Chromium for tests: found on PATH or in the cache, else unpacked into the cache from Debian's packages, once. It is
// not installed, so nothing of the machine changes and nobody has to be root.
//
//   node test/harness/chromium.ts     fetches it, so that no test has to wait for it
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { cacheDir } from "./tools.ts";

/** The browser without a window, and a font: a page without one shows no text. */
const PACKAGES = ["chromium-headless-shell", "fonts-dejavu-core"];
const NAMES = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];
const FETCH_TIMEOUT_MS = 5 * 60_000;

export type Chromium =
  | { path: string; env: Record<string, string>; skip: false }
  | { path: ""; env: Record<string, string>; skip: string };

if (import.meta.main) console.log(findChromium().path);

/**
 * Where the browser is, and what its environment must say. Without it and without apt the test is to be skipped for `skip`;
 * with CI=true that is an error.
 */
export function findChromium(env: NodeJS.ProcessEnv = process.env): Chromium {
  const given = env.LAMPID_CHROMIUM;
  if (given) return { path: given, env: {}, skip: false };
  const found = (env.PATH ?? "")
    .split(delimiter)
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .find((path) => existsSync(path));
  if (found) return { path: found, env: {}, skip: false };
  const folder = join(cacheDir(env), "chromium");
  if (!existsSync(folder)) {
    if (spawnSync("sh", ["-c", "command -v apt-get && command -v dpkg-deb"]).status !== 0) {
      const skip = `no Chromium on PATH (${NAMES.join(", ")}), and no apt to fetch one with: LAMPID_CHROMIUM names another`;
      if (env.CI === "true") throw new Error(skip);
      return { path: "", env: {}, skip };
    }
    unpackFromDebian(folder);
  }
  return { ...unpacked(folder), skip: false };
}

function unpacked(folder: string): { path: string; env: Record<string, string> } {
  return {
    path: join(folder, "usr/lib/chromium/chromium-headless-shell"),
    env: {
      LD_LIBRARY_PATH: libraryFolders(folder).join(delimiter),
      FONTCONFIG_FILE: join(folder, "fonts.conf"),
    },
  };
}

/** Makes the folder whole or not at all. */
function unpackFromDebian(folder: string): void {
  console.log(`fetching ${PACKAGES.join(" and ")} into ${folder}, once ...`);
  mkdirSync(cacheDir(), { recursive: true });
  const stage = mkdtempSync(`${folder}.`);
  try {
    const apt = join(stage, "apt");
    for (const part of ["lists/partial", "cache/archives/partial"])
      mkdirSync(join(apt, part), { recursive: true });
    // Lists of its own: those of the machine may be missing, and only root may renew them.
    const settings = [
      `Dir::State::Lists=${join(apt, "lists")}`,
      `Dir::Cache=${join(apt, "cache")}`,
      "APT::Sandbox::User=root",
    ].flatMap((setting) => ["-o", setting]);
    const aptGet = (...args: string[]) => run("apt-get", ["-q", ...settings, ...args], apt);
    aptGet("update");
    const plan = aptGet("install", "--simulate", "--no-install-recommends", ...PACKAGES);
    // "Inst name (version ...)"; with "[version]" in between it is there already, only older.
    const missing = [...plan.matchAll(/^Inst (\S+) \((\S+)/gm)].map(
      ([, name, version]) => `${name}=${version}`,
    );
    aptGet("download", ...missing);
    for (const file of readdirSync(apt).filter((name) => name.endsWith(".deb"))) {
      run("dpkg-deb", ["-x", join(apt, file), stage], apt);
    }
    rmSync(apt, { recursive: true });
    writeFileSync(
      join(stage, "fonts.conf"),
      `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
       <dir>${join(folder, "usr/share/fonts")}</dir><dir>/usr/share/fonts</dir>
       <cachedir prefix="xdg">fontconfig</cachedir></fontconfig>`,
    );
    const { path, env } = unpacked(stage);
    run(path, ["--version"], stage, env);
    if (!existsSync(folder)) renameSync(stage, folder);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/** Every folder with libraries: some packages keep theirs in one of their own, which they find only where it belongs. */
function libraryFolders(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true });
  const libraries = files.filter(
    ({ name, parentPath }) => /\.so\b/.test(name) && !parentPath.endsWith("/chromium"),
  );
  return [...new Set(libraries.map(({ parentPath }) => parentPath))];
}

function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): string {
  const done = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C", ...env },
    timeout: FETCH_TIMEOUT_MS,
    maxBuffer: 16 * 1024 * 1024,
  });
  if (done.status !== 0) {
    throw new Error(`${command} ${args.at(-1)}: ${done.error?.message ?? done.stderr.trim().slice(-2_000)}`);
  }
  return done.stdout;
}
