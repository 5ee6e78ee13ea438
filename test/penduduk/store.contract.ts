// What every PendudukStore adapter must do; each adapter's test runs this suite over the real engine.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, describe, test } from "node:test";
import { v7 as uuidv7 } from "uuid";
import type { AuditEntry } from "#chassis/audit.ts";
import type { OutboxEvent } from "#chassis/outbox.ts";
import type {
  KartuKeluargaRecord,
  PendudukRecord,
  PendudukStore,
  PendudukTransaction,
  RegisterCommand,
} from "../../services/penduduk/store.ts";
import { freshNik, NOW } from "./registry.ts";

export type PendudukStoreUnderTest = {
  store: PendudukStore;
  /** The store of another process over the same data. */
  replica: PendudukStore;
  /** Runs work in one transaction, which a throw takes back. */
  transaction: <T>(work: (tx: PendudukTransaction) => Promise<T>) => Promise<T>;
  /** Ids that are committed: of residents, of events that tell of the resource names, of audited resource names. */
  committed: () => Promise<{ residents: string[]; events: string[]; audited: string[] }>;
};

export function pendudukStoreContract(name: string, underTest: () => PendudukStoreUnderTest): void {
  describe(`PendudukStore: ${name}`, () => {
    let store: PendudukStore;
    let replica: PendudukStore;
    let transaction: PendudukStoreUnderTest["transaction"];
    let committed: PendudukStoreUnderTest["committed"];
    before(() => {
      ({ store, replica, transaction, committed } = underTest());
    });

    /** Each resident exactly once, with one event and one audit row; none of the others in any of the three. */
    async function assertCommitted(yes: readonly RegisterCommand[], no: readonly RegisterCommand[] = []) {
      const all = await committed();
      const times = (list: string[], wanted: string) => list.filter((each) => each === wanted).length;
      for (const [commands, expected] of [
        [yes, 1],
        [no, 0],
      ] as const) {
        for (const { record, event, audit } of commands) {
          const found = [
            times(all.residents, record.id),
            times(all.events, event.id),
            times(all.audited, audit.resource),
          ];
          assert.deepEqual(found, [expected, expected, expected]);
        }
      }
    }

    describe("register", () => {
      test("resident, event and audit row are stored, and the resident is found as given", async () => {
        const command = newCommand({ nama: "Ma'ruf Sañjaya-Œ", alamat: `Jl. "Quotes" \\ No. 1` });
        assert.deepEqual(await store.register(command), { kind: "registered" });
        assert.deepEqual(await store.findById(command.record.id), command.record);
        assert.deepEqual(await store.findByNik(command.record.nik), command.record);
        await assertCommitted([command]);
      });

      test("a NIK that is registered is refused, and nothing of the second registration is kept", async () => {
        const first = newCommand();
        const second = newCommand({ nik: first.record.nik });
        await store.register(first);
        assert.deepEqual(await store.register(second), { kind: "duplicate_nik" });
        await assertCommitted([first], [second]);
      });

      test("a request id that is known gives the first answer and its fingerprint", async () => {
        const first = newCommand({}, { requestId: randomUUID() });
        const again = repeated(first);
        await store.register(first);
        const outcome = await store.register(again);
        assert.equal(outcome.kind, "replayed");
        assert.ok(outcome.kind === "replayed");
        assert.deepEqual([...outcome.response], [...first.idempotency!.response]);
        assert.deepEqual([...outcome.fingerprint], [...first.idempotency!.fingerprint]);
        await assertCommitted([first], [again]);
      });

      test("request ids of different accounts never meet", async () => {
        const requestId = randomUUID();
        const one = newCommand({}, { requestId, subject: "a" });
        const other = newCommand({}, { requestId, subject: "b" });
        assert.equal((await store.register(one)).kind, "registered");
        assert.equal((await store.register(other)).kind, "registered");
      });

      test("a refused registration does not use up its request id", async () => {
        const taken = newCommand();
        await store.register(taken);
        const requestId = randomUUID();
        const refused = newCommand({ nik: taken.record.nik }, { requestId });
        assert.equal((await store.register(refused)).kind, "duplicate_nik");
        assert.equal((await store.register(newCommand({}, { requestId }))).kind, "registered");
      });

      test("the same request at the same time, from two processes: one registers, all others get its answer", async () => {
        for (let round = 0; round < 20; round++) {
          const first = newCommand({}, { requestId: randomUUID() });
          const repetitions = round < 10 ? 1 : 9;
          const commands = [first, ...Array.from({ length: repetitions }, () => repeated(first))];
          const outcomes = await Promise.all(
            commands.map((command, n) => (n % 2 ? store : replica).register(command)),
          );
          const winner = commands[outcomes.findIndex(({ kind }) => kind === "registered")]!;
          assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), [
            "registered",
            ...Array(repetitions).fill("replayed"),
          ]);
          for (const outcome of outcomes) {
            if (outcome.kind === "replayed")
              assert.deepEqual([...outcome.response], [...winner.idempotency!.response]);
          }
          await assertCommitted(
            [winner],
            commands.filter((command) => command !== winner),
          );
        }
      });

      test("one request id with two requests at the same time: one registers, the other is told of the first", async () => {
        const requestId = randomUUID();
        const commands = [newCommand({}, { requestId }), newCommand({}, { requestId })];
        const outcomes = await Promise.all(commands.map((command) => store.register(command)));
        assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), ["registered", "replayed"]);
        const winner = outcomes.findIndex(({ kind }) => kind === "registered");
        await assertCommitted([commands[winner]!], [commands[1 - winner]!]);
      });

      test("200 at once with duplicates among them: each NIK is registered once, and each call has its own outcome", async () => {
        const commands = Array.from({ length: 150 }, () => newCommand());
        const duplicates = commands.slice(0, 50).map(({ record }) => newCommand({ nik: record.nik }));
        const mixed = [...commands.slice(0, 100), ...duplicates, ...commands.slice(100)];
        const outcomes = await Promise.all(
          mixed.map((command, n) => (n % 3 ? store : replica).register(command)),
        );
        const won = mixed.filter((_, n) => outcomes[n]!.kind === "registered");
        const lost = mixed.filter((_, n) => outcomes[n]!.kind === "duplicate_nik");
        assert.equal(won.length, 150);
        assert.equal(lost.length, 50);
        assert.equal(new Set(won.map(({ record }) => record.nik)).size, 150);
        await assertCommitted(won, lost);
      });

      test("a row that cannot be stored fails alone: its neighbours are registered", async () => {
        const good = Array.from({ length: 5 }, () => newCommand({}, { requestId: randomUUID() }));
        const bad = newCommand({ tanggalLahir: "1990-02-30" });
        const all = [...good.slice(0, 2), bad, ...good.slice(2)];
        const outcomes = await Promise.allSettled(all.map((command) => store.register(command)));
        assert.deepEqual(
          outcomes.map(({ status }) => status),
          ["fulfilled", "fulfilled", "rejected", "fulfilled", "fulfilled", "fulfilled"],
        );
        await assertCommitted(good, [bad]);
      });

      test("a duplicate with a request id does not change its neighbours' outcome", async () => {
        const taken = newCommand();
        await store.register(taken);
        const fresh = Array.from({ length: 4 }, () => newCommand());
        const duplicate = newCommand({ nik: taken.record.nik }, { requestId: randomUUID() });
        const outcomes = await Promise.all([...fresh, duplicate].map((command) => store.register(command)));
        assert.deepEqual(
          outcomes.map(({ kind }) => kind),
          ["registered", "registered", "registered", "registered", "duplicate_nik"],
        );
      });
    });

    describe("look-ups", () => {
      test("what is not there is undefined", async () => {
        assert.equal(await store.findById(randomUUID()), undefined);
        assert.equal(await store.findByNik("3201010101909999"), undefined);
        assert.equal(await store.findKartuKeluarga({ id: randomUUID() }), undefined);
        assert.equal(await store.findKartuKeluarga({ nomorKk: "3201010101909999" }), undefined);
      });
    });

    describe("search", () => {
      const kodeWilayah = "11.01.01";
      const find = (over: Partial<Parameters<PendudukStore["search"]>[0]>) =>
        store.search({ nama: "", tanggalLahir: "", kodeWilayah, limit: 50, after: undefined, ...over });
      const names = async (over: Parameters<typeof find>[0]) =>
        (await find(over)).map(({ record }) => record.nama);

      before(async () => {
        const people = [
          { nama: "Siti Nurhaliza", kodeWilayah: "11.01.01.2001", tanggalLahir: "1990-05-01" },
          { nama: "Siti Nurhalizah Binti Ahmad", kodeWilayah: "11.01.01.2002" },
          { nama: "Bambang Pamungkas", kodeWilayah: "11.01.01" },
          { nama: "Siti Nurhaliza", kodeWilayah: "11.01.02.2001" },
          // "11.01.01" is no prefix of "11.01.011": a code is more than its letters.
          { nama: "Siti Nurhaliza", kodeWilayah: "11.02.01" },
        ];
        await Promise.all(people.map((over) => store.register(newCommand(over))));
        await Promise.all(
          Array.from({ length: 30 }, () =>
            store.register(newCommand({ nama: "Dewi Lestari", kodeWilayah: "12.01.01" })),
          ),
        );
      });

      test("a part of the name finds it, the best match first, case ignored", async () => {
        assert.deepEqual(await names({ nama: "siti nurhaliza" }), [
          "Siti Nurhaliza",
          "Siti Nurhalizah Binti Ahmad",
        ]);
        assert.deepEqual(await names({ nama: "pamung" }), ["Bambang Pamungkas"]);
        assert.deepEqual(await names({ nama: "Xaverius" }), []);
      });

      test("only residents of the wilayah are found; every level bounds, the nation does not", async () => {
        assert.equal((await find({ nama: "Siti Nurhaliza", kodeWilayah: "11.01" })).length, 3);
        assert.equal((await find({ nama: "Siti Nurhaliza", kodeWilayah: "11.01.01.2001" })).length, 1);
        assert.equal((await find({ nama: "Siti Nurhaliza", kodeWilayah: "11" })).length, 4);
        assert.equal((await find({ nama: "Siti Nurhaliza", kodeWilayah: "ID" })).length, 4);
        assert.equal((await find({ nama: "Siti Nurhaliza", kodeWilayah: "1" })).length, 0);
      });

      test("a birth date narrows the search", async () => {
        assert.deepEqual(await names({ nama: "Siti", tanggalLahir: "1990-05-01" }), ["Siti Nurhaliza"]);
        assert.deepEqual(await names({ nama: "Siti", tanggalLahir: "1991-05-01" }), []);
      });

      test("pages join without a gap or a repetition, also among equal names", async () => {
        const seen: string[] = [];
        let after: { similarity: string; id: string } | undefined;
        for (let page = 0; page < 10; page++) {
          const found = await find({ nama: "Dewi Lestari", kodeWilayah: "12", limit: 7, after });
          seen.push(...found.map(({ record }) => record.id));
          const last = found.at(-1);
          if (!last) break;
          after = { similarity: last.similarity, id: last.record.id };
          // Somebody who registers meanwhile comes later in the order, or not at all, but moves nobody.
          await store.register(newCommand({ nama: "Dewi Lestari", kodeWilayah: "12.01.02" }));
        }
        assert.equal(new Set(seen).size, seen.length);
        assert.ok(seen.length >= 30);
      });
    });

    describe("export", () => {
      test("every resident of the wilayah comes exactly once, in the order of the key", async () => {
        const commands = Array.from({ length: 25 }, (_, n) =>
          newCommand({ kodeWilayah: ["13.01.01", "13.01.01.2001", "13.02.03"][n % 3]! }),
        );
        await Promise.all([
          ...commands.map((command) => store.register(command)),
          store.register(newCommand({ kodeWilayah: "14.01.01" })),
        ]);
        const seen: PendudukRecord[] = [];
        for (;;) {
          const last = seen.at(-1);
          const batch = await store.exportAfter("13", last, 4);
          assert.ok(batch.length <= 4);
          if (batch.length === 0) break;
          seen.push(...batch);
        }
        // A blank comes before every character of a code.
        const key = ({ kodeWilayah, id }: PendudukRecord) => `${kodeWilayah} ${id}`;
        assert.deepEqual(seen.map(key), commands.map(({ record }) => key(record)).sort());
        assert.deepEqual(await store.exportAfter("99", undefined, 4), []);
      });

      test("residents of every status are exported", async () => {
        const kodeWilayah = "15.01.01";
        const commands = ([1, 2, 3, 4, 5] as const).map((status) => newCommand({ kodeWilayah, status }));
        await Promise.all(commands.map((command) => store.register(command)));
        const exported = await store.exportAfter(kodeWilayah, undefined, 50);
        assert.deepEqual(exported.map(({ status }) => status).sort(), [1, 2, 3, 4, 5]);
      });

      test("a cursor outside the wilayah leads nowhere but into it", async () => {
        const id = randomUUID();
        for (const [kodeWilayah, outside, found] of [
          ["13.02", "13.01.01", 8],
          ["13.02", "", 8],
          ["13.02", "14.01.01", 0],
        ] as const) {
          const exported = await store.exportAfter(kodeWilayah, { kodeWilayah: outside, id }, 50);
          assert.equal(exported.length, found, outside);
          assert.ok(exported.every((record) => record.kodeWilayah.startsWith(kodeWilayah)));
        }
      });
    });

    test("a reading is audited by itself", async () => {
      const { audit } = newCommand();
      await store.audit([audit]);
      const { audited } = await committed();
      assert.equal(audited.filter((resource) => resource === audit.resource).length, 1);
    });

    describe("transactions", () => {
      test("serials count from 1 and each prefix for itself", async () => {
        const next = (prefix: string, kind: "nik" | "kk" = "nik") =>
          transaction((tx) => tx.nextSerial(kind, prefix));
        assert.equal(await next("510101010101"), 1);
        assert.equal(await next("510101010101"), 2);
        assert.equal(await next("510101010102"), 1);
        assert.equal(await next("510101010101", "kk"), 1);
      });

      test("a serial is the lowest above every number that exists with its prefix", async () => {
        await store.register(newCommand({ nik: "5101010201010040" }));
        assert.equal(await transaction((tx) => tx.nextSerial("nik", "510101020101")), 41);
        await store.register(newCommand({ nik: "5101010201010041" }));
        assert.equal(await transaction((tx) => tx.nextSerial("nik", "510101020101")), 42);
      });

      test("a transaction that fails gives its serial back", async () => {
        const prefix = "510101030101";
        const failed = transaction(async (tx) => {
          assert.equal(await tx.nextSerial("nik", prefix), 1);
          throw new Error("made to fail");
        });
        await assert.rejects(failed, /made to fail/);
        assert.equal(await transaction((tx) => tx.nextSerial("nik", prefix)), 1);
      });

      test("concurrent transactions get different, consecutive serials", async () => {
        const taken = await Promise.all(
          Array.from({ length: 100 }, () => transaction((tx) => tx.nextSerial("nik", "510101040101"))),
        );
        assert.deepEqual(
          taken.toSorted((a, b) => a! - b!),
          Array.from({ length: 100 }, (_, n) => n + 1),
        );
      });

      test("after 9999 there is no serial", async () => {
        await store.register(newCommand({ nik: "5101010501019998" }));
        assert.equal(await transaction((tx) => tx.nextSerial("nik", "510101050101")), 9_999);
        assert.equal(await transaction((tx) => tx.nextSerial("nik", "510101050101")), undefined);
        assert.equal(await transaction((tx) => tx.nextSerial("nik", "510101050101")), undefined);
      });

      test("an update changes the given columns, raises the revision, and leaves the rest", async () => {
        const { record } = await registered();
        const at = new Date("2026-12-01T00:00:00Z");
        await transaction((tx) => tx.update(record.id, { nama: "Nama Baru", agama: 3 }, at, uuidv7()));
        assert.deepEqual(await store.findById(record.id), {
          ...record,
          nama: "Nama Baru",
          agama: 3,
          revision: 2,
          updatedAt: at,
        });
      });

      test("event and audit row commit with the change, or not at all", async () => {
        const { record, event, audit } = newCommand();
        const failed = transaction(async (tx) => {
          await tx.append(event, audit);
          throw new Error("made to fail");
        });
        await assert.rejects(failed, /made to fail/);
        const none = await committed();
        assert.ok(!none.events.includes(event.id) && !none.audited.includes(audit.resource));
        await transaction((tx) => tx.append(event, audit));
        const one = await committed();
        assert.ok(one.events.includes(event.id) && one.audited.includes(audit.resource));
        assert.equal(await store.findById(record.id), undefined);
      });

      test("a record that is read for update is not changed by another until the end", async () => {
        const { record } = await registered();
        const add = () =>
          transaction(async (tx) => {
            const before = await tx.findByIdForUpdate(record.id);
            await tx.update(record.id, { rt: String(Number(before!.rt || "0") + 1) }, NOW, uuidv7());
          });
        await Promise.all(Array.from({ length: 20 }, add));
        const after = await store.findById(record.id);
        assert.equal(after!.rt, "20");
        assert.equal(after!.revision, 21);
      });

      test("a family card holds its members with their relation, and is found by id and by number", async () => {
        const [head, child] = [await registered(), await registered()];
        const card = newCard([
          { ...member(child.record), shdk: 4 },
          { ...member(head.record), shdk: 1 },
        ]);
        await transaction((tx) => tx.createKartuKeluarga(card, uuidv7()));
        for (const key of [{ id: card.id }, { nomorKk: card.nomorKk }]) {
          const found = await store.findKartuKeluarga(key);
          assert.deepEqual(
            { ...found!, anggota: undefined },
            { ...card, anggota: undefined, revision: found!.revision },
          );
          assert.deepEqual(byId(found!.anggota), byId(card.anggota));
        }
        const after = await store.findById(child.record.id);
        assert.equal(after!.nomorKk, card.nomorKk);
        assert.equal(after!.shdk, 4);
        assert.equal(after!.revision, 2);
      });

      test("who waits for a member sees the family card that the other transaction gave them", async () => {
        const { record } = await registered();
        const join = () =>
          transaction(async (tx) => {
            const [resident] = await tx.findByNikForUpdate([record.nik]);
            if (resident!.nomorKk !== "") return "already";
            await tx.createKartuKeluarga(newCard([{ ...member(record), shdk: 1 }]), uuidv7());
            return "joined";
          });
        const outcomes = await Promise.all(Array.from({ length: 6 }, join));
        assert.deepEqual(outcomes.sort(), [...Array(5).fill("already"), "joined"]);
        const byId = await transaction((tx) => tx.findByIdForUpdate(record.id));
        assert.notEqual(byId!.nomorKk, "");
      });

      test("two families that share members in another order do not wait for each other in a circle", async () => {
        const members = await Promise.all(Array.from({ length: 6 }, () => registered()));
        const niks = members.map(({ record }) => record.nik);
        const touch = (order: string[]) =>
          transaction(async (tx) => {
            const found = await tx.findByNikForUpdate(order);
            assert.equal(found.length, niks.length);
          });
        await Promise.all(Array.from({ length: 20 }, (_, n) => touch(n % 2 ? niks : niks.toReversed())));
      });

      test("a NIK nobody has is left out of the read", async () => {
        const { record } = await registered();
        const found = await transaction((tx) => tx.findByNikForUpdate([record.nik, "9999999999999999"]));
        assert.deepEqual(
          found.map(({ nik }) => nik),
          [record.nik],
        );
      });
    });

    async function registered(): Promise<RegisterCommand> {
      const command = newCommand();
      assert.equal((await store.register(command)).kind, "registered");
      return command;
    }
  });
}

type Caller = { requestId?: string; subject?: string };

function newCommand(
  over: Partial<PendudukRecord> = {},
  { requestId, subject = "account-1" }: Caller = {},
): RegisterCommand {
  const record: PendudukRecord = {
    id: uuidv7(),
    nik: freshNik(),
    nama: "Budi Santoso",
    alamat: "Jl. Merdeka No. 1",
    kodeWilayah: "32.01.01.1006",
    tanggalLahir: "1990-01-01",
    tempatLahir: "Bogor",
    pekerjaan: "",
    rt: "",
    rw: "007",
    namaIbu: "Siti",
    namaAyah: "",
    jenisKelamin: 1,
    agama: 1,
    statusPerkawinan: 2,
    golonganDarah: 0,
    status: 1,
    shdk: 0,
    nomorKk: "",
    revision: 1,
    createdAt: NOW,
    updatedAt: NOW,
    ...over,
  };
  const name = `penduduk/${record.id}`;
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const event: OutboxEvent = {
    id: uuidv7(),
    topic: "pendaftaran-events",
    key: record.kodeWilayah,
    type: "lampid.test.v1.Tested",
    subject: name,
    time: NOW.toISOString(),
    traceparent,
    data: new Uint8Array([0, 1, 255]),
  };
  const audit: AuditEntry = {
    subject,
    role: "operator",
    action: "test/Test",
    resource: name,
    wilayah: record.kodeWilayah,
    traceparent,
    at: NOW,
  };
  const idempotency =
    requestId === undefined
      ? undefined
      : { requestId, fingerprint: Buffer.from(record.nik), response: Buffer.from(record.id) };
  return { record, event, audit, idempotency };
}

/** The same request as it arrives again: everything that the service makes up is new. */
function repeated({ record, audit, idempotency }: RegisterCommand): RegisterCommand {
  return newCommand(
    { nik: record.nik },
    { subject: audit.subject, ...(idempotency ? { requestId: idempotency.requestId } : {}) },
  );
}

let cards = 0;

function newCard(anggota: KartuKeluargaRecord["anggota"]): KartuKeluargaRecord {
  return {
    id: uuidv7(),
    nomorKk: `320101201126${String(++cards).padStart(4, "0")}`,
    alamat: "Jl. Merdeka No. 1",
    kodeWilayah: "32.01.01.1006",
    revision: 1,
    createdAt: NOW,
    anggota,
  };
}

function member({ id, nik, nama }: PendudukRecord) {
  return { id, nik, nama };
}

function byId<T extends { id: string }>(list: readonly T[]): T[] {
  return list.toSorted((a, b) => a.id.localeCompare(b.id));
}
