// Completes package-lock.json: a registry mirror without the builds for other platforms makes npm leave them out, and
// `npm ci` then refuses the lock. usage: node .ci/complete-lock.mjs [--check]
import { readFileSync, writeFileSync } from "node:fs";

const path = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(path, "utf8"));
const { packages } = lock;
const missing = [];
for (const [parent, { optionalDependencies = {}, dev }] of Object.entries(packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const key = `node_modules/${name}`;
    if (packages[key] || packages[`${parent}/${key}`]) continue;
    const os = ["android", "darwin", "linux", "win32"].find((each) => name.includes(each));
    const cpu = /armv7/.test(name)
      ? "arm"
      : /arm64|aarch64/.test(name)
        ? "arm64"
        : /x64/.test(name)
          ? "x64"
          : undefined;
    packages[key] = {
      version,
      ...(cpu ? { cpu: [cpu] } : {}),
      ...(dev ? { dev } : {}),
      ...(name.includes("musl") ? { libc: ["musl"] } : {}),
      optional: true,
      ...(os ? { os: [os] } : {}),
    };
    missing.push(`${name}@${version}`);
  }
}
if (missing.length === 0) {
  console.log("package-lock.json is complete");
} else if (process.argv.includes("--check")) {
  console.error(`package-lock.json lacks ${missing.join(", ")}: run node .ci/complete-lock.mjs`);
  process.exit(1);
} else {
  lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(`added ${missing.join(", ")}`);
}
