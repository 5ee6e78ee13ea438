import assert from "node:assert/strict";
import { test } from "node:test";
import { type Jejak, joinJejak, type Letak } from "./jejak.ts";
import { keadaanOf, membersOf, PERKAWINAN, type Penduduk, SHDK, STATUS } from "./keadaan.ts";
import { decidePencabutan } from "./pencabutan.ts";

const ASAL = { kodeWilayah: "32.01.01.1006", alamat: "Jl. Merdeka No. 1" };
const TUJUAN = { kodeWilayah: "32.01.02.2001", alamat: "Jl. Kenanga No. 3" };
const DIBETULKAN = { ...TUJUAN, alamat: "Jl. Kenanga No. 4" };

const letak = (kartu: string, residence = ASAL, shdk: number = SHDK.anak): Letak => ({
  status: STATUS.aktif,
  statusPerkawinan: PERKAWINAN.belumKawin,
  shdk,
  kartu,
  ...residence,
  rt: "",
  rw: "",
});

const resident = (id: string, at: Letak): Penduduk => ({
  id,
  nik: id,
  jenisKelamin: 1,
  tanggalLahir: "2026-11-10",
  ...at,
});

const card = (id: string, at = ASAL) => ({ id, nomorKk: id, ...at });

test("a child who lives in another family by the time that the name is corrected has still moved on", () => {
  const birth: Jejak = {
    penduduk: [{ id: "anak", sebelum: null, sesudah: letak("lama") }],
    kartu: [{ id: "lama", sebelum: ASAL, sesudah: ASAL }],
  };
  const there = letak("baru", TUJUAN);
  const correction: Jejak = { penduduk: [{ id: "anak", sebelum: there, sesudah: there }], kartu: [] };
  const now = keadaanOf([resident("anak", there)], [card("lama"), card("baru", TUJUAN)]);

  const putusan = decidePencabutan(now, joinJejak([birth, correction]));
  assert.deepEqual(putusan, { ok: false, penolakan: { sebab: "MOVED_ON", subjek: "penduduk/anak" } });
});

test("who joined a family after its move, and went along with a correction of the address, is not left behind", () => {
  const kepala = (at: typeof ASAL) => letak("k", at, SHDK.kepala);
  const move: Jejak = {
    penduduk: [{ id: "ayah", sebelum: kepala(ASAL), sesudah: kepala(TUJUAN) }],
    kartu: [{ id: "k", sebelum: ASAL, sesudah: TUJUAN }],
  };
  const correction: Jejak = {
    penduduk: [
      { id: "ayah", sebelum: kepala(TUJUAN), sesudah: kepala(DIBETULKAN) },
      { id: "bayi", sebelum: letak("k", TUJUAN), sesudah: letak("k", DIBETULKAN) },
    ],
    kartu: [{ id: "k", sebelum: TUJUAN, sesudah: DIBETULKAN }],
  };
  const now = keadaanOf(
    [resident("ayah", kepala(DIBETULKAN)), resident("bayi", letak("k", DIBETULKAN))],
    [card("k", DIBETULKAN)],
  );
  assert.equal(membersOf(now, "k").length, 2);

  const putusan = decidePencabutan(now, joinJejak([move, correction]));
  assert.deepEqual(putusan, { ok: false, penolakan: { sebab: "MOVED_ON", subjek: "kartuKeluarga/k" } });
});

test("a correction of what the report itself did is undone with it", () => {
  const first: Jejak = {
    penduduk: [{ id: "anak", sebelum: null, sesudah: letak("lama") }],
    kartu: [{ id: "lama", sebelum: ASAL, sesudah: ASAL }],
  };
  const correction: Jejak = {
    penduduk: [{ id: "anak", sebelum: letak("lama"), sesudah: letak("baru", TUJUAN) }],
    kartu: [
      { id: "lama", sebelum: ASAL, sesudah: ASAL },
      { id: "baru", sebelum: TUJUAN, sesudah: TUJUAN },
    ],
  };
  const joined = joinJejak([first, correction]);
  assert.deepEqual(joined.penduduk, [{ id: "anak", sebelum: null, sesudah: letak("baru", TUJUAN) }]);
  const now = keadaanOf([resident("anak", letak("baru", TUJUAN))], [card("lama"), card("baru", TUJUAN)]);
  assert.equal(decidePencabutan(now, joined).ok, true);
});
