// DukcapilHubService on plain @grpc/grpc-js: what each call is answered, and what goes wrong on purpose before.
import { create, type DescMethod, type MessageShape } from "@bufbuild/protobuf";
import type {
  Metadata,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Logger } from "#chassis/log.ts";
import { refuse } from "#chassis/refusal.ts";
import {
  ChangePendudukResponseSchema,
  DukcapilHubService,
  GetGangguanResponseSchema,
  GetHubResponseSchema,
  HitungPendudukResponseSchema,
  type ListPendudukRequest,
  LookupPendudukResponseSchema,
  ReportPeristiwaResponseSchema,
  SetGangguanResponseSchema,
  type StreamPendudukRequest,
} from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { batchBuffer, batchReader, listResponse } from "./batches.ts";
import { countPenduduk } from "./count.ts";
import { readSelection } from "./cursor.ts";
import type { Gangguan } from "./gangguan.ts";
import { type Gate, methodPath } from "./gate.ts";
import { grpcError } from "./grpc-errors.ts";
import type { Hub } from "./hub.ts";
import type { Sent } from "./stream.ts";
import { streamPenduduk } from "./stream.ts";

export type Deps = {
  hub: Hub;
  gate: Gate;
  gangguan: Gangguan;
  log: Logger;
  /** Aborts when the process ends: streams end with UNAVAILABLE, and are resumed from their cursors later. */
  signal: AbortSignal;
  onSent: (sent: Sent) => void;
};

const DEFAULT_PAGE = 100;
const MAX_PAGE = 1_000;

type Methods = (typeof DukcapilHubService)["method"];
type Unary<M extends DescMethod> = (
  request: MessageShape<M["input"]>,
  signal: AbortSignal,
) => MessageShape<M["output"]> | Buffer | Promise<MessageShape<M["output"]> | Buffer>;

export function dukcapilHandlers(deps: Deps): UntypedServiceImplementation {
  const { hub, gangguan } = deps;
  const { method } = DukcapilHubService;
  return {
    getHub: unary(deps, method.getHub, () =>
      create(GetHubResponseSchema, { versi: BigInt(hub.versi()), jumlah: hub.jumlah() }),
    ),
    streamPenduduk: streaming(deps, method.streamPenduduk),
    listPenduduk: unary(deps, method.listPenduduk, (request) => listPenduduk(deps, request)),
    lookupPenduduk: unary(deps, method.lookupPenduduk, ({ nik }) => {
      const penduduk = hub.lookupPenduduk(nik);
      if (!penduduk) throw refuse("notFound", "PENDUDUK_NOT_FOUND", "no row has this NIK");
      return create(LookupPendudukResponseSchema, { penduduk });
    }),
    hitungPenduduk: unary(deps, method.hitungPenduduk, async (request, signal) => {
      const { selection } = readSelection(hub, request);
      const wilayah = await countPenduduk(hub, selection, { withSidik: request.denganSidik, signal });
      return create(HitungPendudukResponseSchema, { wilayah });
    }),
    reportPeristiwa: unary(deps, method.reportPeristiwa, async ({ peristiwa, penduduk }) =>
      create(ReportPeristiwaResponseSchema, {
        versi: BigInt(await hub.reportPeristiwa(peristiwa, penduduk!)),
      }),
    ),
    changePenduduk: unary(deps, method.changePenduduk, async ({ permil }) => {
      const { versi, jumlah } = await hub.changePenduduk(permil);
      return create(ChangePendudukResponseSchema, { versi: BigInt(versi), jumlah });
    }),
    getGangguan: switches(deps, method.getGangguan, () =>
      create(GetGangguanResponseSchema, { gangguan: gangguan.get() }),
    ),
    setGangguan: switches(deps, method.setGangguan, (request) => {
      gangguan.set(request.gangguan);
      return create(SetGangguanResponseSchema, { gangguan: gangguan.get() });
    }),
  };
}

/** One page, encoded; also what the REST port shows. */
export async function listPenduduk(
  { hub, gangguan, onSent }: Pick<Deps, "hub" | "gangguan" | "onSent">,
  request: Omit<ListPendudukRequest, "$typeName">,
): Promise<Buffer> {
  const { selection, from } = readSelection(hub, request, request.pageToken, "page_token");
  const rows = request.pageSize === 0 ? DEFAULT_PAGE : Math.min(request.pageSize, MAX_PAGE);
  const buffer = batchBuffer(rows);
  const reader = batchReader(hub, selection, from, request.pageToken);
  const batch = await reader.read(buffer, rows, { hasNewField: gangguan.values.kolomBaru });
  if (batch) onSent({ rows: batch.jumlah, bytes: batch.end, how: "page" });
  // Whether there is one more shows only by looking for it.
  const hasMore = batch?.jumlah === rows && (await reader.read(batchBuffer(1), 1)) !== undefined;
  return listResponse(batch, hasMore ? batch.sampai : "");
}

/** What every call goes through before its answer: token, policy, contract, and the faults. */
export async function passFaults({ gangguan }: Pick<Deps, "gangguan">, signal?: AbortSignal): Promise<void> {
  gangguan.check();
  await gangguan.delay(signal);
}

function unary<M extends Methods[keyof Methods]>(deps: Deps, method: M, answer: Unary<M>) {
  return switches(deps, method, async (request, signal) => {
    await passFaults(deps, signal);
    return answer(request, signal);
  });
}

/** A call that no fault touches. */
function switches<M extends Methods[keyof Methods]>({ gate, log }: Deps, method: M, answer: Unary<M>) {
  return async (
    call: ServerUnaryCall<MessageShape<M["input"]>, MessageShape<M["output"]> | Buffer>,
    callback: sendUnaryData<MessageShape<M["output"]> | Buffer>,
  ) => {
    const ended = new AbortController();
    call.on("cancelled", () => ended.abort());
    try {
      await gate(method, authorizationOf(call.metadata), call.request as never);
      callback(null, await answer(call.request, ended.signal));
    } catch (cause) {
      // Nobody is there any more to be told.
      if (!ended.signal.aborted) callback(grpcError(cause, log, methodPath(method), call.metadata));
    }
  };
}

function streaming(deps: Deps, method: Methods["streamPenduduk"]) {
  return async (call: ServerWritableStream<StreamPendudukRequest, Buffer>) => {
    try {
      await gateOf(deps, method, call);
      await passFaults(deps, deps.signal);
      await streamPenduduk(call, deps);
      call.end();
    } catch (cause) {
      if (!call.cancelled) call.emit("error", grpcError(cause, deps.log, methodPath(method), call.metadata));
    }
  };
}

function gateOf(
  { gate }: Deps,
  method: Methods["streamPenduduk"],
  call: ServerWritableStream<StreamPendudukRequest, Buffer>,
): Promise<void> {
  return gate(method, authorizationOf(call.metadata), call.request);
}

function authorizationOf(metadata: Metadata): string | null {
  const [value] = metadata.get("authorization");
  return value === undefined ? null : String(value);
}
