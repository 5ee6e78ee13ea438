// `npm run restore -- DIR`: makes a data folder out of a backup that is as it was written.
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { createZstdDecompress } from "node:zlib";
import {
  type BackupManifest,
  CLUSTER_ARCHIVE,
  COPIED,
  FILE_LIST,
  PLATFORM,
  size,
  verifyBackup,
} from "./backup-manifest.ts";
import { openDataDir, RESTORING, syncFolder, writeWhole } from "./data-dir.ts";
import { engineVersion } from "./engine.ts";
import { processesIn } from "./host-process.ts";
import { MeshError } from "./mesh-error.ts";

const USAGE = `usage: npm run -s restore -- DIR [--set-aside] [--verify]

Verifies the backup in DIR against its manifest, byte by byte, and makes a data folder of it; npm start then serves what was
there at the moment of the backup. The data folder must hold no data and no mesh may run on it.

  --set-aside   data that is there is moved to before-restore-TIME in the same folder, instead of a refusal
  --verify      only say whether the backup is whole

Ends with 0 if all is done, else with 1 and the name of what is wrong. One that was killed is started again with --set-aside.
Variables: LAMPID_DATA_DIR (default .lampid) names the folder that is filled.`;

/** What a data folder holds that is data, besides logs and the lock. */
const DATA = ["postgres", "dukcapil", "dokumen-jwks.json", ...Object.keys(COPIED)];

async function restore({
  source,
  dataDir,
  isSettingAside,
  say,
}: {
  source: string;
  dataDir: string;
  isSettingAside: boolean;
  say: (line: string) => void;
}): Promise<BackupManifest> {
  const manifest = await verifyBackup(source);
  assertFits(manifest);
  const data = openDataDir(dataDir);
  try {
    const present = DATA.filter((name) => readdirSync(dataDir).includes(name));
    if (present.length > 0 && !isSettingAside) {
      throw new MeshError(
        `${dataDir} holds data (${present.join(", ")}); --set-aside moves it out of the way`,
      );
    }
    const cluster = join(dataDir, "postgres");
    const running = existsSync(cluster) ? processesIn(realpathSync(cluster)) : [];
    if (running.length > 0) {
      throw new MeshError(
        `PostgreSQL (process ${running[0]}) still runs in ${dataDir}; it ends with its mesh`,
      );
    }
    // As long as this folder is there, npm start refuses: half a restore must not be taken for a mesh, or made a new one.
    const incoming = join(dataDir, RESTORING);
    rmSync(incoming, { recursive: true, force: true });
    mkdirSync(join(incoming, "postgres"), { recursive: true, mode: 0o700 });
    await unpackCluster(join(source, CLUSTER_ARCHIVE), join(incoming, "postgres"));
    await syncFolder(incoming, { isDeep: true });
    if (present.length > 0) setAside(dataDir, present, say);
    for (const { name } of manifest.files) {
      if (name === CLUSTER_ARCHIVE || name === FILE_LIST) continue;
      mkdirSync(dirname(join(dataDir, name)), { recursive: true });
      writeWhole(
        join(dataDir, name),
        readFileSync(join(source, name), "utf8"),
        name in COPIED ? 0o600 : 0o644,
      );
    }
    renameSync(join(incoming, "postgres"), join(dataDir, "postgres"));
    await syncFolder(dataDir);
    rmSync(incoming, { recursive: true });
    return manifest;
  } finally {
    data.close();
  }
}

/** PostgreSQL would refuse the first itself, with less to say; the second it would not notice. */
function assertFits({ postgres, platform }: BackupManifest): void {
  const ours = engineVersion();
  const major = (version: string) => version.split(".")[0];
  if (major(postgres) !== major(ours)) {
    throw new MeshError(
      `the backup is of PostgreSQL ${postgres}, this release runs ${ours}: restore it with the release it was made by`,
    );
  }
  if (platform !== PLATFORM) {
    throw new MeshError(`the backup is of ${platform}: PostgreSQL's files cannot be moved to ${PLATFORM}`);
  }
}

async function unpackCluster(archive: string, folder: string): Promise<void> {
  // Whose user ids those are is another machine's business: they are ours, and at the start its who runs PostgreSQL.
  const tar = spawn("tar", ["-x", "-p", "--no-same-owner", "-f", "-", "-C", folder], {
    stdio: ["pipe", "ignore", "pipe"],
  });
  let said = "";
  tar.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(0, 1_000);
  });
  const ended = once(tar, "close") as Promise<[number | null]>;
  const [written, [code]] = await Promise.all([
    pipeline(createReadStream(archive), createZstdDecompress(), tar.stdin).catch((error: Error) => error),
    ended.catch((error: Error) => [error] as const),
  ]);
  if (code !== 0 || written) {
    const reason = said.split("\n")[0] || (code instanceof Error ? code.message : written?.message);
    throw new MeshError(`the databases could not be unpacked: ${reason}`);
  }
  // Of the folder that the backup was made of.
  rmSync(join(folder, "lampid-data-folder"), { force: true });
}

function setAside(dataDir: string, names: readonly string[], say: (line: string) => void): void {
  const aside = join(dataDir, `before-restore-${new Date().toISOString().replace(/[:.]/g, "")}`);
  mkdirSync(aside, { mode: 0o700 });
  for (const name of names) renameSync(join(dataDir, name), join(aside, name));
  say(`what was there is in ${aside}`);
}

if (import.meta.main) {
  try {
    const { values, positionals } = parseArgs({
      args: process.argv.slice(2),
      allowPositionals: true,
      options: {
        "set-aside": { type: "boolean", default: false },
        verify: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    const [argument, ...rest] = positionals;
    if (values.help || argument === undefined || rest.length > 0) {
      console.log(USAGE);
      process.exitCode = values.help ? 0 : 2;
    } else {
      const source = resolve(argument);
      const dataDir = resolve(process.env.LAMPID_DATA_DIR || ".lampid");
      const say = (line: string) => console.error(`restore: ${line}`);
      if (!existsSync(source)) throw new MeshError(`${source} does not exist`);
      const manifest = values.verify
        ? await verifyBackup(source)
        : await restore({ source, dataDir, isSettingAside: values["set-aside"], say });
      const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
      console.log(
        values.verify
          ? `${source}: whole, ${size(bytes)}, of ${manifest.createdAt}`
          : `${dataDir}: as of ${manifest.createdAt}; npm start serves it`,
      );
    }
  } catch (cause) {
    console.error(`restore: ${(cause as Error).message}`);
    process.exitCode = (cause as { code?: string }).code?.startsWith("ERR_PARSE_ARGS") ? 2 : 1;
  }
  process.disconnect?.();
}
