// CONVENTIONS rule 11, proven: a known NIK and name go through every path, and no log, span or metric holds them.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { createLogger } from "#chassis/log.ts";
import { startTelemetry, type Telemetry } from "#chassis/telemetry.ts";
import { as } from "../harness/component.ts";
import { kematian, pindah, sahkan } from "./keluarga.ts";
import { openRegistry, operator, printed, pusat, type Registry } from "./registry.ts";

const NIK = "3201011508770001";
const SECRETS = [NIK, "Rahasiawati", "Jalan Tersembunyi", "Ibukandung", "1977-08-15"];
const person = printed({ nik: NIK, nama: "Rahasiawati", alamat: "Jalan Tersembunyi 7" });

let logged = "";
let collector: Server;
let exported = "";
let telemetry: Telemetry;
let registry: Registry;

before(async () => {
  collector = createServer((request, response) => {
    request.setEncoding("latin1").on("data", (chunk) => {
      exported += chunk;
    });
    request.on("end", () => response.end());
  });
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
  const { port } = collector.address() as AddressInfo;
  telemetry = startTelemetry({ name: "privacy", otlpEndpoint: `http://127.0.0.1:${port}` });
  const sink = {
    write(line: string) {
      logged += line;
    },
  };
  registry = await openRegistry({ telemetry, log: createLogger("privacy", "trace", sink) });
});

after(async () => {
  await registry.close();
  collector.closeAllConnections();
  await new Promise((resolve) => collector.close(resolve));
});

test("no log line, span or metric of any call, done or failed, holds a NIK, a name, an address or a birth date", async () => {
  const { client, db } = registry;
  const requestId = randomUUID();
  const ended = { ok: 0, refused: 0 };
  const end = (calls: Promise<unknown>[]) =>
    Promise.all(
      calls.map((call) =>
        call.then(
          () => ended.ok++,
          () => ended.refused++,
        ),
      ),
    );

  const { penduduk } = await client.registerPenduduk(
    { ...person, requestId, namaIbu: "Ibukandung", tanggalLahir: "1977-08-15" },
    operator,
  );
  await end([
    client.registerPenduduk(person, operator),
    client.registerPenduduk({ ...person, requestId }, operator),
    client.registerPenduduk({ ...person, nama: "Rahasiawati 2", nik: `${NIK}1` }, operator),
    client.registerPenduduk({ ...person, tanggalLahir: "1977-08-16" }, operator),
    client.registerPenduduk(person, as("operator", "32.01.02.2001")),
    client.registerPenduduk(person),
    client.lookupPenduduk({ nik: NIK }, operator),
    client.lookupPenduduk({ nik: NIK }, as("operator", "32.01.02.2001")),
    client.searchPenduduk({ nama: "Rahasiawati", kodeWilayah: "ID" }, pusat),
    client.searchPenduduk({ nama: "Rahasiawati%", kodeWilayah: "ID" }, pusat),
    client.verifyKtp({ nik: NIK, nama: "Rahasiawati", namaIbu: "Ibukandung" }, operator),
    client.issueNik({ kodeWilayah: "32.01.01", tanggalLahir: "1977-08-15", jenisKelamin: 1 }, operator),
    client.createKartuKeluarga(
      { kodeWilayah: "32.01.01", alamat: "Jalan Tersembunyi 7", anggota: [{ nik: NIK, shdk: 1 }] },
      operator,
    ),
    ...[kematian(NIK), pindah(NIK, "", { alamatTujuan: "Jalan Tersembunyi 9" })].map((isi) =>
      sahkan(registry, isi),
    ),
    client.updateBiodata({ penduduk: { name: penduduk!.name, etag: "99", namaIbu: "Ibukandung" } }, operator),
  ]);

  // A failure nobody foresaw, whose PostgreSQL error quotes the row.
  const { nik, ...others } = person;
  await db.query("alter table penduduk add constraint made_to_fail check (nama::int > 0) not valid");
  await end([
    client.registerPenduduk({ ...others, nik: nik.replace(/1$/, "2") }, operator),
    client.registerPenduduk({ ...others, nik: nik.replace(/1$/, "3"), requestId: randomUUID() }, operator),
  ]);
  await db.query("alter table penduduk drop constraint made_to_fail");
  await db.query("create unique index made_to_fail on penduduk (alamat)");
  await end([client.registerPenduduk({ ...others, nik: nik.replace(/1$/, "4") }, operator)]);
  await db.query("alter table penduduk rename to away");
  await end([
    client.registerPenduduk(person, operator),
    client.lookupPenduduk({ nik: NIK }, operator),
    client.searchPenduduk({ nama: "Rahasiawati", kodeWilayah: "ID" }, pusat),
    sahkan(registry, kematian(NIK)),
  ]);
  await db.query("alter table away rename to penduduk");
  assert.ok(ended.ok >= 4 && ended.refused >= 12, JSON.stringify(ended));

  const measured = await metricsText();
  await telemetry.shutdown();
  assert.match(logged, /call failed/);
  assert.match(measured, /RegisterPenduduk/);
  assert.match(exported, /RegisterPenduduk/);
  const { rows: audit } = await db.query("select * from audit");
  assert.ok(audit.length > 0);
  for (const [where, text] of Object.entries({ logged, measured, exported, audit: JSON.stringify(audit) })) {
    for (const secret of SECRETS) {
      const at = text.indexOf(secret);
      assert.equal(at, -1, `${where}: ${text.slice(Math.max(0, at - 200), at + 50)}`);
    }
  }
});

async function metricsText(): Promise<string> {
  const server = createServer((request, response) => telemetry.serveMetrics(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const text = await fetch(`http://127.0.0.1:${port}/metrics`).then((response) => response.text());
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  return text;
}
