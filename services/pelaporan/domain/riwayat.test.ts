import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decideJawaban, decideKedaluwarsa, hasilKosong, isPengembalian } from "./efek.ts";
import type { Isi } from "./isi.ts";
import {
  evolve,
  fold,
  type Laporan,
  type Peran,
  type Peristiwa,
  type Status,
  type Tingkat,
} from "./laporan.ts";
import { decideSubmit, decideTransisi, type Keadaan, type Putusan, type Transisi } from "./putusan.ts";

// Thousands of random lives of a report: valid and invalid commands of many people, some of whom change roles between them.
const KELURAHAN = "32.01.01.1006";
const wilayah = { has: () => true };
const isi = (tanggalLahir: string): Isi => ({
  formulir: {
    case: "kelahiran",
    value: {
      tanggalLahir,
      ibuTidakDiketahui: false,
      nikIbu: "3201014101900001",
      namaIbu: "Siti",
      nikAyah: "",
      saksi: [],
    },
  },
});

const dates = fc.constantFrom("2026-11-15", "2026-01-15", "2027-06-01");
const alasan = fc.constantFrom("", "why");
const commands: fc.Arbitrary<Transisi<Isi>> = fc.oneof(
  fc.constant({ jenis: "verify" as const }),
  fc.record({ jenis: fc.constant("approve" as const), nomorKeputusan: fc.constantFrom("", "474/1") }),
  fc.record({ jenis: fc.constant("return" as const), alasan }),
  fc.record({ jenis: fc.constant("resubmit" as const), isi: dates.map(isi) }),
  fc.record({ jenis: fc.constant("reject" as const), alasan }),
  fc.record({ jenis: fc.constant("cancel" as const), alasan }),
  fc.record({
    jenis: fc.constant("correct" as const),
    alasan,
    nomorPutusan: fc.constant(""),
    isi: dates.map(isi),
  }),
  fc.record({ jenis: fc.constant("revoke" as const), alasan, nomorPutusan: fc.constantFrom("", "12/Pdt.P") }),
  fc.record({ jenis: fc.constant("cancelPerpindahan" as const), alasan }),
  fc.constant({ jenis: "reapply" as const }),
);
/** What the registry says when it is asked, and time that passes: both come between what people decide. */
const others = fc.constantFrom("takes effect", "is refused", "has arrived", "time is up");
/** Mostly of the right wilayah, or hardly a report would get anywhere. */
const accounts = fc
  .tuple(
    fc.constantFrom("ani", "budi", "citra", "dedi", "eka"),
    fc.constantFrom<[Tingkat, string]>(
      ["operator", KELURAHAN],
      ["supervisor", "32.01.01"],
      ["admin_kota", "32.01"],
      ["operator", "32.01.01.1007"],
      ["admin_kota", "32.02"],
    ),
  )
  .map(([subject, [role, own]]) => ({ subject, role, wilayah: own }));

const NEXT: Record<Status, readonly Status[]> = {
  diajukan: ["diverifikasi", "dikembalikan", "ditolak", "dibatalkan"],
  diverifikasi: ["disahkan", "dikembalikan", "ditolak"],
  dikembalikan: ["diajukan", "dibatalkan"],
  disahkan: ["disahkan", "dicabut", "pindah_batal"],
  dicabut: ["dicabut"],
  pindah_batal: [],
  ditolak: [],
  dibatalkan: [],
};

test("whatever is commanded, a report moves along its ways alone, by three persons, and replays to the same state", () => {
  const ends = new Set<Status>();
  fc.assert(
    fc.property(
      dates,
      fc.array(fc.tuple(fc.oneof(commands, commands, others), accounts), { maxLength: 90, size: "max" }),
      (date, steps) => {
        const keadaan = (pelaku: Keadaan["pelaku"], minute: number): Keadaan => ({
          pelaku,
          waktu: new Date(Date.UTC(2026, 10, 20, 0, minute)),
          tanggal: "2026-11-20",
          wilayah,
        });
        const submitter = { subject: "ani", role: "operator", wilayah: KELURAHAN };
        const first = decideSubmit(
          { jenis: "submit", nomor: "L-1", kodeWilayah: KELURAHAN, isi: isi(date) },
          keadaan(submitter, 0),
        );
        assert.equal(first.ok, date < "2026-11-20");
        if (!first.ok) return;
        const events: Peristiwa<Isi>[] = [first.peristiwa];
        let state: Laporan<Isi> = evolve(undefined, first.peristiwa);
        for (const [minute, [command, pelaku]] of steps.entries()) {
          const peristiwa =
            typeof command === "string"
              ? happen(command, state, keadaan(pelaku, minute + 1).waktu)
              : decided(decideTransisi(command, state, keadaan(pelaku, minute + 1)));
          if (!peristiwa) continue;
          const after = evolve(state, peristiwa);
          assert.ok(NEXT[state.status].includes(after.status), `${state.status} to ${after.status}`);
          const wasWaiting = state.efek?.status === "menunggu";
          const isAnswer = peristiwa.jenis === "berlaku" || peristiwa.jenis === "gagal_berlaku";
          assert.equal(wasWaiting, isAnswer, "while a command waits, its answer alone happens");
          assert.ok((after.efek?.hasil.dalamPerpindahan ?? 0) >= 0);
          events.push(peristiwa);
          state = after;
        }
        ends.add(state.status);
        assert.equal(state.versi, events.length);
        assert.deepEqual(fold(events), state);
        const levels = new Map<string, Set<Peran>>();
        for (const { pelaku, tingkat } of events) {
          levels.set(pelaku, (levels.get(pelaku) ?? new Set()).add(tingkat));
        }
        for (const [who, held] of levels) assert.equal(held.size, 1, `${who} acted at several levels`);
        if (state.efek) {
          assert.equal(new Set([state.pengaju, state.pemverifikasi, state.pengesah]).size, 3);
          assert.equal(state.nomorKeputusan !== "", state.terlambat);
        }
        assert.equal(
          state.efek !== undefined,
          events.some(({ jenis }) => jenis === "disahkan"),
        );
        if (state.status === "pindah_batal") assert.equal(state.efek?.isiBerlaku, undefined);
      },
    ),
    { numRuns: 3_000, seed: 7 },
  );
  assert.deepEqual([...ends].sort(), Object.keys(NEXT).sort(), "every status was come to");
});

function decided(putusan: Putusan<Isi>): Peristiwa<Isi> | undefined {
  return putusan.ok ? putusan.peristiwa : undefined;
}

/** What is not decided by a person. Any approval may bring members into transit here: what a report says is no matter of it. */
function happen(
  what: "takes effect" | "is refused" | "has arrived" | "time is up",
  state: Laporan<Isi>,
  waktu: Date,
): Peristiwa<Isi> | undefined {
  if (what === "time is up") return decideKedaluwarsa(state, waktu);
  const { efek } = state;
  if (what !== "takes effect") {
    const sebab = what === "is refused" ? "NOT_ALIVE" : "SURAT_PINDAH_CLOSED";
    return decideJawaban(state, { ok: false, sebab, keterangan: "" }, waktu);
  }
  const inTransit = efek?.hasil.dalamPerpindahan ?? 0;
  const goes = efek?.perintah === "pengesahan" ? 2 : 0;
  const comesBack = efek && (isPengembalian(efek.perintah) || efek.perintah === "pencabutan");
  const dalamPerpindahan = comesBack ? -inTransit : goes;
  return decideJawaban(state, { ok: true, hasil: { ...hasilKosong, dalamPerpindahan } }, waktu);
}
