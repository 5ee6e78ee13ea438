// The program in a partner's web page: generated clients over connect-web, by Connect or gRPC-Web. Bundled for the browser.
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { AuthService } from "#gen/lampid/auth/v1/auth_service_pb.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";

export type Settings = { baseUrl: string; token: string; protocol: "connect" | "grpc-web" };

/** One call with one answer. */
export async function whoAmI(settings: Settings) {
  const { username, role } = await createClient(AuthService, transport(settings)).getMe(
    {},
    options(settings),
  );
  return { username, role };
}

/** How a refusal looks to the page. */
export async function refusalOf(settings: Settings) {
  try {
    await whoAmI(settings);
    return undefined;
  } catch (cause) {
    const error = ConnectError.from(cause);
    return { code: Code[error.code], reason: error.findDetails(ErrorInfoSchema)[0]?.reason };
  }
}

/** One call with many answers: the NIKs of each batch. */
export async function exported(settings: Settings, kodeWilayah: string, batchSize: number) {
  const client = createClient(PendudukService, transport(settings));
  const batches: string[][] = [];
  for await (const { penduduk } of client.exportPenduduk({ kodeWilayah, batchSize }, options(settings))) {
    batches.push(penduduk.map(({ nik }) => nik));
  }
  return batches;
}

function transport({ baseUrl, protocol }: Settings) {
  return protocol === "connect" ? createConnectTransport({ baseUrl }) : createGrpcWebTransport({ baseUrl });
}

function options({ token }: Settings) {
  return { headers: token === "" ? {} : { authorization: `Bearer ${token}` } };
}
