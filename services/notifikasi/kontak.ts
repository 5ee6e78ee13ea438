// Where a reporter is told: asked of pelaporan for each try, and kept nowhere here.
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { Pelapor_Kanal as Kanal } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import type { PelaporanInternalService } from "#gen/lampid/pelaporan/v1/pelaporan_internal_service_pb.ts";
import { Postponed } from "./delivery.ts";

/** undefined: they want no messages, or left no address. */
export type Kontak = { kanal: "sms" | "email"; alamat: string } | undefined;

export type KontakDeps = {
  pelaporan: Pick<Client<typeof PelaporanInternalService>, "getKontakPelapor">;
  /** Told whether pelaporan answers. */
  onReachable: (reachable: boolean, why?: string) => void;
};

/** By the name of the report. Throws {@link Postponed} while pelaporan does not answer. */
export function kontakOf({ pelaporan, onReachable }: KontakDeps): (laporan: string) => Promise<Kontak> {
  return async (name) => {
    const { kanal, alamat } = await pelaporan.getKontakPelapor({ name }).catch((cause) => {
      if (!isAway(cause)) throw cause;
      onReachable(false, "pelaporan cannot be reached: messages to reporters wait");
      throw new Postponed("pelaporan cannot be reached", { cause });
    });
    onReachable(true);
    switch (kanal) {
      case Kanal.SMS:
        return { kanal: "sms", alamat };
      case Kanal.EMAIL:
        return { kanal: "email", alamat };
      default:
        return undefined;
    }
  };
}

function isAway(cause: unknown): boolean {
  const away = [Code.Unavailable, Code.DeadlineExceeded, Code.ResourceExhausted];
  return cause instanceof ConnectError && away.includes(cause.code);
}
