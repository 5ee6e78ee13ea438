// request_id (AIP-155): the same caller, id and request get the first answer again, from the same transaction.
import { createHash } from "node:crypto";
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { Database, Sql } from "./database.ts";
import { Refused, refuse } from "./refusal.ts";

export type IdempotencyKey = {
  /** Account id of the caller: ids of different callers never meet. */
  subject: string;
  /** UUID; "" means that the caller gave none, and every call is a new one. */
  requestId: string;
  /** SHA-256 of what was asked. */
  fingerprint: Uint8Array;
};

/** What makes two requests the same: the method and every field but request_id. */
export function fingerprintOf<Desc extends DescMessage>(
  schema: Desc,
  request: MessageShape<Desc>,
): Uint8Array {
  const bytes = toBinary(schema, { ...request, requestId: "" } as MessageShape<Desc>);
  return createHash("sha256").update(schema.typeName).update("\0").update(bytes).digest();
}

/** The key of a request that carries a request_id. */
export function idempotencyKeyOf<Desc extends DescMessage>(
  subject: string,
  schema: Desc,
  request: MessageShape<Desc> & { requestId: string },
): IdempotencyKey {
  return { subject, requestId: request.requestId, fingerprint: fingerprintOf(schema, request) };
}

/**
 * Runs `work` in a transaction once per request id, and replays its answer after that.
 * @throws Refused ABORTED if the id was used with another request.
 */
export async function idempotently<Desc extends DescMessage>(
  db: Database,
  key: IdempotencyKey,
  schema: Desc,
  work: (sql: Sql) => Promise<MessageShape<Desc>>,
): Promise<MessageShape<Desc>> {
  if (key.requestId === "") return db.transaction(work);
  return withSecondLook(() =>
    db.transaction(async (sql) => {
      const { rows } = await sql.query(
        "select fingerprint, response from idempotency where subject = $1 and request_id = $2",
        [key.subject, key.requestId],
      );
      if (rows[0]) return fromBinary(schema, replayed(key.fingerprint, rows[0]));
      const answer = await work(sql);
      await sql.query(
        "insert into idempotency (subject, request_id, fingerprint, response) values ($1, $2, $3, $4)",
        [key.subject, key.requestId, key.fingerprint, toBinary(schema, answer)],
      );
      return answer;
    }),
  );
}

/** Runs what looks for a kept answer first, and once more when another may have kept one after that look. */
export async function withSecondLook<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (cause) {
      // The same request at the same time: the other one has won, so its answer is there now. A refusal may come from it
      // too ("the record has changed": yes, by this very request), so it counts only when it comes twice.
      if (attempt > 0 || !(isIdempotencyConflict(cause) || cause instanceof Refused)) throw cause;
    }
  }
}

export type StoredAnswer = { fingerprint: Uint8Array; response: Uint8Array };

/** The stored answer, when it answered the same request. */
export function replayed(fingerprint: Uint8Array, stored: StoredAnswer): Uint8Array {
  if (Buffer.compare(fingerprint, stored.fingerprint) !== 0) throw requestIdReused();
  return stored.response;
}

export function isIdempotencyConflict(cause: unknown): boolean {
  return cause instanceof Error && "constraint" in cause && cause.constraint === "idempotency_pkey";
}

function requestIdReused(): Refused {
  return refuse("conflict", "REQUEST_ID_REUSED", "this request id was used with another request");
}
