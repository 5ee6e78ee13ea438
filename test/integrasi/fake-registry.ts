// A registry in this process, served over the real wire: merges rows by id, keeps its answers, and dies when told to.
import { fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { createWireServer } from "#chassis/wire/wire.ts";
import {
  DaftarPendudukHubSchema,
  type PendudukHub,
  PendudukHubSchema,
} from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import {
  type BarisDisisihkanSchema,
  BarisDisisihkan_Sebab as Sebab,
} from "#gen/lampid/penggabungan/v1/penggabungan_pb.ts";
import {
  type MergePendudukRequest,
  type MergePendudukResponseSchema,
  PenggabunganService,
} from "#gen/lampid/penggabungan/v1/penggabungan_service_pb.ts";
import { countRows } from "./fake-hub.ts";

export type FakeRegistry = Awaited<ReturnType<typeof startFakeRegistry>>;

type Answer = MessageInitShape<typeof MergePendudukResponseSchema>;

/** What happens to a batch: it goes well, or the stream ends before or after its commit. */
export type MergeFault = "none" | "before commit" | "between commit and acknowledgement";

export async function startFakeRegistry() {
  const state = {
    rows: new Map<bigint, PendudukHub>(),
    putAside: new Map<bigint, PendudukHub>(),
    /** Ids of residents with a change that the hub does not know of. */
    pending: new Set<bigint>(),
    answers: new Map<string, Answer>(),
    fault: (): MergeFault => "none",
    /** While set, batches are taken in and not acknowledged. */
    gate: undefined as Promise<void> | undefined,
    isMute: false,
    isDown: false,
    /** Fails every merge with this code. */
    refuses: undefined as Code | undefined,
    /** Most batches that were here without an acknowledgement, of one stream. */
    maxUnacknowledged: 0,
    received: 0,
    /** Batches that were merged rather than answered again. */
    commits: 0,
    requests: [] as MergePendudukRequest[],
  };

  function merge(request: MergePendudukRequest): Answer {
    const { sinkronisasi, bagian, ujiCoba, paksa, koreksi, kelompok } = request;
    const { dari, sampai, crc32, isi } = kelompok!;
    const key = [sinkronisasi, bagian, dari, crc32].join(" ");
    const before = state.answers.get(key);
    if (before) return before;
    const hasil = {
      baru: 0,
      diperbarui: 0,
      takBerubah: 0,
      ditutup: 0,
      kedaluwarsa: 0,
      konflik: 0,
      dikarantina: 0,
    };
    const disisihkan: MessageInitShape<typeof BarisDisisihkanSchema>[] = [];
    const dipulihkan: bigint[] = [];
    const setAside = (row: PendudukHub, sebab: Sebab, alasan: string, kolom: string) => {
      const { id: idHub, versi, kodeWilayah } = row;
      const bytes = toBinary(PendudukHubSchema, row);
      disisihkan.push({ sebab, alasan, kolom, isi: bytes, idHub, versi, kodeWilayah });
      if (!ujiCoba) state.putAside.set(idHub, row);
    };
    for (const row of fromBinary(DaftarPendudukHubSchema, isi).penduduk) {
      const known = state.rows.get(row.id);
      if (!/^\d{16}$/.test(row.nik)) {
        hasil.dikarantina++;
        setAside(row, Sebab.KARANTINA, "NIK_FORMAT", "nik");
      } else if (state.pending.has(row.id) && !paksa && !koreksi) {
        hasil.konflik++;
        setAside(row, Sebab.KONFLIK, "PERUBAHAN_LOKAL", "");
      } else if (known && known.versi > row.versi) {
        hasil.kedaluwarsa++;
      } else {
        if (!known) hasil.baru++;
        else if (known.versi === row.versi && !koreksi) hasil.takBerubah++;
        else hasil.diperbarui++;
        if (ujiCoba) continue;
        state.rows.set(row.id, row);
        if (state.putAside.delete(row.id)) dipulihkan.push(row.id);
      }
    }
    const answer = { sampai, hasil, disisihkan, dipulihkan };
    if (!ujiCoba) state.answers.set(key, answer);
    state.commits++;
    return answer;
  }

  const service: Partial<ServiceImpl<typeof PenggabunganService>> = {
    async *mergePenduduk(requests, { signal }) {
      const arrived: MergePendudukRequest[] = [];
      let unacknowledged = 0;
      let isOver = false;
      let wake = () => {};
      // Takes in whatever comes, so that it sees how much the caller dares to send.
      const reading = (async () => {
        for await (const request of requests) {
          state.requests.push(request);
          state.received++;
          unacknowledged++;
          state.maxUnacknowledged = Math.max(state.maxUnacknowledged, unacknowledged);
          arrived.push(request);
          wake();
        }
      })()
        .catch(() => {})
        .finally(() => {
          isOver = true;
          wake();
        });
      for (;;) {
        if (state.isDown) throw new ConnectError("the registry is down", Code.Unavailable);
        if (state.refuses) throw new ConnectError("no", state.refuses);
        const request = arrived.shift();
        if (!request) {
          if (isOver) break;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        while (state.isMute && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, 5));
        await state.gate;
        const fault = state.fault();
        if (fault === "before commit") throw new ConnectError("killed", Code.Unavailable);
        const answer = merge(request);
        if (fault === "between commit and acknowledgement")
          throw new ConnectError("killed", Code.Unavailable);
        unacknowledged--;
        yield answer;
      }
      await reading;
    },

    hitungPenduduk({ kodeWilayah: kode }) {
      if (state.isDown) throw new ConnectError("the registry is down", Code.Unavailable);
      const within = ({ kodeWilayah }: PendudukHub) => kode === "ID" || kodeWilayah.startsWith(`${kode}.`);
      const all = new Map([...state.rows, ...state.putAside]);
      return { wilayah: countRows([...all.values()].filter(within)) };
    },
  };
  const server = createWireServer({ readMaxBytes: 16 * 1024 * 1024, writeMaxBytes: 16 * 1024 * 1024 });
  const { port } = await server.service(PenggabunganService, service).listen({ port: 0 });
  return { state, baseUrl: `http://127.0.0.1:${port}`, close: () => server.close(200) };
}
