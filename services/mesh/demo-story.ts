// The story that `npm run demo` tells: who does what, in which order, and what must have changed after it.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Refusal, type RestClient, restClient } from "./rest-client.ts";

export type StoryDeps = {
  gateway: string;
  password: string;
  /** The story. */
  print: (line: string) => void;
  /** What is said on the way: that the gateway is away. */
  say: (line: string) => void;
};

const ACCOUNTS = ["operator", "supervisor", "kota", "operator3", "supervisor3", "kota2", "pusat"] as const;
type Account = (typeof ACCOUNTS)[number];

/** The three levels of one place. */
type Kantor = { nama: string; kelurahan: string; operator: Account; supervisor: Account; kota: Account };

const CIBINONG: Kantor = {
  nama: "Cibinong (Kabupaten Bogor)",
  kelurahan: "32.01.01.1006",
  operator: "operator",
  supervisor: "supervisor",
  kota: "kota",
};
const SOREANG: Kantor = {
  nama: "Soreang (Kabupaten Bandung)",
  kelurahan: "32.04.37.2001",
  operator: "operator3",
  supervisor: "supervisor3",
  kota: "kota2",
};

/** Near real time is less than a second; a busy machine gets more. */
const PATIENCE_MS = 30_000;
/** An account may call a hundred times a minute. */
const LOOK_EVERY_MS = 250;

type Orang = { nama: string; lahir: string; perempuan?: boolean; shdk: string; kawin?: boolean };
type Warga = Orang & { nik: string; penduduk: string };
type Kartu = { name: string; nomorKk: string };
type Laporan = {
  name: string;
  nomor: string;
  status: string;
  etag: string;
  efek?: {
    status?: string;
    sebab?: string;
    keterangan?: string;
    nikTersamar?: string;
    nomorAkta?: string;
    nomorSuratPindah?: string;
    penduduk?: string[];
    kartuKeluarga?: string[];
  };
};
/** Columns of a ledger row by their name in print; what is 0 may be missing. */
type Buku = Record<string, number>;

/** @throws Error when a step is refused, or does not change what it must. */
export async function tell({ gateway, password, print, say }: StoryDeps): Promise<void> {
  const signal = new AbortController().signal;
  const onTrouble = (why: string | undefined) =>
    say(why === undefined ? "the gateway is back" : `waiting for the gateway (${why})`);
  const clients = Object.fromEntries(
    ACCOUNTS.map((username) => [username, restClient({ gateway, username, password, onTrouble, signal })]),
  ) as Record<Account, RestClient>;
  const call = <T>(who: Account, method: string, path: string, body?: unknown) =>
    clients[who].call<T>(method, path, body);
  const told = new Set<string>();

  // The scenes.

  await isTold(CIBINONG);
  await isTold(SOREANG);
  await birth();
  await death();
  await move();

  async function birth(): Promise<void> {
    print("\n1. A birth in Cibinong, returned once");
    const [ayah, ibu] = await family(CIBINONG, [
      { nama: "Budi Santoso", lahir: "1990-05-17", shdk: "KEPALA_KELUARGA", kawin: true },
      { nama: "Siti Aminah", lahir: "1992-08-09", perempuan: true, shdk: "ISTRI", kawin: true },
    ]);
    const isi = (urutan: number) => ({
      pelapor: { nik: ayah!.nik, nama: ayah!.nama, telepon: "+628111222333" },
      kelahiran: {
        nama: "Dewi Lestari",
        jenisKelamin: "JENIS_KELAMIN_PEREMPUAN",
        tempatLahir: "Cibinong",
        tanggalLahir: daysAgo(3),
        beratGram: 3100,
        panjangCm: 49,
        urutan,
        nikIbu: ibu!.nik,
        namaIbu: ibu!.nama,
        nikAyah: ayah!.nik,
        nomorKk: ayah!.kartu.nomorKk,
        saksi: saksi("Ali Rahman", "Umar Hadi"),
        penolong: "PENOLONG_BIDAN_PERAWAT",
      },
    });
    await changes(CIBINONG, "lahir", 1, async () => {
      const sent = await submit(CIBINONG, isi(2));
      const alasan = "Urutan kelahiran tidak sesuai dengan kartu keluarga";
      const back = await act(CIBINONG.supervisor, "return", sent, { alasan });
      const again = await act(CIBINONG.operator, "resubmit", back, { isi: isi(1) });
      const done = await decide(CIBINONG, again);
      print(`   NIK ${done.efek!.nikTersamar} for Dewi Lestari, akta ${done.efek!.nomorAkta}`);
      await showCard(CIBINONG, ayah!.kartu);
    });
  }

  async function death(): Promise<void> {
    print("\n2. The head of a family dies in Cibinong");
    const [kepala, istri] = await family(CIBINONG, [
      { nama: "Slamet Widodo", lahir: "1951-03-21", shdk: "KEPALA_KELUARGA", kawin: true },
      { nama: "Endang Lestari", lahir: "1955-11-02", perempuan: true, shdk: "ISTRI", kawin: true },
      { nama: "Agus Widodo", lahir: "1984-07-14", shdk: "ANAK" },
    ]);
    await changes(CIBINONG, "mati", 1, async () => {
      const done = await report(CIBINONG, {
        pelapor: { nik: istri!.nik, nama: istri!.nama },
        kematian: {
          nik: kepala!.nik,
          tanggalKematian: daysAgo(1),
          tempatKematian: "RSUD Cibinong",
          sebab: "SEBAB_SAKIT_ATAU_TUA",
          saksi: saksi("Ali Rahman")[0],
        },
      });
      print(`   akta ${done.efek!.nomorAkta}`);
      await showCard(CIBINONG, kepala!.kartu);
    });
  }

  async function move(): Promise<void> {
    print("\n3. A family of four moves from Cibinong to Soreang, in another kabupaten");
    const [kepala, , anak] = await family(CIBINONG, [
      { nama: "Rudi Hartono", lahir: "1980-01-30", shdk: "KEPALA_KELUARGA", kawin: true },
      { nama: "Ratna Sari", lahir: "1983-06-12", perempuan: true, shdk: "ISTRI", kawin: true },
      { nama: "Fajar Hartono", lahir: "2004-04-25", shdk: "ANAK" },
      { nama: "Putri Hartono", lahir: "2011-12-05", perempuan: true, shdk: "ANAK" },
    ]);
    const pindah = (kartu: Kartu, tujuan: Kantor, nik: string[]) => ({
      pelapor: { nik: kepala!.nik, nama: kepala!.nama, email: "rudi@contoh.example" },
      pindah: {
        nomorKk: kartu.nomorKk,
        nik,
        kodeWilayahTujuan: tujuan.kelurahan,
        alamatTujuan: "Jl. Melati No. 5",
        klasifikasi: "KLASIFIKASI_ANTAR_KABUPATEN",
        alasan: "ALASAN_PINDAH_PEKERJAAN",
      },
    });
    const datang = (nomorSkpwni: string, nikKepala: string) => ({
      pelapor: { nik: kepala!.nik, nama: kepala!.nama },
      datang: { nomorSkpwni, kartuBaru: { nikKepala, alamat: "Jl. Melati No. 5" } },
    });

    let surat = "";
    await changes(CIBINONG, "pindah", 4, async () => {
      surat = (await report(CIBINONG, pindah(kepala!.kartu, SOREANG, []))).efek!.nomorSuratPindah!;
      print(`   SKPWNI ${surat}: four residents are in transit`);
    });
    let baru: Kartu | undefined;
    await changes(SOREANG, "datang", 4, async () => {
      const done = await report(SOREANG, datang(surat, kepala!.nik));
      baru = await cardOf(SOREANG, done.efek!.kartuKeluarga!.at(-1)!);
      await showCard(SOREANG, baru);
    });

    print("\n4. One of them comes back to Cibinong");
    await changes(SOREANG, "pindah", 1, async () => {
      surat = (await report(SOREANG, pindah(baru!, CIBINONG, [anak!.nik]))).efek!.nomorSuratPindah!;
      print(`   SKPWNI ${surat}: one resident is in transit`);
      await showCard(SOREANG, baru!);
    });
    await changes(CIBINONG, "datang", 1, async () => {
      const done = await report(CIBINONG, datang(surat, anak!.nik));
      await showCard(CIBINONG, await cardOf(CIBINONG, done.efek!.kartuKeluarga!.at(-1)!));
    });
  }

  // What people do.

  /** New residents on a new card, the head first. */
  async function family(kantor: Kantor, anggota: Orang[]): Promise<(Warga & { kartu: Kartu })[]> {
    const who = kantor.operator;
    const warga: Warga[] = [];
    await changes(kantor, "registrasi", anggota.length, async () => {
      for (const orang of anggota) {
        const jenisKelamin = `JENIS_KELAMIN_${orang.perempuan ? "PEREMPUAN" : "LAKI_LAKI"}`;
        const { nik } = await call<{ nik: string }>(who, "POST", "/v1/penduduk:issueNik", {
          requestId: randomUUID(),
          kodeWilayah: kantor.kelurahan,
          tanggalLahir: orang.lahir,
          jenisKelamin,
        });
        const { name } = await call<{ name: string }>(who, "POST", "/v1/penduduk", {
          requestId: randomUUID(),
          nik,
          nama: orang.nama,
          alamat: "Jl. Mayor Oking No. 1",
          kodeWilayah: kantor.kelurahan,
          jenisKelamin,
          tanggalLahir: orang.lahir,
          tempatLahir: "Bogor",
          agama: "AGAMA_ISLAM",
          statusPerkawinan: `STATUS_PERKAWINAN_${orang.kawin ? "KAWIN" : "BELUM_KAWIN"}`,
        });
        warga.push({ ...orang, nik, penduduk: name });
      }
    });
    const kartu = await call<Kartu>(who, "POST", "/v1/kartuKeluarga", {
      requestId: randomUUID(),
      kodeWilayah: kantor.kelurahan,
      alamat: "Jl. Mayor Oking No. 1",
      anggota: warga.map(({ nik, shdk }) => ({ nik, shdk: `SHDK_${shdk}` })),
    });
    await showCard(kantor, kartu);
    return warga.map((each) => ({ ...each, kartu }));
  }

  async function submit(kantor: Kantor, isi: object): Promise<Laporan> {
    const request = { requestId: randomUUID(), kodeWilayah: kantor.kelurahan, isi };
    const laporan = await call<Laporan>(kantor.operator, "POST", "/v1/laporan", request);
    step(kantor.operator, "submit", laporan);
    return laporan;
  }

  async function act(who: Account, verb: string, laporan: Laporan, more: object = {}): Promise<Laporan> {
    const request = { requestId: randomUUID(), etag: laporan.etag, ...more };
    const after = await call<Laporan>(who, "POST", `/v1/${laporan.name}:${verb}`, request);
    step(who, verb, after);
    return after;
  }

  /** Verified, approved, and in effect. */
  async function decide(kantor: Kantor, laporan: Laporan): Promise<Laporan> {
    const approved = await act(kantor.kota, "approve", await act(kantor.supervisor, "verify", laporan));
    return await until(`${approved.nomor} takes effect`, async () => {
      const now = await call<Laporan>(kantor.kota, "GET", `/v1/${approved.name}`);
      if (now.efek?.status === "STATUS_GAGAL") {
        throw new Error(`${now.nomor} cannot take effect: ${now.efek.sebab} (${now.efek.keterangan})`);
      }
      return now.efek?.status === "STATUS_BERLAKU" ? now : undefined;
    });
  }

  async function report(kantor: Kantor, isi: object): Promise<Laporan> {
    return await decide(kantor, await submit(kantor, isi));
  }

  // What is seen of it.

  function step(who: Account, verb: string, { nomor, status }: Laporan): void {
    print(`   ${who.padEnd(12)}${verb.padEnd(10)}${nomor}  ${status.replace("STATUS_", "").toLowerCase()}`);
  }

  function cardOf(kantor: Kantor, name: string): Promise<Kartu> {
    return call<Kartu>(kantor.operator, "GET", `/v1/${name}`);
  }

  async function showCard(kantor: Kantor, { name }: Kartu): Promise<void> {
    const kartu = await call<{ nomorKk: string; anggota?: { nama: string; nik: string; shdk: string }[] }>(
      kantor.operator,
      "GET",
      `/v1/${name}`,
    );
    print(`   KK ${kartu.nomorKk}`);
    for (const { nama, nik, shdk } of kartu.anggota ?? []) {
      print(
        `      ${nik}  ${nama.padEnd(18)}${shdk.replace("SHDK_", "").toLowerCase().replaceAll("_", " ")}`,
      );
    }
  }

  /**
   * Does something, and waits until the ledger of the kelurahan tells of so many persons. Others may be at work there, too: what
   * they add is no harm, and whether it balances is reconcile's affair.
   */
  async function changes(
    kantor: Kantor,
    column: string,
    persons: number,
    work: () => Promise<void>,
  ): Promise<void> {
    const before = await ledgerOf(kantor);
    await work();
    const at = (buku: Buku, name: string) => buku[name] ?? 0;
    const after = await until(`${persons} more under ${column} in the ledger of ${kantor.nama}`, async () => {
      const now = await ledgerOf(kantor);
      return at(now, column) >= at(before, column) + persons ? now : undefined;
    });
    const cells = [column, "akhir"].map((name) => `${name} ${at(before, name)} -> ${at(after, name)}`);
    print(`   ledger of ${kantor.kelurahan}, ${bulanIni()}: ${cells.join(", ")}`);
    for (const { isi, kanal = "no address" } of await isTold(kantor)) print(`   message (${kanal}): ${isi}`);
  }

  async function ledgerOf(kantor: Kantor): Promise<Buku> {
    type Baris = { akhir?: number; lampid?: Buku; penyesuaian?: Buku };
    const path = `/v1/ledger/${kantor.kelurahan}/bulan/${bulanIni()}`;
    const { akhir = 0, lampid, penyesuaian } = await call<Baris>(kantor.kota, "GET", path);
    return { ...lampid, ...penyesuaian, akhir };
  }

  /** Messages of the kelurahan that were not there before. */
  async function isTold(kantor: Kantor): Promise<{ isi: string; kanal?: string }[]> {
    type Pesan = { name: string; isi: string; kanal?: string };
    const query = `kodeWilayah=${kantor.kelurahan}&pageSize=100`;
    const { pesan = [] } = await call<{ pesan?: Pesan[] }>(kantor.kota, "GET", `/v1/pesan?${query}`);
    const fresh = pesan.filter(({ name }) => !told.has(name)).reverse();
    for (const { name } of fresh) told.add(name);
    return fresh;
  }

  async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = await look().catch((cause: unknown) => {
        throw cause instanceof Refusal ? new Error(`${what}: ${cause.message}`) : cause;
      });
      if (found !== undefined) return found;
      if (performance.now() > deadline) throw new Error(`${what}: not within ${PATIENCE_MS / 1_000} s`);
      await sleep(LOOK_EVERY_MS);
    }
  }
}

const DAY_MS = 86_400_000;
/** Of Asia/Jakarta, which has no summer time. */
const JAKARTA_MS = 7 * 3_600_000;

function daysAgo(days: number): string {
  return new Date(Date.now() + JAKARTA_MS - days * DAY_MS).toISOString().slice(0, "2026-11-27".length);
}

function bulanIni(): string {
  return daysAgo(0).slice(0, "2026-11".length);
}

function saksi(...nama: string[]) {
  return nama.map((each, index) => ({ nik: `320101010170000${index + 1}`, nama: each }));
}
