import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RetryInfoSchema,
} from "#gen/google/rpc/error_details_pb.ts";
import { type RefusalKind, Refused, refusalToError, refuse, refuseFields } from "./refusal.ts";

test("each kind of refusal has its gRPC code", () => {
  const codes: Record<RefusalKind, Code> = {
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
  };
  for (const [kind, code] of Object.entries(codes)) {
    assert.equal(refusalToError(refuse(kind as RefusalKind, "R", "m").refusal).code, code);
  }
});

describe("the status of a refusal", () => {
  test("names its reason and our domain (AIP-193)", () => {
    const error = refusalToError(refuse("conflict", "ETAG", "changed", { metadata: { a: "b" } }).refusal);
    assert.equal(error.rawMessage, "changed");
    const [info] = error.findDetails(ErrorInfoSchema);
    assert.equal(info!.reason, "ETAG");
    assert.equal(info!.domain, "lampid.go.id");
    assert.deepEqual(info!.metadata, { a: "b" });
    assert.deepEqual(error.findDetails(BadRequestSchema), []);
    assert.deepEqual(error.findDetails(RetryInfoSchema), []);
  });

  test("lists every wrong field", () => {
    const refused = refuseFields([
      { field: "nik", description: "must be 16 digits", reason: "NIK_FORMAT" },
      { field: "nama", description: "is required" },
    ]);
    assert.ok(refused instanceof Refused);
    const error = refusalToError(refused.refusal);
    assert.equal(error.rawMessage, "invalid value in: nik, nama");
    const [detail] = error.findDetails(BadRequestSchema);
    assert.deepEqual(
      detail!.fieldViolations.map(({ field, description, reason }) => [field, description, reason]),
      [
        ["nik", "must be 16 digits", "NIK_FORMAT"],
        ["nama", "is required", ""],
      ],
    );
  });

  test("names what stands in the way", () => {
    const error = refusalToError(
      refuse("precondition", "KK_CLOSED", "nobody", { subject: "nomor_kk" }).refusal,
    );
    const [failure] = error.findDetails(PreconditionFailureSchema);
    assert.deepEqual(
      failure!.violations.map(({ type, subject, description }) => [type, subject, description]),
      [["KK_CLOSED", "nomor_kk", "nobody"]],
    );
  });

  test("says when a repetition makes sense", () => {
    const error = refusalToError(refuse("unavailable", "R", "m", { retryAfterSeconds: 2 }).refusal);
    assert.equal(error.findDetails(RetryInfoSchema)[0]!.retryDelay!.seconds, 2n);
  });
});
