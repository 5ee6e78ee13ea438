// Who may pass: the same token, policy and contract rules as everywhere in the mesh, for servers that are not its own.
import type { DescMethod, MessageShape } from "@bufbuild/protobuf";
import { contractChecker } from "#chassis/interceptors.ts";
import type { Policy } from "#chassis/policy/policy.ts";
import { refuse } from "#chassis/refusal.ts";
import type { TokenVerifier } from "#chassis/token.ts";

export type Gate = <Method extends DescMethod>(
  method: Method,
  authorization: string | null,
  request: MessageShape<Method["input"]>,
) => Promise<void>;

/** @throws Refused UNAUTHENTICATED, PERMISSION_DENIED or INVALID_ARGUMENT; deny by default. */
export function createGate({ policy, verifyToken }: { policy: Policy; verifyToken: TokenVerifier }): Gate {
  const check = contractChecker();
  return async (method, authorization, request) => {
    const name = methodPath(method);
    const caller = await verifyToken(authorization);
    // No method of the hub is bound to a wilayah; one that came to be would have to ask again.
    if (!policy(name, caller).allow) {
      throw refuse("forbidden", "METHOD_DENIED", `role "${caller.role}" may not call ${name}`);
    }
    check(method.input, request);
  };
}

/** "lampid.dukcapil.v1.DukcapilHubService/GetHub". */
export function methodPath(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}
