// A registry in this process, served over the real wire: lets commands take effect once an id, and fails when told to.
import { type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { refusalToError, refuse } from "#chassis/refusal.ts";
import { createWireServer } from "#chassis/wire/wire.ts";
import type { HasilSchema } from "#gen/lampid/peristiwa/v1/peristiwa_pb.ts";
import {
  type ApplyPeristiwaRequest,
  ApplyPeristiwaRequestSchema,
  PeristiwaService,
} from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";

export type FakePeristiwa = Awaited<ReturnType<typeof startFakePeristiwa>>;

type Hasil = MessageInitShape<typeof HasilSchema>;

/** What happens to a command: it goes well, or the registry dies before or after its commit. */
export type PeristiwaFault = "none" | "before commit" | "between commit and answer";

export async function startFakePeristiwa() {
  const state = {
    /** Every call, also those that came again or only asked. */
    requests: [] as ApplyPeristiwaRequest[],
    /** First answers, by id of the command. */
    answers: new Map<string, { body: Uint8Array; hasil: Hasil }>(),
    isDown: false,
    /** Answers come this much later. */
    delayMs: 0,
    fault: (_: ApplyPeristiwaRequest): PeristiwaFault => "none",
    /** Reason that a command is refused with; undefined lets it take effect. */
    refuses: (_: ApplyPeristiwaRequest): string | undefined => undefined,
    hasil: (_: ApplyPeristiwaRequest): Hasil => ({}),
    /** Most calls at the same time: of all, and of one report. */
    most: { all: 0, oneReport: 0 },
  };
  const flying: string[] = [];

  async function apply(request: ApplyPeristiwaRequest): Promise<{ hasil: Hasil }> {
    if (state.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, state.delayMs));
    const before = state.answers.get(request.peristiwa);
    const body = toBinary(ApplyPeristiwaRequestSchema, request);
    if (before) {
      if (Buffer.compare(before.body, body) !== 0) {
        throw refusalToError(refuse("conflict", "REQUEST_ID_REUSED", "another body").refusal);
      }
      return { hasil: before.hasil };
    }
    const reason = state.refuses(request);
    if (reason) throw refusalToError(refuse("precondition", reason, `refused for ${reason}`).refusal);
    if (request.validateOnly) return { hasil: {} };
    const fault = state.fault(request);
    if (fault === "before commit") throw new ConnectError("killed", Code.Unavailable);
    const hasil = state.hasil(request);
    state.answers.set(request.peristiwa, { body, hasil });
    if (fault === "between commit and answer") throw new ConnectError("killed", Code.Unavailable);
    return { hasil };
  }

  const service: Partial<ServiceImpl<typeof PeristiwaService>> = {
    async applyPeristiwa(request) {
      if (state.isDown) throw new ConnectError("the registry is down", Code.Unavailable);
      state.requests.push(request);
      flying.push(request.laporan);
      const ofReport = flying.filter((laporan) => laporan === request.laporan).length;
      state.most.all = Math.max(state.most.all, flying.length);
      state.most.oneReport = Math.max(state.most.oneReport, ofReport);
      try {
        return await apply(request);
      } finally {
        flying.splice(flying.indexOf(request.laporan), 1);
      }
    },
  };
  const server = createWireServer({});
  const { port } = await server.service(PeristiwaService, service).listen({ port: 0 });
  return { state, baseUrl: `http://127.0.0.1:${port}`, close: () => server.close(200) };
}
