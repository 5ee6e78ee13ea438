// WatchLaporan: a list that is kept up to date, from where the caller last was.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { readPageToken, writePageToken } from "#chassis/page-token.ts";
import { wilayahContains } from "#chassis/wilayah.ts";
import {
  WatchLaporanResponse_Perubahan as Jenis,
  type WatchLaporanResponseSchema,
} from "#gen/lampid/pelaporan/v1/pelaporan_service_pb.ts";
import type { Feed, Perubahan, Posisi } from "./feed.ts";
import { ringkasanMessage } from "./messages.ts";
import type { LaporanStore, ListQuery, Ringkasan } from "./store.ts";

/** undefined matches every one; `kosong`: none. */
export type Saringan = Pick<ListQuery, "kodeWilayah" | "status" | "jenis"> & { kosong: boolean };

export type WatchDeps = { feed: Feed; store: Pick<LaporanStore, "list"> };

type Answer = MessageInitShape<typeof WatchLaporanResponseSchema>;

/** Reports that are there at the start, at most: what a page of a list can have. */
const MAX_ADA = 500;
/** Who hears nothing else hears where they are so often: after a break they begin there. */
const CURSOR_EVERY_MS = 30_000;
const XID_PART = /^\d{1,20}$/;
const URUT_PART = /^\d{1,19}$/;

export async function* watchLaporan(
  { feed, store }: WatchDeps,
  saringan: Saringan,
  cursor: string,
  signal: AbortSignal,
): AsyncGenerator<Answer> {
  const { kosong, ...filter } = saringan;
  const bound = [filter.kodeWilayah, filter.status ?? "", filter.jenis ?? "", kosong];
  const token = ({ xid, urut }: Posisi) => writePageToken([String(xid), String(urut)], bound);
  const began = readPageToken(cursor, bound, [XID_PART, URUT_PART], "cursor");

  const leave = feed.enter();
  // Not left to the end of this generator: a caller that goes away while we have yielded may never ask for more.
  signal.addEventListener("abort", leave);
  try {
    /** Reports of the first list, by the version that was told. */
    const told = new Map<string, number>();
    let at: Posisi;
    if (began) at = { xid: BigInt(began[0]!), urut: BigInt(began[1]!) };
    else {
      // Before the list: what happens between the two is told once more, and left out by its version.
      at = await feed.head();
      const query = { ...filter, efek: undefined, dibuatSampai: undefined, limit: MAX_ADA, after: undefined };
      for (const ringkasan of kosong ? [] : await store.list(query)) {
        told.set(ringkasan.id, ringkasan.versi);
        yield { perubahan: Jenis.ADA, laporan: ringkasanMessage(ringkasan) };
      }
      yield { perubahan: Jenis.TERKINI, cursor: token(at) };
    }
    for (let saidAt = at; !signal.aborted; ) {
      const changes = await feed.next(at, CURSOR_EVERY_MS, signal);
      for (const change of changes) {
        at = change.posisi;
        const perubahan = kosong ? undefined : jenisOf(change, filter, told);
        if (perubahan === undefined) continue;
        saidAt = at;
        yield { perubahan, laporan: ringkasanMessage(change.after), cursor: token(at) };
      }
      if (changes.length > 0 || saidAt === at) continue;
      saidAt = at;
      yield { perubahan: Jenis.TERKINI, cursor: token(at) };
    }
  } finally {
    signal.removeEventListener("abort", leave);
    leave();
  }
}

/** What a change is to a list of this filter; undefined for nothing. */
function jenisOf(
  { before, after }: Perubahan,
  filter: Omit<Saringan, "kosong">,
  told: Map<string, number>,
): Jenis | undefined {
  const known = told.get(after.id);
  if (known !== undefined && known >= after.versi) return undefined;
  told.delete(after.id);
  const was = known !== undefined || (before !== undefined && matches(before, filter));
  if (matches(after, filter)) return was ? Jenis.BERUBAH : Jenis.MASUK;
  return was ? Jenis.KELUAR : undefined;
}

function matches(laporan: Ringkasan, { kodeWilayah, status, jenis }: Omit<Saringan, "kosong">): boolean {
  return (
    (status === undefined || laporan.status === status) &&
    (jenis === undefined || laporan.jenis === jenis) &&
    wilayahContains(kodeWilayah, laporan.kodeWilayah)
  );
}
