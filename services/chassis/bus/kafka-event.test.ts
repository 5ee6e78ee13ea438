import assert from "node:assert/strict";
import { test } from "node:test";
import type { IHeaders, KafkaMessage } from "kafkajs";
import type { BusEvent } from "./event-bus.ts";
import { fromRecord, toRecord } from "./kafka-event.ts";

const event: BusEvent = {
  id: "0198f3a2-7c1e-7a51-9d52-3f5f6c7a8b90",
  source: "/lampid/penduduk",
  type: "lampid.penduduk.v1.KelahiranRecorded",
  subject: "penduduk/0198f3a2-7c1e-7a51-9d52-3f5f6c7a8b91",
  key: "0198f3a2-7c1e-7a51-9d52-3f5f6c7a8b91",
  time: "2026-11-20T01:02:03.100Z",
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  data: new Uint8Array([0, 1, 255]),
};

/** What a consumer gets of a record: Kafka gives every header as bytes. */
function received(record: Partial<KafkaMessage> & { headers?: IHeaders }): KafkaMessage {
  const headers = Object.entries(record.headers ?? {}).map(([name, value]) => [name, bytes(value as string)]);
  return {
    key: null,
    value: null,
    timestamp: "0",
    attributes: 0,
    offset: "0",
    ...record,
    headers: Object.fromEntries(headers),
  };
}

const bytes = (text: string) => Buffer.from(text);

function ours(over: IHeaders = {}): KafkaMessage {
  const { key, value, timestamp, headers } = toRecord(event);
  return received({
    key: bytes(key as string),
    value: value as Buffer,
    timestamp: timestamp as string,
    headers: { ...headers, ...over },
  });
}

/** As test/engines/debezium.test.ts has seen it: an id twice, microseconds, and the time at which the log was read. */
function debeziums(over: IHeaders = {}): KafkaMessage {
  return received({
    key: bytes(event.key),
    value: Buffer.from(event.data),
    timestamp: "1795182600507",
    headers: {
      id: event.id,
      ce_id: event.id,
      ce_type: event.type,
      ce_subject: event.subject,
      ce_time: "2026-11-20T01:02:03.100000Z",
      ce_traceparent: event.traceparent,
      traceparent: event.traceparent,
      ce_specversion: "1.0",
      ce_source: event.source,
      "content-type": "application/protobuf",
      ...over,
    },
  });
}

test("an event comes out of a record as it went in", () => {
  assert.deepEqual(fromRecord(ours()), event);
});

test("a record has the headers of the CloudEvents binding, and Kafka's time is the event's", () => {
  const { headers, timestamp } = toRecord(event);
  assert.deepEqual(headers, {
    ce_specversion: "1.0",
    ce_id: event.id,
    ce_source: event.source,
    ce_type: event.type,
    ce_subject: event.subject,
    ce_time: event.time,
    ce_traceparent: event.traceparent,
    traceparent: event.traceparent,
    "content-type": "application/protobuf",
  });
  assert.equal(timestamp, String(Date.parse(event.time)));
});

test("data that is a part of a larger buffer is written without the rest", () => {
  const data = new Uint8Array([9, 0, 1, 255, 9]).subarray(1, 4);
  assert.deepEqual(toRecord({ ...event, data }).value, Buffer.from([0, 1, 255]));
});

test("Debezium's record gives the same event", () => {
  assert.deepEqual(fromRecord(debeziums()), event);
});

test("Debezium's own id will do, and a header that comes twice counts once", () => {
  assert.equal(fromRecord(debeziums({ ce_id: "" }))?.id, event.id);
  const twice = ours();
  Object.assign(twice.headers ?? {}, { ce_subject: [bytes("first"), bytes("second")] });
  assert.equal(fromRecord(twice)?.subject, "first");
});

test("an event whose time cannot be read has the record's", () => {
  assert.equal(fromRecord(ours({ ce_time: "" }))?.time, event.time);
  assert.equal(fromRecord(ours({ ce_time: "yesterday" }))?.time, event.time);
});

test("an event with an empty message has no bytes", () => {
  assert.deepEqual(fromRecord({ ...ours(), value: null })?.data, new Uint8Array());
});

test("a record without id, type or any time is no event", () => {
  assert.equal(fromRecord(received({ value: bytes("{}") })), undefined);
  assert.equal(fromRecord(ours({ ce_id: "" })), undefined);
  assert.equal(fromRecord(ours({ ce_type: "" })), undefined);
  assert.equal(fromRecord({ ...ours({ ce_time: "" }), timestamp: "9".repeat(19) }), undefined);
});
