// Commands to runs, from people and from the schedule: each checks what is stored, changes it and is audited in one
// transaction.
import { v7 as uuidv7 } from "uuid";
import { appendToAudit } from "#chassis/audit.ts";
import type { Actor } from "#chassis/caller.ts";
import type { Database, Sql } from "#chassis/database.ts";
import { type IdempotencyKey, idempotently } from "#chassis/idempotency.ts";
import { refuse, refuseFields } from "#chassis/refusal.ts";
import { NATION, type WilayahIndex, wilayahContains } from "#chassis/wilayah.ts";
import { type Operation, OperationSchema } from "#gen/google/longrunning/operations_pb.ts";
import { type Decision, decideCancel, decidePause, decideResume, overlaps } from "./domain/run.ts";
import { runName, runToOperation } from "./messages.ts";
import type { RunRecord, RunStore } from "./store.ts";

export type CommandDeps = {
  db: Database;
  store: RunStore;
  wilayah: Pick<WilayahIndex, "has">;
  clock: () => Date;
  /** Rows a batch of new runs. */
  ukuran: number;
  /** Limit of bad rows where a start names none. */
  batasKarantinaPersen: number;
  /** Tells the runner of this process, if it is the active one, that there is something to do. */
  onChanged: () => void;
};

export type StartRun = {
  /** "" is the nation. */
  kodeWilayah: string;
  sinceVersi: bigint;
  sejakTerakhir: boolean;
  ujiCoba: boolean;
  batasKarantinaPersen?: number | undefined;
};

/** Who commands, and by which method. */
export type By = { actor: Actor; action: string };

export type Commands = ReturnType<typeof runCommands>;

export function runCommands(deps: CommandDeps) {
  const { db, store, wilayah, clock, onChanged } = deps;

  return {
    /** @throws Refused INVALID_ARGUMENT; FAILED_PRECONDITION while a run over a part of the same wilayah is not over. */
    async start(request: StartRun, key: IdempotencyKey, by: By): Promise<Operation> {
      const kodeWilayah = request.kodeWilayah || NATION;
      checkStart(request, kodeWilayah, wilayah);
      const operation = await idempotently(db, key, OperationSchema, async (sql) => {
        await store.lockStarts(sql);
        await refuseOverlap(sql, kodeWilayah);
        const id = uuidv7();
        await store.create(sql, {
          id,
          kodeWilayah,
          sinceVersi: request.sejakTerakhir ? await lastVersi(sql, kodeWilayah) : request.sinceVersi,
          ukuran: deps.ukuran,
          ujiCoba: request.ujiCoba,
          batasKarantinaPersen: request.batasKarantinaPersen ?? deps.batasKarantinaPersen,
          pemulai: by.actor.subject,
          createdAt: clock(),
        });
        const run = (await store.find(id, sql))!;
        await audit(sql, run, by);
        return runToOperation(run);
      });
      onChanged();
      return operation;
    },

    pause: (id: string, by: By) => change(id, by, decidePause, "NOT_RUNNING"),
    cancel: (id: string, by: By) => change(id, by, decideCancel, "RUN_IS_OVER"),
    resume: (id: string, batasKarantinaPersen: number | undefined, by: By) =>
      change(id, by, decideResume, "RUN_IS_OVER", batasKarantinaPersen),
  };

  async function change(
    id: string,
    by: By,
    decide: (keadaan: RunRecord["keadaan"]) => Decision,
    reason: string,
    batasKarantinaPersen?: number,
  ): Promise<RunRecord> {
    const changed = await db.transaction(async (sql) => {
      await store.lockStarts(sql);
      const run = await store.find(id, sql);
      if (!run) throw refuse("notFound", "NOT_FOUND", "there is no such run");
      const decision = decide(run.keadaan);
      if ("refused" in decision) throw refuse("precondition", reason, decision.refused);
      if ("stays" in decision && batasKarantinaPersen === undefined) return run;
      const to = "to" in decision ? decision.to : run.keadaan;
      if (to === "berjalan") await refuseOverlap(sql, run.kodeWilayah, id);
      const move = { id, from: [run.keadaan], to, at: clock(), batasKarantinaPersen };
      // The runner ends runs without the lock: it may have been faster.
      if (!(await store.move(sql, move))) {
        throw refuse("conflict", "RUN_HAS_CHANGED", "the run has just changed: look again");
      }
      await audit(sql, run, by);
      return (await store.find(id, sql))!;
    });
    onChanged();
    return changed;
  }

  async function refuseOverlap(sql: Sql, kodeWilayah: string, except?: string): Promise<void> {
    const others = (await store.notOver(sql)).filter(({ id }) => id !== except);
    const other = others.find((run) => overlaps(run.kodeWilayah, kodeWilayah));
    if (!other) return;
    const name = runName(other.id);
    throw refuse(
      "precondition",
      "SINKRONISASI_BERJALAN",
      `${name} over ${other.kodeWilayah} is not over: wait for it, or cancel it`,
      { metadata: { sinkronisasi: name } },
    );
  }

  /** Version of the newest run that ended well and covered this wilayah; 0 without one. */
  async function lastVersi(sql: Sql, kodeWilayah: string): Promise<bigint> {
    const agreed = await store.agreed(sql);
    return agreed.find((run) => wilayahContains(run.kodeWilayah, kodeWilayah))?.asOfVersi ?? 0n;
  }

  async function audit(sql: Sql, { id, kodeWilayah }: RunRecord, { actor, action }: By): Promise<void> {
    await appendToAudit(sql, { ...actor, action, resource: runName(id), wilayah: kodeWilayah, at: clock() });
  }
}

function checkStart(
  { sinceVersi, sejakTerakhir }: StartRun,
  kodeWilayah: string,
  wilayah: Pick<WilayahIndex, "has">,
): void {
  if (kodeWilayah !== NATION && !wilayah.has(kodeWilayah)) {
    const description = "there is no such wilayah";
    throw refuseFields([{ field: "kode_wilayah", description, reason: "WILAYAH_UNKNOWN" }]);
  }
  if (sejakTerakhir && sinceVersi !== 0n) {
    const description = "must be 0 where sejak_terakhir is set";
    throw refuseFields([{ field: "since_versi", description, reason: "SINCE_TWICE" }]);
  }
}
