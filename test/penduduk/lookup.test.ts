import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create, toJsonString } from "@bufbuild/protobuf";
import type { Penduduk } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import {
  VerifyKtpResponse_Cocok as Cocok,
  type ExportPendudukRequestSchema,
  type SearchPendudukRequestSchema,
  type VerifyKtpRequestSchema,
  VerifyKtpResponseSchema,
} from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { as, assertRefused, assertViolations, collect } from "../harness/component.ts";
import { freshNik, kota, openRegistry, operator, printed, pusat, type Registry } from "./registry.ts";

let registry: Registry;
let client: Registry["client"];

before(async () => {
  registry = await openRegistry();
  client = registry.client;
});

after(() => registry.close());

async function registered(over: object = {}): Promise<Penduduk> {
  return (await client.registerPenduduk({ ...printed(), ...over }, pusat)).penduduk!;
}

describe("reading a resident", () => {
  test("by name and by NIK gives the same record", async () => {
    const penduduk = await registered();
    assert.deepEqual((await client.getPenduduk({ name: penduduk.name }, operator)).penduduk, penduduk);
    assert.deepEqual((await client.lookupPenduduk({ nik: penduduk.nik }, operator)).penduduk, penduduk);
  });

  test("whom nobody registered is not found", async () => {
    await assertRefused(client.getPenduduk({ name: `penduduk/${randomUUID()}` }, pusat), "NotFound");
    await assertRefused(client.lookupPenduduk({ nik: freshNik() }, pusat), "NotFound", "NOT_FOUND");
  });

  test("outside the caller's wilayah is denied", async () => {
    const { name, nik } = await registered({ kodeWilayah: "32.01.01.1007" });
    for (const who of [operator, as("supervisor", "32.01.02"), as("admin_kota", "32.02")]) {
      await assertRefused(client.getPenduduk({ name }, who), "PermissionDenied", "WILAYAH_DENIED");
      await assertRefused(client.lookupPenduduk({ nik }, who), "PermissionDenied", "WILAYAH_DENIED");
    }
    await client.getPenduduk({ name }, as("supervisor", "32.01.01"));
    await assertRefused(client.lookupPenduduk({ nik }, as("auditor", "ID")), "PermissionDenied");
  });

  test("a key of another shape is a violation", async () => {
    for (const name of ["", "penduduk/1", `${"penduduk/"}${randomUUID().toUpperCase()}`, "kartuKeluarga/1"]) {
      await assertViolations(client.getPenduduk({ name }, pusat), ["name"]);
    }
    for (const nik of ["", "1", "32010101019000011"]) {
      await assertViolations(client.lookupPenduduk({ nik }, pusat), ["nik"]);
    }
  });
});

describe("search", () => {
  type Query = Omit<MessageInitShape<typeof SearchPendudukRequestSchema>, "$typeName">;
  const search = (over: Query, who = kota) =>
    client.searchPenduduk({ nama: "Siti", kodeWilayah: "32.01.03", ...over }, who);
  const namesOf = ({ penduduk }: { penduduk: Penduduk[] }) => penduduk.map(({ nama }) => nama);

  before(async () => {
    const at = { kodeWilayah: "32.01.03" };
    await registered({ ...at, nama: "Siti Nurhaliza", nik: freshNik("320103450692") });
    await registered({ ...at, nama: "Siti Nurjanah" });
    await registered({ ...at, nama: "Ma'ruf Amin" });
    await registered({ nama: "Siti Nurhaliza", kodeWilayah: "32.01.04" });
    await Promise.all(
      Array.from({ length: 60 }, () => registered({ nama: "Wayan Sudirta", kodeWilayah: "32.01.05" })),
    );
  });

  test("finds by a part of the name, best first, case aside", async () => {
    assert.deepEqual(namesOf(await search({ nama: "nurhaliza" })), ["Siti Nurhaliza"]);
    assert.deepEqual(namesOf(await search({ nama: "SITI NURJANAH" })).slice(0, 1), ["Siti Nurjanah"]);
    assert.deepEqual(namesOf(await search({ nama: "Ma'ruf" })), ["Ma'ruf Amin"]);
    assert.deepEqual(namesOf(await search({ nama: "Siti" })).toSorted(), ["Siti Nurhaliza", "Siti Nurjanah"]);
    assert.deepEqual(namesOf(await search({ nama: "Xaverius" })), []);
    assert.deepEqual(namesOf(await search({ nama: "..." })), []);
  });

  test("is bound to the wilayah asked for, and that to the caller's", async () => {
    assert.equal((await search({ nama: "Siti Nurhaliza", kodeWilayah: "32.01" })).penduduk.length, 2);
    assert.equal((await search({ nama: "Siti Nurhaliza", kodeWilayah: "ID" }, pusat)).penduduk.length, 2);
    await assertRefused(search({ kodeWilayah: "ID" }), "PermissionDenied", "WILAYAH_DENIED");
    await assertRefused(search({ kodeWilayah: "32" }), "PermissionDenied", "WILAYAH_DENIED");
    await assertRefused(search({}, operator), "PermissionDenied", "WILAYAH_DENIED");
  });

  test("takes a birth date, and refuses one that is none", async () => {
    assert.deepEqual(namesOf(await search({ tanggalLahir: "1992-06-05" })), ["Siti Nurhaliza"]);
    assert.deepEqual(namesOf(await search({ tanggalLahir: "1992-06-06" })), []);
    await assertViolations(search({ tanggalLahir: "1992-02-30" }), ["tanggal_lahir"]);
    await assertViolations(search({ tanggalLahir: "0000-01-01" }), ["tanggal_lahir"]);
    await assertViolations(search({ tanggalLahir: "yesterday" }), ["tanggal_lahir"]);
  });

  test("pages hold each resident once, also when others register meanwhile", async () => {
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await search({ nama: "Wayan", kodeWilayah: "32.01.05", pageSize: 7, pageToken });
      assert.ok(page.penduduk.length <= 7);
      seen.push(...page.penduduk.map(({ name }) => name));
      pageToken = page.nextPageToken;
      if (seen.length === 14) await registered({ nama: "Wayan Sudirta", kodeWilayah: "32.01.05" });
    } while (pageToken !== "");
    assert.equal(new Set(seen).size, seen.length);
    assert.equal(seen.length, 61);
  });

  test("a page size of 0 is 50, a huge one is capped, a negative one is a violation", async () => {
    const of = (pageSize: number) => search({ nama: "Wayan", kodeWilayah: "32.01.05", pageSize });
    assert.equal((await of(0)).penduduk.length, 50);
    assert.notEqual((await of(0)).nextPageToken, "");
    const all = await of(2_147_483_647);
    assert.equal(all.penduduk.length, 61);
    assert.equal(all.nextPageToken, "");
    await assertViolations(of(-1), ["page_size"]);
  });

  test("the last page is the last, also when it is full", async () => {
    const { nextPageToken } = await search({ nama: "Wayan", kodeWilayah: "32.01.05", pageSize: 61 });
    assert.equal(nextPageToken, "");
  });

  test("a page token is good for its own query, and nothing else is one", async () => {
    const query = { nama: "Wayan", kodeWilayah: "32.01.05", pageSize: 5 };
    const { nextPageToken: pageToken } = await search(query);
    await search({ ...query, pageToken, pageSize: 9 });
    for (const over of [{ nama: "Wayang" }, { kodeWilayah: "32.01" }, { tanggalLahir: "1990-01-01" }]) {
      await assertViolations(search({ ...query, ...over, pageToken }), ["page_token"]);
    }
    const [digest] = JSON.parse(Buffer.from(pageToken, "base64url").toString());
    const forged = (...parts: unknown[]) =>
      Buffer.from(JSON.stringify([digest, ...parts])).toString("base64url");
    for (const token of [
      "x",
      "\0",
      "e30",
      pageToken.slice(0, -4),
      forged("0.5"),
      forged(0.5, randomUUID()),
      forged("a", randomUUID()),
      forged("1e999", randomUUID()),
      forged("0.5", "1"),
      forged("0.5", "'; drop table penduduk; --"),
      forged("\0", randomUUID()),
    ]) {
      await assertViolations(search({ ...query, pageToken: token }), ["page_token"]);
    }
  });

  test("less than three letters, other signs and an open wilayah are violations", async () => {
    await assertViolations(search({ nama: "Si" }), ["nama"]);
    await assertViolations(search({ nama: "Siti%" }), ["nama"]);
    await assertViolations(search({ kodeWilayah: "" }, pusat), ["kode_wilayah"]);
    await assertViolations(search({ kodeWilayah: "32." }, pusat), ["kode_wilayah"]);
  });
});

describe("the e-KTP check", () => {
  type Card = Omit<MessageInitShape<typeof VerifyKtpRequestSchema>, "$typeName">;
  const mitra = as("mitra", "32.01", { scopes: ["penduduk.verify"] });
  const verify = (card: Card, who = mitra) => client.verifyKtp(card, who);

  test("tells field by field what agrees, what does not, and what was not compared", async () => {
    const { nik } = await registered({ nama: "Siti Nurhaliza", tempatLahir: "Bogor" });
    const answer = await verify({
      nik,
      nama: "SITI  nurhaliza.",
      tanggalLahir: "1990-01-02",
      tempatLahir: "bogor",
      jenisKelamin: 1,
      namaIbu: "Aminah",
    });
    assert.deepEqual(
      answer,
      create(VerifyKtpResponseSchema, {
        found: true,
        nama: Cocok.SESUAI,
        tanggalLahir: Cocok.TIDAK_SESUAI,
        tempatLahir: Cocok.SESUAI,
        jenisKelamin: Cocok.SESUAI,
        alamat: Cocok.UNSPECIFIED,
        namaIbu: Cocok.UNSPECIFIED,
      }),
    );
  });

  test("never returns the data, whatever agrees", async () => {
    const { nik } = await registered({ nama: "Nama Rahasia", tempatLahir: "Bogor" });
    const answers = [await verify({ nik, nama: "Lain", tempatLahir: "Lain" }), await verify({ nik })];
    for (const answer of answers) {
      const text = toJsonString(VerifyKtpResponseSchema, answer);
      for (const secret of ["Rahasia", "Bogor", "Merdeka", nik, "1990"])
        assert.ok(!text.includes(secret), text);
    }
  });

  test("of a NIK that nobody has, or that is closed, is no error and compares nothing", async () => {
    const none = create(VerifyKtpResponseSchema, { found: false });
    assert.deepEqual(await verify({ nik: freshNik(), nama: "Siti" }), none);
    const { nik } = await registered();
    await registry.db.query("update penduduk set status = 2 where nik = $1", [nik]);
    assert.deepEqual(await verify({ nik, nama: "Budi Santoso" }), none);
  });

  test("takes any text for comparison, and refuses a NIK that is none", async () => {
    const { nik } = await registered();
    assert.equal((await verify({ nik, nama: "Budi\0 😀 2" })).nama, Cocok.TIDAK_SESUAI);
    await assertViolations(verify({ nik: "1" }), ["nik"]);
    await assertViolations(verify({ nik, nama: "a".repeat(10_000) }), ["nama"]);
  });

  test("is for officers and for partners with the scope, of whatever wilayah", async () => {
    const { nik } = await registered({ kodeWilayah: "32.01.05" });
    await verify({ nik }, operator);
    for (const who of [
      as("mitra", "32.01"),
      as("mitra", "ID", { scopes: ["penduduk.export"] }),
      as("auditor", "ID"),
    ]) {
      await assertRefused(verify({ nik }, who), "PermissionDenied", "METHOD_DENIED");
    }
  });
});

describe("export", () => {
  type Query = Omit<MessageInitShape<typeof ExportPendudukRequestSchema>, "$typeName">;
  const mitra = as("mitra", "32.01", { scopes: ["penduduk.export"] });
  const stream = (query: Query, who = mitra) => collect(client.exportPenduduk(query, who));
  const inExport = "32.01.06";
  let all: string[];

  before(async () => {
    const desa = ["32.01.06", "32.01.06.2001", "32.01.06.2002"];
    const residents = await Promise.all(
      Array.from({ length: 40 }, (_, n) => registered({ kodeWilayah: desa[n % 3] })),
    );
    all = residents.map(({ name }) => name).toSorted();
  });

  test("streams every resident of the wilayah exactly once, in batches of the size asked for", async () => {
    for (const [batchSize, batches] of [
      [7, 6],
      [40, 1],
      [0, 1],
      [1_000_000, 1],
    ] as const) {
      const messages = await stream({ kodeWilayah: inExport, batchSize });
      assert.equal(messages.length, batches);
      const names = messages.flatMap(({ penduduk }) => penduduk.map(({ name }) => name));
      assert.deepEqual(names.toSorted(), all);
    }
  });

  test("goes on after the batch whose cursor is given", async () => {
    const names: string[] = [];
    let cursor = "";
    for (let part = 0; part < 20; part++) {
      const read = await firstOf(
        client.exportPenduduk({ kodeWilayah: inExport, batchSize: 6, cursor }, mitra),
      );
      if (!read) break;
      names.push(...read.penduduk.map(({ name }) => name));
      cursor = read.cursor;
    }
    assert.equal(names.length, 40);
    assert.deepEqual(names.toSorted(), all);
  });

  test("holds the whole record for an administrator, and everything of a wider wilayah or the nation", async () => {
    const [first] = await stream({ kodeWilayah: inExport, batchSize: 1 }, pusat);
    const [resident] = first!.penduduk;
    assert.deepEqual((await client.lookupPenduduk({ nik: resident!.nik }, pusat)).penduduk, resident);
    const counted = async (kodeWilayah: string) =>
      (await stream({ kodeWilayah }, pusat)).flatMap(({ penduduk }) => penduduk).length;
    const { residents } = await registry.counts();
    assert.equal(await counted("32"), residents);
    assert.equal(await counted("ID"), residents);
    assert.equal(await counted("32.01.06.2001"), 13);
    assert.equal(await counted("32.01.06.9999"), 0);
  });

  test("a cursor of another wilayah, also of one inside, would skip people and is refused", async () => {
    const cursorOf = async (kodeWilayah: string) =>
      (await stream({ kodeWilayah, batchSize: 5 }, pusat))[0]!.cursor;
    for (const [from, to] of [
      ["32.01.06", "32.01.05"],
      ["32.01.06.2002", "32.01.06"],
      ["32.01.06.2002", "ID"],
      ["32.01.06", "32.01.06.2001"],
      ["ID", "32.01.06"],
    ] as const) {
      const cursor = await cursorOf(from);
      await assertViolations(stream({ kodeWilayah: to, cursor }, pusat), ["cursor"]);
      await stream({ kodeWilayah: from, cursor }, pusat);
    }
    for (const cursor of [
      "x",
      "32.01.06:32.01.06:1",
      `32.01.06:32.01.06:'${randomUUID()}`,
      `32.01.06:32.01.05:${randomUUID()}`,
      `32.01.06:11.01.01:${randomUUID()}`,
      "\0",
    ]) {
      await assertViolations(stream({ kodeWilayah: inExport, cursor }), ["cursor"]);
    }
  });

  test("is for city and nation, and for partners with the scope, inside their wilayah", async () => {
    const denied = (who: ReturnType<typeof as>, kodeWilayah = inExport, reason?: string) =>
      assertRefused(stream({ kodeWilayah }, who), "PermissionDenied", reason);
    await denied(operator, "32.01.01.1006", "METHOD_DENIED");
    await denied(as("supervisor", "32.01.06"), inExport, "METHOD_DENIED");
    await denied(as("mitra", "32.01"), inExport, "METHOD_DENIED");
    await denied(as("mitra", "32.01", { scopes: ["penduduk.verify"] }), inExport, "METHOD_DENIED");
    await denied(mitra, "32.02", "WILAYAH_DENIED");
    await denied(mitra, "32", "WILAYAH_DENIED");
    await denied(mitra, "ID", "WILAYAH_DENIED");
    await stream({ kodeWilayah: inExport }, as("admin_kota", "32.01"));
    await assertViolations(stream({ kodeWilayah: "" }, pusat), ["kode_wilayah"]);
    await assertViolations(stream({ kodeWilayah: inExport, batchSize: -1 }), ["batch_size"]);
  });
});

async function firstOf<T>(messages: AsyncIterable<T>): Promise<T | undefined> {
  for await (const message of messages) return message;
  return undefined;
}
