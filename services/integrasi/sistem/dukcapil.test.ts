import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import {
  DukcapilHubService,
  type ReportPeristiwaRequest,
} from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { PendudukHubSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { dukcapilSistem } from "./dukcapil.ts";
import type { Perubahan } from "./sistem.ts";

const PENDING = "01890000-0000-7000-8000-0000000000e1";
const NIK = "3201013101900001";
const never = new AbortController().signal;

function change(peristiwa = PENDING): Perubahan {
  return {
    id: "01890000-0000-7000-8000-0000000000ff",
    jenis: "biodata",
    laporan: "",
    waktu: new Date("2026-11-20T03:00:00Z"),
    name: "penduduk/01890000-0000-7000-8000-000000000001",
    penduduk: create(PendudukHubSchema, { id: 7n, versi: 9n, nik: NIK, nama: "Budi", peristiwa }),
  };
}

function hubThat(report: (request: ReportPeristiwaRequest) => void) {
  const transport = createRouterTransport(({ service }) => {
    service(DukcapilHubService, {
      reportPeristiwa(request) {
        report(request);
        return { versi: 10n };
      },
    });
  });
  return dukcapilSistem(createClient(DukcapilHubService, transport), { timeoutMs: 1_000 });
}

describe("the hub", () => {
  test("is told of the resident under the id by which the registry waits, without the hub's own numbers", async () => {
    const told: ReportPeristiwaRequest[] = [];
    const answer = await hubThat((request) => void told.push(request)).send(change(), never);
    assert.deepEqual(answer, { kind: "diterima" });
    const [{ peristiwa, penduduk }] = told as [ReportPeristiwaRequest];
    assert.equal(peristiwa, PENDING);
    assert.deepEqual(penduduk, create(PendudukHubSchema, { nik: NIK, nama: "Budi" }));
  });

  test("is not asked about a change that it has brought back already", async () => {
    const told: unknown[] = [];
    const answer = await hubThat((request) => void told.push(request)).send(change(""), never);
    assert.deepEqual([answer, told], [{ kind: "diterima" }, []]);
  });

  test("refuses with a rule and a field, and no text of it goes further", async () => {
    const sistem = hubThat(() => {
      throw new ConnectError(`${NIK} is wrong`, Code.InvalidArgument, undefined, [
        { desc: ErrorInfoSchema, value: { reason: "WILAYAH_UNKNOWN", domain: "lampid.go.id" } },
        {
          desc: BadRequestSchema,
          value: { fieldViolations: [{ field: "penduduk.kode_wilayah" }, { field: NIK }] },
        },
      ]);
    });
    assert.deepEqual(await sistem.send(change(), never), {
      kind: "ditolak",
      alasan: "INVALID_ARGUMENT WILAYAH_UNKNOWN penduduk.kode_wilayah",
    });
  });

  for (const code of [
    Code.Unavailable,
    Code.DeadlineExceeded,
    Code.Internal,
    Code.PermissionDenied,
    Code.Unauthenticated,
    Code.Unimplemented,
    Code.ResourceExhausted,
  ]) {
    test(`that answers ${Code[code]} is tried again`, async () => {
      const sistem = hubThat(() => {
        throw new ConnectError("no", code);
      });
      assert.equal((await sistem.send(change(), never)).kind, "gagal");
    });
  }
});
