// PelaporanInternalService: what of a report other processes of the mesh need and events do not carry.
import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { actorOf } from "#chassis/caller.ts";
import { methodName } from "#chassis/interceptors.ts";
import { refuse } from "#chassis/refusal.ts";
import { type IsiLaporan, IsiLaporanSchema } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import type { PelaporanInternalService } from "#gen/lampid/pelaporan/v1/pelaporan_internal_service_pb.ts";
import { KANAL, type Tujuan, tujuanPesan } from "./domain/kanal.ts";
import { kolomIsi } from "./kolom.ts";
import { idOf } from "./messages.ts";
import type { Laporan, LaporanStore } from "./store.ts";

export type Deps = { store: Pick<LaporanStore, "find" | "isiOf" | "audit">; clock: () => Date };

export function pelaporanInternalService({
  store,
  clock,
}: Deps): ServiceImpl<typeof PelaporanInternalService> {
  async function find(name: string): Promise<Laporan> {
    const laporan = await store.find(idOf(name));
    if (!laporan) throw refuse("notFound", "NOT_FOUND", "there is no such report");
    return laporan;
  }

  /** On record before the answer, as every reading of what a report says. */
  async function recordReading(
    ctx: HandlerContext,
    name: string,
    { kodeWilayah }: Laporan,
    kolom: readonly string[],
  ): Promise<void> {
    const about = { action: methodName(ctx), resource: name, wilayah: kodeWilayah, at: clock(), kolom };
    await store.audit([{ ...actorOf(ctx), ...about }]);
  }

  return {
    async getKontakPelapor({ name }, ctx) {
      const laporan = await find(name);
      const tujuan = tujuanPesan(laporan.isi.pelapor!);
      await recordReading(ctx, name, laporan, KOLOM[tujuan.kanal]);
      return tujuan;
    },

    async getIsiLaporan({ name, versi }, ctx) {
      const laporan = await find(name);
      const whole = versi > laporan.versi ? undefined : await store.isiOf(idOf(name), versi);
      if (!whole) throw refuse("notFound", "NOT_FOUND", "there is no such event of this report");
      const isi = formOf(whole);
      await recordReading(ctx, name, laporan, kolomIsi(isi));
      return { isi };
    },
  };
}

/** What of the reporter is told with each channel. */
const KOLOM: Readonly<Record<Tujuan["kanal"], readonly string[]>> = {
  [KANAL.none]: [],
  [KANAL.sms]: ["isi.pelapor.telepon"],
  [KANAL.email]: ["isi.pelapor.email"],
};

/** What a document may need: nobody who is not of it, and no address. */
function formOf({ formulir }: IsiLaporan): IsiLaporan {
  const form = create(IsiLaporanSchema, { formulir });
  switch (form.formulir.case) {
    case "kelahiran":
      form.formulir.value.saksi = [];
      break;
    case "kematian":
      delete form.formulir.value.saksi;
      break;
    case "pindah":
      form.formulir.value.alamatTujuan = "";
      break;
    default:
  }
  return form;
}
