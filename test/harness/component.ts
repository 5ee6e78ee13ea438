// A service as in production, without a port: its real implementation behind the real interceptor chain and policy.
import assert from "node:assert/strict";
import type { DescService } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type ServiceImpl,
} from "@connectrpc/connect";
import { serverInterceptors } from "#chassis/interceptors.ts";
import { createLogger, type Logger } from "#chassis/log.ts";
import { loadMeshPolicy } from "#chassis/policy/policy.ts";
import { refuse } from "#chassis/refusal.ts";
import { startTelemetry, type Telemetry } from "#chassis/telemetry.ts";
import type { TokenVerifier } from "#chassis/token.ts";
import { BadRequestSchema, ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";

export type ComponentOptions = {
  /** Default: silent. */
  log?: Logger;
  /** Default: Prometheus only, nothing recorded elsewhere. */
  telemetry?: Telemetry;
};

/** A client of the service; calls pass the same chain as over the wire, messages are encoded and decoded. */
export async function componentClient<Desc extends DescService>(
  service: Desc,
  implementation: Partial<ServiceImpl<Desc>>,
  {
    log = createLogger("test", "silent"),
    telemetry = startTelemetry({ name: "test" }),
  }: ComponentOptions = {},
): Promise<Client<Desc>> {
  const policy = await loadMeshPolicy();
  const interceptors = serverInterceptors({ log, telemetry, policy, verifyToken, maxCallMs: 60_000 });
  const transport = createRouterTransport((router) => void router.service(service, implementation), {
    router: { interceptors },
  });
  return createClient(service, transport);
}

/**
 * Call options of an account with this role and wilayah, e.g. `as("operator", "32.01.01.1006")`. Accounts are told apart
 * by `subject`.
 */
export function as(
  role: string,
  wilayah: string,
  { subject = `${role}-${wilayah}`, scopes = [] }: { subject?: string; scopes?: readonly string[] } = {},
): CallOptions {
  return { headers: { authorization: `Bearer ${[role, wilayah, subject, scopes.join(",")].join(":")}` } };
}

/** Reads what {@link as} writes; the JWTs themselves are token.test.ts's business. */
const verifyToken: TokenVerifier = (authorization) => {
  const match = /^Bearer ([^:]*):([^:]*):([^:]*):([^:]*)$/.exec(authorization ?? "");
  if (!match) throw refuse("unauthenticated", "TOKEN_INVALID", "no such account");
  const [, role = "", wilayah = "", subject = "", scopes = ""] = match;
  return { subject, username: subject, role, wilayah, scopes: scopes.split(",").filter(Boolean) };
};

/** The error of a call that must be refused. */
export async function refused(call: Promise<unknown>): Promise<ConnectError> {
  return await call.then(
    () => assert.fail("the call was not refused"),
    (cause) => ConnectError.from(cause),
  );
}

/** Fails unless the call is refused with this code and, if given, this google.rpc.ErrorInfo reason. */
export async function assertRefused(
  call: Promise<unknown>,
  code: keyof typeof Code,
  reason?: string,
): Promise<ConnectError> {
  const error = await refused(call);
  assert.equal(Code[error.code], code, error.message);
  if (reason !== undefined) assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, reason);
  return error;
}

/** Fails unless the call is refused as INVALID_ARGUMENT with exactly these fields in google.rpc.BadRequest. */
export async function assertViolations(call: Promise<unknown>, fields: readonly string[]): Promise<void> {
  const error = await assertRefused(call, "InvalidArgument");
  const violations = error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
  assert.deepEqual([...new Set(violations.map(({ field }) => field))].sort(), [...fields].sort());
  for (const { description } of violations) assert.ok(description, "every violation says what is wrong");
}

export async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const message of messages) all.push(message);
  return all;
}
