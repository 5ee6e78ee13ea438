// How long reports wait at each level, as the contract says it.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { GetKinerjaLaporanResponseSchema } from "#gen/lampid/pelaporan/v1/pelaporan_service_pb.ts";
import type { Kinerja, Sebaran } from "./postgres-layanan-store.ts";

export function kinerjaMessage({
  tingkat,
  ...counts
}: Kinerja): MessageInitShape<typeof GetKinerjaLaporanResponseSchema> {
  return {
    ...counts,
    tingkat: Object.entries(tingkat).map(([peran, { selesai, menunggu }]) => ({
      peran,
      selesai: sebaranInit(selesai),
      menunggu: sebaranInit(menunggu),
    })),
  };
}

function sebaranInit({ jumlah, p50, p90, p95 }: Sebaran) {
  return { jumlah, p50Detik: p50, p90Detik: p90, p95Detik: p95 };
}
