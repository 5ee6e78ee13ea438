// What the gateway offers to the outside: which process answers which services.
import type { DescService } from "@bufbuild/protobuf";
import { Operations } from "#gen/google/longrunning/operations_pb.ts";
import { AccountService } from "#gen/lampid/auth/v1/account_service_pb.ts";
import { AuthService } from "#gen/lampid/auth/v1/auth_service_pb.ts";
import { DokumenService } from "#gen/lampid/dokumen/v1/dokumen_service_pb.ts";
import { PengirimanService } from "#gen/lampid/integrasi/v1/pengiriman_service_pb.ts";
import { SinkronisasiService } from "#gen/lampid/integrasi/v1/sinkronisasi_service_pb.ts";
import { NotifikasiService } from "#gen/lampid/notifikasi/v1/notifikasi_service_pb.ts";
import { PelaporanService } from "#gen/lampid/pelaporan/v1/pelaporan_service_pb.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { StatistikService } from "#gen/lampid/statistik/v1/statistik_service_pb.ts";

/** Who answers what; the name is that of the process, and of its LAMPID_UPSTREAM_ variable. */
export const upstreamServices: Record<string, readonly DescService[]> = {
  auth: [AuthService, AccountService],
  penduduk: [PendudukService],
  pelaporan: [PelaporanService],
  statistik: [StatistikService],
  notifikasi: [NotifikasiService],
  integrasi: [SinkronisasiService, PengirimanService, Operations],
  dokumen: [DokumenService],
};
