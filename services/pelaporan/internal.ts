// PelaporanInternalService: what of a report other processes of the mesh need and events do not carry.
import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { actorOf } from "#chassis/caller.ts";
import { methodName } from "#chassis/interceptors.ts";
import { refuse } from "#chassis/refusal.ts";
import { type IsiLaporan, IsiLaporanSchema } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import type { PelaporanInternalService } from "#gen/lampid/pelaporan/v1/pelaporan_internal_service_pb.ts";
import { tujuanPesan } from "./domain/kanal.ts";
import { idOf } from "./messages.ts";
import type { Laporan, LaporanStore } from "./store.ts";

export type Deps = { store: Pick<LaporanStore, "find" | "isiOf" | "audit">; clock: () => Date };

export function pelaporanInternalService({
  store,
  clock,
}: Deps): ServiceImpl<typeof PelaporanInternalService> {
  /** On record before the answer, as every reading of what a report says. */
  async function readAudited(ctx: HandlerContext, name: string): Promise<Laporan> {
    const laporan = await store.find(idOf(name));
    if (!laporan) throw refuse("notFound", "NOT_FOUND", "there is no such report");
    const action = methodName(ctx);
    await store.audit({
      ...actorOf(ctx),
      action,
      resource: name,
      wilayah: laporan.kodeWilayah,
      at: clock(),
    });
    return laporan;
  }

  return {
    async getKontakPelapor({ name }, ctx) {
      const { isi } = await readAudited(ctx, name);
      return tujuanPesan(isi.pelapor!);
    },

    async getIsiLaporan({ name, versi }, ctx) {
      const laporan = await readAudited(ctx, name);
      const isi = versi > laporan.versi ? undefined : await store.isiOf(idOf(name), versi);
      if (!isi) throw refuse("notFound", "NOT_FOUND", "there is no such event of this report");
      return { isi: formOf(isi) };
    },
  };
}

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
