// An event as a Kafka record: the CloudEvents 1.0 binding for Kafka, binary mode; attributes are headers named ce_*.
import type { IHeaders, KafkaMessage, Message } from "kafkajs";
import type { BusEvent } from "./event-bus.ts";

const CONTENT_TYPE = "application/protobuf";

export function toRecord({ id, source, type, subject, key, time, traceparent, data }: BusEvent): Message {
  return {
    key,
    value: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
    timestamp: String(Date.parse(time)),
    headers: {
      ce_specversion: "1.0",
      ce_id: id,
      ce_source: source,
      ce_type: type,
      ce_subject: subject,
      ce_time: time,
      // CloudEvents' "distributed tracing" extension, and the header that other tracers look for.
      ce_traceparent: traceparent,
      traceparent,
      "content-type": CONTENT_TYPE,
    },
  };
}

/**
 * Reads also what Debezium's outbox event router writes: its id is a header "id", and its time has microseconds.
 * Undefined for a record that is no event of ours: without an id it could not count once.
 */
export function fromRecord({ key, value, headers = {}, timestamp }: KafkaMessage): BusEvent | undefined {
  const id = header(headers, "ce_id") || header(headers, "id");
  const type = header(headers, "ce_type");
  const time = isoTime(header(headers, "ce_time")) ?? isoTime(Number(timestamp));
  if (!id || !type || !time) return undefined;
  return {
    id,
    source: header(headers, "ce_source"),
    type,
    subject: header(headers, "ce_subject"),
    key: key?.toString("utf8") ?? "",
    time,
    traceparent: header(headers, "ce_traceparent") || header(headers, "traceparent"),
    data: new Uint8Array(value ?? []),
  };
}

/** One form whoever wrote it: consumers may compare times as texts. */
function isoTime(time: string | number): string | undefined {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}

function header(headers: IHeaders, name: string): string {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value)?.toString() ?? "";
}
