// A hub of a few thousand rows in this process, served over the real wire, that goes wrong when it is told to.
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { createWireServer } from "#chassis/wire/wire.ts";
import type { DukcapilHubService } from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { DukcapilHubService as Service } from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import {
  DaftarPendudukHubSchema,
  type KelompokPenduduk,
  KelompokPendudukSchema,
  type PendudukHub,
  PendudukHubSchema,
} from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";

/** What goes wrong with a batch on its way; asked once a batch that is about to be sent. */
export type Fault = "none" | "drop" | "duplicate" | "swap" | "corrupt";

export type FakeHub = Awaited<ReturnType<typeof startFakeHub>>;

export const SECRET_NAME = "Rahasiawati Binti Uji";

/** Rows are spread over provinces 11 (a quarter) and 32; every `badEvery`-th has a NIK with a letter in it. */
export function hubRows(count: number, { badEvery = 0, padding = 0 } = {}): PendudukHub[] {
  return Array.from({ length: count }, (_, n) => {
    const kodeWilayah = n % 4 === 0 ? "11.01.01.2001" : `32.01.0${1 + (n % 3)}.1006`;
    const serial = String(n).padStart(10, "0");
    const isBad = badEvery > 0 && n % badEvery === badEvery - 1;
    return create(PendudukHubSchema, {
      id: BigInt(n + 1),
      versi: BigInt(n + 1),
      nik: isBad ? `3201A1${serial}` : `320101${serial}`,
      nama: `${SECRET_NAME} ${n}`,
      alamat: "x".repeat(padding),
      kodeWilayah,
    });
  });
}

export async function startFakeHub(rows: PendudukHub[]) {
  const state = {
    rows,
    /** Newest version; rows with a newer one are not there yet. */
    versi: 0n,
    fault: (): Fault => "none",
    /** Fails every call, as a hub that is down. */
    isDown: false,
    /** Sends nothing any more, and does not say so. */
    isMute: false,
    /** The stream ends, in good order, after so many batches. */
    endAfter: Number.POSITIVE_INFINITY,
    /** Rows that are counted and never sent. */
    hidden: new Set<bigint>(),
    batchesSent: 0,
    streams: 0,
    calls: { getHub: 0, hash: 0 },
  };
  for (const { versi } of rows) if (versi > state.versi) state.versi = versi;

  const up = () => {
    if (state.isDown) throw new ConnectError("the hub is down", Code.Unavailable);
  };
  const select = (kode: string, since: bigint, asOf: bigint) =>
    state.rows.filter(
      ({ kodeWilayah, versi }) =>
        versi > since &&
        versi <= (asOf || state.versi) &&
        (kode === "ID" || kodeWilayah === kode || kodeWilayah.startsWith(`${kode}.`)),
    );

  const service: Partial<ServiceImpl<typeof DukcapilHubService>> = {
    getHub() {
      state.calls.getHub++;
      up();
      return { versi: state.versi, jumlah: state.rows.length };
    },

    hitungPenduduk({ kodeWilayah, sinceVersi, asOfVersi, denganSidik }) {
      up();
      if (denganSidik) state.calls.hash++;
      return { wilayah: countRows(select(kodeWilayah, sinceVersi, asOfVersi)) };
    },

    async *streamPenduduk({ kodeWilayah, sinceVersi, asOfVersi, cursor, ukuran }, { signal }) {
      state.streams++;
      up();
      const selected = select(kodeWilayah, sinceVersi, asOfVersi).filter(({ id }) => !state.hidden.has(id));
      let held: KelompokPenduduk | undefined;
      let sent = 0;
      for (
        let at = Number(cursor || 0);
        at < selected.length && sent < state.endAfter;
        at += ukuran, sent++
      ) {
        const end = Math.min(at + ukuran, selected.length);
        const kelompok = batch(selected.slice(at, end), at === 0 ? "" : String(at), String(end));
        while (state.isMute) await muted(signal);
        up();
        const fault = state.fault();
        if (fault === "drop") throw new ConnectError("the link was cut", Code.Unavailable);
        if (fault === "swap" && !held) {
          held = kelompok;
          continue;
        }
        if (fault === "corrupt") kelompok.isi = withOneByteChanged(kelompok.isi);
        state.batchesSent++;
        yield { kelompok };
        if (fault === "duplicate") yield { kelompok };
        if (held) yield { kelompok: held };
        held = undefined;
      }
      if (held) yield { kelompok: held };
    },
  };
  const server = createWireServer({ readMaxBytes: 16 * 1024 * 1024, writeMaxBytes: 16 * 1024 * 1024 });
  const { port } = await server.service(Service, service).listen({ port: 0 });
  return { ...handle(state), baseUrl: `http://127.0.0.1:${port}`, close: () => server.close(200) };
}

/** The state itself, not a copy: tests turn its switches. */
function handle<State extends object>(state: State): { state: State } {
  return { state };
}

function batch(rows: PendudukHub[], dari: string, sampai: string): KelompokPenduduk {
  const isi = toBinary(DaftarPendudukHubSchema, create(DaftarPendudukHubSchema, { penduduk: rows }));
  return create(KelompokPendudukSchema, { isi, jumlah: rows.length, crc32: crc32(isi), dari, sampai });
}

function withOneByteChanged(bytes: Uint8Array): Uint8Array {
  const changed = Uint8Array.from(bytes);
  changed[Math.floor(changed.length / 2)]! ^= 1;
  return changed;
}

async function muted(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 5));
  signal.throwIfAborted();
}

/** Per kecamatan, as both the hub and the registry count. */
export function countRows(rows: Iterable<Pick<PendudukHub, "kodeWilayah" | "nik" | "versi">>) {
  const counts = new Map<string, { jumlah: number; sidik: bigint }>();
  for (const { kodeWilayah, nik, versi } of rows) {
    const kode = kodeWilayah.slice(0, 8);
    const count = counts.get(kode) ?? { jumlah: 0, sidik: 0n };
    const digest = createHash("sha256").update(`${nik}:${versi}`).digest();
    counts.set(kode, {
      jumlah: count.jumlah + 1,
      sidik: BigInt.asUintN(64, count.sidik + digest.readBigUInt64BE(0)),
    });
  }
  return [...counts].map(([kodeWilayah, count]) => ({ kodeWilayah, ...count }));
}
