import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { DescService } from "@bufbuild/protobuf";
import { anonymous, type Caller } from "../caller.ts";
import { loadMeshPolicy, type Policy } from "./policy.ts";

// Every RPC of the mesh and who may call it. Written out, not derived: a changed policy has to be changed here, too.
// The last word says whether the handler must ask again with the wilayah of what it is about.
const expected: Record<string, string> = {
  "lampid.auth.v1.AuthService/Login": "public",
  "lampid.auth.v1.AuthService/GetMe":
    "operator supervisor admin_kota admin_pusat auditor mitra service anywhere",
  "lampid.auth.v1.AccountService/CreateAccount": "admin_kota admin_pusat scoped",
  "lampid.auth.v1.AccountService/GetAccount": "admin_kota admin_pusat scoped",
  "lampid.auth.v1.AccountService/ListAccounts": "admin_kota admin_pusat scoped",
  "lampid.auth.v1.AccountService/UpdateAccount": "admin_kota admin_pusat scoped",
  "lampid.auth.v1.AccountService/SuspendAccount": "admin_kota admin_pusat scoped",
  "lampid.auth.v1.AccountService/ReactivateAccount": "admin_kota admin_pusat scoped",
  "lampid.auth.v1.AccountService/ResetPassword": "admin_kota admin_pusat scoped",
  "lampid.auth.v1.RevocationService/ListRevocations": "public",
  "lampid.penduduk.v1.PendudukService/RegisterPenduduk": "operator supervisor admin_kota admin_pusat scoped",
  "lampid.penduduk.v1.PendudukService/IssueNik": "operator supervisor admin_kota admin_pusat scoped",
  "lampid.penduduk.v1.PendudukService/GetPenduduk":
    "operator supervisor admin_kota admin_pusat service scoped",
  "lampid.penduduk.v1.PendudukService/LookupPenduduk": "operator supervisor admin_kota admin_pusat scoped",
  "lampid.penduduk.v1.PendudukService/SearchPenduduk": "operator supervisor admin_kota admin_pusat scoped",
  "lampid.penduduk.v1.PendudukService/UpdateBiodata": "operator supervisor admin_kota admin_pusat scoped",
  "lampid.penduduk.v1.PendudukService/CreateKartuKeluarga":
    "operator supervisor admin_kota admin_pusat scoped",
  "lampid.penduduk.v1.PendudukService/GetKartuKeluarga": "operator supervisor admin_kota admin_pusat scoped",
  "lampid.penduduk.v1.PendudukService/VerifyKtp":
    "operator supervisor admin_kota admin_pusat mitra(penduduk.verify) anywhere",
  "lampid.penduduk.v1.PendudukService/ExportPenduduk": "admin_kota admin_pusat mitra(penduduk.export) scoped",
  "lampid.pelaporan.v1.PelaporanService/SubmitLaporan": "operator scoped",
  "lampid.pelaporan.v1.PelaporanService/VerifyLaporan": "supervisor scoped",
  "lampid.pelaporan.v1.PelaporanService/ApproveLaporan": "admin_kota scoped",
  "lampid.pelaporan.v1.PelaporanService/ReturnLaporan": "supervisor admin_kota scoped",
  "lampid.pelaporan.v1.PelaporanService/ResubmitLaporan": "operator scoped",
  "lampid.pelaporan.v1.PelaporanService/RejectLaporan": "supervisor admin_kota scoped",
  "lampid.pelaporan.v1.PelaporanService/CancelLaporan": "operator scoped",
  "lampid.pelaporan.v1.PelaporanService/DismissKemiripan": "supervisor scoped",
  "lampid.pelaporan.v1.PelaporanService/CorrectLaporan": "admin_kota scoped",
  "lampid.pelaporan.v1.PelaporanService/RevokeLaporan": "admin_kota scoped",
  "lampid.pelaporan.v1.PelaporanService/CancelPerpindahan": "admin_kota scoped",
  "lampid.pelaporan.v1.PelaporanService/ReapplyLaporan": "admin_kota scoped",
  "lampid.pelaporan.v1.PelaporanService/GetLaporan": "operator supervisor admin_kota admin_pusat scoped",
  "lampid.pelaporan.v1.PelaporanService/ListLaporan": "operator supervisor admin_kota admin_pusat scoped",
  "lampid.pelaporan.v1.PelaporanService/GetKinerjaLaporan":
    "operator supervisor admin_kota admin_pusat scoped",
  "lampid.pelaporan.v1.PelaporanService/WatchLaporan": "operator supervisor admin_kota admin_pusat scoped",
  "lampid.pelaporan.v1.PelaporanService/GetLaporanHistory":
    "operator supervisor admin_kota admin_pusat scoped",
  "lampid.pelaporan.v1.PemeliharaanService/RebuildLaporan": "admin_pusat service anywhere",
  "lampid.statistik.v1.StatistikService/GetStats": "admin_pusat anywhere",
  "lampid.statistik.v1.StatistikService/GetKecamatanStats": "admin_kota admin_pusat scoped",
  "lampid.statistik.v1.StatistikService/WatchStats": "admin_pusat anywhere",
  "lampid.statistik.v1.StatistikService/GetLedger":
    "supervisor admin_kota admin_pusat mitra(statistik.read) scoped",
  "lampid.statistik.v1.StatistikService/GetLedgerSeries":
    "supervisor admin_kota admin_pusat mitra(statistik.read) scoped",
  "lampid.statistik.v1.StatistikService/GetLampidStats":
    "supervisor admin_kota admin_pusat mitra(statistik.read) scoped",
  "lampid.notifikasi.v1.NotifikasiService/ListPesan": "supervisor admin_kota admin_pusat scoped",
  "lampid.notifikasi.v1.NotifikasiService/ResendPesan": "admin_kota admin_pusat scoped",
  "lampid.notifikasi.v1.NotifikasiService/GetPreferensi": "operator supervisor admin_kota admin_pusat scoped",
  "lampid.notifikasi.v1.NotifikasiService/UpdatePreferensi":
    "operator supervisor admin_kota admin_pusat scoped",
  "lampid.integrasi.v1.SinkronisasiService/StartSinkronisasi": "admin_pusat anywhere",
  "lampid.integrasi.v1.SinkronisasiService/GetSinkronisasi": "admin_pusat anywhere",
  "lampid.integrasi.v1.SinkronisasiService/ListSinkronisasi": "admin_pusat anywhere",
  "lampid.integrasi.v1.SinkronisasiService/WatchSinkronisasi": "admin_pusat anywhere",
  "lampid.integrasi.v1.SinkronisasiService/PauseSinkronisasi": "admin_pusat anywhere",
  "lampid.integrasi.v1.SinkronisasiService/ResumeSinkronisasi": "admin_pusat anywhere",
  "lampid.integrasi.v1.SinkronisasiService/CancelSinkronisasi": "admin_pusat anywhere",
  "lampid.integrasi.v1.SinkronisasiService/ListKarantina": "admin_pusat anywhere",
  "lampid.integrasi.v1.SinkronisasiService/GetKarantina": "admin_pusat anywhere",
  "lampid.integrasi.v1.SinkronisasiService/RetryKarantina": "admin_pusat anywhere",
  "lampid.integrasi.v1.SinkronisasiService/DismissKarantina": "admin_pusat anywhere",
  "lampid.integrasi.v1.PengirimanService/ListPengiriman": "admin_pusat anywhere",
  "lampid.integrasi.v1.PengirimanService/GetPengiriman": "admin_pusat anywhere",
  "lampid.integrasi.v1.PengirimanService/RetryPengiriman": "admin_pusat anywhere",
  "google.longrunning.Operations/GetOperation": "admin_pusat anywhere",
  "google.longrunning.Operations/ListOperations": "admin_pusat anywhere",
  "google.longrunning.Operations/CancelOperation": "admin_pusat anywhere",
  "google.longrunning.Operations/WaitOperation": "admin_pusat anywhere",
  "google.longrunning.Operations/DeleteOperation": "admin_pusat anywhere",
  "lampid.penggabungan.v1.PenggabunganService/MergePenduduk": "service anywhere",
  "lampid.penggabungan.v1.PenggabunganService/HitungPenduduk": "service anywhere",
  "lampid.penggabungan.v1.PenggabunganService/ReadPenduduk": "service anywhere",
  "lampid.peristiwa.v1.PeristiwaService/ApplyPeristiwa": "service anywhere",
  "lampid.pelaporan.v1.PelaporanInternalService/GetKontakPelapor": "service anywhere",
  "lampid.pelaporan.v1.PelaporanInternalService/GetIsiLaporan": "service anywhere",
  "lampid.dokumen.v1.DokumenService/GetDokumen": "operator supervisor admin_kota admin_pusat scoped",
  "lampid.dokumen.v1.DokumenService/ListDokumen": "operator supervisor admin_kota admin_pusat scoped",
  "lampid.dokumen.v1.DokumenService/DownloadDokumen": "operator supervisor admin_kota admin_pusat scoped",
  "lampid.dokumen.v1.DokumenService/VerifyDokumen": "public",
  "lampid.dokumen.v1.DokumenService/RevokeDokumen": "admin_kota scoped",
  "lampid.dokumen.v1.DokumenService/GetKunci": "public",
  "lampid.peristiwa.v1.PeristiwaService/CountPenduduk": "admin_pusat service anywhere",
  "lampid.dukcapil.v1.DukcapilHubService/GetHub": "admin_pusat service anywhere",
  "lampid.dukcapil.v1.DukcapilHubService/StreamPenduduk": "service anywhere",
  "lampid.dukcapil.v1.DukcapilHubService/ListPenduduk": "service anywhere",
  "lampid.dukcapil.v1.DukcapilHubService/LookupPenduduk": "service anywhere",
  "lampid.dukcapil.v1.DukcapilHubService/HitungPenduduk": "service anywhere",
  "lampid.dukcapil.v1.DukcapilHubService/ReportPeristiwa": "service anywhere",
  "lampid.dukcapil.v1.DukcapilHubService/ChangePenduduk": "admin_pusat service anywhere",
  "lampid.dukcapil.v1.DukcapilHubService/GetGangguan": "admin_pusat service anywhere",
  "lampid.dukcapil.v1.DukcapilHubService/SetGangguan": "admin_pusat service anywhere",
};

// What every process serves besides.
const standard = [
  "grpc.health.v1.Health/Check",
  "grpc.health.v1.Health/List",
  "grpc.health.v1.Health/Watch",
  "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/** Everyone who could call: each role, the machine client with each scope, no role, and roles that do not exist. */
const callers = [
  "operator",
  "supervisor",
  "admin_kota",
  "admin_pusat",
  "auditor",
  "service",
  "mitra",
  "mitra(penduduk.verify)",
  "mitra(penduduk.export)",
  "mitra(statistik.read)",
  "mitra(lampid)",
  "",
  "camat",
  "Operator",
  "admin",
  "*",
];

function callerNamed(name: string, wilayah = "ID"): Caller {
  const [, role, scope] = /^([^(]*)(?:\((.*)\))?$/.exec(name)!;
  return { subject: "s", username: "u", role: role!, wilayah, scopes: scope ? [scope] : [] };
}

/** Whether the row names the caller; a role that is named without a scope is good with any. */
function isExpected(row: string, caller: string): boolean {
  return row.split(" ").some((word) => word === caller || word === caller.replace(/\(.*/, ""));
}

async function contractMethods(folder: string): Promise<string[]> {
  const root = join(import.meta.dirname, "../../../gen", folder);
  const files = (await readdir(root, { recursive: true })).filter((file) => file.endsWith("_pb.ts"));
  const methods: string[] = [];
  for (const file of files) {
    for (const value of Object.values(await import(join(root, file)))) {
      if (!isService(value)) continue;
      for (const method of value.methods) methods.push(`${value.typeName}/${method.name}`);
    }
  }
  return methods.sort();
}

function isService(value: unknown): value is DescService {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "service";
}

let policy: Policy;
let rego: string;
before(async () => {
  policy = await loadMeshPolicy();
  rego = await readFile(join(import.meta.dirname, "lampid.rego"), "utf8");
});

describe("the method table", () => {
  test("of this test names every RPC of the contracts, and none that does not exist", async () => {
    const ours = [...(await contractMethods("lampid")), ...(await contractMethods("google"))];
    assert.deepEqual(Object.keys(expected).sort(), ours.sort());
    assert.deepEqual(standard.toSorted(), await contractMethods("grpc"));
  });

  test("of the policy names every RPC of the contracts, and none that does not exist", async () => {
    const block = (name: string) => new RegExp(`^${name} := \\{$(.*?)^\\}$`, "ms").exec(rego)?.[1] ?? "";
    const named = (text: string) => [...text.matchAll(/"([\w.]+\/\w+)"/g)].map((match) => match[1]!);
    const table = [...named(block("methods")), ...named(block("public"))];
    assert.equal(new Set(table).size, table.length, "a method is named twice");
    const contracts = (await Promise.all(["lampid", "google", "grpc"].map(contractMethods))).flat();
    assert.deepEqual(table.sort(), contracts.sort());
  });

  test("knows no role that the accounts do not have", () => {
    const known = /known_role if input\.role in \{(.*)\}/.exec(rego)![1]!;
    assert.deepEqual([...known.matchAll(/"(\w+)"/g)].map((match) => match[1]).sort(), [
      "admin_kota",
      "admin_pusat",
      "auditor",
      "mitra",
      "operator",
      "service",
      "supervisor",
    ]);
  });
});

describe("every RPC for every role", () => {
  for (const [method, row] of Object.entries(expected)) {
    test(method, () => {
      for (const name of callers) {
        const isPublic = row === "public";
        const admit = isPublic || isExpected(row, name);
        const scoped = row.endsWith(" scoped");
        const told = `${name || "no role"}: ${row}`;
        assert.deepEqual(
          policy(method, callerNamed(name)),
          { admit, scoped, allow: admit && !scoped, public: isPublic },
          told,
        );
        const about = policy(method, callerNamed(name), "32.01.01");
        assert.equal(about.allow, admit, `${told}, about 32.01.01`);
        if (scoped) {
          const nowhere = policy(method, callerNamed(name, ""));
          assert.deepEqual([nowhere.admit, nowhere.allow], [false, false], `${told}, without a wilayah`);
        }
      }
      assert.equal(policy(method, anonymous).admit, row === "public");
    });
  }

  test("what every process serves besides needs no token", () => {
    for (const method of standard) {
      assert.deepEqual(policy(method, anonymous), { admit: true, scoped: false, allow: true, public: true });
    }
  });

  test("a method that is not in the table is denied to everyone", () => {
    const strangers = [
      "",
      "lampid.penduduk.v1.PendudukService/DeletePenduduk",
      "lampid.penduduk.v1.PendudukService/getpenduduk",
      "lampid.penduduk.v1.PendudukService",
      "grpc.health.v1.Health/Reset",
      "*",
    ];
    for (const method of strangers) {
      for (const name of callers) {
        const { admit, allow, public: open } = policy(method, callerNamed(name), "ID");
        assert.deepEqual([admit, allow, open], [false, false, false], `${name}: ${method}`);
      }
    }
  });
});

describe("an account may act", () => {
  const method = "lampid.penduduk.v1.PendudukService/RegisterPenduduk";
  const may = (own: string, resource?: string, role = "operator") =>
    policy(method, callerNamed(role, own), resource).allow;
  const cases: [own: string, resource: string, allowed: boolean, why: string][] = [
    ["32.01.01.1006", "32.01.01.1006", true, "in its own kelurahan"],
    ["32.01.01", "32.01.01.1006", true, "in a kelurahan of its kecamatan"],
    ["32.01", "32.01.01.1006", true, "in a kelurahan of its kabupaten"],
    ["32", "32.01", true, "in a kabupaten of its province"],
    ["ID", "91.01.01.2001", true, "anywhere, if it is the nation's"],
    ["ID", "ID", true, "on the nation, if it is the nation's"],
    ["32.01.01.1006", "32.01.01", true, "where only its own kecamatan is known"],
    ["32.01.01.1006", "32.01.02", false, "not where only another kecamatan is known"],
    ["32.01.01.1006", "32.01", false, "not where only its kabupaten is known"],
    ["32.01.01.1006", "32", false, "not where only its province is known"],
    ["32.01.01.1006", "32.01.01.1007", false, "not in the kelurahan next door"],
    ["32.01.01.1006", "32.01.02.2001", false, "not in another kecamatan"],
    ["32.01.01", "32.01.02", false, "not in the kecamatan next door"],
    ["32.01.01", "32.01", false, "not on the whole kabupaten of its kecamatan"],
    ["32.01", "32", false, "not on the whole province of its kabupaten"],
    ["32.01", "ID", false, "not on the nation, if it is not the nation's"],
    ["32", "33.01", false, "not in another province"],
    ["32.0", "32.01", false, "not with a code that is a mere prefix"],
    ["32.01", "32.010", false, "not where a code merely starts alike"],
    ["32.01", "32.010.01", false, "not below a code that merely starts alike"],
    ["3", "32.01", false, "not with a digit for a province"],
    ["32.", "32.01", false, "not with a dot at the end"],
    ["32.01.", "32.01.01", false, "not with a dot at the end of a kabupaten"],
    ["", "32.01.01.1006", false, "not without a wilayah"],
    ["", "", false, "not without a wilayah where none is known, either"],
    ["ID", "", false, "not where the wilayah is unknown, even the nation's"],
    ["ID", "32.01.01.10066", false, "not on a malformed code, even the nation's"],
    ["ID", "32.01.01.1006\n", false, "not on a code with a line end, even the nation's"],
    ["id", "32.01", false, "not as the nation in small letters"],
    ["ID.32", "ID.32", false, "not with a code made up from the nation's"],
    ["*", "32.01", false, "not with an asterisk"],
    ["32.01.01.1006 ", "32.01.01.1006", false, "not with a space at the end"],
    ["%", "32.01", false, "not with a wildcard of SQL"],
  ];
  for (const [own, resource, allowed, why] of cases) {
    test(`${why} ("${own}" on ${JSON.stringify(resource)})`, () => assert.equal(may(own, resource), allowed));
  }

  test("not before it has been said on what", () => {
    assert.equal(may("ID", undefined), false);
    assert.equal(policy(method, callerNamed("operator", "ID")).admit, true);
  });

  test("as no more than its role says, wherever it is", () => {
    assert.equal(may("ID", "32.01", "auditor"), false);
    assert.equal(may("ID", "32.01", "mitra(penduduk.verify)"), false);
  });

  test("and a remembered decision is the same one", () => {
    assert.deepEqual([may("32.01", "32.01.01"), may("32.01", "32.01.01")], [true, true]);
    assert.deepEqual([may("32.02", "32.01.01"), may("32.02", "32.01.01")], [false, false]);
  });
});
