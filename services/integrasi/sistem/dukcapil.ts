// The hub of Dukcapil, told by gRPC. It knows an event that comes again by its id.
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import type { DukcapilHubService } from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { codeName } from "../trouble.ts";
import type { SistemPort } from "./sistem.ts";

/** What is wrong with the resident, not with the way to the hub or with its mood: a repetition would not mend it. */
const REFUSALS: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.FailedPrecondition,
  Code.OutOfRange,
]);

/** @param hub behind the breaker. */
export function dukcapilSistem(
  hub: Pick<Client<typeof DukcapilHubService>, "reportPeristiwa">,
  { timeoutMs = 10_000 } = {},
): SistemPort {
  return {
    sistem: "dukcapil",
    async send({ penduduk: { peristiwa, ...penduduk } }, signal) {
      // Nothing is pending: a row of the hub has brought the change back already, or a person let the hub's state hold.
      if (peristiwa === "") return { kind: "diterima" };
      try {
        const told = { ...penduduk, peristiwa: "", id: 0n, versi: 0n };
        await hub.reportPeristiwa({ peristiwa, penduduk: told }, { timeoutMs, signal });
        return { kind: "diterima" };
      } catch (cause) {
        const error = ConnectError.from(cause);
        const alasan = [codeName(error.code), ...reasonsIn(error)].join(" ");
        return REFUSALS.has(error.code) ? { kind: "ditolak", alasan } : { kind: "gagal", alasan };
      }
    },
  };
}

/** Reasons and names of fields; a text of the other side may quote a value. */
function reasonsIn(error: ConnectError): string[] {
  const reasons = error.findDetails(ErrorInfoSchema).map(({ reason }) => reason);
  const fields = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return [...reasons, ...fields.map(({ field }) => field)]
    .filter((text) => /^[A-Za-z][A-Za-z_.]{0,62}$/.test(text))
    .slice(0, 5);
}
