import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { create, fromJson } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { ConfigError } from "#chassis/config.ts";
import { createWireClient } from "#chassis/wire/client.ts";
import { createWireTransport } from "#chassis/wire/wire.ts";
import { Health, HealthCheckResponse_ServingStatus as Serving } from "#gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "#gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "#gen/grpc/reflection/v1alpha/reflection_pb.ts";
import {
  DukcapilHubService,
  ListPendudukResponseSchema,
} from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { PendudukHubSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import {
  asRole,
  asService,
  idsIn,
  type RunningHub,
  readStream,
  refusedWith,
  startHub,
} from "./running-hub.ts";

let hub: RunningHub;
before(async () => {
  hub = await startHub();
});
after(() => hub.close());

describe("the hub on its gRPC port", () => {
  test("streams all rows in batches with checksums, each beginning where the one before ended", async () => {
    const { kelompok, error } = await readStream(hub, { ukuran: 700 });
    assert.equal(error, undefined);
    assert.equal(kelompok.length, 8);
    assert.deepEqual(
      kelompok.flatMap(idsIn),
      Array.from({ length: 5_000 }, (_, n) => BigInt(n + 1)),
    );
    let last = "";
    for (const each of kelompok) {
      assert.equal(each.crc32, crc32(each.isi));
      assert.equal(each.jumlah, idsIn(each).length);
      assert.equal(each.dari, last);
      last = each.sampai;
    }
    const rest = await readStream(hub, { ukuran: 700, cursor: kelompok[2]!.sampai });
    assert.deepEqual(rest.kelompok, kelompok.slice(3));
  });

  test("sends 2,000 rows a batch where nothing is said, and 10,000 at most", async () => {
    assert.deepEqual(
      (await readStream(hub, {})).kelompok.map(({ jumlah }) => jumlah),
      [2_000, 2_000, 1_000],
    );
    assert.equal((await readStream(hub, { ukuran: 2_000_000 })).kelompok[0]!.jumlah, 5_000);
  });

  test("tells where it stands, finds a row by NIK, counts, lists in pages", async () => {
    const { client } = hub;
    const { versi, jumlah } = await client.getHub({}, asService);
    assert.ok(versi >= 5_000n && jumlah >= 5_000);
    const page = await client.listPenduduk({ kodeWilayah: "ID", pageSize: 3_000 }, asService);
    assert.equal(page.penduduk.length, 1_000);
    const request = { kodeWilayah: "ID", pageSize: 3_000, pageToken: page.nextPageToken };
    assert.equal((await client.listPenduduk(request, asService)).penduduk[0]!.id, 1_001n);
    assert.equal((await client.listPenduduk({ kodeWilayah: "ID" }, asService)).penduduk.length, 100);
    const [row] = page.penduduk;
    assert.deepEqual((await client.lookupPenduduk({ nik: row!.nik }, asService)).penduduk, row);
    await refusedWith(client.lookupPenduduk({ nik: "9999999999999999" }, asService), Code.NotFound);
    const { wilayah } = await client.hitungPenduduk({ kodeWilayah: "ID" }, asService);
    assert.equal(
      wilayah.reduce((sum, each) => sum + each.jumlah, 0),
      jumlah,
    );
  });

  test("asks for a token, the right role and a request within its contract", async () => {
    const { client } = hub;
    await refusedWith(client.getHub({}), Code.Unauthenticated, "TOKEN_INVALID");
    await refusedWith(client.getHub({}, asRole("operator")), Code.PermissionDenied, "METHOD_DENIED");
    const list = { kodeWilayah: "ID" };
    await refusedWith(
      client.listPenduduk(list, asRole("admin_pusat")),
      Code.PermissionDenied,
      "METHOD_DENIED",
    );
    await refusedWith(
      client.listPenduduk({ kodeWilayah: "x" }, asService),
      Code.InvalidArgument,
      "FIELD_VIOLATION",
    );
    await refusedWith(client.changePenduduk({ permil: 0 }, asRole("admin_pusat")), Code.InvalidArgument);
    await refusedWith(
      client.listPenduduk({ kodeWilayah: "ID", pageToken: "nonsense" }, asService),
      Code.InvalidArgument,
      "FIELD_VIOLATION",
    );
    const stream = async (role: string | undefined) => {
      const options = role ? asRole(role) : {};
      for await (const _ of client.streamPenduduk({ kodeWilayah: "ID" }, options)) assert.fail("has rows");
    };
    await refusedWith(stream(undefined), Code.Unauthenticated, "TOKEN_INVALID");
    await refusedWith(stream("admin_pusat"), Code.PermissionDenied, "METHOD_DENIED");
  });

  test("has health and both versions of reflection for who comes without a token", async () => {
    const health = createWireClient(Health, hub.transport);
    const service = DukcapilHubService.typeName;
    assert.equal((await health.check({ service })).status, Serving.SERVING);
    await refusedWith(health.check({ service: "nobody" }), Code.NotFound);
    for await (const { status } of health.watch({ service })) {
      assert.equal(status, Serving.SERVING);
      break;
    }
    for (const desc of [ServerReflection, ServerReflectionAlpha as unknown as typeof ServerReflection]) {
      const questions = async function* () {
        yield { messageRequest: { case: "listServices" as const, value: "" } };
        yield { messageRequest: { case: "fileContainingSymbol" as const, value: service } };
      };
      const answers = [];
      const reflection = createWireClient(desc, hub.transport);
      for await (const { messageResponse } of reflection.serverReflectionInfo(questions())) {
        answers.push(messageResponse);
      }
      assert.ok(answers[0]!.case === "listServicesResponse");
      assert.ok(answers[0]!.value.service.some(({ name }) => name === service));
      assert.equal(answers[1]!.case, "fileDescriptorResponse");
    }
  });

  test("counts the rows, batches and bytes that it has sent", async () => {
    const rows = async () =>
      Number(/^dukcapil_rows_total\{how="batch".*} (\d+)/m.exec(await hub.metrics())?.[1]);
    const before = await rows();
    await readStream(hub, {});
    assert.equal(await rows(), before + 5_000);
    assert.match(await hub.metrics(), /dukcapil_batches_total/);
  });

  test("makes no more batches than its caller takes", async () => {
    const large = await startHub({ LAMPID_HUB_PENDUDUK: "1000000" });
    try {
      const responses = large.client.streamPenduduk({ kodeWilayah: "ID" }, asService)[Symbol.asyncIterator]();
      await responses.next();
      const before = process.memoryUsage().arrayBuffers;
      // Others are served meanwhile: a thousand calls are time for all 500 batches, were they made.
      for (let call = 0; call < 1_000; call++) await large.client.getHub({}, asService);
      const grown = process.memoryUsage().arrayBuffers - before;
      assert.ok(grown < 30_000_000, `${grown} bytes`);
      await responses.return!(undefined);
      await large.client.getHub({}, asService);
    } finally {
      await large.close();
    }
  });
});

describe("the hub's REST port", () => {
  const get = (query: string, headers: Record<string, string> = {}) =>
    fetch(`${hub.restUrl}?${query}`, { headers: { authorization: "Bearer service", ...headers } });

  test("gives the pages of ListPenduduk as ProtoJSON, zipped when asked", async () => {
    const response = await get("kode_wilayah=ID&page_size=10", { "accept-encoding": "identity" });
    assert.equal(response.headers.get("content-encoding"), null);
    const page = fromJson(ListPendudukResponseSchema, (await response.json()) as never);
    const same = await hub.client.listPenduduk({ kodeWilayah: "ID", pageSize: 10 }, asService);
    assert.deepEqual(page, same);
    const next = await get(`kode_wilayah=ID&page_size=10&page_token=${page.nextPageToken}`, {
      "accept-encoding": "gzip",
    });
    assert.equal(next.headers.get("content-encoding"), "gzip");
    assert.equal(((await next.json()) as { penduduk: { id: string }[] }).penduduk[0]!.id, "11");
  });

  test("refuses as the gRPC port does, as google.rpc.Status", async () => {
    const said = async (response: Response) => {
      const body = (await response.json()) as { code: number; details: { reason?: string }[] };
      return [response.status, body.code, body.details[0]?.reason];
    };
    const none = { authorization: "" };
    assert.deepEqual(await said(await get("kode_wilayah=ID", none)), [401, 16, "TOKEN_INVALID"]);
    const admin = { authorization: "Bearer admin_pusat" };
    assert.deepEqual(await said(await get("kode_wilayah=ID", admin)), [403, 7, "METHOD_DENIED"]);
    for (const query of ["", "kode_wilayah=ID&page_size=-1", "kode_wilayah=ID&since_versi=x"]) {
      assert.deepEqual(await said(await get(query)), [400, 3, "FIELD_VIOLATION"], query);
    }
    assert.equal((await fetch(hub.restUrl.replace("/v1/", "/v2/"))).status, 404);
    assert.equal((await fetch(hub.restUrl, { method: "POST" })).status, 405);
  });
});

describe("a hub that ends", () => {
  test("has its rounds and events again when it is back on the same folder", async () => {
    const first = await startHub({ LAMPID_HUB_CHURN: "50" });
    const { versi } = await first.client.changePenduduk({ permil: 100 }, asService);
    const nik = "3201011711260001";
    const penduduk = create(PendudukHubSchema, { nik, nama: "Cut Meutia", kodeWilayah: "32.01.01.1001" });
    const event = { peristiwa: randomUUID(), penduduk };
    const reported = await first.client.reportPeristiwa(event, asService);
    assert.ok(reported.versi > versi);
    const rows = await readStream(first, {});
    await first.close({ keepsFolder: true });
    const second = await startHub({ LAMPID_HUB_CHURN: "50" }, first.folder);
    try {
      assert.deepEqual(await readStream(second, {}), rows);
      assert.deepEqual(await second.client.reportPeristiwa(event, asService), reported);
      const { penduduk: found } = await second.client.lookupPenduduk({ nik }, asService);
      assert.equal(found!.peristiwa, event.peristiwa);
    } finally {
      await second.close();
    }
  });

  test("ends its streams with UNAVAILABLE, so that they are resumed, and then is gone", async () => {
    const ending = await startHub({ LAMPID_HUB_PENDUDUK: "1000000" });
    const responses = ending.client.streamPenduduk({ kodeWilayah: "ID" }, asService)[Symbol.asyncIterator]();
    await responses.next();
    ending.stop.abort();
    await refusedWith(
      (async () => {
        while (!(await responses.next()).done);
      })(),
      Code.Unavailable,
      "HUB_STOPPING",
    );
    await ending.close();
    const transport = createWireTransport({ baseUrl: `http://127.0.0.1:${ending.port}` });
    const late = createWireClient(DukcapilHubService, transport);
    await refusedWith(late.getHub({}, { ...asService, timeoutMs: 2_000 }), Code.Unavailable);
    transport.close();
  });

  test("names the variable that is wrong", async () => {
    for (const key of ["LAMPID_HUB_PENDUDUK", "LAMPID_HUB_SEED", "LAMPID_HUB_CHURN", "LAMPID_REST_PORT"]) {
      await assert.rejects(startHub({ [key]: "-1" }, "/nowhere"), (cause) => {
        return cause instanceof ConfigError && cause.message.startsWith(key);
      });
    }
    await assert.rejects(startHub({ LAMPID_DATA_DIR: "/dev/null/nowhere" }, "/nowhere"), ConfigError);
  });
});
