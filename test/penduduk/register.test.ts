import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { PendudukTerdaftarSchema } from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import {
  Penduduk_JenisKelamin as JenisKelamin,
  type Penduduk,
  Penduduk_Status as Status,
} from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import type { RegisterPendudukRequestSchema } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { as, assertRefused, assertViolations, refused } from "../harness/component.ts";
import { freshNik, kota, NOW, openRegistry, operator, printed, pusat, type Registry } from "./registry.ts";

type Said = Omit<MessageInitShape<typeof RegisterPendudukRequestSchema>, "$typeName">;

let registry: Registry;
let client: Registry["client"];

before(async () => {
  registry = await openRegistry();
  client = registry.client;
});

after(() => registry.close());

/** Fails if the work changes the number of residents, events, audit rows or kept answers. */
async function leavesNothing(work: () => Promise<unknown>): Promise<void> {
  const before = await registry.counts();
  await work();
  assert.deepEqual(await registry.counts(), before);
}

describe("a registration", () => {
  test("as printed answers the resident with everything that follows from it", async () => {
    const said = printed();
    const { penduduk } = await client.registerPenduduk(said, operator);
    assert.match(penduduk!.name, /^penduduk\/[0-9a-f-]{36}$/);
    assert.equal(penduduk!.nik, said.nik);
    assert.equal(penduduk!.nama, said.nama);
    assert.equal(penduduk!.alamat, said.alamat);
    assert.equal(penduduk!.provinsi, "Jawa Barat");
    assert.equal(penduduk!.kodeWilayah, "32.01.01");
    assert.equal(penduduk!.tanggalLahir, "1990-01-01");
    assert.equal(penduduk!.jenisKelamin, JenisKelamin.LAKI_LAKI);
    assert.equal(penduduk!.status, Status.AKTIF);
    assert.equal(penduduk!.etag, "1");
    assert.deepEqual(penduduk!.peringatan, []);
    assert.equal(penduduk!.createTime!.seconds, BigInt(NOW.getTime() / 1000));
    const { penduduk: read } = await client.getPenduduk({ name: penduduk!.name }, operator);
    assert.deepEqual(read, penduduk, "what is read later is what was answered");
  });

  test("stores every name as it was written", async () => {
    for (const nama of [
      "Ma'ruf",
      "Siti Drop Table",
      "I Gusti Ngurah Rai, S.H.",
      "Zoë Çelik-Ñuñez",
      " A",
      "O'",
    ]) {
      const { penduduk } = await client.registerPenduduk(printed({ nama }), operator);
      assert.equal(penduduk!.nama, nama);
      const { rows } = await registry.db.query("select nama from penduduk where nik = $1", [penduduk!.nik]);
      assert.equal(rows[0].nama, nama);
    }
  });

  test("stores the resident, one event and one audit row, which tell of the same thing", async () => {
    const before = await registry.counts();
    const { penduduk } = await client.registerPenduduk(
      printed({ nama: "Rina Wati", nik: freshNik("320101410190") }),
      operator,
    );
    const after = await registry.counts();
    assert.deepEqual(after, {
      residents: before.residents + 1,
      events: before.events + 1,
      audits: before.audits + 1,
      answers: before.answers,
    });
    const events = await registry.db.query("select * from outbox where subject = $1", [penduduk!.name]);
    const [event] = events.rows;
    assert.equal(event.aggregatetype, "pendaftaran-events");
    assert.equal(event.aggregateid, "32.01.01");
    assert.equal(event.type, PendudukTerdaftarSchema.typeName);
    assert.deepEqual(event.created_at, NOW);
    const told = fromBinary(PendudukTerdaftarSchema, event.payload);
    assert.equal(told.penduduk, penduduk!.name);
    assert.equal(told.nama, "Rina Wati");
    assert.equal(told.nikTersamar, `320101********${penduduk!.nik.slice(14)}`);
    assert.equal(told.kodeWilayah, "32.01.01");
    assert.equal(told.provinsi, "Jawa Barat");
    assert.equal(told.jenisKelamin, JenisKelamin.PEREMPUAN);
    assert.equal(told.pelaku, "operator-32.01.01.1006");
    assert.ok(!event.payload.toString("latin1").includes(penduduk!.nik), "no full NIK leaves the registry");
    const audits = await registry.db.query("select * from audit where resource = $1", [penduduk!.name]);
    const [audit] = audits.rows;
    assert.equal(audit.subject, "operator-32.01.01.1006");
    assert.equal(audit.role, "operator");
    assert.equal(audit.action, "lampid.penduduk.v1.PendudukService/RegisterPenduduk");
    assert.equal(audit.wilayah, "32.01.01");
    assert.equal(audit.traceparent, event.traceparent);
  });

  test("takes every biodata field, and a residence that is not the NIK's", async () => {
    const said: Said = {
      ...printed({ nik: freshNik("337401410190"), provinsi: "" }),
      kodeWilayah: "32.01.01.1006",
      jenisKelamin: JenisKelamin.PEREMPUAN,
      tanggalLahir: "1990-01-01",
      tempatLahir: "Semarang",
      agama: 3,
      statusPerkawinan: 1,
      golonganDarah: 11,
      pekerjaan: "Guru (SD)",
      rt: "1",
      rw: "002",
      namaIbu: "Siti Aminah",
      namaAyah: "Slamet",
    };
    const { penduduk } = await client.registerPenduduk(said, operator);
    for (const [field, value] of Object.entries({ ...said, provinsi: "Jawa Barat" })) {
      assert.equal(penduduk![field as keyof Penduduk], value, field);
    }
  });

  test("carries the caller's trace into event and audit", async () => {
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const headers = { ...operator.headers, traceparent };
    const { penduduk } = await client.registerPenduduk(printed(), { headers });
    const { rows } = await registry.db.query("select traceparent from outbox where subject = $1", [
      penduduk!.name,
    ]);
    assert.equal(rows[0].traceparent, traceparent);
  });
});

describe("a NIK that is registered", () => {
  test("is refused, and nothing of the second registration is kept", async () => {
    const said = printed();
    await client.registerPenduduk(said, operator);
    await leavesNothing(() =>
      assertRefused(
        client.registerPenduduk({ ...said, nama: "Orang Lain" }, operator),
        "AlreadyExists",
        "NIK_REGISTERED",
      ),
    );
  });

  test("is refused also with a request id, which then is free for the corrected request", async () => {
    const said = printed();
    await client.registerPenduduk(said, operator);
    const requestId = randomUUID();
    await leavesNothing(() =>
      assertRefused(client.registerPenduduk({ ...said, requestId }, operator), "AlreadyExists"),
    );
    await client.registerPenduduk({ ...printed(), requestId }, operator);
  });
});

describe("a request id", () => {
  test("gives the first answer again, and stores one row", async () => {
    const said = { ...printed(), requestId: randomUUID() };
    const first = await client.registerPenduduk(said, operator);
    await leavesNothing(async () => {
      assert.deepEqual(await client.registerPenduduk(said, operator), first);
      const shouted = { ...said, requestId: said.requestId.toUpperCase() };
      assert.deepEqual(await client.registerPenduduk(shouted, operator), first, "a UUID in other letters");
    });
  });

  test("with another body is refused as a conflict, whatever differs", async () => {
    const said = { ...printed(), requestId: randomUUID() };
    await client.registerPenduduk(said, operator);
    await leavesNothing(async () => {
      for (const over of [{ nama: "Orang Lain" }, { nik: freshNik() }, { rt: "1" }]) {
        await assertRefused(
          client.registerPenduduk({ ...said, ...over }, operator),
          "Aborted",
          "REQUEST_ID_REUSED",
        );
      }
    });
  });

  test("of another account is another request", async () => {
    const requestId = randomUUID();
    const other = as("operator", "32.01.01.1006", { subject: "somebody-else" });
    const said = { ...printed(), requestId };
    await client.registerPenduduk(said, operator);
    await assertRefused(client.registerPenduduk(said, other), "AlreadyExists", "NIK_REGISTERED");
    const { penduduk } = await client.registerPenduduk({ ...printed(), requestId }, other);
    assert.ok(penduduk);
  });

  test("that comes 50 times at once stores one row, and all 50 get the same answer", async () => {
    const replica = await registry.openReplica();
    const before = await registry.counts();
    const said = { ...printed(), requestId: randomUUID() };
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => (n % 2 ? client : replica).registerPenduduk(said, operator)),
    );
    for (const answer of answers) assert.deepEqual(answer, answers[0]);
    const after = await registry.counts();
    assert.deepEqual(after, {
      residents: before.residents + 1,
      events: before.events + 1,
      audits: before.audits + 1,
      answers: before.answers + 1,
    });
  });

  test("that is no UUID is a violation", async () => {
    await assertViolations(client.registerPenduduk({ ...printed(), requestId: "42" }, operator), [
      "request_id",
    ]);
  });
});

test("200 at once, a quarter of them duplicates: every NIK is stored once and every call has its own outcome", async () => {
  const before = await registry.counts();
  const unique = Array.from({ length: 150 }, () => printed());
  const all = [...unique, ...unique.slice(0, 50).map((said) => ({ ...said, nama: "Orang Lain" }))];
  const outcomes = await Promise.allSettled(all.map((said) => client.registerPenduduk(said, operator)));
  const byNik = new Map<string, string[]>();
  for (const [n, outcome] of outcomes.entries()) {
    const code = outcome.status === "fulfilled" ? "ok" : Code[outcome.reason.code]!;
    byNik.set(all[n]!.nik, [...(byNik.get(all[n]!.nik) ?? []), code].sort());
    if (outcome.status === "fulfilled") assert.equal(outcome.value.penduduk!.nama, all[n]!.nama);
  }
  for (const { nik } of unique.slice(0, 50)) assert.deepEqual(byNik.get(nik), ["AlreadyExists", "ok"]);
  for (const { nik } of unique.slice(50)) assert.deepEqual(byNik.get(nik), ["ok"]);
  assert.equal((await registry.counts()).residents, before.residents + 150);
});

test("bad requests among 40 good ones at the same time fail alone", async () => {
  const before = await registry.counts();
  const outcomes = await Promise.allSettled(
    Array.from({ length: 48 }, (_, n) =>
      client.registerPenduduk(
        n % 6 === 0 ? printed({ nama: "Budi 2" }) : { ...printed(), requestId: randomUUID() },
        operator,
      ),
    ),
  );
  assert.equal(outcomes.filter(({ status }) => status === "rejected").length, 8);
  assert.equal((await registry.counts()).residents, before.residents + 40);
});

describe("who may register where", () => {
  test("outside the caller's wilayah the call is denied and nothing is stored", async () => {
    await leavesNothing(async () => {
      const denied = (said: Said, who = operator) =>
        assertRefused(client.registerPenduduk(said, who), "PermissionDenied", "WILAYAH_DENIED");
      await denied(printed({ nik: freshNik("320102010190") }));
      await denied({ ...printed(), kodeWilayah: "32.01.01.1007" });
      await denied(printed({ nik: freshNik("337401010190"), provinsi: "Jawa Tengah" }), kota);
      await denied(printed(), as("supervisor", "32.01.02"));
    });
  });

  test("a role that registers nobody, a wilayah that is none, and no token are refused", async () => {
    await leavesNothing(async () => {
      for (const who of [
        as("auditor", "ID"),
        as("mitra", "32.01", { scopes: ["penduduk.export", "penduduk.verify"] }),
        as("operator", ""),
        as("operator", "32.01.01.1006 "),
        as("", "ID"),
      ]) {
        await assertRefused(client.registerPenduduk(printed(), who), "PermissionDenied", "METHOD_DENIED");
      }
      await assertRefused(client.registerPenduduk(printed()), "Unauthenticated");
    });
  });

  test("higher roles register in all of their wilayah", async () => {
    await client.registerPenduduk(printed({ nik: freshNik("320102010190") }), kota);
    await client.registerPenduduk(
      printed({ nik: freshNik("337401010190"), provinsi: "jawa  tengah" }),
      pusat,
    );
    await client.registerPenduduk({ ...printed({ provinsi: "" }), kodeWilayah: "32.01.01.1006" }, operator);
  });
});

describe("bad input is refused field by field, and nothing is stored", () => {
  const cases: [string, Partial<Said>, string[]][] = [
    ["a NUL byte in the name", { nama: "Budi\0" }, ["nama"]],
    ["a NUL byte in the address", { alamat: "Jl.\0" }, ["alamat"]],
    ["a NUL byte in the province", { provinsi: "Jawa\0Barat" }, ["provinsi"]],
    ["an emoji in the name", { nama: "Budi 😀" }, ["nama"]],
    ["an emoji in the address", { alamat: "Jl. 😀" }, ["alamat"]],
    ["10,000 characters of name", { nama: "a".repeat(10_000) }, ["nama"]],
    ["10,000 characters of province", { provinsi: "a".repeat(10_000) }, ["provinsi"]],
    ["a digit in the name", { nama: "Budi 2" }, ["nama"]],
    ["a semicolon in the name", { nama: "Budi; DROP TABLE penduduk" }, ["nama"]],
    ["a line break in the name", { nama: "Budi\nSantoso" }, ["nama"]],
    ["no name", { nama: "" }, ["nama"]],
    ["no address", { alamat: "" }, ["alamat"]],
    ["no NIK", { nik: "" }, ["nik"]],
    ["a NIK of 15 digits", { nik: "320101010190000" }, ["nik"]],
    ["a NIK of 17 digits", { nik: "32010101019000011" }, ["nik"]],
    ["a NIK in other digits", { nik: "٣٢٠١٠١٠١٠١٩٠٠٠٠١" }, ["nik"]],
    ["a line break after the NIK", { nik: "3201010101900001\n" }, ["nik"]],
    ["the 31st of February", { nik: "3201013102900001" }, ["nik"]],
    ["the 0th of a month", { nik: "3201010001900001" }, ["nik"]],
    ["the 13th month", { nik: "3201010113900001" }, ["nik"]],
    ["the serial 0000", { nik: "3201010101900000" }, ["nik"]],
    ["a woman's day for a man", { nik: "3201014101900001", jenisKelamin: 1 }, ["jenis_kelamin"]],
    ["a man's day for a woman", { nik: "3201010101900001", jenisKelamin: 2 }, ["jenis_kelamin"]],
    ["a sex that no list knows", { jenisKelamin: 9 as JenisKelamin }, ["jenis_kelamin"]],
    ["an unknown province", { provinsi: "Atlantis" }, ["provinsi"]],
    ["no province and no wilayah", { provinsi: "" }, ["provinsi"]],
    ["a province that is not the NIK's", { provinsi: "Jawa Timur" }, ["provinsi"]],
    ["a kecamatan that no list knows", { nik: "3201990101900001" }, ["nik"]],
    ["a wilayah that no list knows", { kodeWilayah: "32.01.01.9999" }, ["kode_wilayah"]],
    ["a wilayah outside the province", { kodeWilayah: "33.01.01" }, ["kode_wilayah"]],
    ["a kabupaten for a residence", { kodeWilayah: "32.01" }, ["kode_wilayah"]],
    ["a birth date that is not the NIK's", { tanggalLahir: "1990-01-02" }, ["tanggal_lahir"]],
    ["a birth date that is none", { tanggalLahir: "1990-02-30" }, ["tanggal_lahir"]],
    ["a birth date to come", { tanggalLahir: "2090-01-01" }, ["tanggal_lahir"]],
    ["a birth date before all registries", { tanggalLahir: "1790-01-01" }, ["tanggal_lahir"]],
    ["the year 0", { nik: "3201010101000001", tanggalLahir: "0000-01-01" }, ["tanggal_lahir"]],
    ["an RT that is no number", { rt: "a" }, ["rt"]],
    ["digits in a parent's name", { namaIbu: "Siti 2", namaAyah: "Budi 1" }, ["nama_ayah", "nama_ibu"]],
    ["many at once", { nik: "1", nama: "2", alamat: "", rt: "x" }, ["alamat", "nama", "nik", "rt"]],
  ];
  for (const [what, over, fields] of cases) {
    test(what, () =>
      leavesNothing(() =>
        assertViolations(
          client.registerPenduduk({ ...printed({ nik: "3201010101909998" }), ...over }, operator),
          fields,
        ),
      ),
    );
  }

  test("and the message of the refusal does not repeat the value", async () => {
    const error = await refused(client.registerPenduduk(printed({ nama: "Rahasia 2" }), operator));
    assert.ok(!JSON.stringify([error.message, error.details]).includes("Rahasia"));
  });
});
