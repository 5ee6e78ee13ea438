// What a person does with rows that were put aside: read, merge as they came or corrected, or leave.
import { crc32 } from "node:zlib";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { appendToAudit } from "#chassis/audit.ts";
import type { Database, Sql } from "#chassis/database.ts";
import type { Logger } from "#chassis/log.ts";
import { type FieldViolation, refuse } from "#chassis/refusal.ts";
import { NATION, provinsiOf, type WilayahIndex } from "#chassis/wilayah.ts";
import {
  DaftarPendudukHubSchema,
  type PendudukHub,
  PendudukHubSchema,
} from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import type { KarantinaSchema } from "#gen/lampid/integrasi/v1/sinkronisasi_pb.ts";
import { BarisDisisihkan_Sebab as Sebab } from "#gen/lampid/penggabungan/v1/penggabungan_pb.ts";
import type {
  MergePendudukResponse,
  PenggabunganService,
} from "#gen/lampid/penggabungan/v1/penggabungan_service_pb.ts";
import type { By } from "./commands.ts";
import { emptyHasil, mergedOf } from "./domain/hasil.ts";
import { karantinaToMessage, runName } from "./messages.ts";
import type { KarantinaRecord, KarantinaStore } from "./store.ts";
import { isPassing } from "./trouble.ts";

export type KarantinaDeps = {
  db: Database;
  store: KarantinaStore;
  merge: Client<typeof PenggabunganService>;
  wilayah: Pick<WilayahIndex, "has">;
  clock: () => Date;
  log: Logger;
};

export type KarantinaCommands = ReturnType<typeof karantinaCommands>;

type Message = MessageInitShape<typeof KarantinaSchema>;
type Opened = KarantinaRecord & { isi: Uint8Array };

const MERGE_TIMEOUT_MS = 20_000;

export function karantinaCommands({ db, store, merge, wilayah, clock, log }: KarantinaDeps) {
  return {
    /** With the row as it came. @throws Refused NOT_FOUND. */
    async read(id: string, by: By): Promise<Message> {
      return await db.transaction(async (sql) => {
        const row = await found(sql, id);
        await audit(sql, row, by);
        return withPenduduk(row);
      });
    },

    /** @throws Refused FAILED_PRECONDITION if it waits no more, or still cannot be merged; UNAVAILABLE. */
    async retry(id: string, koreksi: PendudukHub | undefined, by: By): Promise<Message> {
      const row = await db.transaction(async (sql) => {
        const before = await found(sql, id);
        const percobaan = await store.countTry(sql, id);
        if (percobaan === undefined) throw waitsNoMore(before);
        // Tries count, too, also those that come to nothing.
        await audit(sql, before, by);
        return { ...before, percobaan };
      });
      const { hasil, disisihkan } = await mergeOne(row, koreksi);
      if (mergedOf(hasil ?? emptyHasil) !== 1) throw stillWrong(disisihkan[0], koreksi !== undefined);
      return await decide(id, "digabung", by);
    },

    /** @throws Refused FAILED_PRECONDITION if it waits no more. */
    async dismiss(id: string, by: By): Promise<Message> {
      return await decide(id, "diabaikan", by, (sql, row) => audit(sql, row, by));
    },
  };

  async function decide(
    id: string,
    to: "digabung" | "diabaikan",
    { actor }: By,
    also: (sql: Sql, row: Opened) => Promise<void> = async () => {},
  ): Promise<Message> {
    return await db.transaction(async (sql) => {
      const isDecided = await store.decide(sql, { id, to, pemutus: actor.subject, at: clock() });
      const row = await found(sql, id);
      // The same decision again gives the same answer.
      if (!isDecided && row.keadaan !== to) throw waitsNoMore(row);
      if (isDecided) await also(sql, row);
      return withPenduduk(row);
    });
  }

  async function mergeOne(
    row: Opened & { percobaan: number },
    koreksi: PendudukHub | undefined,
  ): Promise<MergePendudukResponse> {
    const { id, idHub, versi, sebab, percobaan, sinkronisasi, isi: came } = row;
    const penduduk = koreksi
      ? create(PendudukHubSchema, { ...koreksi, id: idHub, versi })
      : fromBinary(PendudukHubSchema, came);
    const isi = toBinary(DaftarPendudukHubSchema, create(DaftarPendudukHubSchema, { penduduk: [penduduk] }));
    // Another cursor each time, or the registry would only repeat its first answer to the same bytes.
    const cursor = `karantina/${id}#${percobaan}`;
    const kelompok = { isi, jumlah: 1, crc32: crc32(isi), dari: cursor, sampai: cursor };
    const request = {
      sinkronisasi: runName(sinkronisasi),
      bagian: partOf(penduduk.kodeWilayah),
      kelompok,
      paksa: !koreksi && sebab === Sebab.KONFLIK,
      koreksi: koreksi !== undefined,
    };
    try {
      const answers = merge.mergePenduduk(once(request), { timeoutMs: MERGE_TIMEOUT_MS });
      for await (const answer of answers) return answer;
      throw new ConnectError("the registry did not answer", Code.Unavailable);
    } catch (cause) {
      log.warn({ karantina: id, err: cause }, "a row that was put aside could not be merged");
      // What lasts is ours to put right: the caller gets a trace id, the log the cause.
      if (!isPassing(cause)) throw new Error("the registry refuses to merge the row", { cause });
      const message = "the registry cannot merge the row now; try again";
      throw refuse("unavailable", "PENDUDUK_UNAVAILABLE", message, { retryAfterSeconds: 5 });
    }
  }

  /** The province, where there is one. */
  function partOf(kodeWilayah: string): string {
    const province = provinsiOf(kodeWilayah);
    return /^\d{2}$/.test(province) && wilayah.has(province) ? province : NATION;
  }

  async function found(sql: Sql, id: string): Promise<Opened> {
    const row = await store.find(sql, id);
    if (!row) throw refuse("notFound", "NOT_FOUND", "no such row was put aside");
    return row;
  }

  async function audit(sql: Sql, row: KarantinaRecord, { actor, action }: By): Promise<void> {
    const resource = `karantina/${row.id}`;
    await appendToAudit(sql, { ...actor, action, resource, wilayah: row.kodeWilayah, at: clock() });
  }
}

function withPenduduk(row: Opened): Message {
  return { ...karantinaToMessage(row), penduduk: fromBinary(PendudukHubSchema, row.isi) };
}

function waitsNoMore({ keadaan }: KarantinaRecord) {
  return refuse("precondition", "KARANTINA_DECIDED", `the row waits no more: it is ${keadaan}`);
}

/** With the rule as reason; where a person wrote the row, with the field that is wrong. */
function stillWrong(why: { alasan: string; kolom: string } | undefined, isCorrected: boolean) {
  const reason = why?.alasan || "KEDALUWARSA";
  const violations: FieldViolation[] = why?.kolom
    ? [{ field: `koreksi.${why.kolom}`, description: `breaks the rule ${reason}`, reason }]
    : [];
  const what = isCorrected ? "the corrected row" : "the row as it came";
  return refuse("precondition", reason, `${what} cannot be merged: ${reason}`, { violations });
}

async function* once<T>(message: T): AsyncIterable<T> {
  yield message;
}
