// What a backup is made of: manifest.json with the size and SHA-256 of every file, and the check of a backup against it.
import { createHash } from "node:crypto";
import { createReadStream, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { MeshError } from "./mesh-error.ts";

export type BackupFile = {
  /** Below the backup's folder, and below the data folder where it goes there as it is. */
  name: string;
  bytes: number;
  sha256: string;
  /** What it is, and what would be lost without it. */
  what: string;
};

export type BackupManifest = {
  format: 1;
  createdAt: string;
  /** Of the server; its files are read by the same major version alone. */
  postgres: string;
  /** "linux-x64": PostgreSQL's files are those of a kind of machine. */
  platform: string;
  cluster: { timeline: number; startLsn: string; endLsn: string };
  files: BackupFile[];
};

export const MANIFEST = "manifest.json";
export const CLUSTER_ARCHIVE = "cluster.tar.zst";
export const FILE_LIST = "backup_manifest";
export const PLATFORM = `${process.platform}-${process.arch}`;

/** What of a data folder is copied as it is, beside the cluster; journals of hubs by {@link HUB_JOURNAL}. */
export const COPIED: Readonly<Record<string, string>> = {
  "secrets.json": "passwords of the database roles, and the secret of the processes at the issuer",
  "quarantine.key": "opens rows in quarantine; without it those that wait stay sealed",
  "dokumen-keys.json": "signs documents; without it those that were issued verify no more",
};
export const HUB_JOURNAL = /^hub-\d+-\d+\.jsonl$/;
export const HUB_JOURNAL_IS =
  "what the simulated hub has gone through and was told; without it the hub has forgotten what this registry told it";

const NAME = new RegExp(
  `^(${[CLUSTER_ARCHIVE, FILE_LIST, ...Object.keys(COPIED)].map((name) => name.replaceAll(".", "\\.")).join("|")}|dukcapil/hub-\\d+-\\d+\\.jsonl)$`,
);

/** Reads the manifest and then every byte of every file. @throws MeshError that names the file that is not as it was. */
export async function verifyBackup(folder: string): Promise<BackupManifest> {
  const manifest = readManifest(folder);
  for (const { name, bytes, sha256 } of manifest.files) {
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    if (!found?.isFile()) throw new MeshError(`the backup is damaged: ${name} is missing`);
    if (found.size !== bytes) {
      throw new MeshError(`the backup is damaged: ${name} has ${found.size} bytes, not ${bytes}`);
    }
    if ((await sha256Of(join(folder, name))) !== sha256) {
      throw new MeshError(`the backup is damaged: ${name} is not what was written (SHA-256)`);
    }
  }
  return manifest;
}

function readManifest(folder: string): BackupManifest {
  let text: string;
  try {
    text = readFileSync(join(folder, MANIFEST), "utf8");
  } catch {
    throw new MeshError(
      `${folder} is not a backup: it has no ${MANIFEST} (one that was interrupted has none)`,
    );
  }
  try {
    const manifest = JSON.parse(text) as BackupManifest;
    if (manifest.format !== 1) {
      throw new MeshError(`${MANIFEST} has format ${manifest.format}, which this release does not know`);
    }
    const names = manifest.files.map(({ name }) => name);
    // A name is a path that is written to.
    const isOurs = names.every((name) => NAME.test(name)) && new Set(names).size === names.length;
    if (!isOurs || !names.includes(CLUSTER_ARCHIVE) || !names.includes("secrets.json")) throw new Error();
    return manifest;
  } catch (error) {
    if (error instanceof MeshError) throw error;
    throw new MeshError(`the backup is damaged: ${MANIFEST} cannot be read`);
  }
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest("hex");
}

/** "231 B", "12.3 MiB". */
export function size(bytes: number): string {
  return bytes < 64 * 1024 ? `${bytes} B` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
