// One event of a report takes effect: residents, cards, numbers, the event, the audit row and the answer commit together, once.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { appendToAudit } from "#chassis/audit.ts";
import { backoffMs, pause } from "#chassis/backoff.ts";
import type { Actor } from "#chassis/caller.ts";
import { civilDate } from "#chassis/civil-date.ts";
import type { Database, Sql } from "#chassis/database.ts";
import { fingerprintOf, replayed } from "#chassis/idempotency.ts";
import { appendToOutbox } from "#chassis/outbox.ts";
import type { WilayahIndex } from "#chassis/wilayah.ts";
import {
  PeristiwaBerlaku_Jenis as Jenis,
  PeristiwaBerlakuSchema,
} from "#gen/lampid/peristiwa/v1/peristiwa_events_pb.ts";
import {
  type Hasil,
  HasilSchema,
  type Mutasi_Komponen as Komponen,
} from "#gen/lampid/peristiwa/v1/peristiwa_pb.ts";
import {
  type ApplyPeristiwaRequest,
  ApplyPeristiwaRequestSchema,
  type ApplyPeristiwaResponse,
  ApplyPeristiwaResponseSchema,
} from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";
import { jejakOf } from "../domain/peristiwa/jejak.ts";
import { idOf, kartuKeluargaName, pendudukName } from "../messages.ts";
import { refusedBy } from "../refusals.ts";
import { inTrial } from "../trial.ts";
import { auditOf } from "./audit.ts";
import { contention } from "./keadaan-store.ts";
import type { Berlaku, Konteks, Terdahulu } from "./konteks.ts";
import { sahkan } from "./pengesahan.ts";
import { betulkan, cabut, kembalikan } from "./sesudah-pengesahan.ts";

export type ApplyDeps = {
  db: Database;
  wilayah: Pick<WilayahIndex, "has">;
  actor: Actor;
  action: string;
  at: Date;
};

/**
 * The merge of the hub's rows locks in another order. A lock is waited for less long than it takes PostgreSQL to look for a deadlock
 * (1 s), so that it is the report that lets go and tries again, and never a whole batch.
 */
const LOCK_WAIT_MS = 250;
/** Until that is given up: less than the saga waits for an answer. */
const PATIENCE_MS = 8_000;
const BACKOFF = { baseMs: 20, maxMs: 500 };

export async function applyPeristiwa(
  request: ApplyPeristiwaRequest,
  deps: ApplyDeps,
): Promise<ApplyPeristiwaResponse> {
  const startedAt = performance.now();
  for (let attempt = 0; ; attempt++) {
    try {
      if (!request.validateOnly) return await deps.db.transaction((sql) => applyOnce(sql, request, deps));
      await inTrial(deps.db, (sql) => applyOnce(sql, request, deps));
      return create(ApplyPeristiwaResponseSchema);
    } catch (cause) {
      if (!isAboutLocks(cause)) throw cause;
      if (performance.now() - startedAt > PATIENCE_MS) throw contention();
      await pause(backoffMs(attempt, BACKOFF));
    }
  }
}

async function applyOnce(
  sql: Sql,
  request: ApplyPeristiwaRequest,
  { wilayah, actor, action, at }: ApplyDeps,
): Promise<ApplyPeristiwaResponse> {
  const { peristiwa, laporan, kodeWilayah, pelaku } = request;
  const fingerprint = fingerprintOf(ApplyPeristiwaRequestSchema, { ...request, validateOnly: false });
  // The same event waits for itself, so that it finds its answer and not what it has changed; events of one report take turns.
  await sql.query(`set local lock_timeout = ${LOCK_WAIT_MS}`);
  for (const key of [peristiwa.toLowerCase(), laporan]) {
    await sql.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [key]);
  }
  const { rows } = await sql.query("select sidik, jawaban from peristiwa where id = $1", [peristiwa]);
  if (rows[0]) {
    const { sidik, jawaban } = rows[0];
    return fromBinary(
      ApplyPeristiwaResponseSchema,
      replayed(fingerprint, { fingerprint: sidik, response: jawaban }),
    );
  }

  const waktu = timestampDate(request.waktu!);
  const konteks: Konteks = {
    sql,
    peristiwa,
    laporan: idOf(laporan),
    kelurahan: kodeWilayah,
    today: civilDate(waktu),
    at,
    wilayah,
  };
  const berlaku = await decideAndWrite(konteks, request, await findTerdahulu(konteks));
  const answer = create(ApplyPeristiwaResponseSchema, { hasil: hasilOf(berlaku) });
  await sql.query({
    name: "peristiwa-berlaku",
    text: `insert into peristiwa (id, laporan, jenis, sidik, jawaban, jejak, waktu, created_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8)`,
    values: [
      peristiwa,
      konteks.laporan,
      berlaku.jenis,
      fingerprint,
      toBinary(ApplyPeristiwaResponseSchema, answer),
      JSON.stringify(jejakOf(berlaku.before, berlaku.efek)),
      waktu,
      at,
    ],
  });
  await appendToOutbox(sql, [
    {
      id: peristiwa,
      topic: "penduduk-events",
      key: laporan,
      subject: laporan,
      type: PeristiwaBerlakuSchema.typeName,
      time: at.toISOString(),
      traceparent: actor.traceparent,
      data: toBinary(
        PeristiwaBerlakuSchema,
        create(PeristiwaBerlakuSchema, {
          laporan,
          jenis: berlaku.jenis,
          kodeWilayah,
          hasil: answer.hasil!,
          pelaku,
          waktu: request.waktu!,
        }),
      ),
    },
  ]);
  const audit = { ...actor, subject: pelaku, action, resource: laporan, wilayah: kodeWilayah, at };
  await appendToAudit(sql, ...auditOf(audit, berlaku));
  return answer;
}

async function decideAndWrite(
  konteks: Konteks,
  { perintah, terlambat }: ApplyPeristiwaRequest,
  terdahulu: readonly Terdahulu[],
): Promise<Berlaku> {
  if (perintah.case === "pengesahan") {
    if (terdahulu.length > 0) throw refusedBy({ sebab: "ALREADY_APPLIED", subjek: "laporan" });
    return await sahkan(konteks, perintah.value, terlambat);
  }
  if (terdahulu.length === 0) throw refusedBy({ sebab: "NOT_APPLIED", subjek: "laporan" });
  if (terdahulu.some(({ jenis }) => jenis === Jenis.PENCABUTAN)) {
    throw refusedBy({ sebab: "REVOKED", subjek: "laporan" });
  }
  switch (perintah.case) {
    case "pengembalian":
      return await kembalikan(konteks, terdahulu);
    case "pembetulan":
      return await betulkan(konteks, perintah.value.sebelum!, perintah.value.sesudah!, terdahulu);
    case "pencabutan":
      return await cabut(konteks, perintah.value.isi!, terdahulu);
    default:
      throw new Error("there is something to take effect: the contract says so");
  }
}

async function findTerdahulu({ sql, laporan }: Konteks): Promise<Terdahulu[]> {
  const { rows } = await sql.query({
    name: "peristiwa-terdahulu",
    text: "select jenis, jejak from peristiwa where laporan = $1 order by urutan",
    values: [laporan],
  });
  return rows;
}

function hasilOf({ efek, nikTersamar, nomorAkta, nomorSuratPindah }: Berlaku): Hasil {
  return create(HasilSchema, {
    penduduk: efek.penduduk.map(pendudukName),
    kartuKeluarga: efek.kartu.map(kartuKeluargaName),
    nikTersamar: nikTersamar ?? "",
    nomorAkta: nomorAkta ?? "",
    nomorSuratPindah: nomorSuratPindah ?? "",
    kepalaBaru: efek.kepalaBaru.map(({ kartu, penduduk }) => ({
      kartuKeluarga: kartuKeluargaName(kartu),
      penduduk: penduduk === undefined ? "" : pendudukName(penduduk),
    })),
    mutasi: efek.mutasi.map(({ komponen, ...line }) => ({ ...line, komponen: komponen as Komponen })),
    dalamPerpindahan: efek.dalamPerpindahan,
  });
}

/** A lock that was not had in time, or a deadlock. */
function isAboutLocks(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && (cause.code === "55P03" || cause.code === "40P01");
}
