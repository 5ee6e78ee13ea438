// What commits with an event of a report: the message that tells the mesh, and who is on record for it.
import { toBinary } from "@bufbuild/protobuf";
import { v7 as uuidv7 } from "uuid";
import type { OutboxEvent } from "#chassis/outbox.ts";
import { evolve } from "./domain/laporan.ts";
import { eventMessage, laporanName } from "./messages.ts";
import type { AppendCommand, Laporan, Peristiwa } from "./store.ts";

/** The message's id is the event's; of an event that commands the registry, it is the command's, too. */
export function outboxEvent(
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
    id: uuidv7(),
    type: schema.typeName,
    time: peristiwa.waktu.toISOString(),
    traceparent,
    data: toBinary(schema, message),
  };
}

/** An event that nobody has asked for in a call: of an answer of the registry, or of time alone. */
export function appendOfItself(
  id: string,
  before: Laporan,
  peristiwa: Peristiwa,
  { action, traceparent }: { action: string; traceparent: string },
): AppendCommand {
  const laporan = evolve(before, peristiwa);
  const event = outboxEvent(id, peristiwa, laporan, traceparent);
  const audit = {
    subject: peristiwa.pelaku,
    role: peristiwa.tingkat,
    action,
    resource: event.subject,
    wilayah: laporan.kodeWilayah,
    traceparent,
    at: peristiwa.waktu,
  };
  return { id, peristiwa, laporan, event, audit, answer: undefined };
}
