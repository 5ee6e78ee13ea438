// google.longrunning.Operations over the runs (AIP-151): an operation has the UUID of its run.
import { create } from "@bufbuild/protobuf";
import { durationMs, EmptySchema } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { pageSizeOf, readPageToken, UUID_PART } from "#chassis/page-token.ts";
import { refuse, refuseFields } from "#chassis/refusal.ts";
import type { Operations } from "#gen/google/longrunning/operations_pb.ts";
import type { Commands } from "./commands.ts";
import { idOf, runToOperation } from "./messages.ts";
import { by, found, pageOf } from "./service.ts";
import type { RunStore } from "./store.ts";
import type { Watches } from "./watch.ts";

export type Deps = { store: RunStore; commands: Commands; watches: Watches };

const NAME = /^operations\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Below the longest that a call of the mesh may take. */
const MAX_WAIT_MS = 50_000;

export function operationsService({ store, commands, watches }: Deps): ServiceImpl<typeof Operations> {
  return {
    async getOperation({ name }) {
      return runToOperation(await found(store, checked(name)));
    },

    async listOperations({ name, filter, pageSize, pageToken, returnPartialSuccess }) {
      if (!["", "operations"].includes(name)) throw invalid("name", 'must be "operations"');
      if (filter !== "") throw invalid("filter", "is not supported: list sinkronisasi by keadaan");
      if (returnPartialSuccess) throw invalid("return_partial_success", "is not supported");
      if (pageSize < 0) throw invalid("page_size", "must not be negative");
      const before = readPageToken(pageToken, ["operations"], [UUID_PART])?.[0];
      const limit = pageSizeOf(pageSize);
      const runs = await store.list({ keadaan: undefined, limit: limit + 1, before });
      const { page, nextPageToken } = pageOf(runs, limit, ["operations"]);
      return { operations: page.map(runToOperation), nextPageToken };
    },

    async cancelOperation({ name }, ctx) {
      await commands.cancel(idOf(checked(name)), by(ctx));
      return create(EmptySchema);
    },

    async waitOperation({ name, timeout }, ctx) {
      const waitMs = Math.min(timeout ? durationMs(timeout) : MAX_WAIT_MS, MAX_WAIT_MS);
      if (waitMs < 0) throw invalid("timeout", "must not be negative");
      let latest = await found(store, checked(name));
      const until = AbortSignal.any([ctx.signal, AbortSignal.timeout(waitMs)]);
      for await (const { run } of watches.watch(latest, until)) latest = run;
      return runToOperation(latest);
    },

    async deleteOperation({ name }) {
      const { done } = runToOperation(await found(store, checked(name)));
      throw done
        ? refuse("precondition", "RUN_IS_KEPT", "runs are records: they are kept, with what became of them")
        : refuse("precondition", "RUN_IS_NOT_OVER", "the run is not over: cancel it first");
    },
  };
}

/** The contract is not ours, so its rules are here. */
function checked(name: string): string {
  if (!NAME.test(name)) throw invalid("name", 'must look like "operations/{uuid}"');
  return name;
}

function invalid(field: string, description: string) {
  return refuseFields([{ field, description, reason: "OPERATION" }]);
}
