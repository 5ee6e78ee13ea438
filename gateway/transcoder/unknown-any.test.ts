import assert from "node:assert/strict";
import { test } from "node:test";
import { create, createRegistry } from "@bufbuild/protobuf";
import { AnySchema, anyPack, DurationSchema, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { toJsonTolerant } from "./unknown-any.ts";

const registry = createRegistry(AnySchema, DurationSchema, FileDescriptorProtoSchema);
const unknown = (name: string, bytes: number[]) =>
  create(AnySchema, { typeUrl: `type.googleapis.com/${name}`, value: new Uint8Array(bytes) });
const toJson = (any: ReturnType<typeof unknown>, known = registry) =>
  toJsonTolerant(AnySchema, any, { registry: known });

test("an Any of a known type is written as ProtoJSON does", () => {
  const duration = create(DurationSchema, { seconds: 2n });
  assert.deepEqual(toJson(anyPack(DurationSchema, duration)), {
    "@type": "type.googleapis.com/google.protobuf.Duration",
    value: "2s",
  });
  assert.deepEqual(toJson(create(AnySchema)), {});
});

test("an Any of an unknown type keeps its bytes, in whatever package, and with no registry at all", () => {
  for (const name of ["other.v1.Thing", "other.v1.Thing.Part", "Thing"]) {
    const written = { "@type": `type.googleapis.com/${name}`, value: "AQI=" };
    assert.deepEqual(toJson(unknown(name, [1, 2])), written);
    assert.deepEqual(toJsonTolerant(AnySchema, unknown(name, [1, 2]), {}), written);
  }
});

test("an unknown Any inside a known one does not take the rest away", () => {
  const inner = unknown("other.v1.Thing", [7]);
  const packed = anyPack(AnySchema, anyPack(AnySchema, inner));
  assert.deepEqual(toJson(packed), {
    "@type": "type.googleapis.com/google.protobuf.Any",
    value: {
      "@type": "type.googleapis.com/google.protobuf.Any",
      value: { "@type": "type.googleapis.com/other.v1.Thing", value: "Bw==" },
    },
  });
});

test("what cannot be written for another reason still fails, and the message is left as it was", () => {
  const broken = create(AnySchema, {
    typeUrl: "type.googleapis.com/google.protobuf.FileDescriptorProto",
    value: new Uint8Array([0xff]),
  });
  assert.throws(() => toJson(broken));
  const any = unknown("other.v1.Thing", [1]);
  toJson(any);
  assert.deepEqual([...any.value], [1]);
});
