// Refusals: what a service says no to, as typed values mapped to gRPC codes in one table.
import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RetryInfoSchema,
} from "#gen/google/rpc/error_details_pb.ts";

/** The domain of google.rpc.ErrorInfo (AIP-193). */
export const ERROR_DOMAIN = "lampid.go.id";

/** Why a call is refused; the code says how a client should take it. */
export const refusalCodes = {
  invalid: Code.InvalidArgument,
  unauthenticated: Code.Unauthenticated,
  forbidden: Code.PermissionDenied,
  notFound: Code.NotFound,
  alreadyExists: Code.AlreadyExists,
  conflict: Code.Aborted,
  precondition: Code.FailedPrecondition,
  exhausted: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
  dataLoss: Code.DataLoss,
} as const;

export type RefusalKind = keyof typeof refusalCodes;

export type FieldViolation = { field: string; description: string; reason?: string };

export type Refusal = {
  kind: RefusalKind;
  /** UPPER_SNAKE_CASE, stable: clients branch on it. */
  reason: string;
  /** For a person; holds no personal data. */
  message: string;
  violations?: readonly FieldViolation[];
  /** What stands in the way, when something does; the reason is its type. */
  subject?: string;
  metadata?: Record<string, string>;
  /** Seconds after which a repetition makes sense. */
  retryAfterSeconds?: number;
};

/** Throwable form of a {@link Refusal}; the `refusals` interceptor turns it into the gRPC status. */
export class Refused extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.message);
    this.name = "Refused";
    this.refusal = refusal;
  }
}

export function refuse(
  kind: RefusalKind,
  reason: string,
  message: string,
  more: Partial<Refusal> = {},
): Refused {
  return new Refused({ kind, reason, message, ...more });
}

export function refuseFields(violations: readonly FieldViolation[]): Refused {
  const fields = violations.map(({ field }) => field).join(", ");
  return refuse("invalid", "FIELD_VIOLATION", `invalid value in: ${fields}`, { violations });
}

/** The status a refusal travels as: code, ErrorInfo, and BadRequest, PreconditionFailure or RetryInfo where they say more. */
export function refusalToError(refusal: Refusal, options?: { cause?: unknown }): ConnectError {
  const details: { desc: DescMessage; value: MessageInitShape<DescMessage> }[] = [
    detail(ErrorInfoSchema, {
      reason: refusal.reason,
      domain: ERROR_DOMAIN,
      metadata: refusal.metadata ?? {},
    }),
  ];
  if (refusal.violations?.length) {
    details.push(
      detail(BadRequestSchema, {
        fieldViolations: refusal.violations.map(({ field, description, reason }) => ({
          field,
          description,
          reason: reason ?? "",
        })),
      }),
    );
  }
  if (refusal.subject !== undefined) {
    const { reason: type, subject, message: description } = refusal;
    details.push(detail(PreconditionFailureSchema, { violations: [{ type, subject, description }] }));
  }
  if (refusal.retryAfterSeconds !== undefined) {
    details.push(
      detail(RetryInfoSchema, { retryDelay: { seconds: BigInt(refusal.retryAfterSeconds), nanos: 0 } }),
    );
  }
  return new ConnectError(refusal.message, refusalCodes[refusal.kind], undefined, details, options?.cause);
}

function detail<Desc extends DescMessage>(desc: Desc, value: MessageInitShape<Desc>) {
  return { desc: desc as DescMessage, value: value as MessageInitShape<DescMessage> };
}
