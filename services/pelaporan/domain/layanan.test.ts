import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { JADWAL } from "./efek.ts";
import { fold, type Peristiwa, type Tingkat } from "./laporan.ts";
import { decideEskalasi } from "./layanan.ts";

const at = (minute: number) => new Date(Date.UTC(2026, 10, 20, 3, minute));
const by = (pelaku: string, tingkat: Tingkat, minute: number) => ({ pelaku, tingkat, waktu: at(minute) });
const diajukan = (over: object = {}): Peristiwa<string> => ({
  jenis: "diajukan",
  nomor: "L-1",
  laporan: "kelahiran",
  kodeWilayah: "32.01.01.1006",
  tanggal: "2026-11-20",
  terlambat: false,
  isi: "",
  ...by("ani", "operator", 0),
  ...over,
});
const diverifikasi: Peristiwa<string> = { jenis: "diverifikasi", ...by("budi", "supervisor", 130) };
const dikembalikan: Peristiwa<string> = {
  jenis: "dikembalikan",
  alasan: "blur",
  ...by("budi", "supervisor", 130),
};
const eskalasi = (dari: Tingkat, minute: number): Peristiwa<string> => ({
  jenis: "tereskalasi",
  dari,
  pelaku: JADWAL,
  tingkat: "service",
  waktu: at(minute),
});

function given(...events: Peristiwa<string>[]) {
  return { at: (minute: number) => decideEskalasi(fold(events)!, at(minute)) };
}

describe("a report past its service target", () => {
  test("escalates when two hours are over, not a minute before", () => {
    assert.equal(given(diajukan()).at(119), undefined);
    assert.deepEqual(given(diajukan()).at(120), eskalasi("supervisor", 120));
  });

  test("has the target that it was submitted with", () => {
    const strict = diajukan({ jatuhTempo: at(30).toISOString() });
    assert.deepEqual(given(strict).at(30), eskalasi("supervisor", 30));
  });

  test("escalates once at each level", () => {
    const once = [diajukan(), eskalasi("supervisor", 120)];
    assert.equal(given(...once).at(500), undefined);
    assert.deepEqual(given(...once, diverifikasi).at(500), eskalasi("admin_kota", 500));
    assert.deepEqual(given(...once, dikembalikan).at(500), eskalasi("operator", 500));
    const again: Peristiwa<string> = {
      jenis: "diajukan_kembali",
      terlambat: false,
      isi: "",
      ...by("ani", "operator", 140),
    };
    assert.equal(given(...once, dikembalikan, again).at(500), undefined);
  });

  test("does not when it has come to its end", () => {
    const approved: Peristiwa<string> = {
      jenis: "disahkan",
      nomorKeputusan: "",
      ...by("citra", "admin_kota", 131),
    };
    const rejected: Peristiwa<string> = { jenis: "ditolak", alasan: "x", ...by("budi", "supervisor", 130) };
    assert.equal(given(diajukan(), diverifikasi, approved).at(500), undefined);
    assert.equal(given(diajukan(), rejected).at(500), undefined);
  });

  test("stands where it stood, with its reason, and says which levels let it wait", () => {
    const laporan = fold([diajukan(), dikembalikan, eskalasi("operator", 200)])!;
    assert.deepEqual([laporan.status, laporan.alasan, laporan.versi], ["dikembalikan", "blur", 3]);
    assert.deepEqual([laporan.eskalasi, laporan.sejak], [["operator"], at(130)]);
  });
});
