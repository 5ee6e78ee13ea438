// `npm run backup -- DIR`: a consistent copy of a running mesh's data folder, under another name until it is whole.
import { createHash } from "node:crypto";
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress } from "node:zlib";
import {
  type BackupFile,
  type BackupManifest,
  CLUSTER_ARCHIVE,
  COPIED,
  FILE_LIST,
  HUB_JOURNAL,
  HUB_JOURNAL_IS,
  MANIFEST,
  PLATFORM,
  size,
} from "./backup-manifest.ts";
import { startBaseBackup } from "./base-backup.ts";
import { SUPERUSER } from "./cluster.ts";
import { readMeshState, syncFolder } from "./data-dir.ts";
import { MeshError } from "./mesh-error.ts";
import { readSecrets } from "./provision.ts";

const USAGE = `usage: npm run -s backup -- DIR

Copies all that a running mesh keeps to DIR, while it serves: every database as of one moment, the keys, the simulated hub's
journal, and ${MANIFEST} with the size and SHA-256 of each. DIR must not exist; until the copy is whole it is called DIR.new.
It holds personal data and keys: keep it as safe as the mesh. npm run restore -- DIR makes a data folder of it again.

Progress is said on stderr, the result on stdout. Ends with 0 if the backup is whole, else with 1 and nothing left behind.
Variables: LAMPID_DATA_DIR (default .lampid) names the running mesh.`;

const SAY_EVERY_MS = 1_000;
/** Half of level 3's time for a copy that is a tenth larger. */
const COMPRESSION_LEVEL = 1;

type BackupOptions = {
  dataDir: string;
  /** Must not exist. */
  target: string;
  signal: AbortSignal;
  say: (line: string) => void;
};

/** @throws MeshError, with nothing left of what was written. */
async function backUp({ dataDir, target, signal, say }: BackupOptions): Promise<BackupManifest> {
  if (existsSync(target)) throw new MeshError(`${target} exists; a backup never replaces anything`);
  const url = superuserUrl(dataDir);
  const unfinished = `${target}.new`;
  mkdirSync(dirname(target), { recursive: true });
  try {
    mkdirSync(unfinished, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new MeshError(
      `${unfinished} exists: another backup is under way, or one was killed; delete it if so`,
    );
  }
  try {
    const { end, archive } = await copyCluster({ url, folder: unfinished, signal, say });
    const files = [
      archive,
      await keep(unfinished, FILE_LIST, end.fileList, "PostgreSQL's list of its files, for pg_verifybackup"),
    ];
    // After the cluster: a key is in its file before anything is sealed or signed with it, and the hub must not know less
    // than the registry believes to have told it.
    for (const { name, what } of filesBeside(dataDir)) {
      files.push(await keep(unfinished, name, readFileSync(join(dataDir, name)), what));
    }
    const manifest: BackupManifest = {
      format: 1,
      createdAt: new Date().toISOString(),
      postgres: end.serverVersion,
      platform: PLATFORM,
      cluster: { timeline: end.timeline, startLsn: end.startLsn, endLsn: end.endLsn },
      files,
    };
    await keep(unfinished, MANIFEST, Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`), "");
    signal.throwIfAborted();
    await syncFolder(unfinished, { isDeep: true });
    renameSync(unfinished, target);
    await syncFolder(dirname(target));
    return manifest;
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    throw error;
  }
}

function superuserUrl(dataDir: string): string {
  const [state, secrets] = [readMeshState(dataDir), readSecrets(dataDir)];
  if (!state || !secrets) {
    throw new MeshError(`no mesh is running on ${dataDir}: run npm start, or set LAMPID_DATA_DIR`);
  }
  const { postgres } = state.processes;
  if (!postgres) {
    throw new MeshError("this mesh runs on a PostgreSQL that is not its own: see docs/operations/backup.md");
  }
  return `postgres://${SUPERUSER}:${secrets.superuser}@127.0.0.1:${postgres.port}/postgres`;
}

async function copyCluster({
  url,
  folder,
  signal,
  say,
}: {
  url: string;
  folder: string;
  signal: AbortSignal;
  say: (line: string) => void;
}) {
  const backup = await startBaseBackup(url);
  let [seen, written, saidAt] = [0, 0, performance.now()];
  const hash = createHash("sha256");
  const watched = new Transform({
    transform(chunk: Buffer, _, done) {
      seen += chunk.length;
      if (performance.now() - saidAt > SAY_EVERY_MS) {
        saidAt = performance.now();
        say(`${size(seen)} of about ${size(backup.expectedBytes())}`);
      }
      done(null, chunk);
    },
  });
  const hashed = new Transform({
    transform(chunk: Buffer, _, done) {
      hash.update(chunk);
      written += chunk.length;
      done(null, chunk);
    },
  });
  const params = { [constants.ZSTD_c_compressionLevel]: COMPRESSION_LEVEL };
  try {
    await pipeline(
      backup.archive,
      watched,
      createZstdCompress({ params }),
      hashed,
      createWriteStream(join(folder, CLUSTER_ARCHIVE), { mode: 0o600, flush: true }),
      { signal },
    );
    const end = await backup.ended;
    say(`${size(seen)} of databases are ${size(written)}`);
    const archive: BackupFile = {
      name: CLUSTER_ARCHIVE,
      bytes: written,
      sha256: hash.digest("hex"),
      what: "every database of the embedded PostgreSQL as of one moment, with the log that makes it whole",
    };
    return { end, archive };
  } finally {
    await backup.close();
  }
}

function filesBeside(dataDir: string): { name: string; what: string }[] {
  const found = Object.entries(COPIED)
    .filter(([name]) => existsSync(join(dataDir, name)))
    .map(([name, what]) => ({ name, what }));
  const hub = join(dataDir, "dukcapil");
  const journals = existsSync(hub) ? readdirSync(hub).filter((name) => HUB_JOURNAL.test(name)) : [];
  return [...found, ...journals.map((name) => ({ name: `dukcapil/${name}`, what: HUB_JOURNAL_IS }))];
}

async function keep(folder: string, name: string, content: Buffer, what: string): Promise<BackupFile> {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(path, content, { mode: 0o600, flush: true, flag: "wx" });
  const sha256 = createHash("sha256").update(content).digest("hex");
  return { name, bytes: content.length, sha256, what };
}

if (import.meta.main) {
  const [argument, ...rest] = process.argv.slice(2);
  if (argument === undefined || argument.startsWith("-") || rest.length > 0) {
    console.log(USAGE);
    process.exit(argument === "--help" ? 0 : 2);
  }
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => interrupted.abort());
  try {
    const target = resolve(argument);
    const startedAt = performance.now();
    const manifest = await backUp({
      dataDir: resolve(process.env.LAMPID_DATA_DIR || ".lampid"),
      target,
      signal: interrupted.signal,
      say: (line) => console.error(`backup: ${line}`),
    });
    for (const { name, bytes, what } of manifest.files)
      console.log(`${name.padEnd(24)} ${size(bytes).padStart(12)}  ${what}`);
    const bytes =
      manifest.files.reduce((sum, file) => sum + file.bytes, 0) + statSync(join(target, MANIFEST)).size;
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    console.log(`${target}: ${size(bytes)}, whole as of ${manifest.cluster.endLsn}, in ${seconds} s`);
  } catch (cause) {
    console.error(`backup: ${interrupted.signal.aborted ? "interrupted" : (cause as Error).message}`);
    process.exitCode = 1;
  }
  process.disconnect?.();
}
