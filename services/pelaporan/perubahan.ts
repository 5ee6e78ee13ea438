// What commits with an event of a report besides its state: the message that tells the mesh, and who is on record for it.
import { toBinary } from "@bufbuild/protobuf";
import type { OutboxEvent } from "#chassis/outbox.ts";
import { eventMessage, laporanName } from "./messages.ts";
import type { Laporan, Peristiwa } from "./store.ts";

/** @param eventId UUID; of an event that commands the registry, it is the command's, too. */
export function outboxEvent(
  eventId: string,
  id: string,
  peristiwa: Peristiwa,
  after: Laporan,
  traceparent: string,
): OutboxEvent {
  const { schema, message } = eventMessage(id, peristiwa, after);
  const name = laporanName(id);
  return {
    topic: "laporan-events",
    key: name,
    subject: name,
    id: eventId,
    type: schema.typeName,
    time: peristiwa.waktu.toISOString(),
    traceparent,
    data: toBinary(schema, message),
  };
}
